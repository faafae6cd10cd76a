"""The results of a batch as they come: lines of JSON, and what each of them used.

https://docs.claude.com/en/api/retrieving-message-batch-results
"""

from __future__ import annotations

import re
from typing import NamedTuple

from apertis.models.json import json_or_none, with_sound_text
from apertis.sansio.slices import slices

# Larger than any answer of the API.
MAX_LINE_BYTES = 64 * 2**20


class LineFraming:
    """A cutter of chunks into whole lines; each byte is copied a fixed number of times."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def overflowed(self) -> bool:
        """True if a line has no end within the maximum length."""
        return self._size > MAX_LINE_BYTES

    def feed(self, chunk: bytes) -> bytes:
        """Give the whole lines that there are now, each with its line feed; b"" for none."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._parts.append(chunk)
            self._size += len(chunk)
            return b""
        whole = b"".join((*self._parts, chunk[:end]))
        self._parts = [chunk[end:]]
        self._size = len(chunk) - end
        return whole

    def rest(self) -> bytes:
        """Give what stands behind the last line feed, at the end of the body."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return rest


class LineResult(NamedTuple):
    """The result of one request of the batch."""

    custom_id: str
    message: bytes | None
    """The response of the model: b"" where it cannot be read, None where nothing was used."""


_NOTHING = (b"", b"null")
# Where a line is truncated, its beginning still says whose it is.
_ID = re.compile(rb'[ \t\r]*+\{[ \t\r]*+"custom_id"[ \t\r]*+:[ \t\r]*+("(?:[^"\\]|\\.)*+")')


def read_results(lines: bytes) -> list[LineResult]:
    """Read whole lines, except those that do not even say which request they are about.

    What has a message was answered and is paid for, whatever its type is called: `errored`,
    `canceled` and `expired` have none.
    """
    read = (_read(line) for line in lines.split(b"\n") if line)
    return [result for result in read if result is not None]


def _read(line: bytes) -> LineResult | None:
    found = slices(line, ("custom_id", "result"))
    if found is None:
        beginning = _ID.match(line)
        found = {} if beginning is None else {"custom_id": beginning[1]}
    custom_id = json_or_none(with_sound_text(found.get("custom_id", b"")), str)
    if custom_id is None:
        return None
    result = slices(found.get("result", b""), ("message",))
    if result is None:
        return LineResult(custom_id, b"")
    message = result.get("message", b"")
    return LineResult(custom_id, None if message in _NOTHING else message)
