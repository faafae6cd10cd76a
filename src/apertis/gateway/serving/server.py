"""Runs the application: a listening socket, uvicorn on it, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import threading
from typing import TYPE_CHECKING, Protocol

import uvicorn

from apertis.errors import ConfigurationError
from apertis.gateway.serving.certificate import CertificateError, server_context
from apertis.gateway.serving.protocol import HttpProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from apertis.gateway.serving.asgi import ASGIApp

__all__ = ["Server", "Service", "bind", "url_of"]

_BACKLOG = 2048
# Longer than clients keep an idle connection, so that it is they who close it.
_KEEP_ALIVE_SECONDS = 120
_STOP_SECONDS = 10.0
# How long answers may take to end that are told to, and connections to deliver their last bytes.
_END_SECONDS = 2.0
_HURRIED_SECONDS = 0.2
# How often a stop looks whether the last answer is over.
_LOOK_SECONDS = 0.05

_logger = logging.getLogger("apertis.gateway")


def bind(host: str, port: int) -> socket.socket:
    """Take the address; port 0 takes a free one.

    `ConfigurationError` says in one line why that cannot be done.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # All addresses are those of IPv4 too.
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
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
    `service` is started before the first request and stopped after the last; SIGHUP reloads it,
    and reads the files of `tls` again, for connections that come then.

    `ConfigurationError` says which of those files cannot be used.
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
        self._stop_seconds = stop_seconds
        self._tls = tls
        certificate, key = tls or (None, None)
        if tls is not None:
            _check_certificate(*tls)
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
        try:
            await super().startup(sockets)
            if self._ready is not None:
                self._ready()
        except BaseException:
            if self._service is not None:
                await self._service.stop()
            raise

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let answers finish or end them, and then stop the service."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            # One that is idle closes now, others behind their answer.
            connection.shutdown()
        await self._until(lambda: self._is_idle or self.force_exit, self._stop_seconds)
        late = [task for task in state.tasks if not task.done()]
        for task in late:
            task.cancel()
        if late:
            _logger.warning("%d answers were ended that did not end in time", len(late))
            await asyncio.wait(late, timeout=_END_SECONDS)
        # What an answer ended with may still be on its way.
        seconds = _HURRIED_SECONDS if self.force_exit else _END_SECONDS
        await self._until(lambda: self._is_idle, seconds)
        if self._service is not None:
            await self._service.stop()

    @property
    def _is_idle(self) -> bool:
        return not (self.server_state.connections or self.server_state.tasks)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds, so long at most."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        # uvicorn keeps connections and tasks in sets, which tell nobody that they are empty.
        while not condition() and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)

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
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.reload)

    def reload(self) -> None:
        """Read the certificate and the service's configuration again; in the loop's thread."""
        self._renew_certificate()
        if self._service is not None:
            self._service.reload()

    def _renew_certificate(self) -> None:
        if self._tls is None or self.config.ssl is None:
            return
        try:
            # Tried elsewhere first: a key that does not fit would spoil the context in use.
            _check_certificate(*self._tls)
            self.config.ssl.load_cert_chain(*self._tls)
        except (ConfigurationError, OSError) as error:
            _logger.error("the certificate stays as it was: %s", error)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _check_certificate(certificate: Path, key: Path) -> None:
    try:
        server_context(certificate, key)
    except CertificateError as error:
        raise ConfigurationError(f"cannot serve HTTPS: {error}; {error.advice}") from None
