r"""Keywords that a schema says only in its descriptions.

Clients move what the API's output formats do not take into the description, in braces at its end:
`A number\n\n{minimum: 1, maximum: 10}`. A model heeds them; so does the sandbox.
"""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any

from apertis.sandbox.values import JsonObject, is_array, is_object

_SAID = re.compile(r"(?s)(?:^|\n\n)\{(?=[A-Za-z])(.*)\}\Z")
_KEY = re.compile(r"(?:^|, )([A-Za-z][A-Za-z ]*): ")
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
    """Return the schema with the keywords that stand in its descriptions."""
    if is_array(schema):
        return [with_described(part) for part in schema]
    if not is_object(schema):
        return schema
    result: JsonObject = {key: with_described(part) for key, part in schema.items()}
    description = schema.get("description")
    said = _SAID.search(description) if isinstance(description, str) else None
    return result if said is None else {**_keywords(said[1]), **result}


def _keywords(text: str) -> JsonObject:
    found = list(_KEY.finditer(text))
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
