"""What the console costs: a page over ten million requests, 200 viewers, and a start with it."""

from __future__ import annotations

import http.client
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gateway.budgets import Measured
from gateway.filling import add_up_usage
from gateway.launching import running
from gateway.measuring import KILOBYTE, LOAD, Bench, bench
from gateway.ours import NAME as OURS
from gateway.ours import Ours
from gateway.rows import Bound, GatewayRow, Share, comparison_table
from gateway.suite import IN_FLIGHT
from harness.machine import describe
from harness.processes import WrongAnswerError, client_core, server_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.launching import Launch

PARTS = ("page", "viewers", "opening")

_REQUESTS = 10_000_000
_COMMANDS = (
    ("keys", "create", "--name", "benchmark", "--quota", str(10**15)),
    ("keys", "create", "--name", "administrator", "--admin"),
)
_SIDE = Ours(commands=_COMMANDS)
_WITHOUT = Ours(name=f"{OURS} without it", settings="\n[console]\nenabled = false\n")
_ALONE = f"{OURS} without viewers"
_PAGES = {
    "the last 24 hours": "span=24h",
    "the last 30 days": "span=30d",
    "12 months": "span=12months",
    "30 days by group": "span=30d&of=group",
    "30 days in a zone of half hours": "span=30d&zone=Asia/Kolkata",
    "30 days by person": "span=30d&of=person",
}
_WITHIN_MS = 100
_VIEWERS, _EVERY_SECONDS = 200, 15
_FORM = {"content-type": "application/x-www-form-urlencoded"}

_INTRODUCTION = """\
What the console costs, measured in one run by `make bench` on {date}. A gateway has one core; load
generator, stub and browsers share the other. A value is the median of the rounds, "our rounds"
their lowest and highest. [README.md](README.md) says what each row does."""


def run(quick: bool, names: list[str], tell: Callable[[str], None]) -> Measured:
    """Measure these parts."""
    LOAD.prepare()
    _SIDE.prepare()
    parts: list[str] = []
    with bench(quick) as running_bench:
        if "page" in names or "viewers" in names:
            tell("filling")
            launch = _filled(running_bench, _REQUESTS // (100 if quick else 1))
            for name, measured in (("page", _page_rows), ("viewers", _viewer_rows)):
                if name in names:
                    tell(name)
                    rows = list(measured(running_bench, launch))
                    sides = (OURS, _ALONE) if name == "viewers" else (OURS,)
                    parts.append(comparison_table(rows, sides))
        if "opening" in names:
            tell("opening")
            rows = list(_opening_rows(running_bench))
            parts.append(comparison_table(rows, (OURS, _WITHOUT.name)))
    printed = "\n\n".join(parts)
    machine = describe() | {"pinned": "a gateway on one core, all others on another"}
    lines = (f"- {name}: {value}" for name, value in machine.items())
    date = datetime.now(UTC).date().isoformat()
    heading = "### Machine of the console's measurements"
    page = (_INTRODUCTION.format(date=date), printed, heading, "\n".join(lines))
    return Measured(printed, "\n\n".join(page))


def _filled(bench: Bench, requests: int) -> Launch:
    launch = _SIDE.launch(bench.new_folder("console"), bench.upstream_port)
    # It writes the one record that all others are copies of, and ends with it in the store.
    with running(launch, server_core()):
        pass
    add_up_usage(launch.folder, requests)
    return launch


def _page_rows(bench: Bench, launch: Launch) -> Iterator[GatewayRow]:
    taken: dict[str, list[float]] = {words: [] for words in _PAGES}
    cpu: dict[str, list[float]] = {words: [] for words in _PAGES}
    with ExitStack() as stack:
        gateway = stack.enter_context(running(_loaded(launch), server_core()))
        browser = Browser(launch)
        numbers = count()
        for _ in range(bench.rounds(9)):
            for words, query in _PAGES.items():
                # A filter that nobody had before: no rendering is there.
                started, before = time.perf_counter(), gateway.cpu_seconds()
                browser.see(f"/console/overview?{query}&number={next(numbers)}")
                taken[words].append((time.perf_counter() - started) * 1e3)
                cpu[words].append((gateway.cpu_seconds() - before) * 1e3)
    for words in _PAGES:
        label = f"overview of {words}, rendered anew"
        yield GatewayRow(label, "ms", {OURS: taken[words]}, Bound(_WITHIN_MS), 0)
        yield GatewayRow(f"{label}: CPU", "ms", {OURS: cpu[words]}, None, 0)


def _viewer_rows(bench: Bench, launch: Launch) -> Iterator[GatewayRow]:
    rate: dict[str, list[float]] = {OURS: [], _ALONE: []}
    cpu: dict[str, list[float]] = {OURS: [], _ALONE: []}
    alone: list[float] = []
    seconds = 3 if bench.quick else 10
    with ExitStack() as stack:
        gateway = bench.start(stack, OURS, _loaded(launch))
        browser = Browser(launch)
        for _ in range(bench.rounds(3)):
            with watching(browser):
                time.sleep(1)
                before, since = gateway.cpu_seconds(), time.perf_counter()
                time.sleep(_EVERY_SECONDS)
                spent = gateway.cpu_seconds() - before
                alone.append(100 * spent / (time.perf_counter() - since))
        for _ in range(bench.rounds(7)):
            for side in (OURS, _ALONE):
                with watching(browser) if side == OURS else ExitStack():
                    load = bench.calls(OURS, KILOBYTE, seconds, IN_FLIGHT)
                rate[side].append(load.calls_a_second)
                cpu[side].append(load.cpu_microseconds)
    label = f"{_VIEWERS} viewers who refresh each {_EVERY_SECONDS} s"
    yield GatewayRow(f"{label}: CPU of the core, no traffic", "%", {OURS: alone}, Bound(5), 2)
    target = Share(0.95, _ALONE, at_least=True)
    yield GatewayRow(f"{label}: requests a second", "", rate, target, 0, more_is_better=True)
    yield GatewayRow(f"{label}: CPU a request", "µs", cpu, None, 1)


def _opening_rows(bench: Bench) -> Iterator[GatewayRow]:
    sides = {OURS: _SIDE, _WITHOUT.name: replace(_WITHOUT, commands=_COMMANDS)}
    start: dict[str, list[float]] = {name: [] for name in sides}
    memory: dict[str, list[float]] = {name: [] for name in sides}
    opened: dict[str, list[float]] = {OURS: []}
    for number in range(bench.rounds(9)):
        for name, side in sides.items():
            folder = bench.new_folder(f"opening-{name}-{number}")
            launch = side.launch(folder, bench.upstream_port)
            with running(_loaded(launch), server_core()) as started:
                start[name].append(started.first_answer_seconds * 1e3)
                memory[name].append(started.resident_megabytes())
                if name == OURS:
                    Browser(launch).see("/console/overview")
                    opened[name].append(started.resident_megabytes())
    yield GatewayRow(
        "with the console: start to first answer", "ms", start, Share(1.03, _WITHOUT.name), 0
    )
    yield GatewayRow(
        "with the console: memory after the start", "MB", memory, Share(1.02, _WITHOUT.name), 1
    )
    yield GatewayRow("with the console: memory once a page was opened", "MB", opened, None, 1)


def _loaded(launch: Launch) -> Launch:
    """The gateway as its callers know it: the administrator's key is for the console."""
    return replace(launch, secrets=launch.secrets[:1])


@dataclass
class Browser:
    """Somebody who is signed in as an administrator."""

    launch: Launch
    cookie: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        body = urlencode({"key": self.launch.secrets[-1], "to": "/console/overview"})
        connection = http.client.HTTPConnection("127.0.0.1", self.launch.port, timeout=60)
        connection.request("POST", "/console/sign-in", body, _FORM)
        answer = connection.getresponse()
        if answer.status != http.client.SEE_OTHER:
            raise WrongAnswerError(f"signing in was answered with {answer.status}")
        cookies = answer.headers.get_all("set-cookie", [])
        self.cookie = "; ".join(cookie.partition(";")[0] for cookie in cookies)
        connection.close()

    def see(
        self, path: str, connection: http.client.HTTPConnection | None = None, **headers: str
    ) -> None:
        kept = connection or http.client.HTTPConnection("127.0.0.1", self.launch.port, timeout=60)
        kept.request("GET", path, headers={"cookie": self.cookie, **headers})
        answer = kept.getresponse()
        if answer.status != http.client.OK or b"Spend" not in answer.read():
            raise WrongAnswerError(f"{path} was answered with {answer.status}")
        if connection is None:
            kept.close()


@contextmanager
def watching(browser: Browser) -> Iterator[None]:
    """Many viewers who refresh for the length of the block, evenly spread, on kept connections."""
    ended = threading.Event()
    failed: list[BaseException] = []
    # Each thread has a part of the viewers, one after another.
    threads = 20
    connections = [
        http.client.HTTPConnection("127.0.0.1", browser.launch.port, timeout=60)
        for _ in range(_VIEWERS)
    ]

    def look(number: int) -> None:
        if (core := client_core()) is not None:
            os.sched_setaffinity(0, {core})
        own = connections[number::threads]
        pause = _EVERY_SECONDS / len(own)
        try:
            if ended.wait(pause * number / threads):
                return
            for turn in count():
                browser.see("/console/overview", own[turn % len(own)], **{"hx-request": "true"})
                if ended.wait(pause):
                    return
        except (OSError, http.client.HTTPException, WrongAnswerError) as error:
            failed.append(error)

    with ThreadPoolExecutor(threads) as pool:
        for number in range(threads):
            pool.submit(look, number)
        try:
            yield
        finally:
            ended.set()
    for connection in connections:
        connection.close()
    if failed:
        raise WrongAnswerError(f"a viewer was not answered: {failed[0]}")
