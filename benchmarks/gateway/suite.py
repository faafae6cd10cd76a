"""The comparison: what is measured of every side, and the number that ours has to reach."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.launching import running
from gateway.limits import NGINX, RELAY
from gateway.measuring import DIRECT, KILOBYTE, Bench, all_running
from gateway.ours import NAME as OURS
from gateway.rows import Bound, GatewayRow, Share
from harness.processes import server_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.launching import Side

IN_FLIGHT = 32
LARGE_BODY = 400_000
LARGE_IN_FLIGHT = 4
STREAMS = 1_000
INTERVAL_MS = 50
TAILS_MS = (1, 5, 10, 50, 100)
_LADDER = (1, 2, 4, 8, 16, 32, 64, 128, 256)

Rounds = dict[str, list[float]]


def start_rows(bench: Bench, sides: list[Side]) -> Iterator[GatewayRow]:
    first, idle = _rounds(), _rounds()
    folders = {side.name: bench.new_folder(f"{side.name}-started") for side in sides}
    launches = {side.name: side.launch(folders[side.name], bench.upstream_port) for side in sides}
    for name in list(launches) * bench.rounds(3):
        with running(launches[name], server_core()) as gateway:
            first[name].append(gateway.first_answer_seconds)
            time.sleep(1)
            idle[name].append(gateway.resident_megabytes())
    yield GatewayRow("start to first answer", "s", first, Bound(1), digits=2)
    yield GatewayRow("memory idle", "MB", idle, Bound(60), digits=0)
    sizes = {side.name: side.installed for side in sides}
    megabytes = {name: [held.size / 1e6] for name, held in sizes.items()}
    packages = {name: [float(held.packages)] for name, held in sizes.items()}
    yield GatewayRow("installed with all it needs", "MB", megabytes, digits=0)
    yield GatewayRow("installed packages", "", packages, digits=0)


def call_rows(bench: Bench, sides: list[Side]) -> Iterator[GatewayRow]:
    rate, cpu, busy = _rounds(), _rounds(), 0.0
    for name in _in_turns(bench, sides, 5):
        load = bench.calls(name, KILOBYTE, 0.7 if bench.quick else 2, IN_FLIGHT)
        rate[name].append(load.calls_a_second)
        cpu[name].append(load.cpu_microseconds)
        if name == OURS:
            # A limit that has nothing to do is limited by load and stub alone, as it should be.
            busy = max(busy, load.generator_share)
    # Load and stub on a core that is all theirs use half of it or so; beyond this, they wait.
    limited = " (load and stub are the limit)" if busy > 0.9 else ""
    label = f"requests a second, {IN_FLIGHT} in flight, 1 KB{limited}"
    yield GatewayRow(label, "", rate, Share(0.25, RELAY, at_least=True), 0, more_is_better=True)
    yield GatewayRow("CPU a request", "µs", cpu, Share(4, RELAY), 0)
    large = _rounds()
    for name in _in_turns(bench, sides, 5):
        # One at a time, most of the time would go into waking for each piece that has just come.
        load = bench.calls(name, LARGE_BODY, 0.5 if bench.quick else 1.2, LARGE_IN_FLIGHT)
        large[name].append(load.cpu_microseconds / 1e3)
    label = f"CPU a request, a body of 400 KB, {LARGE_IN_FLIGHT} in flight"
    yield GatewayRow(label, "ms", large, Share(3, RELAY), digits=2)


def rest_rows(bench: Bench, sides: list[Side]) -> Iterator[GatewayRow]:
    middle, tail, first_byte = _rounds(), _rounds(), _rounds()
    for name in _in_turns(bench, sides, 5):
        p50, p99 = bench.added_at_rest(name, 100 if bench.quick else 300)
        middle[name].append(p50)
        tail[name].append(p99)
    yield GatewayRow("added latency at rest, p50", "ms", middle, Share(4, NGINX), digits=2)
    yield GatewayRow("added latency at rest, p99", "ms", tail, Share(4, NGINX), digits=2)
    one_by_one = {"streams": 40, "events": 2, "interval_ms": 5, "ramp_seconds": 2.0}
    for _ in range(bench.rounds(3)):
        direct = bench.streams(DIRECT, one_by_one | {"limit_seconds": 10.0})
        for side in sides:
            through = bench.streams(side.name, one_by_one | {"limit_seconds": 10.0})
            first_byte[side.name].append(_added(through, direct, "first_byte_ms", "p50"))
    yield GatewayRow(
        "a stream's first byte at rest, added p50", "ms", first_byte, Share(4, NGINX), 2
    )


def frontier_rows(bench: Bench, sides: list[Side]) -> Iterator[GatewayRow]:
    best: dict[int, Rounds] = {tail: _rounds() for tail in TAILS_MS}
    ladder = _LADDER[::3] if bench.quick else _LADDER
    for name in _in_turns(bench, sides, 2):
        seconds = 0.5 if bench.quick else 1.0
        steps = [bench.calls(name, KILOBYTE, seconds, n, counts_cpu=False) for n in ladder]
        bench.settle(name)
        for tail, rates in best.items():
            within = [step.calls_a_second for step in steps if step.p99_ms <= tail]
            rates[name].append(max(within, default=0.0))
    for tail, rates in best.items():
        label = f"requests a second with a p99 within {tail} ms"
        yield GatewayRow(label, "", rates, digits=0, more_is_better=True)


def stream_rows(bench: Bench, sides: list[Side]) -> Iterator[GatewayRow]:
    order = stream_order(STREAMS, bench.quick)
    measured: defaultdict[str, Rounds] = defaultdict(_rounds)
    for _ in range(bench.rounds(2)):
        direct = bench.streams(DIRECT, order)
        for side in sides:
            bench.warm_up_streams(side.name, order)
            answer = bench.streams(side.name, order)
            bench.settle(side.name)
            for measure, value in _stream_measures(answer, direct).items():
                measured[measure][side.name].append(value)
    label = f"{STREAMS:,} streams at once"
    yield GatewayRow(
        f"{label}: ended whole in time",
        "",
        measured["whole"],
        Bound(STREAMS, at_least=True),
        digits=0,
        more_is_better=True,
    )
    missing = f"{label}: events missing, out of order or glued"
    yield GatewayRow(missing, "", measured["missing"], Bound(0), 0)
    first = measured["first"]
    yield GatewayRow(f"{label}: first byte, added p50", "ms", first, Share(4, NGINX), digits=2)
    yield GatewayRow(f"{label}: an event, added p50", "ms", measured["event"], digits=2)
    yield GatewayRow(f"{label}: an event, added p99", "ms", measured["tail"], digits=2)
    yield GatewayRow(f"{label}: CPU an event", "µs", measured["cpu"], digits=0)
    gateways = bench.gateways
    held = {side.name: [gateways[side.name].resident_megabytes()] for side in sides}
    peak = {side.name: [gateways[side.name].peak_megabytes()] for side in sides}
    yield GatewayRow("memory after all of this", "MB", held, digits=0)
    yield GatewayRow("memory at its peak", "MB", peak, digits=0)


def stream_order(streams: int, quick: bool) -> dict[str, Any]:
    """Streams of 20 events a second each, for five seconds, started over two."""
    return {
        "streams": streams,
        "events": 40 if quick else 100,
        "interval_ms": INTERVAL_MS,
        "ramp_seconds": 2.0,
        "limit_seconds": 12.0 if quick else 25.0,
    }


def _stream_measures(answer: dict[str, Any], direct: dict[str, Any]) -> dict[str, float]:
    if "failed" in answer:
        return dict.fromkeys(("whole", "missing", "first", "event", "tail", "cpu"), math.nan)
    return {
        "whole": answer["whole"],
        "missing": answer["expected"] - answer["events"] + answer["faults"],
        "first": _added(answer, direct, "first_byte_ms", "p50"),
        "event": _added(answer, direct, "delay_ms", "p50"),
        "tail": _added(answer, direct, "delay_ms", "p99"),
        "cpu": answer["cpu_microseconds"] if answer["events"] else math.nan,
    }


def _added(through: dict[str, Any], direct: dict[str, Any], measure: str, share: str) -> float:
    if "failed" in through or not through["events"]:
        return math.nan
    added: float = through[measure][share] - direct[measure][share]
    return added


def _in_turns(bench: Bench, sides: list[Side], rounds: int) -> list[str]:
    return [side.name for side in sides] * bench.rounds(rounds)


def _rounds() -> Rounds:
    return defaultdict(list)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are measured together, under a name for the command line."""

    name: str
    rows: Callable[[Bench, list[Side]], Iterator[GatewayRow]]
    # Whether all sides have to be running already.
    on_running: bool = True


PARTS = (
    Part("start", start_rows, on_running=False),
    Part("calls", call_rows),
    Part("rest", rest_rows),
    Part("frontier", frontier_rows),
    Part("streams", stream_rows),
)
NAMES = tuple(part.name for part in PARTS)


def measure(
    bench: Bench, sides: list[Side], names: list[str], tell: Callable[[str], None]
) -> list[GatewayRow]:
    """The rows of these parts; `tell` is called before each."""
    chosen = [part for part in PARTS if part.name in names]
    rows: list[GatewayRow] = []
    for part in chosen:
        if not part.on_running:
            tell(part.name)
            rows += part.rows(bench, sides)
    if on_running := [part for part in chosen if part.on_running]:
        with all_running(bench, sides):
            for part in on_running:
                tell(part.name)
                rows += part.rows(bench, sides)
    return rows
