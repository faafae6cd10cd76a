"""A request is paid from all of its budgets or from none, and settled once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.budgets.lease import Chain, Lease
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.budgets.periods import TOTAL, Span


def lease(granted: int, name: str = "a", models: tuple[str, ...] | None = None) -> Lease:
    limit = Limit(id=name, level="key", subject_id="key_1", amount_units=granted, models=models)
    made = Lease(name, limit, TOTAL)
    made.grant(granted)
    return made


def test_of_many_requests_at_once_only_those_come_in_that_can_be_paid_for() -> None:
    chain = Chain([lease(2_000)])
    granted = [chain.reserve(100) for _ in range(200)]
    assert granted == [True] * 20 + [False] * 180
    assert chain.leases[0].free == 0


def test_the_smallest_budget_of_a_chain_decides_and_the_others_keep_what_they_had() -> None:
    key, group = lease(100, "key"), lease(1_000, "group")
    chain = Chain([key, group])
    assert chain.lacking(100) is None
    assert chain.lacking(101) is key
    assert not chain.reserve(101)
    assert (key.free, key.open, group.free, group.open) == (100, 0, 1_000, 0)
    assert chain.reserve(60)
    assert chain.settle(60, 20) == "key,group"
    assert (key.free, key.spent, group.free, group.spent) == (80, 20, 980, 20)


def test_what_a_request_did_not_use_can_be_spent_by_the_next() -> None:
    chain = Chain([lease(90)])
    assert chain.reserve(90)
    assert not chain.reserve(1)
    chain.settle(90, 30)
    assert chain.reserve(60)


def test_without_a_limit_everything_is_granted() -> None:
    chain = Chain([])
    assert chain.reserve(10**15)
    assert chain.settle(10**15, 7) == ""
    assert chain.until == float("inf")


def test_an_overspent_budget_grants_not_even_nothing() -> None:
    chain = Chain([lease(10)])
    assert chain.reserve(0)
    chain.settle(0, 11)
    assert not chain.reserve(0)
    chain.leases[0].grant(11)
    assert chain.reserve(0)


def test_nothing_is_granted_before_the_store_was_asked() -> None:
    limit = Limit(id="a", level="key", subject_id="key_1", amount_units=100)
    chain = Chain([Lease("a", limit, TOTAL)])
    assert not chain.reserve(0)
    chain.leases[0].grant(0)
    assert chain.reserve(0)
    assert not chain.reserve(1)


def test_a_reservation_cannot_be_settled_twice() -> None:
    chain = Chain([lease(100), lease(100, "b")])
    chain.reserve(60)
    chain.settle(60, 50)
    with pytest.raises(ValueError, match="cannot give back 60 reserved units: 0 are reserved"):
        chain.settle(60, 50)
    assert [(one.spent, one.open, one.free) for one in chain.leases] == [(50, 0, 50)] * 2


def test_a_chain_ends_with_its_first_period_by_the_clock_of_this_machine() -> None:
    limit = Limit(id="a", level="key", subject_id="key_1", amount_units=1)
    leases = [Lease("a", limit, Span(0, 500)), Lease("b", limit, Span(0, 300)), lease(1)]
    assert Chain(leases).until == 300
    assert Chain(leases, clock_offset=90.0).until == 210


def test_a_limit_of_some_models_pays_for_those_alone() -> None:
    key, opus = lease(1_000, "key"), lease(100, "opus", ("claude-opus-*",))
    chain = Chain([key, opus])
    sonnet = chain.of_models(("claude-sonnet-5-5",))
    assert sonnet.leases == (key,)
    assert sonnet is chain.of_models(("claude-sonnet-5-5",))
    both = chain.of_models(("claude-sonnet-5-5", "claude-opus-5"))
    assert both.reserve(100)
    charges = both.settle_by_model(100, [("claude-sonnet-5-5", 30), ("claude-opus-5", 20)])
    assert charges == "key,opus=20"
    assert (key.spent, opus.spent, key.open, opus.open) == (50, 20, 0, 0)
    plain = Chain([key])
    assert plain.of_models(("anything",)) is plain


def test_what_is_free_is_given_back_once() -> None:
    one = lease(100)
    chain = Chain([one])
    chain.reserve(30)
    assert one.give_back() == 70
    assert one.give_back() == 0
    chain.settle(30, 10)
    assert one.give_back() == 20
    assert one.granted == one.returned + one.spent == 100


def test_a_reservation_is_handed_on_to_what_it_has_made() -> None:
    one = lease(1_000)
    chain = Chain([one])
    assert chain.reserve(40)
    assert chain.reserve(60)
    chain.hand_on(60)
    assert (one.open, one.returned, one.free) == (40, 60, 900)
    # Of a whole account: what the store no longer holds, and what that has cost.
    one.takes_back(60)
    one.book(25)
    assert (one.open, one.returned, one.spent, one.free) == (40, 0, 25, 935)


def test_what_is_frozen_comes_back_and_what_was_lent_does_not() -> None:
    one = lease(100)
    chain = Chain([one])
    chain.reserve(10)
    one.freeze()
    one.freeze()
    assert (one.free, chain.reserve(1)) == (0, False)
    one.lend(30)
    one.lend(30)
    assert one.free == 30
    assert chain.reserve(20)
    chain.settle(20, 20)
    one.grant(150)
    assert one.free == 150 - 10 - 20 - 90 + 30
    one.thaw()
    assert (one.free, one.open, one.spent) == (150 - 10 - 20, 10, 20)


def test_what_was_spent_lately_is_known_by_two_marks() -> None:
    one = lease(1_000)
    one.book(100)
    assert one.recent == 100
    one.pass_mark()
    one.book(10)
    assert one.recent == 110
    one.pass_mark()
    assert one.recent == 10
    one.pass_mark()
    assert one.recent == 0


def test_what_is_spent_is_what_the_store_said_and_what_it_has_not_heard_of() -> None:
    one = lease(1_000)
    one.book(70)
    # Others spent 30 of it; of this lease 50 were booked.
    one.account_spent, one.settled = 80, 50
    assert one.total_spent == 100


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("reserve", "settle", "grant", "give", "freeze", "lend", "thaw")),
        st.integers(0, 120),
        st.integers(0, 150),
    ),
    max_size=60,
)


@given(granted=st.lists(st.integers(0, 500), min_size=1, max_size=4), steps=STEPS)
@settings(max_examples=200)
def test_no_budget_is_passed_by_more_than_the_estimates_were_too_low(
    granted: list[int], steps: list[tuple[str, int, int]]
) -> None:
    chain = Chain([lease(units, f"a{place}") for place, units in enumerate(granted)])
    under_way: list[int] = []
    too_low = lent = 0
    for step, first, second in steps:
        if step == "reserve":
            before = [(one.free, one.open) for one in chain.leases]
            lacking = chain.lacking(first)
            if chain.reserve(first):
                assert lacking is None
                under_way.append(first)
            else:
                assert lacking is not None
                assert before == [(one.free, one.open) for one in chain.leases]
        elif step == "settle" and under_way:
            reserved = under_way.pop(first % len(under_way))
            chain.settle(reserved, second)
            too_low += max(0, second - reserved)
        elif step == "grant":
            for one in chain.leases:
                one.grant(one.granted + first)
        else:
            one = chain.leases[first % len(chain.leases)]
            if step == "give":
                one.give_back()
            elif step == "freeze":
                one.freeze()
            elif step == "lend":
                one.lend(second)
                lent = max(lent, second)
            else:
                one.thaw()
        for one in chain.leases:
            assert one.open == sum(under_way)
            assert one.free == (
                one.granted - one.returned - one.spent - one.open - one.frozen + one.lent
            )
            assert one.spent + one.open + one.returned <= one.granted + too_low + lent * len(steps)
