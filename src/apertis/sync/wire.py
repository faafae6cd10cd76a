"""The built-in transport: one attempt of a call over a pooled connection, as values."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Protocol

from apertis.models import Headers
from apertis.sansio.outcome import MAX_ANSWER_BYTES, TOO_LARGE, Failure, Response
from apertis.sansio.proxy import checked_options, choose_proxy
from apertis.sansio.reading import MAX_BLANK_BYTES, is_blank
from apertis.sansio.timeouts import DRAIN_SECONDS
from apertis.sync.dial import dial
from apertis.sync.pool import Pool
from apertis.tls import Trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits
    from apertis.sync.connection import Connection


class Answer(Protocol):
    """A response whose head is there: `read` gives the next part of the body, b"" at its end."""

    status: int
    headers: list[tuple[bytes, bytes]]

    def read(self) -> bytes | Failure:
        """Return the next bytes of the body."""
        ...

    def whole(self) -> bytes | None:
        """Return the rest of the body if all of it is here; None if it must be read."""
        ...

    def drain(self) -> None:
        """Read the end of the body, if it comes at once, so that the connection can be kept."""
        ...

    def close(self) -> None:
        """Give the connection back if the response is whole, else close it."""
        ...

    def interrupt(self) -> None:
        """Let a `read` end that somebody else waits in, if that can be done."""
        ...


class Transport(Protocol):
    """The HTTP that a client needs: one attempt of a call. Failures are values."""

    def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> Answer | Failure:
        """Send the request and wait for the head of the response."""
        ...

    def close(self) -> None:
        """Close the connections that are kept."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
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

    def read(self) -> bytes | Failure:
        """Return the next bytes of the body at the moment they come, b"" at its regular end."""
        connection = self._connection
        if connection is None:
            return self._failure or b""
        http = connection.http
        while True:
            if not (http.body or http.complete):
                failure = self._more(connection, self._limits.idle)
                if failure is not None:
                    return failure
            data = http.take_body()
            if http.complete:
                self._connection = None
                self._pool.release(connection, reusable=http.reusable)
                return data
            if data:
                return data

    def whole(self) -> bytes | None:
        """Return the rest of the body if all of it is here; None if it must be read."""
        connection = self._connection
        if connection is None or not connection.http.complete:
            return None
        self._connection = None
        data = connection.http.take_body()
        self._pool.release(connection, reusable=connection.http.reusable)
        return data

    def _more(self, connection: Connection, idle: float | None) -> Failure | None:
        try:
            failure = connection.receive(idle, "idle", self._limits)
        except BaseException:
            self._failure = GIVEN_UP
            self.close()
            raise
        failure = failure or connection.http.failed(connection.where)
        if failure is not None:
            self._failure = failure
            self.close()
        return failure

    def drain(self) -> None:
        """Read the end of the body, if it comes at once, so that the connection can be kept."""
        connection = self._connection
        until = time.monotonic() + DRAIN_SECONDS
        while connection is not None and not connection.http.complete:
            left = until - time.monotonic()
            if left <= 0 or self._more(connection, left) is not None:
                break
            connection.http.take_body()
        self.close()

    def close(self) -> None:
        """Give the connection back if the response is whole, else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection, reusable=connection.http.reusable)

    def interrupt(self) -> None:
        """Let a `read` end that somebody else waits in; who reads gives the connection back."""
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def __del__(self) -> None:
        self.close()


GIVEN_UP = Failure("the response was abandoned")


class Wire:
    """Connections to wherever the settings point, shared by a client and its copies."""

    def __init__(
        self, *, proxy: str | None, tls: ssl.SSLContext | None, max_connections: int
    ) -> None:
        checked_options(proxy, max_connections)
        self._proxy = proxy
        self._trust = Trust(tls)
        self._limit = max_connections
        self._lock = threading.Lock()
        self._pools: dict[Origin, Pool] = {}
        _wires.add(self)

    def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> WireAnswer | Failure:
        """Send one request and wait for the head of its response.

        `head` ends in its blank line. A kept connection that turns out to be closed, with nothing
        of a response, is replaced by a new one, once.
        """
        pool = self._pools.get(origin) or self._pool(origin)
        data = head + body
        connection = pool.acquire(limits)
        while not isinstance(connection, Failure):
            try:
                failure = connection.request(method, data, limits)
            except BaseException:
                pool.discard(connection)
                raise
            if failure is None:
                return WireAnswer(connection, pool, limits)
            pool.discard(connection)
            if not connection.lost_while_idle(failure):
                return failure
            connection = pool.acquire(limits, fresh=True)
        return connection

    def _pool(self, origin: Origin) -> Pool:
        proxy = choose_proxy(origin, self._proxy, os.environ)
        # The pool does not know its wire: a client that nobody closed goes at once, and its
        # connections with it.
        trust = self._trust

        def connect(limits: Limits) -> Connection | Failure:
            return dial(origin, proxy, trust.context() if origin.tls else None, limits)

        with self._lock:
            return self._pools.setdefault(origin, Pool(connect, self._limit))

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def after_fork(self) -> None:
        """Begin anew in a child process: two that read from one socket would share a response."""
        self._lock = threading.Lock()
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.abandon()


_wires: weakref.WeakSet[Wire] = weakref.WeakSet()


def _after_fork() -> None:
    for wire in list(_wires):
        wire.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def read_beginning(answer: Answer) -> bytes | Failure:
    """Read enough of the response to tell its kind; blank when it ends before."""
    beginning = answer.read()
    while isinstance(beginning, bytes) and beginning and is_blank(beginning):
        if len(beginning) > MAX_BLANK_BYTES:
            break
        more = answer.read()
        if isinstance(more, Failure):
            return more
        if not more:
            break
        beginning += more
    return beginning


def read_all(
    answer: Answer, secrets: Callable[[], tuple[str, ...]] | None = None, beginning: bytes = b""
) -> Response | Failure:
    """Read the whole response after `beginning`; an error of a larger one has its head.

    Its headers show none of the `secrets`.
    """
    parts = [beginning] if beginning else list[bytes]()
    size = len(beginning)
    while data := answer.read():
        if isinstance(data, Failure):
            return data
        size += len(data)
        if size > MAX_ANSWER_BYTES:
            answer.close()
            return TOO_LARGE.of(answer.status, Headers(answer.headers, secrets))
        parts.append(data)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return Response(answer.status, Headers(answer.headers, secrets), body)
