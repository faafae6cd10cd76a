"""One blocking connection: sockets, TLS and proxy tunnels. What bytes mean is `http1`'s to say."""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from apertis.sansio.http1 import Http1Connection
from apertis.sansio.outcome import Failure
from apertis.tls import failure_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from apertis.sansio.proxy import Proxy
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits

READ_SIZE = 64 * 1024


class Connection:
    """A connected socket and what is known of it. Failures come back as values."""

    __slots__ = ("_poll", "_timeout", "http", "idle_since", "sock", "used", "where")

    def __init__(self, sock: socket.socket, where: str) -> None:
        self.sock = sock
        self._timeout = sock.gettimeout()
        self.where = where
        self.http = Http1Connection()
        self.used = False
        self.idle_since = 0.0
        self._poll = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN)

    def stale(self) -> bool:
        """Whether the idle connection has something to read: its end, as nothing is awaited."""
        if self._poll is not None:
            return bool(self._poll.poll(0))
        return bool(select.select([self.sock], [], [], 0)[0])

    def request(self, method: str, data: bytes, limits: Limits) -> Failure | None:
        """Send a request and read until the head of the answer is there."""
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
                return failure or Failure(f"{self.where}: {http.failure}", self.where)
        return None

    def _send(self, data: bytes, limits: Limits) -> Failure | None:
        seconds, total = limits.remaining(limits.response, time.monotonic())
        if seconds == 0:
            return self._late("total")
        try:
            self._set_timeout(seconds)
            self.sock.sendall(data)
        except TimeoutError:
            return self._late(total or "response")
        except OSError as error:
            return self._broken(error)
        return None

    def receive(self, limit: float | None, name: str, limits: Limits) -> Failure | None:
        """Hand the next bytes to `http`; `name` is the deadline that `limit` stands for."""
        seconds, total = limits.remaining(limit, time.monotonic())
        if seconds == 0:
            return self._late("total")
        try:
            self._set_timeout(seconds)
            data = self.sock.recv(READ_SIZE)
        except TimeoutError:
            return self._late(total or name)
        except OSError as error:
            return self._broken(error)
        if data:
            self.http.receive(data)
        else:
            self.http.end_of_input()
        return None

    def _late(self, deadline: str) -> Failure:
        what = {"total": "the whole call took too long", "idle": "it fell silent"}
        said = what.get(deadline, "it did not answer in time")
        return Failure(f"{self.where}: {said} (timeout: {deadline})", self.where, deadline)

    def _broken(self, error: OSError) -> Failure:
        text = (error.strerror or str(error)).lower()
        return Failure(f"the connection to {self.where} broke: {text}", self.where, cause=error)

    def _set_timeout(self, seconds: float | None) -> None:
        # To set a timeout is a system call, even to the same value.
        if seconds != self._timeout:
            self._timeout = seconds
            self.sock.settimeout(seconds)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


def dial(
    origin: Origin, proxy: Proxy | None, tls: ssl.SSLContext | None, limits: Limits
) -> Connection | Failure:
    """A new connection to the origin, through the proxy if there is one."""
    started = time.monotonic()
    host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
    where = f"{host}:{port}"

    def left() -> float | None:
        limit = limits.connect
        limit = None if limit is None else max(started + limit - time.monotonic(), 0.001)
        return limits.remaining(limit, time.monotonic())[0]

    try:
        sock = _connect(host, port, left)
    except OSError as error:
        return failure_of(error, where)
    try:
        if proxy is not None and (failure := _tunnel(sock, proxy, origin, left())) is not None:
            sock.close()
            return failure
        if tls is not None:
            sock.settimeout(left())
            sock = tls.wrap_socket(sock, server_hostname=origin.host)
    except OSError as error:
        sock.close()
        return failure_of(error, f"{origin.host}:{origin.port}")
    except BaseException:
        sock.close()
        raise
    return Connection(sock, f"{origin.host}:{origin.port}")


def _connect(host: str, port: int, left: Callable[[], float | None]) -> socket.socket:
    addresses = _resolve(host, port, left())
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        seconds = left()
        # An address that swallows packets must not use up the time of those behind it.
        share = None if seconds is None else seconds / (len(addresses) - index)
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(share)
            sock.connect(address)
        except OSError:
            sock.close()
            if index == len(addresses) - 1:
                raise
        except BaseException:
            sock.close()
            raise
        else:
            keep_alive(sock)
            return sock
    raise OSError(f"{host} has no address")


def _resolve(host: str, port: int, seconds: float | None) -> list[Any]:
    """The host's addresses. A look-up cannot be interrupted, so a thread of its own does it."""
    found: list[Any] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)
        done.set()

    threading.Thread(target=look_up, daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError(f"looking up {host}")
    if isinstance(found[0], OSError):
        raise found[0]
    if isinstance(found[0], UnicodeError):
        raise OSError(f"{host!r} is no host name") from found[0]
    return found


def keep_alive(sock: socket.socket) -> None:
    """Send small packets at once, and notice a peer that is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _tunnel(
    sock: socket.socket, proxy: Proxy, origin: Origin, seconds: float | None
) -> Failure | None:
    http = Http1Connection()
    # The answer to CONNECT has no body, whatever its head says (RFC 9110, section 9.3.6).
    http.begin("HEAD")
    sock.settimeout(seconds)
    sock.sendall(proxy.connect_request(origin))
    while not http.head_complete and http.failure is None:
        data = sock.recv(READ_SIZE)
        http.receive(data) if data else http.end_of_input()
    where = f"{proxy.host}:{proxy.port}"
    if http.failure is None and 200 <= http.status < 300:
        return None
    why = http.failure or f"it answered {http.status}"
    reason = f"the proxy {where} opened no tunnel to {origin.host}:{origin.port}: {why}"
    return Failure(reason, where, connecting=True, permanent=http.status in {403, 405, 407})
