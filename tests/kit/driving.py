"""Clients of others, and the gateways that they talk to.

Each test module of tests/gateway/clients says in `CASES` what its clients are to do, and in
`SCRIPTS` what the upstream answers to a case where the exact bytes matter. Each client is started
once, with all cases of the session; tests look at what came of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import (
    AwaitDisconnect,
    Exchange,
    ScriptedServer,
    http_chunk,
    json_response,
    sandbox_server,
    sse_event,
    sse_head,
)
from tests.gateway.clients.installing import (
    ANTHROPIC_0,
    ANTHROPIC_SDK_0,
    ANTHROPIC_SDK_1,
    Package,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.testing import RecordedRequest, RunningServer
    from tests.kit.gateways import RunningGateway

HERE = Path(__file__).parents[1] / "gateway" / "clients"
DRIVERS = HERE / "drivers"
RUN_SECONDS = 60


@dataclass(frozen=True)
class Client:
    """One version of a client, and the ways in which it is used."""

    name: str
    runs: tuple[str, ...]
    # None is the package of the running environment.
    package: Package | None = None

    @property
    def missing(self) -> str | None:
        """Why it cannot be driven here; None if it can."""
        return None if self.package is None else self.package.missing

    def run_command(self) -> list[str]:
        if self.package is None:
            return [sys.executable, "-I", str(DRIVERS / "anthropic_python.py")]
        folder = str(self.package.folder)
        if self.package.in_node:
            return ["node", str(DRIVERS / "anthropic_node.mjs"), folder]
        # Without the packages of the running environment: the client brings its own.
        return [sys.executable, "-I", "-S", str(DRIVERS / "anthropic_python.py"), folder]


CLIENTS = (
    Client("anthropic-2", ("blocking", "asyncio")),
    Client("anthropic-0", ("blocking", "asyncio"), ANTHROPIC_0),
    Client("anthropic-sdk-1", ("promises",), ANTHROPIC_SDK_1),
    Client("anthropic-sdk-0", ("promises",), ANTHROPIC_SDK_0),
)
RUNS = [(client, run) for client in CLIENTS for run in client.runs]


@dataclass(frozen=True)
class Ran:
    """What one client made of the cases, in one of the ways in which it is used."""

    client: Client
    run: str
    key_id: str
    results: dict[str, dict[str, Any]] = field(repr=False)
    upstream: ScriptedServer = field(repr=False)
    gateway: RunningGateway = field(repr=False)

    def __getitem__(self, case: str) -> dict[str, Any]:
        """What came of a case that went well."""
        result = self.results[case]
        assert "error" not in result, result["error"]
        return result

    def error(self, case: str) -> dict[str, Any]:
        """The error that a case ended in."""
        error: dict[str, Any] = self.results[case]["error"]
        return error

    def requests(self, case: str) -> list[RecordedRequest]:
        """What of a case reached the scripted upstream."""
        own = f"{self.client.name} {self.run}"
        return [
            request
            for request in self.upstream.requests
            if request.headers.get("x-case") == case and request.headers.get("x-run") == own
        ]

    def request(self, case: str) -> RecordedRequest:
        (request,) = self.requests(case)
        return request

    @property
    def is_current(self) -> bool:
        """Whether it is of the generation that speaks version 2026-10-21 of the API."""
        return self.client.name in {"anthropic-2", "anthropic-sdk-1"}


def answer_by_case(scripts: dict[str, Any]) -> Callable[[RecordedRequest], Exchange | bytes]:
    counts: dict[tuple[str, str], int] = {}

    def answer(request: RecordedRequest) -> Exchange | bytes:
        case = request.headers.get("x-case", "")
        script = scripts.get(case)
        if script is None:
            error = {"type": "api_error", "message": f"no script for the case {case!r}"}
            return json_response(500, {"type": "error", "error": error})
        if isinstance(script, list):
            who = (case, request.headers["x-run"])
            counts[who] = counts.get(who, 0) + 1
            script = script[min(counts[who], len(script)) - 1]
        made: Exchange | bytes = script(request) if callable(script) else script
        return made

    return answer


CONFIG = """
[server]
max_body_bytes = "6MB"
[limits]
per_address = "0"
per_key = "0"
[routing]
breaker_failures = 1000000
[[upstreams]]
name = "scripted"
kind = "anthropic"
base_url = "{scripted}"
api_key_env = "UPSTREAM_KEY"
models = ["claude-scripted", "claude-scripted-other"]
[[upstreams]]
name = "leaving"
kind = "anthropic"
base_url = "{leaving}"
api_key_env = "UPSTREAM_KEY"
models = ["claude-leaving"]
[prices."claude-scripted"]
input = 3
output = 15
cache_read = 0.3
cache_write_5m = 3.75
cache_write_1h = 6
web_search = 10
"""
SANDBOX_CONFIG = """
[server]
ping_seconds = 0.4
[limits]
per_address = "0"
per_key = "0"
"""


@dataclass(frozen=True)
class World:
    """Everything that clients talk to."""

    scripted: RunningGateway
    sandbox: RunningGateway
    direct: RunningServer
    upstream: ScriptedServer
    leaving: ScriptedServer


def declared(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """What the test modules of tests/gateway/clients that take part in the session declare."""
    items = [item for item in request.session.items if item.path.parent == HERE]
    modules = {item.module for item in items if isinstance(item, pytest.Function)}
    found: dict[str, Any] = {}
    for module in modules:
        more = getattr(module, name, {})
        assert not found.keys() & more.keys()
        found |= more
    return found


@pytest.fixture(scope="session")
def world(
    request: pytest.FixtureRequest,
    run_gateways: Callable[..., contextlib.AbstractContextManager[RunningGateway]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    first = {
        "type": "message_start",
        "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                    "content": [], "stop_reason": None, "stop_sequence": None,
                    "usage": {"input_tokens": 1, "output_tokens": 1}},
    }  # fmt: skip
    endless = Exchange(sse_head() + http_chunk(sse_event(first)), AwaitDisconnect())
    with contextlib.ExitStack() as stack:
        script = answer_by_case(declared(request, "SCRIPTS"))
        upstream = stack.enter_context(ScriptedServer(script))
        leaving = stack.enter_context(ScriptedServer(lambda _: endless))
        config = CONFIG.format(scripted=upstream.base_url, leaving=leaving.base_url)
        environment = {"UPSTREAM_KEY": "sk-upstream"}
        folder = tmp_path_factory.mktemp("clients")
        scripted = run_gateways(folder / "scripted", config, environment)
        sandbox = run_gateways(folder / "sandbox", SANDBOX_CONFIG)
        yield World(
            stack.enter_context(scripted),
            stack.enter_context(sandbox),
            stack.enter_context(sandbox_server()),
            upstream,
            leaving,
        )


def cases_of(declared_cases: dict[str, Any]) -> list[dict[str, Any]]:
    """The cases, those that wait first; what the sandbox answers is also asked of it directly."""
    cases = []
    for name, case in declared_cases.items():
        key = "sandbox" if case.get("on") == "sandbox" else "main"
        cases.append({"name": name, "key": key, **case})
        if case.get("on") == "sandbox" and not case.get("through_only"):
            cases.append({"name": f"{name}, directly", **case, "on": "direct", "key": "direct"})
    return sorted(cases, key=lambda case: not case.get("waits", False))


@dataclass(frozen=True)
class Drive:
    """One client at work; its keys are made when it starts."""

    client: Client
    cases: list[dict[str, Any]]
    world: World

    def __call__(self) -> dict[str, tuple[str, dict[str, Any]]]:
        keys: dict[str, dict[str, str]] = {}
        ids = {}
        for run in self.client.runs:
            ids[run], keys[run] = self._keys()
        given = {
            "client": self.client.name,
            "cases": self.cases,
            "keys": keys,
            "targets": {
                "scripted": self.world.scripted.base_url,
                "sandbox": self.world.sandbox.base_url,
                "direct": self.world.direct.base_url,
            },
        }
        # Clients look for credentials in their home and in variables of the environment.
        environment = {"PATH": os.environ["PATH"], "HOME": str(DRIVERS)}
        done = subprocess.run(
            self.client.run_command(),
            input=json.dumps(given),
            capture_output=True,
            encoding="utf-8",
            timeout=RUN_SECONDS,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results: dict[str, dict[str, Any]] = {run: {} for run in ("", *self.client.runs)}
        for line in done.stdout.rstrip("\n").split("\n"):
            result = json.loads(line)
            results[result.pop("run")][result.pop("case")] = result
        names = {case["name"] for case in self.cases}
        assert all(results[run].keys() == names for run in self.client.runs)
        return {run: (ids[run], results[run] | results[""]) for run in self.client.runs}

    def _keys(self) -> tuple[str, dict[str, str]]:
        scripted, sandbox = self.world.scripted, self.world.sandbox
        main_id, main = scripted.make_key()
        others = {
            "slow": scripted.make_key(requests_limit="1/1s"),
            "poor": scripted.make_key(quota_units=1),
            "narrow": scripted.make_key(models=["claude-scripted-other"]),
            "sandbox": sandbox.make_key(),
        }
        keys = {name: client.api_key for name, (_, client) in others.items()}
        unknown = "sk-" + "x" * 48
        return main_id, {
            **keys, "main": main.api_key, "direct": self.world.direct.api_key, "unknown": unknown
        }  # fmt: skip


@pytest.fixture(scope="session")
def at_work(request: pytest.FixtureRequest, world: World) -> Iterator[dict[str, Future[Any]]]:
    """All clients, at work at the same time."""
    cases = cases_of(declared(request, "CASES"))
    with ThreadPoolExecutor() as pool:
        yield {
            client.name: pool.submit(Drive(client, cases, world))
            for client in CLIENTS
            if client.missing is None
        }


@pytest.fixture(params=RUNS, ids=lambda pair: f"{pair[0].name}-{pair[1]}")
def ran(
    request: pytest.FixtureRequest,
    at_work: dict[str, Future[Any]],
    world: World,
) -> Ran:
    """What one client made of all cases."""
    client, run = request.param
    if client.missing is not None:
        pytest.skip(client.missing)
    key_id, results = at_work[client.name].result()[run]
    return Ran(client, run, key_id, results, world.upstream, world.scripted)
