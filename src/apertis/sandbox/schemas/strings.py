"""Strings for a JSON Schema, by the property's name, the schema's format and the prompt's words."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

from apertis.sandbox.inert import NOTHING, inert_strings
from apertis.sandbox.schemas.patterns import example
from apertis.sandbox.values import JsonObject, is_array
from apertis.sandbox.vocabulary import Words, stems, word_set, words_in

if TYPE_CHECKING:
    from collections.abc import Iterator

# What stands for a value that the prompt does not give.
_FORMATS = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "idn-email": "someone@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/example",
    "iri": "https://example.com/",
    "iri-reference": "/example",
    "uri-template": "https://example.com/{id}",
    "decimal": "1.5",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "/example",
    "relative-json-pointer": "0",
    "regex": "^example$",
}
_BASE64 = "ZXhhbXBsZQ=="
_PLACES = word_set(
    "location city place country town address region state area destination where venue"
)
_WHOLE = word_set(
    """query question search prompt text input message content sentence topic description body
    task request keywords term terms q instructions summary note"""
)
_NAMES = word_set("name person title author recipient user customer company product")
_MATHS = word_set("expression formula equation calculation expr")
_ORIGINS = word_set("origin from source departure start")
_TARGETS = word_set("to destination target arrival recipient end")
_LONGEST = 100_000
_BY_NAME = {
    "email": "email",
    "url": "uri",
    "uri": "uri",
    "link": "uri",
    "date": "date",
    "day": "date",
    "time": "time",
    "timestamp": "date-time",
}


def is_said(value: object, words: Words) -> bool:
    """Return whether the prompt holds a value of an enumeration, as words of their own."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return False
    text = str(value).replace("_", " ")
    if not text.strip():
        return False
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", words.text, re.IGNORECASE) is not None


def string_candidates(
    schema: JsonObject, name: str, words: Words, said_only: bool = False
) -> Iterator[str]:
    """Yield strings for the schema, the likeliest first; without end unless `said_only`."""
    form = schema.get("format")
    if schema.get("contentEncoding") == "base64":
        yield _BASE64
    elif isinstance(form, str) and form in _FORMATS:
        yield from words.of_format(form)
    else:
        yield from _from_prompt(schema, name, words, sure_only=said_only)
    if said_only:
        return
    examples = schema.get("examples")
    for value in (schema.get("default"), *(examples if is_array(examples) else ())):
        if isinstance(value, str):
            yield value
    least, most = min(int(schema.get("minLength", 0)), _LONGEST), schema.get("maxLength")
    if isinstance(schema.get("pattern"), str):
        made = example(schema["pattern"], least, most)
        if made is not None:
            yield made
    if isinstance(form, str) and form in _FORMATS:
        yield _FORMATS[form]
        yield from (f"{_FORMATS[form]}{number}" for number in range(1, 50))
    yield from _made_up(name, words, least, most)


def inert_candidates(schema: JsonObject, name: str, _words: Words) -> Iterator[str]:
    """Yield strings for the schema that do nothing when a program executes them."""
    least, most = min(int(schema.get("minLength", 0)), _LONGEST), schema.get("maxLength")
    for value in inert_strings(name, schema):
        yield value
        yield value.ljust(least)
    if isinstance(schema.get("pattern"), str):
        made = example(schema["pattern"], least, most)
        if made is not None:
            yield made
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        yield _FORMATS[form]
    limit = most if isinstance(most, int) else max(least, 200)
    for number in count(1):
        yield f"{number}-{NOTHING}".ljust(least)[:limit]


def _from_prompt(schema: JsonObject, name: str, words: Words, sure_only: bool) -> Iterator[str]:
    kinds = frozenset(words_in(name))
    about = kinds | (stems(str(schema.get("description", ""))) & _PLACES)
    for kind in sorted(kinds & _BY_NAME.keys()):
        yield from words.of_format(_BY_NAME[kind])
    if kinds & _ORIGINS:
        yield from words.after("from")
    if kinds & _TARGETS:
        yield from words.after("to")
    if kinds & _MATHS:
        yield from words.maths
        return
    if kinds & _WHOLE:
        yield from words.quoted
        if not sure_only:
            yield words.text
    elif about & _PLACES:
        yield from words.places
    elif kinds & _NAMES:
        yield from (*words.quoted, *words.names)
    if not sure_only:
        yield from (*words.quoted, *words.names, *words.places)


def _made_up(name: str, words: Words, least: int, most: object) -> Iterator[str]:
    limit = most if isinstance(most, int) else max(least, 200)
    said = " ".join(words.text[:_LONGEST].split())
    for number in count():
        seed = (said, name.replace("_", " ") or "example", "example")[min(number, 2)]
        text = seed if number < 3 else f"{number} {seed}"
        if not text and least == 0:
            continue
        longer = (text + " ") * (least // (len(text) + 1) + 1) if len(text) < least else text
        yield longer[:limit] if len(longer) > limit else longer
