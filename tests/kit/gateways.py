"""Whole gateways, the sandbox and single applications on free loopback ports."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.config import read_settings
from apertis.gateway.gateway import Gateway
from apertis.gateway.serving.protocol import HttpProtocol
from apertis.gateway.serving.server import Server, bind
from apertis.testing import RunningServer, sandbox_server
from tests.kit.http import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apertis.gateway.serving.protocol import ClientExchange, Handler

_WAIT_SECONDS = 60


@contextlib.contextmanager
def serving(app: Handler | Gateway, protocol: type[HttpProtocol] = HttpProtocol) -> Iterator[int]:
    """Serve an application, or a gateway, from a thread; give the port."""
    service, own = (app, None) if isinstance(app, Gateway) else (None, app)
    with bind("127.0.0.1", 0) as listener:
        port: int = listener.getsockname()[1]
        server = Server(own, listener, service=service, stop_seconds=5)
        server.protocol = protocol
        ready = threading.Event()
        thread = threading.Thread(target=server.serve_until_stopped, args=(ready.set,))
        thread.start()
        try:
            assert ready.wait(_WAIT_SECONDS), "it did not start"
            yield port
        finally:
            server.stop(drop_connections=service is None)
            thread.join(_WAIT_SECONDS)
    assert not thread.is_alive(), "it did not stop"


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
        response = self.client.call("POST", "/admin/v1/keys", body)
        assert response.status == 200, response.body
        return response.json["id"], Client(self.client.port, response.json["secret"])

    def log_lines(self) -> list[dict[str, Any]]:
        """What the log says so far; lines are written some time after their request."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def usage(self, **query: str) -> dict[str, Any]:
        """The report of the admin API, for what has reached the store."""
        parts = "&".join(f"{name}={value}" for name, value in query.items())
        response = self.client.call("GET", f"/admin/v1/usage?{parts}")
        assert response.status == 200, response.body
        report: dict[str, Any] = response.json
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
    with log.open("ab") as written:
        gateway = Gateway(
            settings,
            reread=lambda: read_settings(given, config=file, data=data, port=0),
            log_descriptor=written.fileno(),
        )
        with serving(gateway) as port:
            secret_file = data / "secret"
            if gateway.secret is not None:
                secret_file.write_text(gateway.secret)
            client = Client(port, secret_file.read_text())
            yield RunningGateway(gateway, client, f"http://127.0.0.1:{port}", data, log)


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
    """The sandbox as a server, with a key."""
    with sandbox_server() as server:
        yield server


@pytest.fixture(scope="session")
def client(service: RunningServer) -> Client:
    """A client of that server."""
    return Client(int(service.base_url.rpartition(":")[2]), service.api_key)


class Stage:
    """One running server, on which each test puts the application that it wants."""

    def __init__(self) -> None:
        self.app: Handler | None = None

    async def __call__(self, exchange: ClientExchange) -> None:
        assert self.app is not None
        await self.app(exchange)


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[Stage, Client]]:
    stage = Stage()
    with serving(stage) as port:
        yield stage, Client(port)


@pytest.fixture
def serve(stage: tuple[Stage, Client]) -> Callable[[Handler], Client]:
    """Serve an application until the test ends."""

    def put_on(app: Handler) -> Client:
        stage[0].app = app
        return stage[1]

    return put_on
