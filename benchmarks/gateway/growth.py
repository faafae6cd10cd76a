"""How the cost of ours grows: with the body, the keys, the streams, the age of the usage table."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.filling import add_keys, add_usage
from gateway.launching import running
from gateway.measuring import DIRECT, KILOBYTE, Bench, Load
from gateway.ours import NAME, Ours
from gateway.rows import in_words
from gateway.suite import IN_FLIGHT, stream_order
from harness.processes import server_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.launching import Launch

BODIES = (KILOBYTE, 32 * KILOBYTE, 400_000, 2_000_000, 8_000_000)
KEYS = (10, 1_000, 100_000)
STREAMS = (1, 100, 1_000)
AGES = (0, 100_000, 1_000_000, 10_000_000)
# The load takes this many keys in turns at most: each has its request built before.
_KEYS_IN_TURNS = 1_000
# The largest table is left out where filling it would take longer than this.
_FILL_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Table:
    """One way to grow: the sizes are columns, what is measured of each are lines."""

    title: str
    lines: tuple[tuple[str, ...], ...]
    note: str = ""


def bodies(bench: Bench) -> Table:
    loads: defaultdict[int, list[Load]] = defaultdict(list)
    with ExitStack() as stack:
        _start(bench, stack, NAME, "bodies")
        for _ in range(bench.rounds(3)):
            for size in BODIES:
                loads[size].append(bench.calls(NAME, size, 0.5 if bench.quick else 1, 1))
    headings = ("1 KB", "32 KB", "400 KB", "2 MB", "8 MB")
    cpu = tuple(_cpu(loads[size]) for size in BODIES)
    wall = tuple(in_words([load.p50_ms for load in loads[size]], "ms", 2) for size in BODIES)
    lines = (
        ("", *headings),
        ("by body: CPU a request", *cpu),
        ("by body: a call from its start to its end, p50", *wall),
    )
    return Table("Size of the body, one request after another", lines)


def keys(bench: Bench) -> Table:
    starts: dict[int, list[float]] = {}
    memory: dict[int, list[float]] = {}
    with ExitStack() as stack:
        for count in KEYS:
            launch = _launch(bench, f"keys-{count}")
            secrets = add_keys(launch.folder, count)
            launch = replace(launch, secrets=tuple(secrets[:: max(1, count // _KEYS_IN_TURNS)]))
            started = bench.start(stack, f"{NAME} {count}", launch)
            starts[count] = [started.first_answer_seconds]
            memory[count] = [started.resident_megabytes()]
        loads = _loads(bench, [f"{NAME} {count}" for count in KEYS])
    headings = tuple(f"{count:,} keys" for count in KEYS)
    started_lines = (
        ("by keys: start to first answer", *(in_words(starts[count], "s", 2) for count in KEYS)),
        ("by keys: memory after it", *(in_words(memory[count], "MB") for count in KEYS)),
    )
    lines = (("", *headings), *_load_lines("by keys", loads), *started_lines)
    return Table(
        f"Number of keys, up to 1,000 of them taken in turns, {IN_FLIGHT} requests in flight", lines
    )


def streams(bench: Bench) -> Table:
    cpu: defaultdict[int, list[float]] = defaultdict(list)
    first: defaultdict[int, list[float]] = defaultdict(list)
    tail: defaultdict[int, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        _start(bench, stack, NAME, "streams")
        bench.warm_up_streams(NAME, stream_order(max(STREAMS), bench.quick))
        orders = {count: stream_order(count, bench.quick) for count in STREAMS}
        without = {count: bench.streams(DIRECT, order) for count, order in orders.items()}
        for _ in range(bench.rounds(2)):
            for count, order in orders.items():
                direct, through = without[count], bench.streams(NAME, order)
                cpu[count].append(through["cpu_microseconds"])
                first[count].append(
                    through["first_byte_ms"]["p50"] - direct["first_byte_ms"]["p50"]
                )
                tail[count].append(through["delay_ms"]["p99"] - direct["delay_ms"]["p99"])
    lines = (
        ("", *(f"{count:,} at once" for count in STREAMS)),
        ("by streams: CPU an event", *(in_words(cpu[count], "µs") for count in STREAMS)),
        (
            "by streams: first byte, added p50",
            *(in_words(first[count], "ms", 2) for count in STREAMS),
        ),
        ("by streams: an event, added p99", *(in_words(tail[count], "ms", 2) for count in STREAMS)),
    )
    return Table("Number of streams, 20 events a second each", lines)


def ages(bench: Bench) -> Table:
    with ExitStack() as stack:
        wanted = AGES[:2] if bench.quick else AGES
        counts: list[int] = []
        a_row = 0.0
        for count in wanted:
            if count * a_row > _FILL_SECONDS:
                break
            launch = _launch(bench, f"age-{count}")
            # It writes the record that is copied.
            with running(launch, server_core()):
                pass
            started = time.monotonic()
            add_usage(launch.folder, count)
            if count:
                a_row = (time.monotonic() - started) / count
            bench.start(stack, f"{NAME} {count}", launch)
            counts.append(count)
        loads = _loads(bench, [f"{NAME} {count}" for count in counts])
    headings = tuple(f"{count:,} rows" for count in counts)
    left_out = [f"{count:,}" for count in wanted if count not in counts]
    note = f"Left out, since filling it takes too long here: {', '.join(left_out)} rows."
    lines = (("", *headings), *_load_lines("by age", loads))
    return Table(
        f"Age of the usage table, {IN_FLIGHT} requests in flight", lines, note if left_out else ""
    )


def _launch(bench: Bench, name: str) -> Launch:
    return Ours().launch(bench.new_folder(name), bench.upstream_port)


def _start(bench: Bench, stack: ExitStack, name: str, folder: str) -> None:
    bench.start(stack, name, _launch(bench, folder))


def _loads(bench: Bench, names: list[str]) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in names}
    for _ in range(bench.rounds(4)):
        for name, taken in loads.items():
            taken.append(bench.calls(name, KILOBYTE, 0.7 if bench.quick else 1.5, IN_FLIGHT))
    return loads


def _load_lines(by: str, loads: dict[str, list[Load]]) -> tuple[tuple[str, ...], ...]:
    rates = ([load.calls_a_second for load in taken] for taken in loads.values())
    return (
        (f"{by}: CPU a request", *map(_cpu, loads.values())),
        (f"{by}: requests a second", *(in_words(rate, "") for rate in rates)),
    )


def _cpu(loads: list[Load]) -> str:
    return in_words([load.cpu_microseconds for load in loads], "µs")


TABLES: dict[str, Callable[[Bench], Table]] = {
    "body": bodies,
    "keys": keys,
    "many-streams": streams,
    "age": ages,
}


def measure(bench: Bench, names: list[str], tell: Callable[[str], None]) -> Iterator[Table]:
    """The tables of these names; `tell` is called before each."""
    for name, table in TABLES.items():
        if name in names:
            tell(name)
            yield table(bench)
