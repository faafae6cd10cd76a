"""A stream of events, cut where events end: what a client gets never stops inside one.

The bytes are the upstream's own; only the places where they are cut into chunks change, so that
an error event, a ping or nothing at all can follow each chunk.
"""

from __future__ import annotations

__all__ = ["MAX_EVENT_BYTES", "EventFraming", "begins_events"]

# Larger than any event of the API; a stream without an end of one must not fill the memory.
MAX_EVENT_BYTES = 64 * 2**20
# A blank line by the rules of server-sent events: lines end in LF, CR LF or CR.
_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n")


class EventFraming:
    """Gives out whole events and keeps the beginning of the next one."""

    __slots__ = ("_kept", "_size")

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._size = 0

    @property
    def overflowed(self) -> bool:
        """Whether one event has grown larger than any can be."""
        return self._size > MAX_EVENT_BYTES

    def drain(self) -> bytes:
        """Give out what came since the last whole event, which nothing will complete."""
        kept = b"".join(self._kept)
        self._kept.clear()
        self._size = 0
        return kept

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; give all whole events that are there now, in one piece."""
        if not self._kept:
            end = _last_end(chunk)
            if end == len(chunk):
                return chunk
        else:
            # A line end may be the second half of a blank line: one byte before it counts too.
            if b"\n" not in chunk and b"\r" not in chunk:
                self._kept.append(chunk)
                self._size += len(chunk)
                return b""
            chunk = b"".join((*self._kept, chunk))
            end = _last_end(chunk)
        tail = chunk[end:]
        self._kept = [tail] if tail else []
        self._size = len(tail)
        return chunk[:end]


def _last_end(data: bytes) -> int:
    end = data.rfind(b"\n\n") + 2
    if b"\r" in data:
        for blank in _BLANK_LINES[1:]:
            found = data.rfind(blank)
            end = max(end, found + len(blank) if found >= 0 else 0)
    return end if end > 1 else 0


_FIELDS = (b"event:", b"data:", b"id:", b"retry:", b":")
_LONGEST_FIELD = 6
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# More white space than this stands before no event.
_MAX_BLANK_BYTES = 64 * 1024


def begins_events(beginning: bytes) -> bool | None:
    """Whether a body that begins so is a stream of events, whatever its head calls it.

    None while that cannot be said yet.
    """
    if _BYTE_ORDER_MARK.startswith(beginning) and beginning != _BYTE_ORDER_MARK:
        return None
    text = beginning.removeprefix(_BYTE_ORDER_MARK).lstrip(b" \t\r\n")
    if text.startswith(_FIELDS):
        return True
    undecided = len(text) < _LONGEST_FIELD and any(field.startswith(text) for field in _FIELDS)
    return None if undecided and len(beginning) <= _MAX_BLANK_BYTES else False
