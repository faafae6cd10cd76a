"""Rounds of the same work on both sides, in turns, with every answer checked."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from canned import CALLED, MESSAGE_TEXT, Kind, spelled
from harness.comparison import Comparison
from harness.processes import (
    Peer,
    WrongAnswerError,
    client_core,
    peer,
    run_to_end,
    server_core,
)
from sdk.sides import Side, Sides, stub_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MESSAGE_PATH = "/message"


@dataclass(frozen=True, slots=True)
class Work:
    """One operation of the worker, the units that share its cost, and what it must read."""

    operation: str
    path: str
    units: int
    must_read: str
    in_flight: int = 1
    # Runs once unmeasured before each round.
    settles: bool = False

    @property
    def order(self) -> dict[str, object]:
        return {
            "operation": self.operation,
            "path": self.path,
            "count": self.units,
            "in_flight": self.in_flight,
        }


def calls(count: int, in_flight: int = 0) -> Work:
    """Sync calls one after another, or async ones with so many in flight."""
    if not in_flight:
        return Work("create", MESSAGE_PATH, count, MESSAGE_TEXT)
    whole_shares = count - count % in_flight
    return Work("create_async", MESSAGE_PATH, whole_shares, MESSAGE_TEXT, in_flight)


def turns(count: int) -> Work:
    """Turns of a tool runner: a request, a call of a tool, and its result in the next request."""
    return Work("run_tools", "/call", count, json.dumps(CALLED))


def streaming(operation: str, pace: str, kind: Kind, deltas: int) -> Work:
    """One whole stream, its cost divided by its deltas."""
    # A machine that sleeps between packets takes a while to learn how long: what a wake-up costs
    # at first is the last program's doing, not that of the one that is measured.
    paced = pace == "packets"
    path = f"/{pace}/{kind}/{deltas}"
    return Work(operation, path, deltas, must_read=spelled(kind, deltas), settles=paced)


@dataclass(frozen=True, slots=True)
class Bench:
    """Both sides and the address of a running stub. `rounds_divisor` shortens a smoke run."""

    sides: Sides
    port: int
    rounds_divisor: int = 1

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rounds(self, wanted: int) -> int:
        return max(2, wanted // self.rounds_divisor)

    def cpu(self, works: Sequence[Work], rounds: int, fresh: int = 2) -> list[Comparison]:
        """CPU microseconds a unit for each work, in rounds on `fresh` pairs of processes."""
        ours: list[list[float]] = [[] for _ in works]
        theirs: list[list[float]] = [[] for _ in works]
        for _ in range(fresh):
            with self._workers() as workers:
                _warm_up(workers, works)
                for number, work in list(enumerate(works)) * (self.rounds(rounds) // fresh or 1):
                    ours[number].append(_microseconds(workers[0], work))
                    theirs[number].append(_microseconds(workers[1], work))
        return [Comparison(tuple(a), tuple(b)) for a, b in zip(ours, theirs, strict=True)]

    def peak_megabytes(self, work: Work, rounds: int) -> Comparison:
        """The most memory a fresh process holds for one piece of work."""
        peaks: tuple[list[float], list[float]] = ([], [])
        for _ in range(self.rounds(rounds)):
            with self._workers() as workers:
                for taken, worker in zip(peaks, workers, strict=True):
                    taken.append(_checked(worker, work)["peak"] / 1e6)
        return Comparison(tuple(peaks[0]), tuple(peaks[1]))

    def cold(self, rounds: int, path: str | None = None) -> dict[str, Comparison]:
        """Milliseconds, modules and resident megabytes of a process that does just this."""
        base_url = () if path is None else (self.origin + path,)
        ours, theirs = [], []
        _cold(self.sides.ours, base_url), _cold(self.sides.theirs, base_url)
        for _ in range(self.rounds(rounds)):
            ours.append(_cold(self.sides.ours, base_url))
            theirs.append(_cold(self.sides.theirs, base_url))
        return {
            name: Comparison(tuple(a[name] for a in ours), tuple(b[name] for b in theirs))
            for name in ("milliseconds", "modules", "megabytes")
        }

    @contextmanager
    def _workers(self) -> Iterator[tuple[Peer, Peer]]:
        with ExitStack() as stack:
            ours, theirs = (
                stack.enter_context(peer(side.worker(self.origin), client_core()))
                for side in (self.sides.ours, self.sides.theirs)
            )
            yield ours, theirs


@contextmanager
def running_stub() -> Iterator[tuple[int, str]]:
    """A stub on a free port; the port, and the event loop that it runs on."""
    with peer(stub_command("stub.py"), server_core()) as stub:
        announced = stub.hear()
        yield announced["port"], announced["loop"]


def stub_limits(port: int) -> dict[str, Any]:
    """What plain sockets get out of the stub, and what they cost."""
    return run_to_end(stub_command("stub_limits.py", str(port)), client_core())[1]


def _cold(side: Side, base_url: tuple[str, ...]) -> dict[str, float]:
    seconds, held = run_to_end(side.cold(*base_url), client_core())
    return {
        "milliseconds": seconds * 1e3,
        "modules": held["modules"],
        "megabytes": held["resident"] / 1e6,
    }


def _warm_up(workers: tuple[Peer, Peer], works: Sequence[Work]) -> None:
    """Fill caches, open connections, build what is built late: on both sides and in the stub."""
    for work in works:
        for worker in workers:
            _checked(worker, work)


def _microseconds(worker: Peer, work: Work) -> float:
    if work.settles:
        _checked(worker, work)
    cpu_seconds: float = _checked(worker, work)["cpu_seconds"]
    return cpu_seconds / work.units * 1e6


def _checked(worker: Peer, work: Work) -> dict[str, Any]:
    answer = worker.ask(work.order)
    if answer["spelled"] != work.must_read:
        raise WrongAnswerError(
            f"{work.operation} on {work.path} read {answer['spelled'][:200]!r}..., "
            f"not {work.must_read[:200]!r}..."
        )
    return answer
