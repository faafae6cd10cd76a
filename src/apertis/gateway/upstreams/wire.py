"""Connections to one upstream: kept, bounded, and given up at the first sign of trouble."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from apertis.aio.dial import dial
from apertis.aio.pool import Pool
from apertis.gateway.upstreams.contract import Fault, UpstreamFailure
from apertis.gateway.upstreams.headers import passed_down
from apertis.sansio.outcome import Failure
from apertis.sansio.proxy import choose_proxy
from apertis.tls import SERVER_HINT, checked_context, default_context

if TYPE_CHECKING:
    import ssl

    from apertis.aio.connection import Connection
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits

__all__ = ["Wire", "WireAnswer"]

# Below this size a body is cheaper to copy behind its head than to write by itself.
_COPIED_BYTES = 16 * 1024


class WireAnswer:
    """An answer on a connection of the pool; its body comes as the socket gives it.

    A task that is cancelled in `read` drops the connection, and so does `close` before the end.
    """

    __slots__ = ("_connection", "_failure", "_limits", "_pool", "headers", "status")

    def __init__(self, connection: Connection, pool: Pool, limits: Limits) -> None:
        http = connection.http
        self.status = http.status
        self.headers = passed_down(http.headers)
        self._connection: Connection | None = connection
        self._pool = pool
        self._limits = limits
        self._failure: UpstreamFailure | None = None

    async def read(self) -> bytes | UpstreamFailure:
        """The next bytes of the body at the moment they come, b"" at its regular end."""
        connection = self._connection
        if connection is None:
            return self._failure or b""
        http = connection.http
        while True:
            if not (http.body or http.complete):
                failure = await self._more(connection)
                if failure is not None:
                    return failure
            data = http.take_body()
            if http.complete:
                self.close()
                return data
            if data:
                return data

    def whole(self) -> bytes | None:
        """The rest of the body, if all of it is here already."""
        connection = self._connection
        if connection is None or not connection.http.complete:
            return None
        data = connection.http.take_body()
        self.close()
        return data

    async def _more(self, connection: Connection) -> UpstreamFailure | None:
        try:
            failure = await connection.wait(self._limits.idle, "idle", self._limits)
        except BaseException:
            self._failure = UpstreamFailure(Fault.BROKEN, "the answer was given up")
            self.close()
            raise
        if failure is None:
            return None
        self._failure = _failed(failure)
        self.close()
        return self._failure

    def close(self) -> None:
        """Keep the connection if the answer is whole, else drop it at once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection)

    def __del__(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release_from_finalizer(connection)


class Wire:
    """Opens requests to one origin, over at most so many connections."""

    def __init__(
        self, origin: Origin, *, max_connections: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._origin = origin
        self._limit = max_connections
        self._tls = checked_context(tls)
        self._proxy = choose_proxy(origin, None, os.environ)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Pool | None = None
        self._closed = False

    async def open(
        self, method: str, head: bytes, body: bytes, limits: Limits
    ) -> WireAnswer | UpstreamFailure:
        """Send one request and wait for the head of its answer.

        A kept connection that turns out to be closed, with nothing of an answer, is replaced by a
        new one, once.
        """
        pool = self._pool_here()
        if len(body) <= _COPIED_BYTES:
            head, body = head + body, b""
        failure: Failure | None = None
        for fresh in (False, True):
            connection = (None if fresh else pool.take()) or await pool.acquire(limits, fresh=fresh)
            if isinstance(connection, Failure):
                kind = Fault.BUSY if connection.busy else Fault.CONNECT
                return UpstreamFailure(kind, connection.reason.removesuffix(SERVER_HINT))
            try:
                failure = await connection.request(method, head, limits, body)
            except BaseException:
                pool.discard(connection)
                raise
            if failure is None:
                return WireAnswer(connection, pool, limits)
            lost_while_idle = (
                connection.used and not connection.http.started and failure.deadline is None
            )
            pool.discard(connection)
            if not lost_while_idle:
                break
        assert failure is not None  # noqa: S101 - the loop ends with one.
        return _failed(failure)

    def _pool_here(self) -> Pool:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            self._loop = loop
            self._pool = Pool(self._dial, self._limit, loop)
            if self._closed:
                # A request that was begun before the end still gets its answer; nothing is kept.
                self._pool.close()
        return self._pool

    async def _dial(self, limits: Limits) -> Connection | Failure:
        if self._tls is None and self._origin.tls:
            self._tls = default_context()
        tls = self._tls if self._origin.tls else None
        connection = await dial(self._origin, self._proxy, tls, limits)
        if not isinstance(connection, Failure):
            # No answer is unpacked that was asked for as it is.
            connection.http.codings = frozenset()
        return connection

    async def close(self) -> None:
        """Close the connections that are kept; one in use is closed behind its answer."""
        self._closed = True
        if self._pool is not None:
            self._pool.close()
            # The loop closes a transport in its next round.
            await asyncio.sleep(0)


def _failed(failure: Failure) -> UpstreamFailure:
    late = failure.deadline is not None
    return UpstreamFailure(Fault.TIMEOUT if late else Fault.BROKEN, failure.reason)
