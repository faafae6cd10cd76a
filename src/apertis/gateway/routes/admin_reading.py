"""Reads bodies and query strings into msgspec types; what does not fit becomes a refusal."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

import msgspec

from apertis.gateway.errors import Refusal, invalid_parameter, invalid_request
from apertis.gateway.slices import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["nearest", "read_body_as", "read_query_as"]

_T = TypeVar("_T", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_AT = re.compile(r"(.*) - at `\$\.([a-z_0-9]+)[^`]*`", re.DOTALL)
_TYPE_NAME = re.compile(r"`([a-z |]+)`")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
}


def read_body_as(
    body: bytes, type: type[_T], forbidden: Mapping[str, str] | None = None
) -> _T | Refusal:
    """Read a JSON object. `forbidden` says of fields that cannot be set why, or what to do."""
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        return _refusal_of(str(error), type, forbidden or {})
    except UNREADABLE as error:
        return invalid_request(f"The body is not JSON: {error}")


def read_query_as(query: str, type: type[_T]) -> _T | Refusal:
    """Read a query string; each field may be given once."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in fields:
            return invalid_parameter(name[:100], f"'{name[:100]}' is given twice in the query")
        fields[name] = value
    try:
        return msgspec.convert(fields, type, strict=False)
    except msgspec.ValidationError as error:
        return _refusal_of(str(error), type, {})


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is meant, as the end of a sentence; else list them all."""
    names = list(known)
    close = difflib.get_close_matches(name[:100], names, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(names)}"


def _refusal_of(message: str, type: type[msgspec.Struct], forbidden: Mapping[str, str]) -> Refusal:
    unknown = _UNKNOWN.fullmatch(message)
    if unknown:
        name = unknown[1][:100]
        if name in forbidden:
            return invalid_parameter(name, f"'{name}' cannot be set: {forbidden[name]}")
        known = type.__struct_encode_fields__
        return invalid_parameter(name, f"Unknown field '{name}'{nearest(name, known)}")
    placed = _AT.fullmatch(message)
    if placed:
        return invalid_parameter(placed[2], f"'{placed[2]}': {_in_words(placed[1])}")
    return invalid_request(f"The body must be a JSON object: {_in_words(message)}")


def _in_words(message: str) -> str:
    """Turn msgspec's sentence into one about JSON."""

    def words(match: re.Match[str]) -> str:
        return " or ".join(_WORDS.get(name, name) for name in match[1].split(" | "))

    text = _TYPE_NAME.sub(words, message)
    return text[:1].lower() + text[1:]
