"""Opening a blocking connection: the name, TCP, the proxy and TLS."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from apertis.sansio.http1 import Http1Connection
from apertis.sansio.proxy import may_forward
from apertis.sync.connection import (
    MAX_WAIT_SECONDS,
    READ_SIZE,
    Connection,
    ForwardingConnection,
)
from apertis.tls import failure_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from apertis.sansio.outcome import Failure
    from apertis.sansio.proxy import Proxy
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits


def dial(
    origin: Origin, proxy: Proxy | None, tls: ssl.SSLContext | None, limits: Limits
) -> Connection | Failure:
    """Return a new connection to the origin, through the proxy if there is one."""
    started = time.monotonic()
    seconds, total = limits.remaining(limits.connect, started)

    def left() -> float | None:
        if seconds is None:
            return None
        # To a socket, zero would mean not to wait at all.
        rest = max(started + seconds - time.monotonic(), 0.001)
        return min(rest, MAX_WAIT_SECONDS)

    deadline = total or "connect"
    where = f"{origin.host}:{origin.port}"
    try:
        if proxy is None:
            sock = _connect(origin.host, origin.port, left)
        else:
            through = _through(proxy, origin, left)
            if not isinstance(through, socket.socket):
                return through
            sock = through
    except OSError as error:
        place = where if proxy is None else f"the proxy {proxy.host}:{proxy.port}"
        return failure_of(error, place, deadline)
    if tls is None:
        return Connection(sock, where)
    try:
        sock.settimeout(left())
        return Connection(tls.wrap_socket(sock, server_hostname=origin.host), where)
    except OSError as error:
        sock.close()
        return failure_of(error, where, deadline)
    except BaseException:
        sock.close()
        raise


def _through(
    proxy: Proxy, origin: Origin, left: Callable[[], float | None]
) -> socket.socket | Connection | Failure:
    """Open a tunnel to the origin; without TLS, a connection to a proxy that has no tunnels."""
    sock = _connect(proxy.host, proxy.port, left)
    try:
        http = Http1Connection()
        # The response to CONNECT has no body, whatever its head says (RFC 9110, section 9.3.6).
        http.begin("HEAD")
        sock.settimeout(left())
        sock.sendall(proxy.connect_request(origin))
        while not http.head_complete and http.failure is None:
            sock.settimeout(left())
            data = sock.recv(READ_SIZE)
            http.receive(data) if data else http.end_of_input()
    except BaseException:
        sock.close()
        raise
    refusal = proxy.refusal(origin, http, http.failure)
    if refusal is None:
        return sock
    sock.close()
    if not may_forward(origin, http):
        return refusal
    sock = _connect(proxy.host, proxy.port, left)
    return ForwardingConnection(sock, f"{origin.host}:{origin.port}", proxy, origin)


def _connect(host: str, port: int, left: Callable[[], float | None]) -> socket.socket:
    addresses = _resolve(host, port, left())
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        seconds = left()
        # An address that swallows packets must not use up the time of those behind it.
        share = None if seconds is None else seconds / (len(addresses) - index)
        try:
            return _connect_to(address, socket.socket(family, kind, protocol), share)
        except OSError:
            if index == len(addresses) - 1:
                raise
    raise OSError(f"{host} has no address")


def _connect_to(address: Any, sock: socket.socket, seconds: float | None) -> socket.socket:
    try:
        sock.settimeout(seconds)
        sock.connect(address)
        keep_alive(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve(host: str, port: int, seconds: float | None) -> list[Any]:
    """Resolve the host. A look-up cannot be interrupted, so it has a thread of its own."""
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
        raise OSError(f"{host!r} is not a host name") from found[0]
    return found


def keep_alive(sock: socket.socket) -> None:
    """Send small packets at once, and notice a peer that is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
