"""The results of a batch as they come: lines of JSON, and what each of them used.

https://docs.claude.com/en/api/retrieving-message-batch-results
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

__all__ = ["MOST_LINE_BYTES", "LineFraming", "LineResult", "read_results"]

# Larger than any answer of the API.
MOST_LINE_BYTES = 64 * 2**20


class LineFraming:
    """Cuts pieces of any size into whole lines; each byte is copied a fixed number of times."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def overflowed(self) -> bool:
        """Whether a line has no end within any sensible length."""
        return self._size > MOST_LINE_BYTES

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
    """How one request of the batch ended."""

    custom_id: str
    message: bytes | None
    """The answer of the model; None for a request that used nothing."""


class _Result(msgspec.Struct):
    message: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


_LINE = msgspec.json.Decoder(_Line)
_NOTHING = (b"", b"null")


def read_results(lines: bytes) -> list[LineResult] | None:
    """Read whole lines; None if one of them is no result. Empty lines are passed over.

    What has a message was answered and is paid for, whatever its type is called: `errored`,
    `canceled` and `expired` have none.
    """
    results: list[LineResult] = []
    for line in lines.split(b"\n"):
        if not line.strip():
            continue
        try:
            read = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        message = bytes(read.result.message)
        results.append(LineResult(read.custom_id, None if message in _NOTHING else message))
    return results
