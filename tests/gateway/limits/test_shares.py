"""Limits that several gateways count together: never far beyond, and nobody is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.config.settings import LimitSettings
from apertis.gateway.limits.limiter import Limiter
from apertis.gateway.limits.shares import Heard, Report, cap_of
from apertis.limiting.rates import Rate

START = 1_798_761_600.0
NAMES = ("a", "b", "c", "d")


@dataclass
class Store:
    """What all have told: as the table `shares` does it."""

    rows: dict[tuple[str, str], Heard] = field(default_factory=dict)

    def exchange(self, name: str, limiter: Limiter, now: float, live: tuple[str, ...]) -> None:
        told, idle = limiter.reports(now)
        now_ms = round(now * 1000)
        for report in told:
            self.rows[report.party, name] = Heard(*report[:1], name, *report[1:], now_ms)
        for party in idle:
            self.rows.pop((party, name), None)
        limiter.heard(told, self.rows.values(), now_ms, live)


def fleet(parts: int, settings: LimitSettings) -> dict[str, Limiter]:
    made = {name: Limiter(settings, name) for name in NAMES[:parts]}
    for limiter in made.values():
        limiter.share_among(parts)
    return made


amounts = st.integers(0, 1000)
counts = st.tuples(amounts, amounts)


@given(st.integers(1, 2000), counts, st.lists(counts, max_size=5), st.integers(0, 100))
def test_what_is_divided_is_what_nobody_has_used(
    limit: int, own: tuple[int, int], others: list[tuple[int, int]], need: int
) -> None:
    everybody = [own, *others]
    caps = [
        cap_of(limit, Report("", *one), everybody[:place] + everybody[place + 1 :])
        for place, one in enumerate(everybody)
    ]
    used = sum(one for one, _ in everybody)
    # All have the same word of each other.
    assert sum(caps) <= limit
    if used < limit:
        assert all(cap >= one for cap, (one, _) in zip(caps, everybody, strict=True))
        needed = cap_of(limit, Report("", *own), others, need)
        assert caps[0] <= max(needed, own[0] + min(need, limit - used)) == needed


def test_a_gateway_that_is_alone_with_a_party_has_all_of_its_limit() -> None:
    settings = LimitSettings(per_address=None, per_key=Rate(300, 60))
    store, limiters = Store(), fleet(3, settings)
    let_in = 0
    for second in range(3):
        for _ in range(300):
            standing = limiters["a"].admit_key("key_k", START + second)
            assert standing is not None
            let_in += standing.allowed
        for name, limiter in limiters.items():
            store.exchange(name, limiter, START + second + 0.5, NAMES[:3])
    assert let_in == 300


def test_one_gateway_shares_with_nobody_and_tells_nothing() -> None:
    limiter = Limiter(LimitSettings(per_address=None, per_key=Rate(2, 60)), "a")
    assert [limiter.admit_key("key_k", START).allowed for _ in range(3)] == [True, True, False]  # type: ignore[union-attr]
    assert limiter.reports(START) == ([], [])


def test_the_limit_moves_with_the_traffic_and_idle_parties_are_dropped() -> None:
    settings = LimitSettings(per_address=None, per_key=Rate(100, 10))
    store, limiters = Store(), fleet(2, settings)

    def second(at: float, name: str) -> int:
        limiter = limiters[name]
        let_in = sum(
            limiter.admit_key("key_k", at + n / 1000).allowed  # type: ignore[union-attr]
            for n in range(200)
        )
        for each, one in limiters.items():
            store.exchange(each, one, at + 0.5, NAMES[:2])
        return let_in

    assert sum(second(START + at, "a") for at in range(3)) == 100
    # All of it was used; when that has passed, it is the other one's.
    assert sum(second(START + 3 + at, "b") for at in range(3)) <= 50
    assert sum(second(START + 14 + at, "b") for at in range(4)) >= 95
    for at in range(30, 60, 3):
        for name, limiter in limiters.items():
            store.exchange(name, limiter, START + at, NAMES[:2])
    assert store.rows == {}
    assert [limiter.reports(START + 70) for limiter in limiters.values()] == [([], [])] * 2


def test_a_newcomer_is_not_starved() -> None:
    settings = LimitSettings(per_address=None, per_key=Rate(100, 10))
    store, limiters = Store(), fleet(2, settings)
    got: Counter[str] = Counter()
    for at in range(40):
        for name, times in (("a", 60), ("b", 20 if at >= 10 else 0)):
            for _ in range(times):
                standing = limiters[name].admit_key("key_k", START + at)
                assert standing is not None
                got[name] += standing.allowed and at >= 20
        for name, limiter in limiters.items():
            store.exchange(name, limiter, START + at + 0.5, NAMES[:2])
    # A quarter of the demand has about a quarter of the limit, which is there twice in the time.
    assert 25 <= got["b"] <= 100
    assert sum(got.values()) <= 2 * (100 + 50)


def test_tokens_that_no_part_holds_take_turns() -> None:
    settings = LimitSettings(per_address=None, per_key=None, tokens_per_minute=100)
    store, limiters = Store(), fleet(2, settings)
    got: Counter[str] = Counter()
    for at in range(600):
        for name, limiter in limiters.items():
            reservation = limiter.reserve_tokens("key_k", 80, START + at)
            assert reservation is not None
            if reservation.allowed:
                got[name] += 1
            else:
                assert reservation.standing.retry_after_seconds >= 1
        for name, limiter in limiters.items():
            store.exchange(name, limiter, START + at + 0.5, NAMES[:2])
    assert min(got.values()) >= 2
    # Ten minutes; when all was idle for one, both are newcomers.
    assert 10 <= sum(got.values()) <= 20


def test_requests_under_way_are_shared_and_those_of_a_gateway_that_is_gone_are_not() -> None:
    settings = LimitSettings(per_address=None, per_key=None, in_flight=8)
    store, limiters = Store(), fleet(2, settings)
    a, b = limiters["a"], limiters["b"]
    assert [a.enter("key_k") for _ in range(5)] == [True] * 4 + [False]
    assert a.crowded("key_k") == "key_k"
    for _ in range(5):
        for name, limiter in limiters.items():
            store.exchange(name, limiter, START, NAMES[:2])
        a.enter("key_k")
    # The last one was the other's until now; it had asked for none.
    assert a.in_flight.count("key_k") == 8
    a.leave("key_k")
    assert b.enter("key_k")
    for name in "ab":
        store.exchange(name, limiters[name], START, NAMES[:2])
    assert not b.enter("key_k")
    # The other one is no more: what it had under way is over.
    store.exchange("b", b, START, ("b",))
    assert b.enter("key_k")


def test_a_party_whose_requests_have_all_ended_is_shared_anew() -> None:
    settings = LimitSettings(per_address=None, per_key=None, in_flight=8)
    store, limiters = Store(), fleet(2, settings)
    for second in range(3):
        for limiter in limiters.values():
            assert limiter.enter("key_k")
            limiter.leave("key_k")
        for name, limiter in limiters.items():
            store.exchange(name, limiter, START + second, NAMES[:2])
    assert [limiters["b"].enter("key_k") for _ in range(5)] == [True] * 4 + [False]


def test_who_was_asked_for_nothing_may_let_in_many_at_once_where_there_is_plenty() -> None:
    assert cap_of(10**6, Report("key:k", 0, 0), [(10, 100)]) > 40_000
    assert cap_of(10**6, Report("key:k", 10, 100), [(0, 0)]) > 900_000


@pytest.mark.parametrize("kind", ["requests", "tokens"])
@given(
    seed=st.integers(0, 2**32),
    parts=st.integers(2, 4),
    limit=st.integers(1, 60),
    is_away=st.sampled_from([0.0, 0.5]),
)
def test_all_together_pass_the_limit_by_one_seconds_share_of_the_others_at_most(
    kind: str, seed: int, parts: int, limit: int, is_away: float
) -> None:
    chance = Random(seed)
    window = 600 if kind == "tokens" else 50
    rate = Rate(limit, window // 10)
    settings = LimitSettings(
        per_address=None,
        per_key=rate if kind == "requests" else None,
        tokens_per_minute=limit if kind == "tokens" else 0,
    )
    store, limiters = Store(), fleet(parts, settings)
    phases = {name: chance.randrange(10) for name in limiters}
    busy = {name: chance.choice((0, 1, 5)) for name in limiters}
    missed = dict.fromkeys(limiters, 0)
    admitted: list[tuple[int, str, int]] = []
    # What each had to itself from the moment when it heard of the others; in tenths of a second.
    shares: dict[str, list[tuple[int, int]]] = {
        name: [(0, max(limit // parts, 1))] for name in limiters
    }
    for tenth in range(2 * window if kind == "requests" else window // 3):
        now = START + tenth / 10
        if tenth % 70 == 69:
            busy = {name: chance.choice((0, 1, 5)) for name in limiters}
        for name, limiter in limiters.items():
            # A word that is older than what it tells of is none; so none fails for that long.
            is_due = tenth % 10 == phases[name]
            missed[name] += is_due
            if is_due and (missed[name] > 3 or chance.random() >= is_away):
                missed[name] = 0
                store.exchange(name, limiter, now, tuple(limiters))
                used = sum(n for at, by, n in admitted if by == name and at > tenth - window)
                shares[name].append((tenth, max(cap_now(limiter, limit, parts) - used, 0)))
            for _ in range(chance.randint(0, busy[name])):
                if kind == "requests":
                    standing = limiter.admit_key("key_k", now)
                    amount = int(standing is not None and standing.allowed)
                else:
                    wanted = chance.randint(1, limit)
                    is_new = "key_k" not in (limiter._tokens.caps or {})
                    reservation = limiter.reserve_tokens("key_k", wanted, now)
                    assert reservation is not None
                    amount = wanted if reservation.allowed else 0
                    if is_new:
                        # Its part is one request, where that is more.
                        shares[name].append((tenth, max(limit // parts, amount)))
                if amount:
                    admitted.append((tenth, name, amount))
        within = sum(n for at, _, n in admitted if at > tenth - window)
        most = [largest_share(known, tenth - window) for known in shares.values()]
        assert within <= limit + sum(most) - min(most)


def largest_share(known: list[tuple[int, int]], since: int) -> int:
    """The largest that a gateway had in hand at any time since then, or just before."""
    ends = [at for at, _ in known[1:]] + [2**31]
    # What was used of one counts for others until they hear of it.
    return max(share for (_, share), end in zip(known, ends, strict=True) if end > since - 20)


def cap_now(limiter: Limiter, limit: int, parts: int) -> int:
    """What the limiter lets in of the key, in all."""
    found = [(counter.caps or {}).get("key_k") for _, counter, _ in limiter._counters()]
    return next((cap for cap in found if cap is not None), max(limit // parts, 1))
