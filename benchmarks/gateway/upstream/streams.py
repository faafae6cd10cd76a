"""Streams that keep time together: one timer a millisecond for all of them."""

from __future__ import annotations

import asyncio
import time

from canned import stream
from gateway.wire import EVENT_SUFFIX, MAX_TOKENS, StreamOrder, event_prefix

_TICK_SECONDS = 0.001
_CANNED = stream("text", 1)
# message_start, content_block_start and ping before the deltas; the three that stop it after them.
_OPENING = b"".join(_CANNED.events[:3])
_CLOSING = b"".join(_CANNED.events[-3:]).replace(
    b'"output_tokens":1}', b'"output_tokens":%d}' % MAX_TOKENS
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_STREAM_HEAD = _CANNED.head + chunk(_OPENING)
_STREAM_END = chunk(_CLOSING) + b"0\r\n\r\n"


class NumberedStream:
    """One answer under way: writes its next event whenever it is called."""

    def __init__(self, order: StreamOrder, transport: asyncio.Transport) -> None:
        self._order = order
        self._transport = transport
        self._sent = 0
        transport.write(_STREAM_HEAD)

    @property
    def interval_ms(self) -> int:
        return self._order.interval_ms

    def write_next(self) -> bool:
        """Write an event, or the end; False when nothing is left to write."""
        if self._transport.is_closing():
            return False
        if self._sent == self._order.events:
            self._transport.write(_STREAM_END)
            return False
        text = b"%06d %06d %018d " % (self._order.number, self._sent, time.monotonic_ns())
        self._transport.write(chunk(event_prefix() + text + EVENT_SUFFIX))
        self._sent += 1
        return True


class Clock:
    """Calls each stream when it is due. A wheel, since a timer a stream would cost more than it."""

    def __init__(self) -> None:
        self._due: dict[int, list[NumberedStream]] = {}
        self._now = 0
        self._started = 0.0
        self._running = False

    def add(self, stream: NumberedStream) -> None:
        if not self._running:
            self._running = True
            self._started = time.monotonic() - self._now * _TICK_SECONDS
            asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)
        self._due.setdefault(self._now + stream.interval_ms, []).append(stream)

    def _tick(self) -> None:
        until = int((time.monotonic() - self._started) / _TICK_SECONDS)
        while self._now < until:
            self._now += 1
            for due in self._due.pop(self._now, ()):
                if due.write_next():
                    self._due.setdefault(self._now + due.interval_ms, []).append(due)
        if self._due:
            asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)
        else:
            self._running = False
