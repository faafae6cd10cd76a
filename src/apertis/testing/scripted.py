"""A threaded HTTP/1.1 server on a loopback port that follows a script to the byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

from apertis.testing.connection import ClientGoneError, RecordedRequest, ServerConnection
from apertis.testing.script import AwaitDisconnect, Close, Exchange, Gate, Reset, StartTLS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from apertis.testing.script import Step

_JOIN_SECONDS = 5.0


class ScriptError(AssertionError):
    """The client did what the script does not have, or left out what it has."""


class ScriptedServer:
    """A server that answers the first call with the first exchange, and so on.

    ::

        with ScriptedServer([Exchange(sse_head(), Reset), json_response(200, {...})]) as server:
            client = Apertis(base_url=server.base_url, api_key="sk-test")
            ...
        assert server.requests[1].headers["content-type"] == "application/json"

    Plain bytes stand for an exchange of that one step. A function instead of a list is asked for
    the exchange of each request, for calls whose order is not known. Calls count over all
    connections, in the order in which they arrive. Leaving the block raises `ScriptError` when
    there was a call that the script does not have (it was answered with 500), when a step failed,
    or, unless `require_all=False`, when an exchange was never played.

    Standard library only; one thread a connection; `ssl_context` makes it an HTTPS server.
    """

    def __init__(
        self,
        script: Sequence[Exchange | bytes] | Callable[[RecordedRequest], Exchange | bytes],
        *,
        host: str = "127.0.0.1",
        ssl_context: ssl.SSLContext | None = None,
        require_all: bool = True,
    ) -> None:
        self._answer = script if callable(script) else None
        self._pending = [] if callable(script) else [_exchange(item) for item in script]
        self._host = host
        self._ssl_context = ssl_context
        self._require_all = require_all
        self._lock = threading.Condition()
        self._requests: list[RecordedRequest] = []
        self._problems: list[str] = []
        self._connections: list[ServerConnection] = []
        self._open = 0
        self._threads: list[threading.Thread] = []
        self._gates: list[Gate] = []
        self._stopping = False
        self._listener: socket.socket | None = None

    def start(self) -> Self:
        """Listen on a free port; `with` does it for you."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, 0), family=family, backlog=512)
        self._spawn(self._accept, self._listener)
        return self

    def stop(self) -> None:
        """Close the port and all connections, and wait for the threads. Raises nothing."""
        with self._lock:
            self._stopping = True
            listener, self._listener = self._listener, None
            gates, connections = list(self._gates), list(self._connections)
        if listener is not None:
            # A blocked accept() is not woken by close() alone.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for gate in gates:
            gate.open()
        for connection in connections:
            connection.interrupt()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What was left open is noted before stop() interrupts it.
        with self._lock:
            problems = list(self._problems)
            unplayed = list(self._pending) if self._require_all else []
        self.stop()
        problems += [f"never played: {exchange!r}" for exchange in unplayed]
        if problems and kind is None:
            raise ScriptError("; ".join(problems))

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        if self._listener is None:
            raise RuntimeError("the server is not running; use it in a with statement")
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def base_url(self) -> str:
        """Scheme, host and port: what a client takes as its base URL."""
        scheme = "http" if self._ssl_context is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far, in the order in which they arrived."""
        with self._lock:
            return list(self._requests)

    @property
    def connection_count(self) -> int:
        """The number of connections accepted so far."""
        with self._lock:
            return len(self._connections)

    @property
    def open_connection_count(self) -> int:
        """The number of connections that neither side has closed."""
        with self._lock:
            return self._open

    def wait_until_disconnected(self, timeout_seconds: float = 10.0) -> None:
        """Return when no connection is open any more; `ScriptError` when that takes too long."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._open == 0, timeout_seconds):
                raise ScriptError(f"{self._open} connections are open after {timeout_seconds} s")

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True, name="scripted-server")
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                connection = ServerConnection(sock, number=len(self._connections))
                self._connections.append(connection)
                self._open += 1
                stopping = self._stopping
            if stopping:
                connection.interrupt()
            self._spawn(self._serve, connection)

    def _serve(self, connection: ServerConnection) -> None:
        try:
            if self._ssl_context is not None:
                connection.start_tls(self._ssl_context)
            while self._play(connection):
                pass
        except (ClientGoneError, OSError):
            # A client may leave at any point; the tests see it in what they asserted.
            pass
        except ScriptError as error:
            with self._lock:
                if not self._stopping:
                    self._problems.append(str(error))
        finally:
            connection.close()
            with self._lock:
                self._open -= 1
                self._lock.notify_all()

    def _play(self, connection: ServerConnection) -> bool:
        """Serve one exchange on this connection; return whether another may follow."""
        exchange, body_follows = self._next_exchange(connection)
        for step in exchange.steps:
            if not self._perform(connection, step):
                return False
        return not body_follows

    def _next_exchange(self, connection: ServerConnection) -> tuple[Exchange, bool]:
        early = self._take_early(connection)
        if early is not None:
            return early, False
        head = connection.read_head()
        with self._lock:
            head_only = bool(self._pending) and self._pending[0].read == "head"
            reserved = self._pending.pop(0) if head_only else None
        if reserved is not None:
            with self._lock:
                self._requests.append(head)
            return reserved, True
        request = connection.read_body(head)
        with self._lock:
            self._requests.append(request)
            if self._answer is None and self._pending:
                return self._pending.pop(0), False
            if self._answer is None:
                count = len(self._requests)
                self._problems.append(
                    f"call {count} is not in the script: {request.method} {request.target}"
                )
                return Exchange(_NOT_SCRIPTED, Close), False
        return _exchange(self._answer(request)), False

    def _take_early(self, connection: ServerConnection) -> Exchange | None:
        """Take the next exchange, if it runs before anything is read and the connection is new."""
        if not connection.fresh:
            return None
        connection.fresh = False
        with self._lock:
            if self._pending and self._pending[0].read == "nothing":
                return self._pending.pop(0)
        return None

    def _perform(self, connection: ServerConnection, step: Step) -> bool:
        match step:
            case bytes():
                connection.send(step)
            case Gate():
                self._pass(step)
            case AwaitDisconnect(timeout_seconds):
                if not connection.await_disconnect(timeout_seconds):
                    raise ScriptError(f"the client did not disconnect in {timeout_seconds} s")
                return False
            case StartTLS(context):
                connection.start_tls(context)
            case _:
                reset = step is Reset or isinstance(step, Reset)
                connection.close(reset=reset)
                return False
        return True

    def _pass(self, gate: Gate) -> None:
        with self._lock:
            self._gates.append(gate)
            if self._stopping:
                gate.open()
        if not gate.pass_through():
            raise ScriptError(f"nobody opened a gate within {gate.timeout_seconds} s")
        with self._lock:
            if self._stopping:
                raise ClientGoneError


_NOT_SCRIPTED = (
    b"HTTP/1.1 500 Not In The Script\r\nx-should-retry: false\r\nconnection: close\r\n"
    b"content-length: 30\r\n\r\nthis call is not in the script"
)


def _exchange(item: Exchange | bytes) -> Exchange:
    return Exchange(item) if isinstance(item, bytes) else item
