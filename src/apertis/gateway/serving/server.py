"""The server: a listening socket, its connections, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import threading
from typing import TYPE_CHECKING, Protocol

from apertis.errors import ConfigurationError
from apertis.gateway.serving.certificate import CertificateError, server_context
from apertis.gateway.serving.protocol import Connections, HttpProtocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator
    from pathlib import Path

    from apertis.gateway.serving.protocol import ClientExchange, Handler

_BACKLOG = 2048
_STOP_SECONDS = 10.0
# How long responses may take to end that are told to, and connections to deliver their last bytes.
_END_SECONDS = 2.0
_HURRIED_SECONDS = 0.2

_logger = logging.getLogger("apertis.gateway")


_COLLECT_AFTER_OBJECTS = 20_000
_LARGEST_FREED_BYTES = 8 * 2**20


def settle_memory() -> None:
    """Take what the start made out of the garbage collector's sight, and let it run seldom.

    Requests leave no cycles behind; to look for some every few requests would cost a twentieth of
    each.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 20, 50)
    # glibc hands memory back to the system beyond twice the largest block that was ever freed, and
    # takes it again page by page: for a body of 400 KB that costs more than to read it as JSON.
    # This block itself is never written to, so it takes no memory.
    _ = bytes(_LARGEST_FREED_BYTES)


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


async def _not_started(_exchange: ClientExchange) -> None:
    raise RuntimeError("the service is not started")


class Service(Protocol):
    """An application's startup and shutdown around its serving."""

    async def start(self) -> None:
        """Get ready for the first request."""
        ...

    async def stop(self) -> None:
        """Put things in order after the last one."""
        ...

    def reload(self) -> None:
        """Read the configuration again."""
        ...

    @property
    def handler(self) -> Handler:
        """Callable that answers each request, when it is started."""
        ...

    @property
    def commit(self) -> Callable[[], object]:
        """Callable for before responses leave: it writes down what they used."""
        ...


class Server:
    """A server of `app`, or of a service, until `stop()`, or SIGINT or SIGTERM in the main thread.

    A stop lets answers that are under way finish, for `stop_seconds`; a second signal does not.
    `service` is started before the first request and stopped after the last; SIGHUP reloads it,
    and reads the files of `tls` again, for connections that come then. Where it takes no signals,
    another process has the say.

    `ConfigurationError` says which of those files cannot be used.
    """

    protocol: type[HttpProtocol] = HttpProtocol

    def __init__(
        self,
        app: Handler | None,
        listener: socket.socket,
        *,
        service: Service | None = None,
        stop_seconds: float = _STOP_SECONDS,
        tls: tuple[Path, Path] | None = None,
        takes_signals: bool = True,
    ) -> None:
        self._takes_signals = takes_signals
        self._connections = Connections(app or _not_started)
        self._listener = listener
        self._service = service
        self._stop_seconds = stop_seconds
        self._tls = tls
        self._context: ssl.SSLContext | None = None if tls is None else _context(*tls)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._hurried = False
        # Set when one of these two changes, or nobody is there any more.
        self._changed = asyncio.Event()

    def serve_until_stopped(self, ready: Callable[[], None] | None = None) -> None:
        """Block and serve; `ready` is called when the first request can be answered."""
        # The reader of PDFs quotes from the files that it complains about: not into a log.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve(ready))

    def stop(self, *, drop_connections: bool = False) -> None:
        """Ask for the stop, from any thread; answers under way finish unless they are dropped."""
        self._hurried = self._hurried or drop_connections
        self._stopping = True
        loop = self._loop
        if loop is not None:
            # A loop that is closed has nothing more to stop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._changed.set)

    async def _serve(self, ready: Callable[[], None] | None) -> None:
        loop = self._loop = asyncio.get_running_loop()
        connections = self._connections
        connections.on_idle = self._changed.set
        with self._signals():
            if self._service is not None:
                await self._service.start()
                connections.handler = self._service.handler
                connections.commit = self._service.commit
            try:
                accepting = await loop.create_server(
                    lambda: self.protocol(connections, loop),
                    sock=self._listener,
                    ssl=self._context,
                    backlog=_BACKLOG,
                )
                if ready is not None:
                    ready()
            except BaseException:
                if self._service is not None:
                    await self._service.stop()
                raise
            await self._until(lambda: self._stopping, None)
            accepting.close()
            self._listener.close()
            await self._shut_down()

    async def _shut_down(self) -> None:
        """Let answers finish or end them, and then stop the service."""
        connections = self._connections
        for connection in list(connections.open):
            # One that is idle closes now, others behind their answer.
            connection.shut_down()
        await self._until(lambda: connections.is_idle or self._hurried, self._stop_seconds)
        late = [exchange.task for exchange in connections.under_way if exchange.task is not None]
        for task in late:
            task.cancel()
        if late:
            _logger.warning("%d responses were cut off that did not end in time", len(late))
            await asyncio.wait(late, timeout=_END_SECONDS)
        # What a response ended with may still be on its way.
        seconds = _HURRIED_SECONDS if self._hurried else _END_SECONDS
        await self._until(lambda: connections.is_idle, seconds)
        if self._service is not None:
            await self._service.stop()

    async def _until(self, condition: Callable[[], bool], seconds: float | None) -> None:
        """Wait until a condition holds, so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()

    @contextlib.contextmanager
    def _signals(self) -> Generator[None]:
        """Take the stop signals for requests to stop."""
        if not self._takes_signals or (threading.current_thread() is not threading.main_thread()):
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
        if self._tls is None or self._context is None:
            return
        try:
            # Tried elsewhere first: a key that does not fit would spoil the context in use.
            _context(*self._tls)
            self._context.load_cert_chain(*self._tls)
        except (ConfigurationError, OSError) as error:
            _logger.error("the certificate stays as it was: %s", error)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.stop(drop_connections=self._stopping)


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    try:
        return server_context(certificate, key)
    except CertificateError as error:
        raise ConfigurationError(f"cannot serve HTTPS: {error}; {error.advice}") from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        # Neither Windows nor PyPy has it.
        return None
    return uvloop.new_event_loop
