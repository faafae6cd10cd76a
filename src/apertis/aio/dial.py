"""Opening an asyncio connection: the name, TCP, the proxy and TLS."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from apertis.aio.connection import Connection, ForwardingConnection
from apertis.sansio.http1 import Http1Connection
from apertis.sansio.proxy import may_forward
from apertis.sansio.timeouts import Limits
from apertis.tls import failure_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from apertis.sansio.outcome import Failure
    from apertis.sansio.proxy import Proxy
    from apertis.sansio.request import Origin

# The moment after which the next address of a host is tried beside the first (RFC 8305).
HAPPY_EYEBALLS_SECONDS = 0.25
# asyncio makes room for 256 KiB before each read: so much memory goes back to the system each time,
# which takes longer than all that is done with what came.
READ_BYTES = 64 * 1024
# While a tunnel is opened, the deadline of the whole connection is the only one.
_UNLIMITED = Limits(None, None, None)


async def dial(
    origin: Origin,
    proxy: Proxy | None,
    tls: ssl.SSLContext | None,
    limits: Limits,
    permits: Callable[[str], bool] | None = None,
) -> Connection | Failure:
    """Return a new connection to the origin, through the proxy if there is one.

    `permits` says of each IP address whether it may be connected to: none other is, whatever the
    name leads to from one moment to the next. A proxy connects by itself.
    """
    loop = asyncio.get_running_loop()
    seconds, total = limits.remaining(limits.connect, loop.time())
    # The name of the other side: first it is the proxy, and the origin once there is a tunnel.
    side = (
        f"{origin.host}:{origin.port}" if proxy is None else f"the proxy {proxy.host}:{proxy.port}"
    )
    connection = Connection(side, loop)
    try:
        async with asyncio.timeout(seconds):
            if proxy is None:
                sock = None if permits is None else await _permitted_socket(origin, permits)
                await _connect(connection, origin.host, origin.port, tls, sock)
                return connection
            return await _through(connection, proxy, origin, tls)
    except OSError as error:
        connection.close()
        return failure_of(error, connection.where, total or "connect")
    except BaseException:
        connection.close()
        raise


async def _permitted_socket(origin: Origin, permits: Callable[[str], bool]) -> socket.socket:
    """Connect to the first address of the origin that may be connected to, and answers."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    allowed = [entry for entry in found if permits(str(entry[4][0]))]
    if not allowed:
        addresses = " and ".join(dict.fromkeys(str(entry[4][0]) for entry in found))
        raise PermissionError(f"{addresses} may not be connected to")
    failed: OSError | None = None
    for family, kind, protocol, _, address in allowed:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failed or OSError("no address")


async def _connect(
    connection: Connection,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    sock: socket.socket | None = None,
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"host": host, "port": port}
    if sock is not None:
        options = {"sock": sock}
    elif isinstance(loop, asyncio.BaseEventLoop):
        # uvloop does not know it.
        options["happy_eyeballs_delay"] = HAPPY_EYEBALLS_SECONDS
    if tls is not None:
        options |= {"ssl": tls, "server_hostname": host}
    transport: Any
    transport, _ = await loop.create_connection(lambda: connection, **options)
    if hasattr(transport, "max_size"):
        transport.max_size = READ_BYTES
    keep_alive(transport)
    return transport  # type: ignore[no-any-return]


async def _through(
    connection: Connection, proxy: Proxy, origin: Origin, tls: ssl.SSLContext | None
) -> Connection | Failure:
    """Open a tunnel to the origin; without TLS, a connection to a proxy that has no tunnels."""
    where = f"{origin.host}:{origin.port}"
    transport = await _connect(connection, proxy.host, proxy.port, None)
    # The response to CONNECT has no body, whatever its head says (RFC 9110, section 9.3.6).
    failure = await connection.request("HEAD", proxy.connect_request(origin), _UNLIMITED)
    http = connection.http
    refusal = proxy.refusal(origin, http, None if failure is None else failure.reason)
    if refusal is None:
        connection.http = Http1Connection()
        connection.where = where
        if tls is not None:
            await _secure(connection, transport, tls, origin.host)
        return connection
    connection.close()
    if not may_forward(origin, http):
        return refusal
    forwarding = ForwardingConnection(where, asyncio.get_running_loop(), proxy, origin)
    try:
        await _connect(forwarding, proxy.host, proxy.port, None)
    except BaseException:
        forwarding.close()
        raise
    return forwarding


async def _secure(
    connection: Connection, transport: asyncio.Transport, tls: ssl.SSLContext, host: str
) -> None:
    loop = asyncio.get_running_loop()
    secured = await loop.start_tls(transport, connection, tls, server_hostname=host)
    if secured is None:
        raise ConnectionResetError("connection lost")
    connection.connection_made(secured)


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Notice a peer that is gone; asyncio already sends small packets at once."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
