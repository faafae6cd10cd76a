"""Server-sent events from bytes that may be cut anywhere.

Follows the event stream format of the HTML standard, section 9.2: lines end in LF, CR LF or CR
and nowhere else (U+2028 and U+0085 are text), `data:` may lack its space, comments and unknown
fields are skipped, a byte order mark at the start too. One liberty: an event that the end of the
stream left without its blank line is given out as well, since proxies trim it; whether it is
complete shows when its JSON is read.
"""

from __future__ import annotations

from typing import TypeAlias

# Larger than any answer of the API: a request body may have 32 MB.
MAX_EVENT_BYTES = 64 * 1024 * 1024


# An event's name (empty when it had no `event:` line) and its data. A plain tuple, because there is
# one for every few characters that a model writes.
ServerSentEvent: TypeAlias = tuple[bytes, bytes]


class EventTooLargeError(Exception):
    """An event grew past `MAX_EVENT_BYTES` without an end."""


class EventDecoder:
    """Cuts a byte stream into events: `feed` what came, `finish` at its end."""

    __slots__ = ("_after_cr", "_pieces", "_size", "_started")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._started = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that this chunk completes."""
        if b"\r" in chunk or self._after_cr:
            chunk = self._only_line_feeds(chunk)
        # Without a line end no event can be complete, and joining would cost O(n) a chunk.
        if b"\n" not in chunk:
            return self._keep(chunk)
        buffer = b"".join((*self._pieces, chunk)) if self._pieces else chunk
        if not self._started:
            self._started = True
            buffer = buffer.removeprefix(b"\xef\xbb\xbf")
        self._pieces, self._size = [], 0
        if buffer.endswith(b"\n\n"):
            return parse_events(buffer)
        end = buffer.rfind(b"\n\n") + 2
        self._keep(buffer[end:] if end > 1 else buffer)
        return parse_events(buffer[:end]) if end > 1 else []

    @property
    def left(self) -> bytes:
        """What came since the last whole event."""
        return b"".join(self._pieces)

    def finish(self) -> list[ServerSentEvent]:
        """The event that the end of the stream left open, if there is one."""
        rest = b"".join(self._pieces).strip(b"\n")
        self._pieces, self._size = [], 0
        if not self._started:
            rest = rest.removeprefix(b"\xef\xbb\xbf")
        return parse_events(rest + b"\n\n")

    def _keep(self, tail: bytes) -> list[ServerSentEvent]:
        if tail:
            self._pieces.append(tail)
            self._size += len(tail)
            if self._size > MAX_EVENT_BYTES:
                raise EventTooLargeError
        return []

    def _only_line_feeds(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            # The CR counted as a line end when it came; its LF must not count again.
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if chunk.endswith(b"\r"):
            self._after_cr = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def parse_events(text: bytes) -> list[ServerSentEvent]:
    """The events in whole ones: every line ends in LF, the last event in a blank line."""
    lines = text.split(b"\n")
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
