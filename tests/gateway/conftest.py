"""Real servers on free loopback ports, for the tests of this folder."""

from __future__ import annotations

import contextlib
import http.client
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.server import Server, bind
from apertis.testing import RunningServer, sandbox_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.gateway.asgi import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Client:
    """A plain HTTP client that knows nothing of the service."""

    port: int
    api_key: str = ""

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def call(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        if headers is None:
            headers = {"x-api-key": self.api_key, "content-type": "application/json"}
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, target, body or None, headers)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, fields, response.read())


@pytest.fixture(scope="session")
def service() -> Iterator[RunningServer]:
    with sandbox_server() as server:
        yield server


@pytest.fixture(scope="session")
def client(service: RunningServer) -> Client:
    return Client(int(service.base_url.rpartition(":")[2]), service.api_key)


class Stage:
    """One running server, on which each test puts the application that it wants."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[Stage, Client]]:
    stage = Stage()
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = Server(stage, listener)
    ready = threading.Event()
    thread = threading.Thread(target=server.serve_until_stopped, args=(ready.set,))
    thread.start()
    assert ready.wait(10)
    yield stage, Client(port)
    server.stop(drop_connections=True)
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def serve(stage: tuple[Stage, Client]) -> Callable[[ASGIApp], Client]:
    """Serve an application until the test ends."""

    def put_on(app: ASGIApp) -> Client:
        stage[0].app = app
        return stage[1]

    return put_on
