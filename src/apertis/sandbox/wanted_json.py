"""JSON asked for in words: by a system prompt, or in the descriptions of a schema."""

from __future__ import annotations

import re
from ast import literal_eval
from json import JSONDecoder
from typing import TYPE_CHECKING, Any

import msgspec

from apertis.sandbox.schemas import fill
from apertis.sandbox.values import JsonObject, is_array, is_number, is_object
from apertis.sandbox.vocabulary import Words

if TYPE_CHECKING:
    from apertis.sandbox.prompt import Prompt

# A longer system prompt is a manual that speaks of JSON; what is asked for stands at its end.
_MAX_CHARACTERS = 4_000
_MAX_EXAMPLES = 20
_ASKED = re.compile(
    r"\b(?:respond|reply|answer|return|output|produce|generate|write|give|provide|emit|print|use)"
    r"(?:s|ing)?\b[^.!?\n]{0,80}\bjson\b|\bjson\s+(?:only|object|array)\b|\b(?:only|valid)\s+json\b",
    re.IGNORECASE,
)
_NOT = re.compile(r"\b(?:not|never|no|without|avoid|don't|instead of|rather than)\b", re.IGNORECASE)
_LIST = re.compile(r"\bjson\s+(?:array|list)\b|\b(?:array|list) of\b", re.IGNORECASE)
_KEY = re.compile(r"[\"'`\u201c](\w{1,40})[\"'`\u201d]\s*:")
_QUOTED = re.compile(r"[\"'`\u201c](\w{1,40})[\"'`\u201d]")
_SPEAKS_OF_FIELDS = re.compile(
    r"\b(?:fields?|keys?|propert(?:y|ies))\b(?:\s*:\s*(\w+(?:\s*,\s*\w+)*))?", re.IGNORECASE
)


def json_answer(heard: Prompt) -> str | None:
    """Return the JSON that the system prompt asks for; None when it asks for none.

    Its form is that of the first example in the prompt, else the fields that the prompt names.
    What the caller has begun is gone on with, when it can be.
    """
    system = heard.system[-_MAX_CHARACTERS:]
    if not _is_asked(system):
        return None
    value = fill(_form(system), Words(heard.question))
    text = msgspec.json.encode(value).decode()
    begun = heard.prefill.strip()
    if not begun:
        return text
    return text[len(begun) :] if text.startswith(begun) else None


def _is_asked(system: str) -> bool:
    for found in _ASKED.finditer(system):
        sentence = max(system.rfind(mark, 0, found.start()) for mark in ".!?\n") + 1
        if not _NOT.search(system[sentence : found.end()]):
            return True
    return False


def _form(system: str) -> JsonObject:
    example = _example(system)
    if example is not None:
        return _schema_of(example)
    names = _KEY.findall(system)
    for sentence in re.split(r"[.\n]", system):
        told = _SPEAKS_OF_FIELDS.search(sentence)
        if told:
            names += _QUOTED.findall(sentence) or re.findall(r"\w+", told.group(1) or "")
    text = {"type": "string"}
    if not names and _LIST.search(system):
        return {"type": "array", "items": text}
    fields = list(dict.fromkeys(names)) or ["answer"]
    return {"type": "object", "properties": dict.fromkeys(fields, text), "required": fields}


def _example(system: str) -> Any:
    decoder = JSONDecoder()
    starts = (found.start() for found in re.finditer(r"[{\[]", system))
    for _, start in zip(range(_MAX_EXAMPLES), starts, strict=False):
        try:
            value, _ = decoder.raw_decode(system, start)
        except (ValueError, RecursionError):
            continue
        if value and (is_object(value) or (is_array(value) and is_object(value[0]))):
            return value
    return None


def _schema_of(example: Any) -> JsonObject:
    """Return a schema of the example's form; `"low|high"` gives its choices, others a string."""
    if is_object(example):
        fields = {name: _schema_of(value) for name, value in example.items()}
        return {"type": "object", "properties": fields, "required": list(fields)}
    if is_array(example):
        items = _schema_of(example[0]) if example else {"type": "string"}
        return {"type": "array", "items": items, "minItems": min(1, len(example))}
    if isinstance(example, bool):
        return {"type": "boolean"}
    if is_number(example):
        return {"type": "integer" if isinstance(example, int) else "number"}
    if isinstance(example, str):
        choices = [part.strip() for part in example.split("|")]
        return {"enum": choices} if len(choices) > 1 and all(choices) else {"type": "string"}
    return {"type": "null"}


_SAID = re.compile(r"(?s)(?:^|\n\n)\{(?=[A-Za-z])(.*)\}\Z")
_KEYWORD = re.compile(r"(?:^|, )([A-Za-z][A-Za-z ]*): ")
_NUMBERS = frozenset(
    (
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "minItems", "maxItems"),
    )
)
_TEXTS = frozenset({"pattern", "format", "contentEncoding"})
_ORDER = "in this order"
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


def with_described(schema: object) -> Any:
    r"""Return the schema with the keywords that stand in its descriptions.

    Clients move what the API's output formats do not take into the description, in braces at its
    end: `A number\n\n{minimum: 1, maximum: 10}`. A model heeds them; so does the sandbox.
    """
    if is_array(schema):
        return [with_described(part) for part in schema]
    if not is_object(schema):
        return schema
    result: JsonObject = {key: with_described(part) for key, part in schema.items()}
    description = schema.get("description")
    said = _SAID.search(description) if isinstance(description, str) else None
    return result if said is None else {**_keywords(said[1]), **result}


def _keywords(text: str) -> JsonObject:
    found = list(_KEYWORD.finditer(text))
    ends = [*(key.start() for key in found[1:]), len(text)]
    keywords: JsonObject = {}
    for key, end in zip(found, ends, strict=True):
        name, value = key[1], text[key.end() : end]
        if name in _TEXTS:
            keywords[name] = value
        elif name in _NUMBERS or name == "uniqueItems":
            keywords |= _literal(name, value)
        elif name == _ORDER:
            names = _literal(name, value).get(name)
            if is_array(names) and all(kind in _TYPES for kind in names):
                keywords["prefixItems"] = [{"type": kind} for kind in names]
    return keywords


def _literal(name: str, value: str) -> JsonObject:
    try:
        return {name: literal_eval(value)}
    except (ValueError, SyntaxError):
        return {}
