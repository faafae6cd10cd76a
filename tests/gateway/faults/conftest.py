"""One gateway whose upstreams each test scripts: taken over like a changed configuration."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.config import read_settings
from apertis.gateway.gateway import Gateway
from apertis.gateway.serving.server import Server, bind
from apertis.testing import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from apertis.testing import Exchange

    Script = Sequence[Exchange | bytes]
    Play = Callable[..., "Upstreams"]

# `one` is served by the first upstream, `pair` by both, the first first, and `other` by the second.
CONFIG = """
[server]
ping_seconds = {ping_seconds}
[limits]
per_address = "0"
per_key = "0"
[routing]
connect_timeout_seconds = 5
breaker_failures = 1000
affinity = false
{routing}
[[upstreams]]
name = "first"
kind = "anthropic"
base_url = "{first}"
api_key_env = "FIRST_KEY"
models = ["one", "pair"]
[[upstreams]]
name = "second"
kind = "anthropic"
base_url = "{second}"
api_key_env = "SECOND_KEY"
models = ["pair", "other"]
priority = 1
"""
ENVIRONMENT = {"FIRST_KEY": "sk-upstream-first", "SECOND_KEY": "sk-upstream-second"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw_headers: list[tuple[str, str]] = field(repr=False)

    @property
    def error(self) -> dict[str, Any]:
        document = json.loads(self.body)
        assert document["type"] == "error"
        assert document["request_id"] == self.headers["request-id"]
        error: dict[str, Any] = document["error"]
        return error

    @property
    def fallback(self) -> tuple[str | None, ...]:
        names = ("x-fallback-used", "x-fallback-from", "x-actual-model", "x-fallback-reason")
        return tuple(self.headers.get(name) for name in names)


class Stream:
    """An answer that is read event by event."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}

    def event(self) -> bytes:
        """The next event with its blank line; b"" at the end."""
        lines = b""
        while line := self._response.readline():
            lines += line
            if line == b"\n":
                break
        return lines

    def rest(self) -> bytes:
        return self._response.read()

    def leave(self) -> None:
        """Close the connection, with an answer under way or without."""
        self._response.close()
        self._connection.close()


class Faulty(Gateway):
    """A gateway whose event loop a test can reach."""

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        await super().start()

    async def take_over(self) -> None:
        self.reload()


def configuration(folder: Path, ping_seconds: float, first: str, second: str, routing: str) -> None:
    text = CONFIG.format(ping_seconds=ping_seconds, first=first, second=second, routing=routing)
    (folder / "apertis.toml").write_text(text)


@dataclass
class Bench:
    """A running gateway, and what it is asked."""

    gateway: Faulty
    port: int
    folder: Path
    ping_seconds: float
    key: str = ""

    def configure(self, first: str, second: str, routing: str) -> None:
        configuration(self.folder, self.ping_seconds, first, second, routing)
        future = asyncio.run_coroutine_threadsafe(self.gateway.take_over(), self.gateway.loop)
        future.result(10)
        assert [upstream.base_url for upstream in self.gateway.settings.upstreams] == [
            first,
            second,
        ]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def send(self, connection: http.client.HTTPConnection, model: str, **fields: Any) -> None:
        body = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
        headers = {"x-api-key": self.key, "content-type": "application/json"}
        connection.request("POST", "/v1/messages", json.dumps(body | fields), headers)

    def ask(self, model: str, **fields: Any) -> Answer:
        """Ask, and read the whole answer, streamed or not."""
        with contextlib.closing(self.connect()) as connection:
            self.send(connection, model, **fields)
            response = connection.getresponse()
            raw = [(name.lower(), value) for name, value in response.getheaders()]
            return Answer(response.status, dict(raw), response.read(), raw)

    @contextlib.contextmanager
    def stream(self, model: str, **fields: Any) -> Generator[Stream]:
        with contextlib.closing(self.connect()) as connection:
            self.send(connection, model, stream=True, **fields)
            stream = Stream(connection)
            yield stream
            stream.leave()


@contextlib.contextmanager
def running(folder: Path, ping_seconds: float) -> Generator[Bench]:
    file = folder / "apertis.toml"

    def read() -> Any:
        return read_settings(ENVIRONMENT, config=file, data=folder / "data", port=0)

    nowhere = "http://127.0.0.1:9"
    configuration(folder, ping_seconds, nowhere, nowhere, "")
    with Path(os.devnull).open("wb") as log, bind("127.0.0.1", 0) as listener:
        gateway = Faulty(read(), reread=read, log_descriptor=log.fileno())
        server = Server(gateway, listener, service=gateway, stop_seconds=5)
        ready = threading.Event()
        thread = threading.Thread(target=server.serve_until_stopped, args=(ready.set,))
        thread.start()
        try:
            assert ready.wait(20), "the gateway did not start"
            assert gateway.secret is not None
            port = listener.getsockname()[1]
            yield Bench(gateway, port, folder, ping_seconds, gateway.secret)
        finally:
            server.stop()
            thread.join(20)
        assert not thread.is_alive(), "the gateway did not stop"


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A gateway that sends no pings of its own while a test lasts."""
    with running(tmp_path_factory.mktemp("patient"), 60) as bench:
        yield bench


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A gateway that fills each silence with pings."""
    with running(tmp_path_factory.mktemp("impatient"), 0.1) as bench:
        yield bench


@dataclass
class Upstreams:
    """The two scripted upstreams of a test."""

    first: ScriptedServer
    second: ScriptedServer


@pytest.fixture
def play() -> Iterator[Play]:
    """Put two scripted upstreams behind a gateway until the test ends.

    At its end everything must have been played, and nothing else asked for.
    """
    with contextlib.ExitStack() as stack:

        def start(
            bench: Bench, first: Script = (), second: Script = (), routing: str = ""
        ) -> Upstreams:
            servers = [stack.enter_context(ScriptedServer(script)) for script in (first, second)]
            bench.configure(servers[0].base_url, servers[1].base_url, routing)
            return Upstreams(*servers)

        yield start


@pytest.fixture
def closed_port() -> Iterator[str]:
    """The URL of a port on which nobody listens, and which nobody else takes."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
