"""Content codings undone within bounds (RFC 9110, section 8.4.1): `gzip`, `deflate`, `zstd`.

One decoder for both directions: answers as they come, and the bodies of requests. What a few bytes
expand to is bounded by size, by ratio, and in the number of parts that they are made of; memory is
taken for what is given out only. No exception leaves this module for any input.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import import_module
from typing import Any, Literal, Protocol

Problem = Literal["damaged", "too large"]

# An honest body expands by 3 to 20; below this much of it no ratio is asked for.
_FREE_OF_RATIO_BYTES = 2**20
# An empty gzip member has 20 bytes, an empty zstd frame 8: to walk through millions takes seconds.
_MAX_PARTS = 10_000
# What follows a part is copied by the decoders, once for each part.
_SLICE_BYTES = 64 * 1024
# The window that every decoder of the coding must have (RFC 9659).
_MAX_ZSTD_WINDOW_LOG = 23


class _Part(Protocol):
    """A gzip member, a zlib stream or a zstd frame on its way."""

    @property
    def eof(self) -> bool:
        """True once its end has come."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Decompress these bytes, up to a maximum of output."""
        ...


@cache
def _zstd() -> Any:
    """Import the standard library's zstd: since Python 3.14, where it was built in."""
    try:
        return import_module("compression.zstd")
    except ImportError:
        return None


@cache
def codings() -> tuple[str, ...]:
    """Return the codings that are understood here, by their names in `content-encoding`."""
    return ("gzip", "x-gzip", "deflate", *(("zstd",) if _zstd() else ()))


class Decoder:
    """A decoder of one coding; `feed` it bytes, and check `problem` after each call.

    `deflate` comes with or without its zlib wrapper. `max_bytes` bounds all that is given out,
    `max_ratio` what is given out for what came. A gzip body may have several members, a zstd body
    several frames.

    Raises:
        ValueError: The coding is none of `codings()`.
    """

    __slots__ = (
        "_came",
        "_damage",
        "_given",
        "_is_zstd",
        "_max_bytes",
        "_max_ratio",
        "_part",
        "_parts",
        "_start",
        "problem",
    )

    def __init__(
        self, coding: str, *, max_bytes: int | None = None, max_ratio: int | None = None
    ) -> None:
        name = coding.lower()
        if name not in codings():
            raise ValueError(f"{coding!r} is none of {', '.join(codings())}")
        self.problem: Problem | None = None
        self._is_zstd = name == "zstd"
        self._damage: type[Exception] = _zstd().ZstdError if self._is_zstd else zlib.error
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio
        self._part: _Part | None = None
        self._start = b""
        self._came = self._given = self._parts = 0

    def feed(self, data: bytes) -> bytes:
        """Decode these bytes; what came before a problem is returned too."""
        self._came += len(data)
        if self._part is None:
            # Two bytes tell the formats apart.
            self._start = data = self._start + data
            if len(data) < 2:
                return b""
            self._next_part(data)
        if len(data) <= _SLICE_BYTES:
            return self._decoded(data)
        pieces = (data[at : at + _SLICE_BYTES] for at in range(0, len(data), _SLICE_BYTES))
        return b"".join(self._decoded(piece) for piece in pieces if not self.problem)

    @property
    def whole(self) -> bool:
        """True once the body is complete; one without any byte is empty."""
        if self._part is None:
            return not self._start
        return self._part.eof and not self.problem

    def _decoded(self, data: bytes) -> bytes:
        output: list[bytes] = []
        part = self._part
        while data and part is not None and not self.problem:
            if part.eof:
                part = self._next_part()
                continue
            room = self._room
            try:
                # One byte more than there is room for tells that there is more.
                piece = part.decompress(data, room + 1)
            except self._damage:
                self.problem = "damaged"
                break
            if len(piece) > room:
                self.problem = "too large"
                break
            self._given += len(piece)
            output.append(piece)
            data = part.unused_data if part.eof else b""
        return output[0] if len(output) == 1 else b"".join(output)

    @property
    def _room(self) -> int:
        """The number of bytes that may still be decoded for the input so far."""
        bounds = [_UNBOUNDED if self._max_bytes is None else self._max_bytes]
        if self._max_ratio is not None:
            bounds.append(max(_FREE_OF_RATIO_BYTES, self._came * self._max_ratio))
        return min(bounds) - self._given

    def _next_part(self, start: bytes = b"\x1f\x8b") -> _Part | None:
        """Return the part that begins here; the first may be `deflate`, others are gzip."""
        self._parts += 1
        if self._parts > _MAX_PARTS:
            self.problem = "damaged"
            return None
        if self._is_zstd:
            window = {_zstd().DecompressionParameter.window_log_max: _MAX_ZSTD_WINDOW_LOG}
            self._part = _zstd().ZstdDecompressor(options=window)
        else:
            self._part = zlib.decompressobj(_window_bits(start))
        return self._part


# No body comes near it, and zlib takes it as a length.
_UNBOUNDED = 2**62


def _window_bits(start: bytes) -> int:
    """Return zlib's window bits for a body that begins so: gzip, zlib, or bare deflate.

    Senders use the last as `deflate` although the name means the second (RFC 9110, 8.4.1.2).
    """
    if start[:2] == b"\x1f\x8b":
        return zlib.MAX_WBITS | 16
    wrapped = start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0
    return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
