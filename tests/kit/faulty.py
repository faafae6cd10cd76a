"""One gateway whose upstreams each test scripts: taken over like a changed configuration."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.config import read_settings
from apertis.gateway.gateway import Gateway
from apertis.testing import ScriptedServer
from tests.kit.gateways import serving
from tests.kit.http import Client

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
START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    },
}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
END: list[dict[str, Any]] = [
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
ENVIRONMENT = {"FIRST_KEY": "sk-upstream-first", "SECOND_KEY": "sk-upstream-second"}


def delta(text: str) -> dict[str, Any]:
    """The event of a piece of text."""
    return {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    }


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


class Bench(Client):
    """A client of a running gateway, whose upstreams it exchanges."""

    def __init__(self, gateway: Faulty, port: int, folder: Path, ping_seconds: float) -> None:
        super().__init__(port, gateway.secret or "")
        self.gateway = gateway
        self.folder = folder
        self.ping_seconds = ping_seconds

    def configure(self, first: str, second: str, routing: str) -> None:
        configuration(self.folder, self.ping_seconds, first, second, routing)
        future = asyncio.run_coroutine_threadsafe(self.gateway.take_over(), self.gateway.loop)
        future.result(60)
        assert [upstream.base_url for upstream in self.gateway.settings.upstreams] == [
            first,
            second,
        ]


@contextlib.contextmanager
def running(folder: Path, ping_seconds: float) -> Generator[Bench]:
    file = folder / "apertis.toml"

    def read() -> Any:
        return read_settings(ENVIRONMENT, config=file, data=folder / "data", port=0)

    nowhere = "http://127.0.0.1:9"
    configuration(folder, ping_seconds, nowhere, nowhere, "")
    with Path(os.devnull).open("wb") as log:
        gateway = Faulty(read(), reread=read, log_descriptor=log.fileno())
        with serving(gateway) as port:
            yield Bench(gateway, port, folder, ping_seconds)


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
