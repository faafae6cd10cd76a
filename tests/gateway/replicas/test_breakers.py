"""Breakers of several gateways: they open and close together, and one of them probes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.config.settings import RoutingSettings, UpstreamSettings
from apertis.gateway.replicas.breakers import TURN_SECONDS, SharedBreakers, turn_of
from apertis.gateway.replicas.presence import Presence, State, encode_state
from apertis.gateway.routing.breaker import BreakerState, Cause
from apertis.gateway.routing.router import Router
from apertis.gateway.store.replicas import Replica, Seen
from apertis.gateway.upstreams.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.replicas.signals import Signal

START = 1_798_761_600.0
UPSTREAMS = (
    UpstreamSettings("one", base_url="http://127.0.0.1:1"),
    UpstreamSettings("two", base_url="http://127.0.0.1:2"),
)


@dataclass
class Wire:
    """What connects them, unless it is cut; and the table that all read."""

    ends: dict[str, One] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False

    async def see(self, own: Replica, state: str) -> Seen | None:
        self.states[own.name] = state
        return Seen(1000, tuple(replica(name, state) for name, state in self.states.items()))

    async def stop(self, own: Replica) -> None:
        del self.states[own.name]


def replica(name: str, state: str = "{}") -> Replica:
    return Replica(name=name, epoch=1, sequence=0, started_ms=0, seen_ms=1000, state=state)


class One:
    """A gateway as far as its breakers go. Its clock is ahead of the others' by so much."""

    def __init__(self, name: str, wire: Wire, ahead: float) -> None:
        self.name, self.wire, self.ahead, self.now = name, wire, ahead, START
        self.on_signal: Callable[[Signal, str], None] = lambda _, text: self.fleet.heard(text)
        wire.ends[name] = self
        self.presence = Presence(wire, replica(name), self.state, on_change=lambda: self.look())
        self.fleet = SharedBreakers(self.presence, self, lambda: self.router, self.clock)
        settings = RoutingSettings(breaker_failures=2, breaker_open_seconds=30)
        self.router = Router(UPSTREAMS, settings, fleet=self.fleet)

    def look(self) -> None:
        self.fleet.look()

    def clock(self) -> float:
        return self.now + self.ahead

    def state(self) -> State:
        return State(version="1", breakers=self.fleet.state())

    def send(self, kind: Signal, text: str = "") -> None:
        for name, other in self.wire.ends.items():
            if name != self.name and not self.wire.is_cut:
                other.on_signal(kind, text)

    async def run(self) -> None:
        raise AssertionError

    def first(self) -> str:
        return self.router.candidates("claude", None, self.clock(), 0.0)[0].upstream

    def report(self, upstream: str, outcome: Outcome, times: int = 1) -> None:
        target = self.router.at("claude")[upstream]
        for _ in range(times):
            self.router.report(target, outcome, self.clock())

    def breaker(self, upstream: str) -> BreakerState:
        return {state.name: state.breaker for state in self.router.states(self.clock())}[upstream]


@pytest.fixture
def three() -> tuple[Wire, list[One]]:
    wire = Wire()
    # Their clocks are 90 seconds apart.
    ends = [One(name, wire, ahead) for name, ahead in (("a", 0.0), ("b", 90.0), ("c", -90.0))]
    beat(*ends)
    beat(*ends)
    return wire, ends


def beat(*ends: One) -> None:
    for end in ends:
        with pytest.raises(StopIteration):
            end.presence.beat().send(None)


def wait(seconds: float, ends: list[One]) -> None:
    for end in ends:
        end.now += seconds


def test_a_breaker_that_opens_opens_for_all(three: tuple[Wire, list[One]]) -> None:
    _, (a, b, c) = three
    a.report("one", Outcome.UNREACHABLE, 2)
    assert [end.breaker("one") for end in (a, b, c)] == [BreakerState.OPEN] * 3
    assert [end.first() for end in (a, b, c)] == ["two"] * 3
    b.report("one", Outcome.OK)
    assert [end.breaker("one") for end in (a, b, c)] == [BreakerState.CLOSED] * 3


def test_one_of_them_probes_and_what_comes_of_it_is_all_theirs(
    three: tuple[Wire, list[One]],
) -> None:
    _, ends = three
    ends[0].report("one", Outcome.BAD_KEY)
    wait(299, ends)
    assert [end.first() for end in ends] == ["two"] * 3
    wait(1, ends)
    by_turn = sorted(ends, key=lambda end: turn_of("one", end.name, "abc"))
    assert [end.first() for end in reversed(by_turn)] == ["two", "two", "one"]
    # While its probe is under way nobody else's is let through.
    wait(20, ends)
    assert [end.first() for end in by_turn] == ["two"] * 3
    by_turn[0].report("one", Outcome.OK)
    assert [end.breaker("one") for end in ends] == [BreakerState.CLOSED] * 3


def test_a_gateway_without_requests_leaves_its_turn_to_the_next(
    three: tuple[Wire, list[One]],
) -> None:
    _, ends = three
    ends[0].report("one", Outcome.UNREACHABLE, 2)
    last = max(ends, key=lambda end: turn_of("one", end.name, "abc"))
    wait(30 + 2 * TURN_SECONDS - 0.1, ends)
    assert last.first() == "two"
    wait(0.1, ends)
    assert last.first() == "one"


def test_who_misses_a_signal_finds_it_in_the_store(three: tuple[Wire, list[One]]) -> None:
    wire, (a, b, c) = three
    wire.is_cut = True
    a.report("one", Outcome.UNREACHABLE, 2)
    assert b.breaker("one") is BreakerState.CLOSED
    beat(a, b, c)
    assert [end.breaker("one") for end in (b, c)] == [BreakerState.OPEN] * 2
    beat(a, b, c)
    # One that knows better does not follow what is old.
    b.report("one", Outcome.OK)
    beat(b)
    beat(b)
    assert b.breaker("one") is BreakerState.CLOSED
    beat(a, c)
    assert [end.breaker("one") for end in (a, c)] == [BreakerState.CLOSED] * 2


def test_what_cannot_be_read_or_concerns_nobody_changes_nothing(
    three: tuple[Wire, list[One]],
) -> None:
    _, (a, b, _) = three
    of_nobody = '{"upstream":"three","serial":1,"cause":"bad host","seconds":9}'
    for text in ("", "[]", of_nobody, "\0"):
        b.fleet.heard(text)
    assert b.router.open_breakers(b.clock()) == {}
    # A cause that a later version knows.
    b.fleet.heard('{"upstream":"one","serial":7,"cause":"bad mood","seconds":9.0}')
    assert b.router.open_breakers(b.clock()) == {"one": (Cause.BAD_HOST, 9.0)}
    assert a.breaker("one") is BreakerState.CLOSED
    assert encode_state(b.state()) == '{"version":"1","breakers":{"one":[7,"bad host",9.0]}}'


def test_everybody_has_the_same_order_and_turns_are_spread() -> None:
    names = [f"gateway-{n}" for n in range(5)]
    firsts = set()
    for upstream in map(str, range(50)):
        turns = {turn_of(upstream, name, names): name for name in names}
        assert sorted(turns) == list(range(5))
        firsts.add(turns[0])
    assert len(firsts) == 5
