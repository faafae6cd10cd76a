"""The built-in transport: one attempt of a call over a pooled connection, as values."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from apertis.aio.dial import dial
from apertis.aio.pool import Pool
from apertis.errors import ConfigurationError
from apertis.models import Headers
from apertis.sansio.http1 import CODINGS
from apertis.sansio.outcome import MAX_ANSWER_BYTES, TOO_LARGE, Failure, Response
from apertis.sansio.proxy import checked_options, choose_proxy
from apertis.sansio.reading import MAX_BLANK_BYTES, is_blank
from apertis.sansio.timeouts import DRAIN_SECONDS
from apertis.tls import Trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from apertis.aio.connection import Connection
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits


class Answer(Protocol):
    """A response whose head is there: `read` gives the next part of the body, b"" at its end."""

    status: int
    headers: list[tuple[bytes, bytes]]

    async def read(self) -> bytes | Failure:
        """Return the next bytes of the body."""
        ...

    def whole(self) -> bytes | None:
        """Return the rest of the body if all of it is here; None if it must be read."""
        ...

    async def drain(self) -> None:
        """Read the end of the body, if it comes at once, so that the connection can be kept."""
        ...

    async def close(self) -> None:
        """Give the connection back if the response is whole, else close it."""
        ...

    def interrupt(self) -> None:
        """Let a `read` end that somebody else waits in, if that can be done."""
        ...


class Transport(Protocol):
    """The HTTP that a client needs: one attempt of a call. Failures are values."""

    async def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> Answer | Failure:
        """Send the request and wait for the head of the response."""
        ...

    async def close(self) -> None:
        """Close the connections that are kept."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, in the event loop of the connections."""
        ...


class WireAnswer:
    """A response on a connection of the pool."""

    __slots__ = ("_connection", "_failure", "_limits", "_pool", "headers", "status")

    def __init__(self, connection: Connection, pool: Pool, limits: Limits) -> None:
        self.status = connection.http.status
        self.headers = connection.http.headers
        self._connection: Connection | None = connection
        self._failure: Failure | None = None
        self._pool = pool
        self._limits = limits

    async def read(self) -> bytes | Failure:
        """Return the next bytes of the body at the moment they come, b"" at its regular end."""
        connection = self._connection
        if connection is None:
            return self._failure or b""
        http = connection.http
        while True:
            if not (http.body or http.complete):
                failure = await self._more(connection, self._limits.idle)
                if failure is not None:
                    return failure
            data = http.take_body()
            if http.complete:
                self._connection = None
                self._pool.release(connection, reusable=http.reusable)
                return data
            if data:
                return data

    async def pour(
        self, take: Callable[[bytes], bool], seconds: float | None = None
    ) -> bool | Failure:
        """Give each piece of the body to `take`, in the turn of the loop in which it comes.

        True at the regular end, False as soon as `take` returns False, or after so many seconds;
        what comes then waits for who reads on. A total deadline of the limits is not kept.
        """
        connection = self._connection
        if connection is None:
            return self._failure or True
        http = connection.http
        connection.sink = take
        timer: asyncio.TimerHandle | None = None
        try:
            while True:
                data = http.take_body()
                if http.complete:
                    self._connection = None
                    self._pool.release(connection, reusable=http.reusable)
                    return not data or take(data)
                if data and not take(data):
                    return False
                if seconds is not None and timer is None:
                    timer = asyncio.get_running_loop().call_later(seconds, connection.let_go)
                failure = await self._wait(connection, self._limits.idle)
                if connection.sink is None:
                    return False
                if failure is not None:
                    data = http.take_body()
                    self._fail(failure)
                    return failure if not data or take(data) else False
        finally:
            connection.sink = None
            if timer is not None:
                timer.cancel()

    async def _more(self, connection: Connection, idle: float | None) -> Failure | None:
        failure = await self._wait(connection, idle)
        if failure is not None:
            self._fail(failure)
        return failure

    async def _wait(self, connection: Connection, idle: float | None) -> Failure | None:
        try:
            return await connection.wait(idle, "idle", self._limits)
        except BaseException:
            self._fail(GIVEN_UP)
            raise

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self.hang_up()

    def whole(self) -> bytes | None:
        """Return the rest of the body if all of it is here already; None where it must be read."""
        connection = self._connection
        if connection is None or not connection.http.complete:
            return None
        self._connection = None
        data = connection.http.take_body()
        self._pool.release(connection, reusable=connection.http.reusable)
        return data

    async def drain(self) -> None:
        """Read the end of the body, if it comes at once, so that the connection can be kept."""
        connection = self._connection
        until = time.monotonic() + DRAIN_SECONDS
        while connection is not None and not connection.http.complete:
            left = until - time.monotonic()
            if left <= 0 or await self._more(connection, left) is not None:
                break
            connection.http.take_body()
        self.hang_up()

    async def close(self) -> None:
        """Give the connection back if the response is whole, else close it."""
        self.hang_up()

    def hang_up(self) -> None:
        """Do the same without waiting."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection, reusable=connection.http.reusable)

    def interrupt(self) -> None:
        """Let a `read` end that somebody else waits in; who reads gives the connection back."""
        connection = self._connection
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release_from_finalizer(connection)


class ArrivedAnswer(msgspec.Struct):
    """A response that came whole; its connection may serve another request already."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    # What a service said is in no representation.
    __repr__ = object.__repr__

    async def read(self) -> bytes | Failure:
        """Return the body, and b"" behind it."""
        return self.whole()

    async def pour(
        self,
        take: Callable[[bytes], bool],
        seconds: float | None = None,  # noqa: ARG002
    ) -> bool | Failure:
        """Give the body to `take`, and return what that returns; True behind it."""
        body = self.whole()
        return not body or take(body)

    def whole(self) -> bytes:
        """Return the body, and b"" behind it."""
        body, self.body = self.body, b""
        return body

    async def drain(self) -> None:
        """Do nothing: nothing more comes."""

    async def close(self) -> None:
        """Do nothing: the connection is given back."""

    def hang_up(self) -> None:
        """Do nothing either."""

    def interrupt(self) -> None:
        """Do nothing: nobody waits."""


GIVEN_UP = Failure("the response was abandoned")
# Below this size a body is cheaper to copy behind its head than to write by itself.
MAX_COPIED_BYTES = 16 * 1024


class Wire:
    """Connections to wherever requests go: those of a client and its copies, or of an upstream.

    A connection belongs to the event loop that it was made in, so each loop has pools of its own;
    they close when their loop ends. `codings` are those that the requests ask for; `permits` says
    which IP addresses may be connected to.
    """

    def __init__(
        self,
        *,
        proxy: str | None,
        tls: ssl.SSLContext | None,
        max_connections: int,
        codings: frozenset[str] = CODINGS,
        permits: Callable[[str], bool] | None = None,
    ) -> None:
        checked_options(proxy, max_connections)
        self._proxy = proxy
        self._trust = Trust(tls)
        self._limit = max_connections
        self._codings = codings
        self._permits = permits
        self._closed = False
        self._pools: dict[tuple[asyncio.AbstractEventLoop, Origin], Pool] = {}
        self._guards: dict[asyncio.AbstractEventLoop, AsyncIterator[None]] = {}

    async def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> WireAnswer | ArrivedAnswer | Failure:
        """Send one request and wait for the head of its response.

        `head` ends in its blank line. With a kept connection nothing is waited for but the
        response. A kept connection that turns out to be closed, with nothing of a response, is
        replaced by a new one, once.
        """
        loop = _running_loop()
        pool = self._pools.get((loop, origin)) or await self._pool(loop, origin)
        if len(body) <= MAX_COPIED_BYTES:
            head, body = head + body, b""
        connection: Connection | Failure | None = pool.take()
        while True:
            if connection is None:
                connection = await pool.acquire(limits)
            if isinstance(connection, Failure):
                return connection
            try:
                failure = await connection.request(method, head, limits, body)
            except BaseException:
                pool.discard(connection)
                raise
            if failure is None:
                http = connection.http
                if not http.complete:
                    return WireAnswer(connection, pool, limits)
                status, headers, whole = http.status, http.headers, http.take_body()
                # From here on another request may go over it.
                pool.release(connection, reusable=http.reusable)
                return ArrivedAnswer(status, headers, whole)
            pool.discard(connection)
            if not connection.lost_while_idle(failure):
                return failure
            connection = await pool.acquire(limits, fresh=True)

    async def _pool(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> Pool:
        proxy = choose_proxy(origin, self._proxy, os.environ)
        self._forget_dead_loops()
        if loop not in self._guards:
            guard = self._guards[loop] = self._until_loop_ends(loop)
            await anext(guard)
        trust, codings, permits = self._trust, self._codings, self._permits

        async def connect(limits: Limits) -> Connection | Failure:
            context = trust.context() if origin.tls else None
            connection = await dial(origin, proxy, context, limits, permits)
            if not isinstance(connection, Failure):
                connection.http.codings = codings
            return connection

        pool = self._pools.setdefault((loop, origin), Pool(connect, self._limit, loop))
        if self._closed:
            pool.close()
        return pool

    async def _until_loop_ends(self, loop: asyncio.AbstractEventLoop) -> AsyncIterator[None]:
        # `asyncio.run` finalizes the asynchronous generators before it closes its loop: the one
        # moment at which the loop's connections can still be closed in order.
        try:
            yield
        finally:
            self._close_pools(loop)
            self._guards.pop(loop, None)

    def _forget_dead_loops(self) -> None:
        # Other threads, with loops of their own, may change both tables meanwhile.
        for loop in [loop for loop in list(self._guards) if loop.is_closed()]:
            self._close_pools(loop)
            self._guards.pop(loop, None)

    def _close_pools(self, loop: asyncio.AbstractEventLoop) -> None:
        for key in [key for key in list(self._pools) if key[0] is loop]:
            if (pool := self._pools.pop(key, None)) is not None:
                pool.close()

    async def close(self, *, for_good: bool = False) -> None:
        """Close the connections that are kept in this event loop, and let the loop see it.

        One that is in use is closed behind its response. After a close `for_good` a request still
        gets its response, and nothing is kept any more.
        """
        self._closed = self._closed or for_good
        self._close_pools(_running_loop())
        await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        """Wait, in the event loop of the connections."""
        await asyncio.sleep(seconds)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "the built-in connections need asyncio, which does not run here; under trio bring a "
            "client: AsyncApertis(http_client=httpx2.AsyncClient())"
        ) from None


async def read_beginning(answer: Answer) -> bytes | Failure:
    """Read enough of the response to tell its kind; blank when it ends before."""
    beginning = await answer.read()
    while isinstance(beginning, bytes) and beginning and is_blank(beginning):
        if len(beginning) > MAX_BLANK_BYTES:
            break
        more = await answer.read()
        if isinstance(more, Failure):
            return more
        if not more:
            break
        beginning += more
    return beginning


async def read_all(
    answer: Answer, secrets: Callable[[], tuple[str, ...]] | None = None, beginning: bytes = b""
) -> Response | Failure:
    """Read the whole response after `beginning`; an error of a larger one has its head.

    Its headers show none of the `secrets`.
    """
    parts = [beginning] if beginning else list[bytes]()
    size = len(beginning)
    while data := await answer.read():
        if isinstance(data, Failure):
            return data
        size += len(data)
        if size > MAX_ANSWER_BYTES:
            await answer.close()
            return TOO_LARGE.of(answer.status, Headers(answer.headers, secrets))
        parts.append(data)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return Response(answer.status, Headers(answer.headers, secrets), body)
