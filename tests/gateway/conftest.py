"""Real servers on free loopback ports, for the tests of this folder."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.config import read_settings
from apertis.gateway.gateway import Gateway
from apertis.gateway.serving.server import Server, bind
from apertis.testing import RunningServer, sandbox_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apertis.gateway.serving.asgi import ASGIApp, Receive, Scope, Send


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


@dataclass(frozen=True)
class RunningGateway:
    """A whole gateway on a free port, with its administrator's key."""

    gateway: Gateway
    client: Client
    base_url: str
    data: Path
    log: Path = field(repr=False)

    @property
    def admin_key(self) -> str:
        return self.client.api_key

    def make_key(self, **fields: Any) -> tuple[str, Client]:
        """Make a key over the admin API: its id, and a client that uses it."""
        body = json.dumps({"name": f"key {os.urandom(4).hex()}", **fields}).encode()
        answer = self.client.call("POST", "/admin/v1/keys", body)
        assert answer.status == 200, answer.body
        made = json.loads(answer.body)
        return made["id"], Client(self.client.port, made["secret"])

    def log_lines(self) -> list[dict[str, Any]]:
        """What the log says so far; lines are written some time after their request."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def usage(self, **query: str) -> dict[str, Any]:
        """The report of the admin API, for what has reached the store."""
        parts = "&".join(f"{name}={value}" for name, value in query.items())
        answer = self.client.call("GET", f"/admin/v1/usage?{parts}")
        assert answer.status == 200, answer.body
        report: dict[str, Any] = json.loads(answer.body)
        return report


@contextlib.contextmanager
def running_gateway(
    folder: Path, config: str = "", environment: dict[str, str] | None = None
) -> Iterator[RunningGateway]:
    """Run a gateway whose configuration file is `config`, as `apertis serve` does."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "apertis.toml"
    file.write_text(config)
    log = folder / "log.jsonl"
    data = folder / "data"
    given = environment or {}
    settings = read_settings(given, config=file, data=data, port=0)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    gateway = Gateway(
        settings,
        reread=lambda: read_settings(given, config=file, data=data, port=0),
        log_descriptor=descriptor,
    )
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = Server(gateway, listener, service=gateway, stop_seconds=5)
    ready = threading.Event()
    thread = threading.Thread(target=server.serve_until_stopped, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(20), "the gateway did not start"
        secret_file = data / "secret"
        if gateway.secret is not None:
            secret_file.write_text(gateway.secret)
        client = Client(port, secret_file.read_text())
        yield RunningGateway(gateway, client, f"http://127.0.0.1:{port}", data, log)
    finally:
        server.stop()
        thread.join(20)
        os.close(descriptor)
    assert not thread.is_alive(), "the gateway did not stop"


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., RunningGateway]]:
    """Start gateways with a configuration each; they stop when the test ends."""
    with contextlib.ExitStack() as stack:

        def start(
            config: str = "", *, folder: str = "gateway", **environment: str
        ) -> RunningGateway:
            return stack.enter_context(running_gateway(tmp_path / folder, config, environment))

        yield start


@pytest.fixture
def run_gateway(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[RunningGateway]]:
    """Run the same gateway several times in a row, on the same data."""

    def run(
        config: str = "", **environment: str
    ) -> contextlib.AbstractContextManager[RunningGateway]:
        return running_gateway(tmp_path / "gateway", config, environment)

    return run


@pytest.fixture(scope="session")
def run_gateways() -> Callable[..., contextlib.AbstractContextManager[RunningGateway]]:
    """Runs gateways for longer than a test, each in a folder of its own."""
    return running_gateway


@pytest.fixture(scope="session")
def sandbox_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One gateway in front of the sandbox, for all tests that do not change it."""
    with running_gateway(
        tmp_path_factory.mktemp("gateway"), '[limits]\nper_address = "0"\nper_key = "0"\n'
    ) as running:
        yield running


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
