"""A preview says in exact numbers what a change of a limit would do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.admin.limits import LimitView
from apertis.gateway.budgets.limit import DEFAULT_THRESHOLDS
from apertis.gateway.console.limit_previews import Concerned, Subject, facts
from apertis.gateway.console.limits import Shown, percent_of
from apertis.gateway.units import UNITS_PER_DOLLAR, usd

TEAM = Subject("group", "group_1", "Team", may_change=True)
RESETS = "2026-12-01 00:00:00"


def shown(amount: int, spent: int, **fields: Any) -> Shown:
    """A limit in units."""
    overdraft, held = fields.get("overdraft_units", 0), fields.get("held_units", 0)
    left = max(amount + overdraft - spent - held, 0)
    values: dict[str, Any] = {
        "id": "limit_1",
        "level": "group",
        "subject": "Team",
        "subject_id": "group_1",
        "amount_units": amount,
        "amount_usd": usd(amount),
        "overdraft_units": 0,
        "period": "month",
        "zone": "UTC",
        "models": None,
        "per_session": False,
        "thresholds": DEFAULT_THRESHOLDS,
        "contact": None,
        "cheaper_model": None,
        "store_loss_units": None,
        "status": "enabled",
        "created_at": "2026-01-01T00:00:00Z",
        "version": 1,
        "spent_units": spent,
        "spent_usd": usd(spent),
        "leased_units": 0,
        "held_units": 0,
        "left_units": left,
        "left_usd": usd(left),
        "percent": None,
        "period_start": None,
        "resets_at": None,
        **fields,
    }
    return Shown(LimitView(**values), None)


def said(old: Shown | None, new: Shown | None, concerned: Concerned | None = None) -> list[str]:
    return list(facts(TEAM, old, new, concerned or Concerned(2, 3), RESETS))


def test_a_lower_amount_that_is_spent_already() -> None:
    dollar = UNITS_PER_DOLLAR
    spent, concerned, over, alert, resets = said(
        shown(100 * dollar, 60 * dollar), shown(50 * dollar, 60 * dollar)
    )
    assert spent == (
        "The group Team has spent $60.00 this month: 60.0 % of $100.00 a month before, "
        "120.0 % of $50.00 a month after."
    )
    assert concerned == "It concerns 2 people and 3 keys."
    assert over == (
        f"The group Team is over it at once: requests of 3 keys are rejected until {RESETS}, "
        "unless it is raised."
    )
    assert alert == "An alert tells at once that 100 % is passed."
    assert resets == f"It resets at {RESETS}."


def test_a_higher_amount_lets_requests_in_again() -> None:
    words = said(shown(10, 10), shown(20, 10))
    assert "The group Team is not over it any more: $0.00002 is left." in words
    assert "An alert tells at once that 50 % is passed." in words


def test_reserved_money_and_overdraft_count() -> None:
    words = said(None, shown(10, 5, held_units=4, leased_units=1, overdraft_units=0))
    assert "$0.00001 more is reserved by gateways and message batches." in words
    assert "Nobody is over it: $0.000002 is left." in words
    assert "The group Team has spent $0.00001 this month: 50.0 % of $0.00002 a month." in words
    words = said(None, shown(10, 12, overdraft_units=5))
    assert "Nobody is over it: $0.000006 is left, in the overdraft." in words


def test_a_threshold_is_told_of_once_for_an_amount() -> None:
    same = said(shown(100, 80, thresholds=(50,)), shown(100, 80, thresholds=(50, 75)))
    assert "An alert tells at once that 75 % is passed." in same
    assert not any("alert" in word for word in said(shown(100, 80), shown(100, 80, contact="A")))


def test_nothing_allowed_and_a_removal() -> None:
    words = said(shown(100, 0), shown(0, 0))
    assert "0.0 % of $0.0002 a month before, nothing is allowed after." in words[0]
    assert any("over it at once" in word for word in words)
    assert not any("alert" in word for word in words)
    removal = said(shown(100, 100), None)
    assert "The group Team is over it now, and is not held back by it any more." in removal
    assert len(said(shown(100, 1), None)) == 2


@pytest.mark.parametrize(
    ("over", "all_", "told"),
    [
        (0, 0, "0 of 0 sessions are over it at once."),
        (1, 1, "1 of 1 session is over it at once."),
        (2, 1500, "2 of 1,500 sessions are over it at once."),
    ],
)
def test_of_a_limit_per_session_the_sessions_are_counted(over: int, all_: int, told: str) -> None:
    limit = shown(100, 100, per_session=True)
    assert told in said(limit, limit, Concerned(1, 1, over, all_))


@given(st.integers(0, 10**12), st.integers(1, 10**12))
def test_percents_are_rounded_down(spent: int, amount: int) -> None:
    percent = percent_of(spent, amount)
    assert percent is not None
    assert (percent >= 100) == (spent >= amount)
    tenths = round(percent * 10)
    assert tenths * amount <= spent * 1000 < (tenths + 1) * amount
