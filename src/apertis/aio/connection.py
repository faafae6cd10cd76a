"""One asyncio connection: protocol, TLS, proxy tunnels. What bytes mean is `http1`'s to say."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from apertis.sansio.http1 import Http1Connection
from apertis.sansio.outcome import Failure
from apertis.tls import failure_of

if TYPE_CHECKING:
    import ssl

    from apertis.sansio.proxy import Proxy
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits

# A reader that falls behind by this much stops the peer; it goes on below half of it.
HIGH_WATER_BYTES = 256 * 1024


class Connection(asyncio.Protocol):
    """A connected transport and what is known of it. Failures come back as values.

    One reader at a time waits in `wait`; it is woken by bytes, by the end, or by a deadline.
    """

    __slots__ = (
        "_buffered",
        "_deadline",
        "_late",
        "_loop",
        "_lost",
        "_paused",
        "_timer",
        "_transport",
        "_waiter",
        "closed",
        "http",
        "idle_since",
        "used",
        "where",
    )

    def __init__(self, where: str, loop: asyncio.AbstractEventLoop) -> None:
        self.where = where
        self.http = Http1Connection()
        self.used = False
        self.closed = False
        self.idle_since = 0.0
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._late = False
        self._lost: Failure | None = None
        self._paused = False
        self._buffered = 0

    # asyncio calls what follows.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.http.receive(data)
        self._buffered += len(data)
        if self._buffered > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The peer closed its side."""
        self.closed = True
        self.http.end_of_input()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.closed = True
        if exc is None:
            self.http.end_of_input()
        elif self._lost is None:
            text = str(getattr(exc, "strerror", None) or exc).lower()
            reason = f"the connection to {self.where} broke: {text}"
            self._lost = Failure(reason, self.where, cause=exc)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    # The shell calls what follows.

    async def request(self, method: str, data: bytes, limits: Limits) -> Failure | None:
        """Send a request and read until the head of the answer is there."""
        http = self.http
        http.begin(method)
        if self._transport is None or self.closed:
            return Failure(f"the connection to {self.where} was closed", self.where)
        self._transport.write(data)
        while not http.head_complete:
            limit = limits.idle if http.started else limits.response
            failure = await self.wait(limit, "idle" if http.started else "response", limits)
            if failure is not None:
                return failure
        return None

    async def wait(self, limit: float | None, name: str, limits: Limits) -> Failure | None:
        """Wait for the next bytes; `name` is the deadline that `limit` stands for."""
        if self.http.failure is not None:
            return Failure(f"{self.where}: {self.http.failure}", self.where)
        if self._lost is not None:
            return self._lost
        seconds, total = limits.remaining(limit, self._loop.time())
        if seconds == 0:
            return self._too_late("total")
        self._resume()
        waiter = self._waiter = self._loop.create_future()
        self._limit(seconds)
        try:
            await waiter
        finally:
            self._waiter = None
            self._deadline = 0.0
        if self._late:
            self._late = False
            return self._too_late(total or name)
        if self.http.failure is not None:
            return Failure(f"{self.where}: {self.http.failure}", self.where)
        return None if self.http.complete or self.http.started else self._lost

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

    def _resume(self) -> None:
        self._buffered = 0
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def _too_late(self, deadline: str) -> Failure:
        what = {"total": "the whole call took too long", "idle": "it fell silent"}
        said = what.get(deadline, "it did not answer in time")
        return Failure(f"{self.where}: {said} (timeout: {deadline})", self.where, deadline)

    def close(self) -> None:
        """Close the connection at once, without waiting for what was not sent."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None and not self._loop.is_closed():
            self._transport.abort()


async def dial(
    origin: Origin, proxy: Proxy | None, tls: ssl.SSLContext | None, limits: Limits
) -> Connection | Failure:
    """A new connection to the origin, through the proxy if there is one."""
    loop = asyncio.get_running_loop()
    seconds, total = limits.remaining(limits.connect, loop.time())
    host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
    where = f"{origin.host}:{origin.port}"
    connection = Connection(where, loop)
    try:
        async with asyncio.timeout(seconds):
            direct_tls = tls if proxy is None else None
            transport, _ = await loop.create_connection(
                lambda: connection,
                host,
                port,
                ssl=direct_tls,
                server_hostname=origin.host if direct_tls is not None else None,
                happy_eyeballs_delay=0.25,
            )
            keep_alive(transport)
            if proxy is not None:
                failure = await _tunnel(connection, proxy, origin, limits)
                if failure is not None:
                    connection.close()
                    return failure
                if tls is not None:
                    secured = await loop.start_tls(
                        transport, connection, tls, server_hostname=origin.host
                    )
                    if secured is None:
                        connection.close()
                        return Failure(f"cannot speak TLS with {where}", where, connecting=True)
                    connection.connection_made(secured)
    except TimeoutError as error:
        connection.close()
        reason = f"cannot connect to {host}:{port}: it did not answer"
        return Failure(reason, where, total or "connect", connecting=True, cause=error)
    except OSError as error:
        connection.close()
        return failure_of(error, f"{host}:{port}")
    except BaseException:
        connection.close()
        raise
    return connection


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Notice a peer that is gone; asyncio already sends small packets at once."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def _tunnel(
    connection: Connection, proxy: Proxy, origin: Origin, limits: Limits
) -> Failure | None:
    # The answer to CONNECT has no body, whatever its head says (RFC 9110, section 9.3.6).
    failure = await connection.request("HEAD", proxy.connect_request(origin), limits)
    where = f"{proxy.host}:{proxy.port}"
    http = connection.http
    if failure is None and 200 <= http.status < 300:
        connection.http = Http1Connection()
        return None
    why = failure.reason if failure is not None else f"it answered {http.status}"
    reason = f"the proxy {where} opened no tunnel to {origin.host}:{origin.port}: {why}"
    return Failure(reason, where, connecting=True, permanent=http.status in {403, 405, 407})
