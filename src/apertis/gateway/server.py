"""Runs the application: a listening socket, uvicorn on it, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import signal
import socket
import threading
from typing import TYPE_CHECKING, Protocol

import uvicorn

from apertis.errors import ConfigurationError
from apertis.gateway.protocol import HttpProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from apertis.gateway.asgi import ASGIApp

__all__ = ["Server", "Service", "bind", "url_of"]

_BACKLOG = 2048
# Longer than clients keep an idle connection, so that it is they who close it.
_KEEP_ALIVE_SECONDS = 120
_STOP_SECONDS = 10.0
# How long answers may take to end that are told to.
_END_SECONDS = 2.0


def bind(host: str, port: int) -> socket.socket:
    """Take the address; port 0 takes a free one.

    `ConfigurationError` says in one line why that cannot be done.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except socket.gaierror as error:
        raise ConfigurationError(f"cannot listen on {host!r}: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "the port is in use; choose another with --port, or a free one with --port 0"
        else:
            reason = error.strerror or str(error)
        raise ConfigurationError(f"cannot listen on {host}:{port}: {reason}") from error


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Say how a client on this machine reaches the socket."""
    host: str = listener.getsockname()[0]
    port: int = listener.getsockname()[1]
    # The wildcard addresses are no destination.
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    scheme = "https" if tls else "http"
    host = f"[{reachable}]" if ":" in reachable else reachable
    return f"{scheme}://{host}:{port}"


class Service(Protocol):
    """What an application does around its serving."""

    async def start(self) -> None:
        """Get ready for the first request."""
        ...

    async def stop(self) -> None:
        """Put things in order after the last one."""
        ...

    def reload(self) -> None:
        """Read the configuration again."""
        ...


class Server(uvicorn.Server):
    """Serves one application until `stop()`, or until SIGINT or SIGTERM in the main thread.

    A stop lets answers that are under way finish, for `stop_seconds`; a second signal does not.
    `service` is started before the first request and stopped after the last; SIGHUP reloads it.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        service: Service | None = None,
        stop_seconds: float = _STOP_SECONDS,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self._listener = listener
        self._ready: Callable[[], None] | None = None
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        certificate, key = tls or (None, None)
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Whose forwarded addresses to believe is this server's decision, not a default.
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                # uvicorn's own word for it is a whole number.
                timeout_graceful_shutdown=math.ceil(stop_seconds),
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )

    def serve_until_stopped(self, ready: Callable[[], None] | None = None) -> None:
        """Block and serve; `ready` is called when the first request can be answered."""
        self._ready = ready
        # uvicorn speaks of its own starting and stopping; ours is told by the command.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        # The reader of PDFs quotes from the files that it complains about: not into a log.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        self.run(sockets=[self._listener])

    def stop(self, *, drop_connections: bool = False) -> None:
        """Ask for the stop, from any thread; answers under way finish unless they are dropped."""
        self.force_exit = drop_connections
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell it."""
        self._loop = asyncio.get_running_loop()
        if self._service is not None:
            await self._service.start()
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let answers finish or end them, and then stop the service."""
        await super().shutdown(sockets)
        late = [task for task in self.server_state.tasks if not task.done()]
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_END_SECONDS)
        if self._service is not None:
            await self._service.stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take the stop signals for requests to stop; unlike uvicorn's, do not die of them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        stops = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, self._on_signal) for number in stops}
        hang_up = getattr(signal, "SIGHUP", None)
        if self._service is not None and hang_up is not None:
            previous[hang_up] = signal.signal(hang_up, self._on_hang_up)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_hang_up(self, _number: int, _frame: object) -> None:
        if self._service is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._service.reload)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
