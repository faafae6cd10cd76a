"""Connections to one origin: kept, bounded, and handed out in the order of asking.

A connection comes back also from a finalizer, which the garbage collector may run inside the lock
of its own thread. So nothing that comes back waits for the lock: it is put down in `_returned`, and
who holds the lock, or gets it next, hands it on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from apertis.sansio.outcome import Failure, all_in_use
from apertis.sansio.timeouts import MAX_IDLE_SECONDS
from apertis.sync.connection import MAX_WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.sansio.timeouts import Limits
    from apertis.sync.connection import Connection


class _Waiter:
    """A thread in the queue. It is given a connection, or the right to open one."""

    __slots__ = ("given", "turn")

    def __init__(self) -> None:
        # Held until the turn comes; unlike an Event it has no lock within.
        self.turn = threading.Lock()
        self.turn.acquire()
        self.given: Connection | None = None


class Pool:
    """A pool of connections; at most `limit` are open. Safe between threads."""

    def __init__(self, dial: Callable[[Limits], Connection | Failure], limit: int) -> None:
        self._dial = dial
        self._limit = limit
        self._closed = False
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[_Waiter] = deque()
        # None stands for the place of a connection that was closed.
        self._returned: deque[Connection | None] = deque()

    def acquire(self, limits: Limits, *, fresh: bool = False) -> Connection | Failure:
        """Return a connection that can take a request; a `fresh` one was never used."""
        while True:
            waiter = None
            with self._lock:
                connection = self._idle.pop() if self._idle else None
                if connection is None and self._open < self._limit:
                    self._open += 1
                elif connection is None:
                    waiter = _Waiter()
                    self._waiting.append(waiter)
            if self._returned:
                self._hand_on()
            if waiter is not None:
                failure = self._wait(waiter, limits)
                if failure is not None:
                    return failure
                connection = waiter.given
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
            self._give_back(None)
            raise
        if isinstance(connection, Failure):
            self._give_back(None)
        return connection

    def _outlived(self, connection: Connection) -> bool:
        return time.monotonic() - connection.idle_since > MAX_IDLE_SECONDS or connection.stale()

    def _wait(self, waiter: _Waiter, limits: Limits) -> Failure | None:
        seconds, total = limits.remaining(limits.connect, time.monotonic())
        try:
            if waiter.turn.acquire(
                timeout=-1 if seconds is None else min(seconds, MAX_WAIT_SECONDS)
            ):
                return None
        except BaseException:
            if not self._leave(waiter):
                self._give_back(waiter.given)
            raise
        if not self._leave(waiter):
            return None
        return all_in_use(self._limit, total or "connect")

    def _leave(self, waiter: _Waiter) -> bool:
        """Leave the queue; false when the turn came at the last moment."""
        with self._lock:
            left = waiter in self._waiting
            if left:
                self._waiting.remove(waiter)
        if self._returned:
            self._hand_on()
        return left

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Take back a connection, to be kept if another request may go over it."""
        if not reusable:
            self.discard(connection)
            return
        connection.used = True
        connection.idle_since = time.monotonic()
        self._give_back(connection)

    def discard(self, connection: Connection) -> None:
        """Close a connection."""
        connection.close()
        self._give_back(None)

    def _give_back(self, connection: Connection | None) -> None:
        self._returned.append(connection)
        self._hand_on()

    def _hand_on(self) -> None:
        # Who finds the lock taken leaves the rest to its holder, who looks here after letting go.
        while self._returned and self._lock.acquire(False):
            try:
                if self._returned:
                    self._place(self._returned.popleft())
            finally:
                self._lock.release()

    def _place(self, connection: Connection | None) -> None:
        if self._closed and connection is not None:
            connection.close()
            connection = None
        if self._waiting:
            # It goes to the one who waits longest, so nobody can overtake.
            waiter = self._waiting.popleft()
            waiter.given = connection
            waiter.turn.release()
        elif connection is not None:
            self._idle.append(connection)
        else:
            self._open -= 1

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._open -= len(idle)
        self._hand_on()
        for connection in idle:
            connection.close()

    def abandon(self) -> None:
        """Leave the connections to the parent of this process, in which they go on."""
        # A thread that this process does not have may hold the lock.
        self._lock = threading.Lock()
        self._waiting.clear()
        self.close()

    def __del__(self) -> None:
        # A client that nobody closed leaves no open sockets behind.
        for connection in self._idle:
            connection.close()
