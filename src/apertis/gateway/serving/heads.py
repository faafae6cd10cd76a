"""The heads of requests that came before: a client sends the same one again and again.

Theory of operation. Two heads that differ in nothing but the digits of their `content-length` mean
the same but for the length of the body. So a head that the parser took is kept under its bytes
without these digits, and a request that begins with the same bytes needs no parser. Kept are only
heads whose message is framed by that one length, and whose connection goes on behind it; all else
is for the parser, as is every head that was not seen before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from apertis.gateway.request.context import RequestHead

_END = b"\r\n\r\n"
# As nearly all clients write it.
_LENGTHS = (b"\r\ncontent-length: ", b"\r\nContent-Length: ")
_MAX_DIGITS = 9
# Clients choose what they send: the table may grow neither with their number nor with their heads.
_MAX_HEADS = 2048
_MAX_HEAD_BYTES = 4 * 1024


class FramedHead(msgspec.Struct, frozen=True, gc=False):
    """The bytes of a head around the digits of its length, that length, and where a body begins."""

    key: tuple[bytes, bytes]
    length: int
    end: int


def framed(data: bytes) -> FramedHead | None:
    """Cut the length out of the head that `data` begins with; None where it is not as usual."""
    end = data.find(_END, 0, _MAX_HEAD_BYTES)
    if end < 0:
        return None
    for name in _LENGTHS:
        start = data.find(name, 0, end)
        if start >= 0:
            break
    else:
        return None
    start += len(name)
    stop = data.find(b"\r\n", start, end + 2)
    digits = data[start:stop]
    if len(digits) > _MAX_DIGITS or not digits.isdigit() or digits[0] == 0x30:
        return None
    return FramedHead((data[:start], data[stop:end]), int(digits), end + 4)


class KnownHeads:
    """Heads by their bytes."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[tuple[bytes, bytes], RequestHead] = {}

    def find(self, framed_head: FramedHead) -> RequestHead | None:
        """Return what the parser made of the same head."""
        return self._heads.get(framed_head.key)

    def keep(self, framed_head: FramedHead, head: RequestHead) -> None:
        """Keep what the parser made of a head that a `content-length` frames."""
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        self._heads[framed_head.key] = head
