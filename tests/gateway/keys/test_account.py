from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.keys.account import Account


def test_of_many_requests_at_once_only_those_come_in_that_can_be_paid_for() -> None:
    account = Account(quota=2_000)
    granted = [account.reserve(100) for _ in range(200)]
    assert granted.count(True) == 20
    assert granted[:20] == [True] * 20
    assert account.remaining == 0


def test_what_a_request_did_not_use_can_be_spent_by_the_next() -> None:
    account = Account(quota=100, used=10)
    assert account.reserve(90)
    assert not account.reserve(1)
    account.settle(90, 30)
    assert (account.used, account.reserved, account.remaining) == (40, 0, 60)
    assert account.reserve(60)


def test_without_a_quota_everything_is_granted_and_counted() -> None:
    account = Account(quota=None)
    assert account.reserve(10**15)
    account.settle(10**15, 7)
    assert (account.used, account.reserved, account.remaining) == (7, 0, None)


def test_an_overspent_account_grants_not_even_nothing() -> None:
    account = Account(quota=10, used=10)
    assert account.reserve(0)
    account.settle(0, 1)
    assert not account.reserve(0)
    assert account.remaining == -1


def test_a_reservation_cannot_be_settled_twice() -> None:
    account = Account(quota=100)
    account.reserve(60)
    account.settle(60, 50)
    with pytest.raises(ValueError, match="cannot give back 60 reserved units: 0 are reserved"):
        account.settle(60, 50)
    assert (account.used, account.reserved) == (50, 0)


def test_work_granted_before_a_restart_is_held_even_beyond_the_quota() -> None:
    account = Account(quota=100, used=80)
    account.hold(50)
    assert account.remaining == -30
    assert not account.reserve(1)
    account.let_go(50, 20)
    assert (account.used, account.remaining) == (100, 0)


def test_a_batch_never_gives_back_what_is_set_aside_for_a_request() -> None:
    account = Account(quota=1000)
    assert account.reserve(40)
    assert account.reserve(60)
    account.hand_over(60)
    assert (account.reserved, account.held) == (40, 60)
    # The store knew of more than this process did.
    account.let_go(500, 10)
    assert (account.reserved, account.held, account.used) == (40, 0, 10)
    account.settle(40, 5)
    assert account.remaining == 985


@given(
    quota=st.integers(0, 500),
    steps=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 150), st.booleans())),
)
@settings(max_examples=200)
def test_the_quota_is_passed_by_no_more_than_the_estimates_were_too_low(
    quota: int, steps: list[tuple[int, int, bool]]
) -> None:
    account = Account(quota)
    under_way: list[tuple[int, int]] = []
    excess = spent = 0
    for estimate, actual, settles in steps:
        if account.reserve(estimate):
            under_way.append((estimate, actual))
        if settles and under_way:
            reserved, cost = under_way.pop(0)
            account.settle(reserved, cost)
            spent += cost
            excess += max(0, cost - reserved)
        assert account.used == spent
        assert account.reserved == sum(reserved for reserved, _ in under_way)
        assert account.used + account.reserved <= quota + excess
