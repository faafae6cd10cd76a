"""Connections to one origin in one event loop: kept, bounded, handed out in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from apertis.sansio.outcome import Failure, all_in_use
from apertis.sansio.timeouts import MAX_IDLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apertis.aio.connection import Connection
    from apertis.sansio.timeouts import Limits


class Pool:
    """A pool of connections; at most `limit` are open."""

    def __init__(
        self,
        dial: Callable[[Limits], Awaitable[Connection | Failure]],
        limit: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._dial = dial
        self._limit = limit
        self._loop = loop
        self._closed = False
        self._idle: list[Connection] = []
        self._open = 0
        # A waiter is given a connection, or None: the right to open one.
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    def take(self) -> Connection | None:
        """Return an idle connection that still lives, without waiting."""
        while self._idle:
            connection = self._idle.pop()
            # Its end may have come meanwhile, or bytes that nobody asked for.
            fit = not (connection.closed or connection.http.surplus)
            if fit and monotonic() - connection.idle_since <= MAX_IDLE_SECONDS:
                return connection
            self.discard(connection)
        return None

    async def acquire(self, limits: Limits, *, fresh: bool = False) -> Connection | Failure:
        """Return a connection that can take a request; a `fresh` one was never used."""
        while True:
            connection = self.take()
            if connection is None and self._open >= self._limit:
                given = await self._wait(limits)
                if isinstance(given, Failure):
                    return given
                connection = given
            elif connection is None:
                self._open += 1
            if connection is None:
                return await self._opened(limits)
            if not (fresh or connection.closed):
                return connection
            self.discard(connection)

    async def _opened(self, limits: Limits) -> Connection | Failure:
        try:
            connection = await self._dial(limits)
        except BaseException:
            self._free_place()
            raise
        if isinstance(connection, Failure):
            self._free_place()
        return connection

    async def _wait(self, limits: Limits) -> Connection | Failure | None:
        seconds, total = limits.remaining(limits.connect, self._loop.time())
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError:
            self._leave(waiter)
            return all_in_use(self._limit, total or "connect")
        except BaseException:
            self._leave(waiter)
            raise

    def _leave(self, waiter: asyncio.Future[Connection | None]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.done() and not waiter.cancelled():
            # The turn came at the last moment: it goes to the next in the queue.
            connection = waiter.result()
            if connection is None:
                self._free_place()
            else:
                self.release(connection, reusable=True)

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Take back a connection, to be kept if another request may go over it."""
        if self._closed or connection.closed or not reusable:
            self.discard(connection)
            return
        connection.used = True
        connection.idle_since = monotonic()
        if self._waiting and (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)

    def release_from_finalizer(self, connection: Connection) -> None:
        """Take back a connection whose answer nobody holds any more."""
        try:
            # The garbage collector may run at any moment, and in any thread.
            self._loop.call_soon_threadsafe(self._release_unread, connection)
        except RuntimeError:
            # The loop is closed, and the connection with it.
            connection.closed = True

    def _release_unread(self, connection: Connection) -> None:
        self.release(connection, reusable=connection.http.reusable)

    def discard(self, connection: Connection) -> None:
        """Close a connection."""
        connection.close()
        self._free_place()

    def _free_place(self) -> None:
        if (waiter := self._next_waiter()) is not None:
            # The place goes to the one who waits longest, so nobody can overtake.
            waiter.set_result(None)
        else:
            self._open -= 1

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._closed = True
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        for connection in idle:
            connection.close()
