"""One blocking connection. What its bytes mean is `http1`'s to say."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

from apertis.sansio.http1 import Http1Connection
from apertis.sansio.outcome import Failure, broken, too_late

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.sansio.proxy import Proxy
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits

READ_SIZE = 64 * 1024
# poll() counts milliseconds in 32 bits.
MAX_WAIT_SECONDS = 2_000_000.0
# Where the layout of what SO_RCVTIMEO takes is known: two longs.
KERNEL_TIMES_READS = sys.platform == "linux" and struct.calcsize("l") == 8
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def milliseconds(seconds: float | None) -> float | None:
    """Convert a wait to the milliseconds of `poll`."""
    return None if seconds is None else min(seconds, MAX_WAIT_SECONDS) * 1000


class Connection:
    """A connected socket and what is known of it. Failures come back as values.

    Waiting is a call of its own, before the read, but for a plain socket of the system's: there the
    read itself waits, and the kernel keeps its deadline, which saves a system call an event. Either
    way Ctrl-C is seen at once.
    """

    __slots__ = (
        "_flags",
        "_read_seconds",
        "_read_waits",
        "_wait",
        "http",
        "idle_since",
        "sock",
        "used",
        "where",
    )

    def __init__(self, sock: socket.socket, where: str) -> None:
        # TLS reads more or less than the socket does, and a patched socket waits in its own way.
        plain = isinstance(sock, socket.SocketType) and not isinstance(sock, ssl.SSLSocket)
        self._read_waits = KERNEL_TIMES_READS and plain
        self._read_seconds: float | None = None
        self._flags = socket.MSG_DONTWAIT if self._read_waits else 0
        sock.setblocking(self._read_waits)
        self.sock = sock
        self.where = where
        self.http = Http1Connection()
        self.used = False
        self.idle_since = 0.0
        # Waits so many milliseconds for something to read; what it gives is empty if nothing came.
        self._wait: Callable[[float | None], list[Any]] = self._select
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(sock.fileno(), select.POLLIN)
            self._wait = poll.poll

    def _select(self, milliseconds: float | None) -> list[Any]:
        seconds = None if milliseconds is None else milliseconds / 1000
        return select.select([self.sock], [], [], seconds)[0]

    def stale(self) -> bool:
        """Return whether the idle connection was closed or got unexpected bytes."""
        if not self._wait(0):
            return False
        try:
            self.sock.recv(1, self._flags)
        except _WOULD_BLOCK:
            # TLS has messages of its own, such as session tickets.
            return False
        except OSError:
            return True
        return True

    def request(self, method: str, data: bytes, limits: Limits) -> Failure | None:
        """Send a request and read until the head of the response is there."""
        http = self.http
        http.begin(method)
        failure = self._send(data, limits)
        if failure is not None and failure.deadline is not None:
            return failure
        # A server that refuses a body may answer and close before all of it was sent.
        while not http.head_complete:
            limit = limits.idle if http.started else limits.response
            name = "idle" if http.started else "response"
            received = self.receive(limit, name, limits)
            if received is not None:
                return failure or received
            if http.failure is not None:
                return failure or http.failed(self.where)
        return None

    def lost_while_idle(self, failure: Failure) -> bool:
        """Return whether the peer closed a kept connection without seeing the failed request."""
        return self.used and not self.http.started and failure.deadline is None

    def _send(self, data: bytes, limits: Limits) -> Failure | None:
        try:
            sent = self.sock.send(data, self._flags)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            return broken(self.where, error)
        if sent == len(data):
            return None
        return self._send_rest(memoryview(data)[sent:], limits)

    def _send_rest(self, rest: memoryview, limits: Limits) -> Failure | None:
        """Send what did not fit at once, until a response says that it is not wanted."""
        http = self.http
        started = time.monotonic()
        seconds, total = limits.remaining(limits.response, started)
        while rest and not http.started and http.failure is None:
            left = None if seconds is None else max(started + seconds - time.monotonic(), 0.0)
            readable, writable = self._ready(left)
            try:
                if readable:
                    self._receive_now()
                elif writable:
                    rest = rest[self.sock.send(rest, self._flags) :]
                else:
                    return too_late(self.where, total or "response")
            except _WOULD_BLOCK:
                continue
            except OSError as error:
                return broken(self.where, error)
        if rest:
            http.cut_request()
        return None

    def _ready(self, seconds: float | None) -> tuple[bool, bool]:
        """Wait until there is something to read, or room to write."""
        if not hasattr(select, "poll"):
            readable, writable, _ = select.select([self.sock], [self.sock], [], seconds)
            return bool(readable), bool(writable)
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN | select.POLLOUT)
        found = poll.poll(milliseconds(seconds))
        events = found[0][1] if found else 0
        return bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)

    def _receive_now(self) -> None:
        if data := self.sock.recv(READ_SIZE, self._flags):
            self.http.receive(data)
        else:
            self.http.end_of_input()

    def receive(self, limit: float | None, name: str, limits: Limits) -> Failure | None:
        """Hand the next bytes to `http`; `name` is the deadline that `limit` stands for."""
        if not self._read_waits or limits.until is not None:
            return self._receive_when_ready(limit, name, limits)
        try:
            if limit != self._read_seconds:
                self._limit_reads(limit)
            data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return too_late(self.where, name)
        except OSError as error:
            return broken(self.where, error)
        if data:
            self.http.receive(data)
        else:
            self.http.end_of_input()
        return None

    def _receive_when_ready(self, limit: float | None, name: str, limits: Limits) -> Failure | None:
        seconds, total = limits.remaining(limit, time.monotonic())
        if seconds == 0:
            return too_late(self.where, "total")
        try:
            if not self._wait(milliseconds(seconds)):
                return too_late(self.where, total or name)
            self._receive_now()
        except _WOULD_BLOCK:
            # A part of a TLS record, or one without data: the next call goes on.
            return None
        except OSError as error:
            return broken(self.where, error)
        return None

    def _limit_reads(self, seconds: float | None) -> None:
        # To the kernel, no time at all means no limit.
        limit = 0 if seconds is None else max(int(min(seconds, MAX_WAIT_SECONDS) * 1e6), 1)
        value = struct.pack("ll", *divmod(limit, 1_000_000))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        self._read_seconds = seconds

    def interrupt(self) -> None:
        """Let another thread that waits for bytes see their end."""
        # An SSLSocket's own method would also take TLS away from the reader.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


class ForwardingConnection(Connection):
    """A connection to a proxy that passes requests on, each by its whole URL."""

    __slots__ = ("_origin", "_proxy")

    def __init__(self, sock: socket.socket, where: str, proxy: Proxy, origin: Origin) -> None:
        super().__init__(sock, where)
        self._proxy = proxy
        self._origin = origin

    def request(self, method: str, data: bytes, limits: Limits) -> Failure | None:
        """Send a request and read until the head of the response is there."""
        return super().request(method, self._proxy.forwarded(self._origin, data), limits)
