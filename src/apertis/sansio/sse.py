"""Server-sent events from bytes that may be cut anywhere.

Follows the event stream format of the HTML standard, section 9.2: lines end in LF, CR LF or CR
and nowhere else (U+2028 and U+0085 are text), `data:` may lack its space, comments and unknown
fields are skipped, a byte order mark at the start too. One liberty: an event that the end of the
stream left without its blank line is given out as well, since proxies trim it; whether it is
complete shows when its JSON is read.
"""

from __future__ import annotations

import re
from typing import TypeAlias

# Larger than any answer of the API: a request body may have 32 MB.
MAX_EVENT_BYTES = 64 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Each of the two line ends of a blank line is LF, CR LF or CR, and CR LF is always one.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
# Those that nothing which follows can turn into the half of another one, bar CR CR, which may not
# wait for a line feed: the event is whole.
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n")
_LONGEST_END = 4


# An event's name (empty when it had no `event:` line) and its data. A plain tuple, because there is
# one for every few characters that a model writes.
ServerSentEvent: TypeAlias = tuple[bytes, bytes]


class EventTooLargeError(Exception):
    """An event grew past `MAX_EVENT_BYTES` without an end."""


class EventFraming:
    """A cutter of a byte stream into whole events: `feed` bytes, `drain` at its end."""

    __slots__ = ("_kept", "_seam", "_size")

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._size = 0
        # The end of what is kept: a blank line may have begun there. Empty when nothing is kept.
        self._seam = b""

    @property
    def left(self) -> bytes:
        """Bytes received since the last whole event."""
        return b"".join(self._kept)

    def feed(self, chunk: bytes) -> bytes:
        """Return all whole events that are there now, each byte as received; b"" for none.

        Raises:
            EventTooLargeError: One has grown larger than any can be.
        """
        seam = self._seam
        if not seam and chunk.endswith(b"\n\n"):
            return chunk
        window = seam + chunk
        end = window.rfind(b"\n\n") + 2
        if b"\r" in window:
            end = max(end, *(_end_of(blank, window) for blank in _ENDS))
        if end < len(_ENDS[0]):
            self._kept.append(chunk)
            self._size += len(chunk)
            self._seam = window[1 - _LONGEST_END :]
            if self._size > MAX_EVENT_BYTES:
                raise EventTooLargeError
            return b""
        end -= len(seam)
        block = b"".join((*self._kept, chunk[:end])) if seam else chunk[:end]
        tail = chunk[end:]
        self._kept, self._size = [tail] if tail else [], len(tail)
        self._seam = tail[1 - _LONGEST_END :]
        return block

    def drain(self) -> bytes:
        """Return what came since the last whole event, which nothing will complete."""
        left = self.left
        self._kept, self._size, self._seam = [], 0, b""
        return left


def _end_of(blank: bytes, data: bytes) -> int:
    found = data.rfind(blank)
    return found + len(blank) if found >= 0 else 0


class EventDecoder:
    """A decoder of a byte stream's events: `feed` bytes, `finish` at its end."""

    __slots__ = ("_framing", "_started")

    def __init__(self) -> None:
        self._framing = EventFraming()
        self._started = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that this chunk completes."""
        block = self._framing.feed(chunk)
        if not block:
            return []
        if not self._started:
            self._started = True
            block = block.removeprefix(BYTE_ORDER_MARK)
        return parse_events(block)

    @property
    def left(self) -> bytes:
        """Bytes received since the last whole event."""
        return self._framing.left

    def finish(self) -> list[ServerSentEvent]:
        """Return the event that the end of the stream left open, if there is one."""
        rest = self._framing.drain()
        if not self._started:
            rest = rest.removeprefix(BYTE_ORDER_MARK)
        return parse_events(rest + b"\n\n")


def split_events(block: bytes) -> list[bytes]:
    """Return the events of whole ones, their lines parted by LF; an empty one stands for no event.

    Where many blank lines stand together, an event may begin with line feeds.
    """
    return (_in_line_feeds(block) if b"\r" in block else block).split(b"\n\n")


def start_of_event(block: bytes, place: int) -> int:
    """Return where the event begins that `split_events` has at this place."""
    start = 0
    for _, blank in zip(range(place), _BLANK_LINE.finditer(block), strict=False):
        start = blank.end()
    return start


def _in_line_feeds(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def parse_events(text: bytes) -> list[ServerSentEvent]:
    """Return the events in whole ones: the last ends in a blank line."""
    lines = (_in_line_feeds(text) if b"\r" in text else text).split(b"\n")
    count = len(lines)
    if count % 3 != 1 or any(lines[2::3]):
        return _parse_lines(lines)
    # The shape that the API itself writes: a name, the data, a blank line, and so on.
    events: list[ServerSentEvent] = []
    for i in range(0, count - 1, 3):
        name, data = lines[i], lines[i + 1]
        if name[:7] == b"event: " and data[:6] == b"data: ":
            events.append((name[7:], data[6:]))
        else:
            events += _parse_lines([name, data, b""])
    return events


def _parse_lines(lines: list[bytes]) -> list[ServerSentEvent]:
    events: list[ServerSentEvent] = []
    name, data = b"", list[bytes]()
    for line in lines:
        field, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                events.append((name, b"\n".join(data)))
            name, data = b"", []
        elif field == b"data":
            data.append(value)
        elif field == b"event" and colon:
            name = value
    return events


_FIELDS = (b"event:", b"data:", b"id:", b"retry:", b":")
_MAX_FIELD_LENGTH = 6
# More white space than this stands before no event.
_MAX_BLANK_BYTES = 64 * 1024


def begins_events(beginning: bytes) -> bool | None:
    """Return whether a body that begins so is a stream of events, whatever its head calls it.

    None while that cannot be said yet.
    """
    if BYTE_ORDER_MARK.startswith(beginning) and beginning != BYTE_ORDER_MARK:
        return None
    text = beginning.removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n")
    if text.startswith(_FIELDS):
        return True
    undecided = len(text) < _MAX_FIELD_LENGTH and any(field.startswith(text) for field in _FIELDS)
    return None if undecided and len(beginning) <= _MAX_BLANK_BYTES else False
