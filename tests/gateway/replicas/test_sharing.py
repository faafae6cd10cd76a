"""Limiters of several gateways over a real store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.config.settings import LimitSettings
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.limits.limiter import Limiter
from apertis.gateway.replicas.sharing import Sharing
from apertis.limiting.rates import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.kit.stores import Opened

START = 1_798_761_600.0
SETTINGS = LimitSettings(per_address=None, per_key=Rate(100, 60))


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def asked(limiter: Limiter, times: int, now: float) -> int:
    standings = [limiter.admit_key("key_k", now) for _ in range(times)]
    return sum(standing is not None and standing.allowed for standing in standings)


def test_a_limit_is_one_over_all_gateways(opened: Opened) -> None:
    clock, live = Clock(), ["a", "b", "c"]
    limiters = {name: Limiter(SETTINGS, name) for name in live}
    ends = {
        name: Sharing(limiter, opened.store.shares, name, lambda: live, clock)
        for name, limiter in limiters.items()
    }

    def exchange() -> None:
        for end in ends.values():
            opened.run(end.exchange())

    exchange()
    let_in = 0
    for _ in range(5):
        for limiter in limiters.values():
            let_in += asked(limiter, 100, clock.now)
        exchange()
        clock.now += 1
    assert 99 <= let_in <= 101
    # A minute later one is there alone, and has all of it.
    del live[1:]
    clock.now += 70
    opened.run(ends["a"].exchange())
    assert asked(limiters["a"], 200, clock.now) == 100


def test_what_is_no_more_in_flight_keeps_nobody_from_its_place(opened: Opened) -> None:
    clock, live = Clock(), ["a", "b"]
    settings = LimitSettings(per_address=None, per_key=None, in_flight=4)
    limiters = {name: Limiter(settings, name) for name in live}
    ends = {
        name: Sharing(limiter, opened.store.shares, name, lambda: live, clock)
        for name, limiter in limiters.items()
    }

    def exchange(seconds: int) -> None:
        for _ in range(seconds):
            for end in ends.values():
                opened.run(end.exchange())
            clock.now += 1

    a, b = limiters.values()
    exchange(1)
    assert [a.enter("k") for _ in range(2)] == [True, True]
    exchange(2)
    for _ in range(2):
        a.leave("k")
    exchange(8)
    # The first has asked for nothing since: all places are the other one's, once it asks.
    b.enter("k")
    exchange(3)
    assert sum(b.enter("k") for _ in range(4)) == 3


class Stored:
    """A store of counts that may fail, and remembers what it was told."""

    def __init__(self) -> None:
        self.fails = False
        self.told: list[list[tuple[str, int, int]]] = []
        self.idle: list[list[str]] = []

    async def exchange(
        self, _: str, told: Sequence[tuple[str, int, int]], idle: Sequence[str], __: int
    ) -> tuple[int, Iterable[tuple[str, str, int, int, int]]]:
        if self.fails:
            raise StoreUnavailableError("away")
        self.told.append([(party, used, demand) for party, used, demand in told])
        self.idle.append(list(idle))
        return 0, []

    async def sweep(self) -> None:
        return None


def test_one_that_is_alone_or_has_nothing_to_say_asks_nothing_of_the_store() -> None:
    stored, clock, live = Stored(), Clock(), ["a"]
    limiter = Limiter(SETTINGS, "a")
    end = Sharing(limiter, stored, "a", lambda: live, clock)
    assert asked(limiter, 3, clock.now) == 3
    asyncio.run(end.exchange())
    assert stored.told == []
    live.append("b")
    asyncio.run(end.exchange())
    # What was let in before somebody else came is told as well.
    assert stored.told == [[("100/1m:key_k", 3, 0)]]
    limiter = Limiter(SETTINGS, "a")
    asyncio.run(Sharing(limiter, stored, "a", lambda: live, clock).exchange())
    assert len(stored.told) == 1


def test_what_the_store_did_not_take_is_told_again() -> None:
    stored, clock = Stored(), Clock()
    limiter = Limiter(SETTINGS, "a")
    end = Sharing(limiter, stored, "a", lambda: ("a", "b"), clock)
    asyncio.run(end.exchange())
    assert asked(limiter, 100, clock.now) == 50
    stored.fails = True
    with pytest.raises(StoreUnavailableError):
        asyncio.run(end.exchange())
    # The part that it had stays.
    assert asked(limiter, 100, clock.now) == 0
    stored.fails = False
    asyncio.run(end.exchange())
    assert stored.told[-1][0][:2] == ("100/1m:key_k", 50)
    clock.now += 70
    asyncio.run(end.exchange())
    assert stored.idle[-1] == ["100/1m:key_k"]
    asyncio.run(end.exchange())
    assert len(stored.idle) == 2
