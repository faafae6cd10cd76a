"""The table: what is measured, and the number that each row has to reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.comparison import Comparison, Row, Target
from sdk.measuring import MESSAGE_PATH, Bench, calls, streaming, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORT, LONG = 8_000, 32_000
FIELDS = 1_000
TURNS = 20


def import_rows(bench: Bench) -> Iterator[Row]:
    cold = bench.cold(rounds=12)
    yield Row("import: wall time", "ms", cold["milliseconds"], Target(90, 16), digits=0)
    yield Row("import: modules loaded", "", cold["modules"], Target(260), digits=0)
    yield Row("import: memory resident", "MB", cold["megabytes"], Target(28))
    first = bench.cold(rounds=8, path=MESSAGE_PATH)
    yield Row("start to first answer: wall time", "ms", first["milliseconds"], digits=0)


def call_rows(bench: Bench) -> Iterator[Row]:
    (sync,) = bench.cpu([calls(500)], rounds=12)
    yield Row("create(), sync", "µs", sync, Target(80, 15))
    # Processes of their own: a client that once had 256 connections may be slower ever after.
    (few,) = bench.cpu([calls(512, 16)], rounds=10)
    (many,) = bench.cpu([calls(512, 64)], rounds=10)
    most, few_again = bench.cpu([calls(768, 256), calls(512, 16)], rounds=10)
    yield Row("create(), async, 16 in flight", "µs", few)
    yield Row("create(), async, 64 in flight", "µs", many, Target(70, 22))
    yield Row("create(), async, 256 in flight", "µs", most)
    yield Row("create(), async, 16 in flight after 256", "µs", few_again)
    yield Row("256 in flight against 16", "x", most.over(few), Target(1.3), digits=2)


def stream_rows(bench: Bench) -> Iterator[Row]:
    packets = [
        streaming(operation, "packets", "text", 2_000)
        for operation in ("stream_events", "stream_text", "stream_events_async")
    ]
    bursts = [
        streaming(operation, "bursts", "text", 4_000)
        for operation in ("stream_events", "stream_text", "stream_events_async")
    ]
    events, text, events_async = bench.cpu(packets, rounds=10)
    yield Row("stream, an event a packet: events", "µs", events, Target(7, 8))
    yield Row("stream, an event a packet: text_stream", "µs", text, Target(7, 8))
    yield Row("stream, an event a packet: events, async", "µs", events_async)
    events, text, events_async = bench.cpu(bursts, rounds=10)
    yield Row("stream, bursts: events", "µs", events, Target(3, 20), digits=2)
    yield Row("stream, bursts: text_stream", "µs", text, Target(3, 20), digits=2)
    yield Row("stream, bursts: events, async", "µs", events_async, digits=2)


def tool_rows(bench: Bench) -> Iterator[Row]:
    short, long = bench.cpu(
        [
            streaming("stream_events", "bursts", "tool", SHORT),
            streaming("stream_events", "bursts", "tool", LONG),
        ],
        rounds=6,
    )
    yield Row(f"tool input of {SHORT:,} deltas: a delta", "µs", short, digits=2)
    yield Row(f"tool input of {LONG:,} deltas: a delta", "µs", long, Target(4, 30), digits=2)
    grown = long.over(short)
    yield Row(f"a delta of {LONG:,} against {SHORT:,}", "x", grown, Target(1.2), digits=2)


def parse_rows(bench: Bench) -> Iterator[Row]:
    short, long = bench.cpu(
        [
            streaming("parse_stream", "bursts", "fields", FIELDS),
            streaming("parse_stream", "bursts", "fields", 4 * FIELDS),
        ],
        rounds=4,
    )
    yield Row(f"parse of {FIELDS:,} fields while it streams: a field", "µs", short, Target(60, 20))
    yield Row(f"parse of {4 * FIELDS:,} fields while it streams: a field", "µs", long)
    grown = long.over(short)
    yield Row(f"a field of {4 * FIELDS:,} against {FIELDS:,}", "x", grown, Target(1.2), digits=2)


def runner_rows(bench: Bench) -> Iterator[Row]:
    (few,) = bench.cpu([turns(TURNS)], rounds=10)
    yield Row(f"tool_runner: a turn of {TURNS}, with its request", "µs", few)


def size_rows(bench: Bench) -> Iterator[Row]:
    stream = streaming("stream_events", "bursts", "text", LONG)
    peak = bench.peak_megabytes(stream, rounds=4)
    yield Row(f"peak memory, a stream of {LONG:,} deltas", "MB", peak)
    yield Row("installed size", "MB", _installed(bench, compiled=False), Target(7))
    yield Row("installed size, compiled", "MB", _installed(bench, compiled=True))


def _installed(bench: Bench, *, compiled: bool) -> Comparison:
    ours, theirs = (
        (side.environment.installed_bytes(compiled=compiled) / 1e6,)
        for side in (bench.sides.ours, bench.sides.theirs)
    )
    return Comparison(ours, theirs)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are measured together, under a name for the command line."""

    name: str
    rows: Callable[[Bench], Iterator[Row]]


PARTS = (
    Part("import", import_rows),
    Part("calls", call_rows),
    Part("streams", stream_rows),
    Part("tool", tool_rows),
    Part("parse", parse_rows),
    Part("runner", runner_rows),
    Part("size", size_rows),
)
