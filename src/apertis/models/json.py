"""JSON from elsewhere, which may be anything: the one guard around its decoder."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

T = TypeVar("T")

# What a decoder raises: for what is no such JSON, for bytes that are not UTF-8 inside a string, and
# for deep nesting. Whoever catches a part of it is stopped by the rest.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# An escape of JSON: a surrogate pair, half of one, or any other.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\(u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def json_or_none(
    data: bytes | memoryview | msgspec.Raw | str, type: type[T] | msgspec.json.Decoder[T]
) -> T | None:
    """Decode JSON as a type, or by its decoder; None for what is no such JSON, and for `null`."""
    try:
        if isinstance(type, msgspec.json.Decoder):
            return type.decode(data)
        return msgspec.json.decode(data, type=type)
    except UNREADABLE:
        return None


def without_half_characters(data: bytes) -> bytes:
    """Return the JSON with U+FFFD for each half of a surrogate pair that stands alone.

    Gateways that count in UTF-16 cut a character in two; a half is no text in Python or in UTF-8.
    """
    text = bytes(data)
    if b"\\ud" not in text and b"\\uD" not in text:
        return text
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], text)


def on_one_line(data: bytes) -> bytes:
    """Return JSON with the characters escaped that some readers of lines take for line ends.

    So that no reader of an event stream loses an event to U+0085, U+2028 or U+2029 in a text.
    """
    if not data.isascii():
        for separator in "\x85\u2028\u2029":
            data = data.replace(separator.encode(), b"\\u%04x" % ord(separator))
    return data


def with_sound_text(data: bytes) -> bytes:
    """Return JSON with U+FFFD for each byte, and each half of a surrogate pair, that is no text."""
    return without_half_characters(data.decode("utf-8", "replace").encode())
