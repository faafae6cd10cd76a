"""Connections to one origin: kept, bounded, and handed out in the order of asking."""

from __future__ import annotations

import _thread
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from apertis.sansio.outcome import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.sansio.timeouts import Limits
    from apertis.sync.connection import Connection

# Firewalls forget a silent connection after a minute or more, without telling anybody.
MAX_IDLE_SECONDS = 55.0


class _Waiter:
    """A thread in the queue. It is given a connection, or the right to open one."""

    __slots__ = ("connection", "ready")

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.connection: Connection | None = None


class Pool:
    """Hands out connections; at most `limit` are open. Safe between threads."""

    def __init__(self, dial: Callable[[Limits], Connection | Failure], limit: int) -> None:
        self._dial = dial
        self._limit = limit
        self._closed = False
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[_Waiter] = deque()

    def acquire(self, limits: Limits, *, fresh: bool = False) -> Connection | Failure:
        """A connection that can take a request; a `fresh` one was never used."""
        while True:
            waiter = None
            with self._lock:
                connection = self._idle.pop() if self._idle else None
                if connection is None:
                    if self._open < self._limit:
                        self._open += 1
                    else:
                        waiter = _Waiter()
                        self._waiting.append(waiter)
            if waiter is not None:
                failure = self._wait(waiter, limits)
                if failure is not None:
                    return failure
                connection = waiter.connection
            if connection is None:
                return self._opened(limits)
            if fresh or self._outlived(connection):
                self.discard(connection)
                continue
            return connection

    def _opened(self, limits: Limits) -> Connection | Failure:
        try:
            connection = self._dial(limits)
        except BaseException:
            self._free_place()
            raise
        if isinstance(connection, Failure):
            self._free_place()
        return connection

    def _outlived(self, connection: Connection) -> bool:
        return time.monotonic() - connection.idle_since > MAX_IDLE_SECONDS or connection.stale()

    def _wait(self, waiter: _Waiter, limits: Limits) -> Failure | None:
        seconds, total = limits.remaining(limits.connect, time.monotonic())
        try:
            if waiter.ready.wait(seconds):
                return None
        except BaseException:
            if not self._leave(waiter):
                self._give_back(waiter)
            raise
        if not self._leave(waiter):
            return None
        reason = f"all {self._limit} connections are in use (timeout: {total or 'connect'})"
        return Failure(reason, deadline=total or "connect", connecting=True)

    def _leave(self, waiter: _Waiter) -> bool:
        """Leave the queue; false when the turn came at the last moment."""
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                return True
        return False

    def _give_back(self, waiter: _Waiter) -> None:
        if waiter.connection is None:
            self._free_place()
        else:
            self.release(waiter.connection)

    def release(self, connection: Connection) -> None:
        """Take back a connection whose answer is whole."""
        if connection.http.reusable and self._keep(connection):
            return
        self.discard(connection)

    def _keep(self, connection: Connection) -> bool:
        connection.used = True
        connection.idle_since = time.monotonic()
        with self._lock:
            if self._closed:
                return False
            if self._waiting:
                waiter = self._waiting.popleft()
                waiter.connection = connection
                waiter.ready.set()
            else:
                self._idle.append(connection)
        return True

    def release_from_finalizer(self, connection: Connection) -> None:
        """Take back a connection whose answer nobody holds any more."""
        if self._lock.locked():
            # The garbage collector may have interrupted the very thread that holds the lock.
            _thread.start_new_thread(self.release, (connection,))
        else:
            self.release(connection)

    def discard(self, connection: Connection) -> None:
        """Close a connection."""
        connection.close()
        self._free_place()

    def _free_place(self) -> None:
        with self._lock:
            if self._waiting:
                # The place goes to the one who waits longest, so nobody can overtake.
                self._waiting.popleft().ready.set()
            else:
                self._open -= 1

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._open -= len(idle)
        for connection in idle:
            connection.close()

    def abandon(self) -> None:
        """Leave the connections to the parent of this process, in which they go on."""
        # A thread that this process does not have may hold the lock.
        self._lock = threading.Lock()
        self._waiting.clear()
        self.close()
