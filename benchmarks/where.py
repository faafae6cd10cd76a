"""Measure where the microseconds of one request through the gateway go, and print them as a table.

Needs what `run.py gateway` needs: Linux and two cores. The gateway runs as in that suite, all on,
and looks a thousand times a second of its CPU where it is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.limits import RELAY, BareRelay
from gateway.measuring import KILOBYTE, LOAD, bench
from gateway.ours import NAME, Ours
from gateway.suite import IN_FLIGHT, stream_order
from harness.environments import BENCHMARKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from gateway.launching import Launch
    from gateway.measuring import Bench

    Samples = dict[str, Any]

SECONDS = 8.0
STREAMS = 500
# The first of these that the innermost frames belong to is what was done: a file below
# `apertis`, or a file and a function.
STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("parse", ("gateway/serving/protocol.py:on_", "gateway/serving/protocol.py:data_received",
               "gateway/serving/protocol.py:_parse", "gateway/serving/protocol.py:_fault_of",
               "gateway/serving/protocol.py:__init__", "gateway/serving/protocol.py:_target",
               "gateway/serving/protocol.py:add")),
    ("write", ("gateway/serving/protocol.py", "gateway/serving/answers.py",
               "gateway/upstreams/headers.py:passed_down", "gateway/request/forward.py:passed_down",
               "limiting/status.py")),
    ("admit", ("gateway/keys/", "gateway/limits/", "limiting/", "gateway/request/context.py",
               "gateway/serving/endpoints.py", "gateway/serving/application.py")),
    ("settle", ("gateway/request/charge.py:settle", "gateway/request/charge.py:_priced",
                "gateway/request/charge.py:_book", "accounting/counts.py", "accounting/prices.py",
                "accounting/readers.py", "gateway/request/charge.py:cost")),
    ("record", ("gateway/request/charge.py:record", "gateway/request/charge.py:book",
                "gateway/store/journal.py:append", "gateway/store/journal.py:_write",
                "gateway/store/journal.py:encode", "accounting/record.py")),
    ("reserve", ("gateway/request/charge.py", "accounting/")),
    ("log", ("gateway/observe/",)),
    ("store", ("gateway/store/",)),
    ("route", ("gateway/routing/", "gateway/cache")),
    ("read", ("gateway/request/body.py", "gateway/request/asked.py", "sansio/slices.py")),
    ("relay", ("gateway/request/stream.py",)),
    ("send and receive", ("gateway/upstreams/", "aio/", "sansio/")),
    ("pass on", ("gateway/request/",)),
)  # fmt: skip


def main() -> int:
    """Measure one side after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", action="store_true", help="streamed events, not requests")
    parser.add_argument("--functions", type=int, default=0, help="show so many functions as well")
    chosen = parser.parse_args()
    LOAD.prepare()
    ours, relay = Ours(), BareRelay()
    ours.prepare()
    relay.prepare()
    with bench(quick=True) as running:
        cpu, samples = _sampled(running, ours, streams=chosen.streams)
        least = _of_relay(running, relay, streams=chosen.streams)
    print(_table(cpu, least, samples["stages"], "event" if chosen.streams else "request"))
    for where, number in samples["functions"][: chosen.functions]:
        share = number / sum(samples["stages"].values())
        print(f"{cpu * share:8.2f} us  {where}")
    return 0


def _sampled(running: Bench, ours: Ours, *, streams: bool) -> tuple[float, Samples]:
    folder = running.new_folder("where")
    launch = ours.launch(folder, running.upstream_port)
    found = folder / "where.json"
    python = str(ours.environment.python)
    command = [python, str(BENCHMARKS / "where.py"), str(found), *launch.command[1:]]
    cpu = _cpu(running, NAME, replace(launch, command=command), streams=streams)
    return cpu, json.loads(found.read_text(encoding="utf-8"))


def _of_relay(running: Bench, relay: BareRelay, *, streams: bool) -> float:
    launch = relay.launch(running.new_folder("relay"), running.upstream_port)
    return _cpu(running, RELAY, launch, streams=streams)


def _cpu(running: Bench, name: str, launch: Launch, *, streams: bool) -> float:
    with ExitStack() as stack:
        running.start(stack, name, launch)
        if streams:
            answer = running.streams(name, stream_order(STREAMS, quick=False))
            return float(answer["cpu_microseconds"])
        running.calls(name, KILOBYTE, 0.5, IN_FLIGHT)
        return running.calls(name, KILOBYTE, SECONDS, IN_FLIGHT).cpu_microseconds


def _table(cpu: float, least: float, stages: dict[str, int], unit: str) -> str:
    every = sum(stages.values())
    rows = [(name, cpu * number / every) for name, number in sorted(stages.items())]
    rows.sort(key=lambda row: -row[1])
    lines = [f"| of one {unit} | µs |", "| --- | ---: |"]
    lines += [f"| {name} | {microseconds:.1f} |" for name, microseconds in rows]
    lines.append(f"| all | {cpu:.1f} |")
    lines.append(f"| {RELAY} | {least:.1f} |")
    return "\n".join(lines)


def serve_sampled(found: str, arguments: list[str]) -> None:
    """Run `apertis` with these arguments, and leave in a file where its time went."""
    import signal
    from collections import Counter
    from pathlib import Path

    import apertis
    from apertis.cli import main as run_apertis

    root = str(Path(apertis.__file__).parent) + os.sep
    stages: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    known: dict[object, tuple[str, str | None]] = {}

    def place(frame: FrameType) -> tuple[str, str | None]:
        code = frame.f_code
        at = known.get(code)
        if at is None:
            file = code.co_filename
            named = f"{file.removeprefix(root)}:{code.co_name}"
            stage = None
            if file.startswith(root):
                stage = next((name for name, begins in STAGES if named.startswith(begins)), None)
            at = known[code] = named, stage
        return at

    def frames(frame: FrameType | None) -> Iterator[FrameType]:
        while frame is not None:
            yield frame
            frame = frame.f_back

    def sample(_number: int, frame: FrameType | None) -> None:
        names = [place(each) for each in frames(frame)]
        stage = next((stage for _, stage in names if stage is not None), "event loop")
        if stages or stage == "parse":
            # The start of the process is over.
            functions[names[0][0]] += 1
            stages[stage] += 1

    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    sys.argv = ["apertis", *arguments]
    try:
        run_apertis()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        told = {"stages": stages, "functions": functions.most_common(80)}
        Path(found).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].endswith(".json"):
        serve_sampled(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(main())
