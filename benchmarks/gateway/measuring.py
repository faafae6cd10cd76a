"""Orders to the load generator, and what the gateways used meanwhile."""

from __future__ import annotations

import json
import math
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from canned import MESSAGE_TEXT
from gateway.launching import Launch, Running, Side, cpu_seconds, running
from gateway.ours import NAME as OURS
from harness.environments import BENCHMARKS, Environment
from harness.processes import Peer, WrongAnswerError, client_core, peer, server_core

if TYPE_CHECKING:
    from collections.abc import Iterator

LOAD = Environment("load", ("httptools", "uvloop"))
KILOBYTE = 1024
DIRECT = "direct"

# What a gateway puts off until after the answer, such as writing usage, is its work as well.
_AFTERWORK_SECONDS = 0.5
_SETTLED_SHARE = 0.1
_SETTLE_SECONDS = 10.0
_WARM_UP_SECONDS = 0.5
# Used up: ours, and what Claude Code understands.
_BUDGET_STATUSES = (402, 429)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one piece of load on one side. All NaN when it answered wrongly."""

    calls_a_second: float
    cpu_microseconds: float
    p50_ms: float
    p99_ms: float
    # How busy the core was that load and stub share; near 1, they are the limit.
    generator_share: float
    calls: float


FAILED = Load(math.nan, math.nan, math.nan, math.nan, 0.0, math.nan)


@dataclass(slots=True)
class Bench:
    """The running processes. `quick` shortens a smoke run. `faults` says who failed and how."""

    load: Peer
    upstream: Peer
    upstream_port: int
    quick: bool
    folder: Path
    gateways: dict[str, Running] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    _lengths: dict[str, int] = field(default_factory=dict)

    def rounds(self, wanted: int) -> int:
        return 1 if self.quick else wanted

    def new_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder

    def start(self, stack: ExitStack, name: str, launch: Launch) -> Running:
        """Start a gateway that stays until the stack is left, and look at its first answer."""
        started = stack.enter_context(running(launch, server_core()))
        self.gateways[name] = started
        self._lengths[name] = self._checked_length(name)
        self.calls(name, KILOBYTE, _WARM_UP_SECONDS, 8)
        return started

    def calls(
        self, name: str, body: int, seconds: float, in_flight: int, *, counts_cpu: bool = True
    ) -> Load:
        """Load one side for a while. `counts_cpu` waits for the work that it puts off."""
        before, busy = self._cpu(name), self._generator_cpu()
        order = {"operation": "closed_loop", "body": body, "in_flight": in_flight}
        answer = self._ask(order | {"seconds": seconds}, name)
        busy = self._generator_cpu() - busy
        if not self._is_right(name, answer):
            return FAILED
        time.sleep(_AFTERWORK_SECONDS if counts_cpu else 0)
        spent = self._cpu(name) - before
        return Load(
            answer["calls"] / answer["seconds"],
            spent / answer["calls"] * 1e6,
            answer["milliseconds"]["p50"],
            answer["milliseconds"]["p99"],
            busy / answer["seconds"],
            answer["calls"],
        )

    def added_at_rest(self, name: str, calls: int) -> tuple[float, float]:
        """Milliseconds that a side adds to a call's median and to its 99th percentile."""
        order = {"operation": "in_turns", "body": KILOBYTE, "calls": calls}
        answer = self._ask(order, DIRECT, name)
        taken = {"answers": answer["answers"][1]} if "answers" in answer else answer
        if not self._is_right(name, taken):
            return math.nan, math.nan
        direct, through = answer["milliseconds"]
        return through["p50"] - direct["p50"], through["p99"] - direct["p99"]

    def warm_up_streams(self, name: str, order: dict[str, Any]) -> None:
        """Open the connections that so many streams need. What they bring is not looked at."""
        short = {"events": 4, "limit_seconds": 10.0}
        self._ask({"operation": "at_once", "body": KILOBYTE} | order | short, name)
        self.settle(name)

    def streams(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        """Many streams at once, with the CPU time of one event. Faults are part of the answer."""
        before = self._cpu(name)
        answer = self._ask({"operation": "at_once", "body": KILOBYTE} | order, name)
        if "failed" in answer:
            self.faults.setdefault(name, answer["failed"])
            return answer
        if answer["first_fault"] or answer["whole"] < order["streams"]:
            self.faults.setdefault(name, _stream_faults(answer, order))
        time.sleep(_AFTERWORK_SECONDS if name != DIRECT else 0)
        spent = self._cpu(name) - before
        return answer | {"cpu_microseconds": spent / max(1, answer["events"]) * 1e6}

    def served_at_once(self, launch: Launch, order: dict[str, Any]) -> int:
        """How many streams are served whole; the others have to be refused for their budget."""
        order = {"operation": "at_once", "body": KILOBYTE} | order
        answer = self.load.ask(order | {"targets": [launch.target()]})
        if "failed" in answer or not {200, *_BUDGET_STATUSES}.issuperset(answer["statuses"]):
            raise WrongAnswerError(f"{launch.command[0]} answered {answer!r}")
        served: int = answer["whole"]
        return served

    def settle(self, name: str) -> None:
        """Wait until a gateway has done what it put off, at most ten seconds."""
        until = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < until:
            before = self._cpu(name)
            time.sleep(_AFTERWORK_SECONDS)
            if self._cpu(name) - before < _SETTLED_SHARE * _AFTERWORK_SECONDS:
                return

    def _target(self, name: str) -> dict[str, object]:
        if name == DIRECT:
            path = "/v1/messages"
            return {"port": self.upstream_port, "path": path, "headers": [], "secrets": ["none"]}
        return self.gateways[name].launch.target()

    def _ask(self, order: dict[str, Any], *names: str) -> dict[str, Any]:
        return self.load.ask(order | {"targets": [self._target(name) for name in names]})

    def _cpu(self, name: str) -> float:
        return 0.0 if name == DIRECT else self.gateways[name].cpu_seconds()

    def _generator_cpu(self) -> float:
        return sum(cpu_seconds(each.process_id) for each in (self.load, self.upstream))

    def _checked_length(self, name: str) -> int:
        answer = self._ask({"operation": "one_answer", "body": KILOBYTE}, name)
        text = json.loads(answer["body"])["content"][0]["text"] if "body" in answer else answer
        if text != MESSAGE_TEXT:
            raise WrongAnswerError(f"{name} answered {answer!r}, not the stub's message")
        return len(answer["body"].encode())

    def _is_right(self, name: str, answer: dict[str, Any]) -> bool:
        """Whether every answer was a 200 of the right length. Ours has to be, to be measured."""
        if "failed" in answer:
            return self._failed(name, answer["failed"])
        length = self._lengths.get(name)
        wrong = [
            f"{count} answers of status {status} and {size} bytes"
            for status, size, count in answer["answers"]
            if name != DIRECT and (status, size) != (200, length)
        ]
        return self._failed(name, ", ".join(wrong)) if wrong else True

    def _failed(self, name: str, how: str) -> bool:
        if name in {OURS, DIRECT} or name.startswith(f"{OURS} "):
            raise WrongAnswerError(f"{name}: {how}")
        self.faults.setdefault(name, how)
        return False


@contextmanager
def bench(quick: bool) -> Iterator[Bench]:
    """Stub and load generator on one core; folders that go when the block is left."""
    with (
        TemporaryDirectory(prefix="apertis-bench-") as folder,
        peer(program("gateway.upstream"), client_core(), BENCHMARKS) as upstream,
        peer(program("gateway.load"), client_core(), BENCHMARKS) as load,
    ):
        port = upstream.hear()["port"]
        yield Bench(load, upstream, port, quick, Path(folder))


@contextmanager
def all_running(bench: Bench, sides: list[Side]) -> Iterator[None]:
    """Every side started, in folders of their own."""
    with ExitStack() as stack:
        for side in sides:
            folder = bench.new_folder(f"{side.name}-compared")
            bench.start(stack, side.name, side.launch(folder, bench.upstream_port))
        yield
    for side in sides:
        del bench.gateways[side.name]


def program(module: str) -> list[str]:
    """A part of this benchmark in a process of its own; it is found in `benchmarks/`."""
    return [str(LOAD.python), "-E", "-s", "-m", module]


def _stream_faults(answer: dict[str, Any], order: dict[str, Any]) -> str:
    return (
        f"{answer['whole']} of {order['streams']} streams ended whole within "
        f"{answer['seconds']:.0f} s, with {answer['events']} of {answer['expected']} events; "
        f"statuses {answer['statuses']}. {answer['first_fault']}"
    ).strip()
