"""One asyncio connection: protocol, TLS, proxy tunnels. What bytes mean is `http1`'s to say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from apertis.sansio.http1 import Http1Connection
from apertis.sansio.outcome import Failure, broken, too_late

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.sansio.proxy import Proxy
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits

# A reader that falls behind by this much stops the peer, until it has taken all of it.
HIGH_WATER_BYTES = 256 * 1024
# A request below this size fits into the system's buffers: it is sent by the time of its response.
LARGE_REQUEST_BYTES = 16 * 1024


class Connection(asyncio.Protocol):
    """A connected transport and what is known of it. Failures come back as values.

    One reader at a time waits in `wait`; it is woken by bytes, by the end, or by a deadline. While
    there is a `sink`, bytes of the body wake nobody: they are given to it in the turn in which they
    come, and the deadline starts again. A sink that returns False is forgotten, and the reader
    woken. The last bytes, and those before a failure, are the reader's to give to it.
    """

    __slots__ = (
        "_buffered",
        "_deadline",
        "_late",
        "_loop",
        "_lost",
        "_paused",
        "_seconds",
        "_timer",
        "_transport",
        "_waiter",
        "closed",
        "http",
        "idle_since",
        "sink",
        "used",
        "where",
    )

    def __init__(self, where: str, loop: asyncio.AbstractEventLoop) -> None:
        self.where = where
        self.http = Http1Connection()
        self.used = False
        self.closed = False
        self.idle_since = 0.0
        self.sink: Callable[[bytes], bool] | None = None
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._seconds = 0.0
        self._late = False
        self._lost: Failure | None = None
        self._paused = False
        self._buffered = 0

    # asyncio calls what follows.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle a new connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Receive bytes."""
        http = self.http
        http.receive(data)
        sink = self.sink
        if sink is not None and not (http.complete or http.failure):
            try:
                wants_more = not http.body or sink(http.take_body())
            except Exception as error:
                self.sink = None
                if self._waiter is None or self._waiter.done():
                    raise
                self._waiter.set_exception(error)
                return
            if wants_more:
                if self._seconds:
                    self._deadline = self._loop.time() + self._seconds
                return
            self.sink = None
        self._buffered += len(data)
        if self._buffered > HIGH_WATER_BYTES and not self._paused:
            self._pause()
        if (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def eof_received(self) -> None:
        """Handle the peer closing its side."""
        self.closed = True
        self.http.end_of_input()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle a lost connection."""
        self.closed = True
        if exc is None:
            self.http.end_of_input()
        elif self._lost is None:
            self._lost = broken(self.where, exc)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    # The shell calls what follows.

    async def request(
        self, method: str, data: bytes, limits: Limits, body: bytes = b""
    ) -> Failure | None:
        """Send a request and read until the head of the response is there.

        A large `body` that follows `data` is given apart, so that nobody copies it.
        """
        http = self.http
        http.begin(method)
        if self._transport is None or self.closed:
            return Failure(f"the connection to {self.where} was closed", self.where)
        self._transport.write(data)
        if body:
            self._transport.write(body)
        while not http.head_complete:
            limit = limits.idle if http.started else limits.response
            failure = await self.wait(limit, "idle" if http.started else "response", limits)
            if failure is not None:
                return failure
        large = len(data) + len(body) > LARGE_REQUEST_BYTES
        if large and self._transport.get_write_buffer_size():
            http.cut_request()
        return None

    def let_go(self) -> None:
        """Take the sink away, and let its reader go on; what comes now waits."""
        self.sink = None
        self._wake()

    def lost_while_idle(self, failure: Failure) -> bool:
        """Return whether the peer closed a kept connection without seeing the failed request."""
        return self.used and not self.http.started and failure.deadline is None

    async def wait(self, limit: float | None, name: str, limits: Limits) -> Failure | None:
        """Wait for the next bytes; `name` is the deadline that `limit` stands for."""
        http = self.http
        if http.failure is not None:
            return http.failed(self.where)
        if self._lost is not None:
            return self._lost
        seconds, total = limit, None
        if limits.until is not None:
            seconds, total = limits.remaining(limit, self._loop.time())
            if seconds == 0:
                return too_late(self.where, "total")
        self._buffered = 0
        if self._paused:
            self._resume()
        waiter = self._waiter = self._loop.create_future()
        self._seconds = seconds or 0.0
        self._limit(seconds)
        try:
            await waiter
        finally:
            self._waiter = None
            self._deadline = 0.0
        if self._late:
            self._late = False
            return too_late(self.where, total or name)
        if http.failure is not None:
            return http.failed(self.where)
        return None if http.complete or http.started else self._lost

    def _limit(self, seconds: float | None) -> None:
        # One timer outlives many waits: to cancel and set one for each costs more than they do.
        if seconds is None:
            return
        self._deadline = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() <= self._deadline:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._waiter is None or not self._deadline:
            return
        if self._loop.time() >= self._deadline:
            self._late = True
            self._wake()
        else:
            self._timer = self._loop.call_at(self._deadline, self._tick)

    def _pause(self) -> None:
        # A whole response leaves nothing to be stopped, but an idle connection must see its end.
        if self._transport is not None and not self.http.complete:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection at once, without waiting for what was not sent."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None and not self._loop.is_closed():
            self._transport.abort()


class ForwardingConnection(Connection):
    """A connection to a proxy that passes requests on, each by its whole URL."""

    __slots__ = ("_origin", "_proxy")

    def __init__(
        self, where: str, loop: asyncio.AbstractEventLoop, proxy: Proxy, origin: Origin
    ) -> None:
        super().__init__(where, loop)
        self._proxy = proxy
        self._origin = origin

    async def request(
        self, method: str, data: bytes, limits: Limits, body: bytes = b""
    ) -> Failure | None:
        """Send a request and read until the head of the response is there."""
        data = self._proxy.forwarded(self._origin, data)
        return await super().request(method, data, limits, body)
