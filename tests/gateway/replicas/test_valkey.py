"""Gateways that tell each other counts through a real Valkey, whatever happens to it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.config.settings import LimitSettings, Secret, valkey_url
from apertis.gateway.limits.limiter import Limiter
from apertis.gateway.replicas.sharing import Sharing
from apertis.gateway.replicas.valkey import Valkey, ValkeyShares
from apertis.limiting.rates import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from tests.kit.valkey import ValkeyServer

START = 1_798_761_600.0
SETTINGS = LimitSettings(per_address=None, per_key=Rate(100, 60))
SECRET = b"s" * 32


class Table:
    """The store's table, by a clock that is far ahead of the gateways'."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = 0
        self._rows: dict[tuple[str, str], tuple[int, int, int]] = {}

    async def exchange(
        self, replica: str, told: Sequence[tuple[str, int, int]], idle: Sequence[str], since: int
    ) -> tuple[int, Iterable[tuple[str, str, int, int, int]]]:
        self.asked += 1
        at = round(self._clock.now * 1000) + 90_000
        for party, used, demand in told:
            self._rows[party, replica] = used, demand, at
        for party in idle:
            self._rows.pop((party, replica), None)
        rows = self._rows.items()
        return at, [
            (*key, *row) for key, row in rows if key[1] != replica and row[2] > since - 5000
        ]

    async def sweep(self) -> None:
        return None


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Gateways:
    """Three that have a limit together, and clocks that are behind the store's."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], url: str) -> None:
        self.run = run
        self.clock = Clock()
        self.table = Table(self.clock)
        self.told: list[str | None] = []
        names = ("a", "b", "c")
        self.ends: list[tuple[Limiter, Sharing, Valkey]] = []
        for name in names:
            limiter = Limiter(SETTINGS, name)
            valkey = Valkey(valkey_url(url), SECRET, self.told.append)
            quick = ValkeyShares(valkey)
            end = Sharing(limiter, self.table, name, lambda: names, self.clock, quick)
            self.ends.append((limiter, end, valkey))

    def exchange(self, times: int = 1, seconds: float = 0.2) -> None:
        for _ in range(times):
            for _, end, _ in self.ends:
                self.run(end.exchange())
            self.clock.now += seconds

    def ask(self, times: int) -> int:
        """Ask each, and count what is let in."""
        standings = [
            limiter.admit_key("key_k", self.clock.now)
            for limiter, _, _ in self.ends
            for _ in range(times)
        ]
        return sum(standing is not None and standing.allowed for standing in standings)

    @property
    def are_quick(self) -> bool:
        return all(end.is_quick for _, end, _ in self.ends)


@pytest.fixture
def gateways(valkey: ValkeyServer) -> Iterator[Gateways]:
    with asyncio.Runner() as runner:
        made = Gateways(runner.run, valkey.url)
        yield made
        for _, _, client in made.ends:
            runner.run(client.close())


def test_a_limit_is_one_over_all_gateways_without_the_store(gateways: Gateways) -> None:
    gateways.exchange(4)
    assert gateways.are_quick
    gateways.table.asked = 0
    let_in = 0
    for _ in range(10):
        let_in += gateways.ask(40)
        gateways.exchange()
    assert let_in in {99, 100}
    assert gateways.table.asked == 0
    # What counts no more can be had again, by whoever asks.
    gateways.clock.now += 70
    gateways.exchange(2)
    let_in = 0
    for _ in range(10):
        limiter = gateways.ends[0][0]
        for _ in range(50):
            standing = limiter.admit_key("key_k", gateways.clock.now)
            let_in += standing is not None and standing.allowed
        gateways.exchange()
    assert let_in in {99, 100}


@pytest.mark.parametrize("event", ["killed", "emptied", "restored"])
def test_what_happens_to_valkey_lets_nothing_more_in(
    gateways: Gateways, valkey: ValkeyServer, event: str
) -> None:
    gateways.exchange(4)
    old = valkey.dump()
    let_in = 0
    for _ in range(2):
        let_in += gateways.ask(10)
        gateways.exchange()
    assert let_in == 60
    gateways.table.asked = 0
    if event == "killed":
        valkey.kill()
    elif event == "emptied":
        valkey.ask("FLUSHALL")
    else:
        valkey.restore(old)
    gateways.exchange()
    # Each asks the store at its next exchange.
    assert gateways.table.asked == 3
    for _ in range(10):
        let_in += gateways.ask(40)
        gateways.exchange(seconds=1)
    # The limit, and of two others the part that each had of the 40 when it heard of the rest last.
    assert 99 <= let_in <= 140
    if event == "killed":
        assert len(gateways.told) == 3
        assert None not in gateways.told
        assert not gateways.are_quick
        valkey.start()
    gateways.exchange(4)
    assert gateways.are_quick
    assert gateways.ask(40) == 0


def test_the_store_is_asked_while_one_does_not_reach_valkey(gateways: Gateways) -> None:
    gateways.exchange(4)
    assert gateways.are_quick
    limiter, _, _ = gateways.ends[2]
    names = ("a", "b", "c")
    alone = Sharing(limiter, gateways.table, "c", lambda: names, gateways.clock)
    for _ in range(2):
        gateways.clock.now += 2
        for _, end, _ in gateways.ends[:2]:
            gateways.run(end.exchange())
    assert [end.is_quick for _, end, _ in gateways.ends[:2]] == [False, False]
    gateways.run(alone.exchange())
    let_in = 0
    for _ in range(10):
        let_in += gateways.ask(40)
        for _, end, _ in gateways.ends[:2]:
            gateways.run(end.exchange())
        gateways.run(alone.exchange())
        gateways.clock.now += 1
    assert 99 <= let_in <= 101


def test_words_of_another_form_are_passed_over(gateways: Gateways, valkey: ValkeyServer) -> None:
    gateways.exchange(4)
    stream = gateways.ends[0][2].prefix + "shares"
    for word in (
        "",
        "{}",
        '["b", [["100/1m:key_k", -5, 0]], []]',
        "\ud83d".encode("utf-8", "replace").decode(),
    ):
        valkey.ask("XADD", stream, "*", "word", word)
    valkey.ask("XADD", stream, "*", "other", "x")
    gateways.exchange()
    assert gateways.are_quick
    assert 0 < valkey.ask("PTTL", stream) <= 60_000


def test_stores_and_their_keys_are_apart() -> None:
    one = Valkey(valkey_url("valkey://127.0.0.1:1/0"), SECRET)
    other = Valkey(valkey_url("valkey://127.0.0.1:1/0"), b"t" * 32)
    assert one.prefix != other.prefix


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkey", None)
    with pytest.raises(ConfigurationError, match=r"valkey\.url needs valkey: .*\[valkey\]"):
        Valkey(Secret("valkey://h"), SECRET)
