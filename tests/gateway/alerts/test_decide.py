"""What is told of what, and how often."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.alerts.decide import (
    DAY_MS,
    HOUR_MS,
    JournalLag,
    OpenBreaker,
    dollars,
    ending_keys,
    event_of,
    lagging_journal,
    linked,
    open_breakers,
    passed_budgets,
    retry_seconds,
    spike,
)
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.budgets.periods import span_of
from apertis.gateway.store.alerts import Alert, BudgetState, ExpiringKey, HourlySpending
from apertis.gateway.units import UNITS_PER_DOLLAR

NOW = 1_795_000_000


def limit(**fields: Any) -> Limit:
    made: dict[str, Any] = {
        "id": "lim_a",
        "level": "person",
        "subject_id": "per_a",
        "amount_units": 50 * UNITS_PER_DOLLAR,
        "period": "month",
        "zone": "Europe/Berlin",
    }
    return Limit(**{**made, **fields})


def state(spent: int, name: str | None = "Ada", **fields: Any) -> BudgetState:
    own = limit(**fields)
    span = span_of(own.period, own.zone, NOW)
    return BudgetState(
        account_id=f"{own.id}@{span.start}",
        limit=own,
        name=name,
        period_end=span.end,
        spent=spent,
    )


def test_a_budget_says_who_which_how_much_when_it_resets_and_whom_to_ask() -> None:
    (alert,) = passed_budgets(
        [
            state(
                38 * UNITS_PER_DOLLAR + 60_000, contact="ops@example.com", models=("claude-opus-*",)
            )
        ]
    )
    assert alert.text == (
        "The person Ada has spent 76 % of the monthly limit for claude-opus-*: $38.12 of $50.00; "
        "it resets at 2026-12-01 00:00 (Europe/Berlin); for more, ask ops@example.com."
    )
    assert alert.level == "warning"
    assert event_of(alert, NOW * 1000) == {
        "type": "budget.threshold_passed",
        "timestamp": "2026-11-18T11:06:40Z",
        "data": {
            "id": alert.id,
            "level": "warning",
            "text": alert.text,
            "limit_id": "lim_a",
            "account_id": state(0).account_id,
            "subject": {"level": "person", "id": "per_a", "name": "Ada"},
            "threshold_percent": 75,
            "thresholds_passed": [50, 75],
            "spent_usd": "38.12",
            "limit_usd": "50",
            "period": "month",
            "time_zone": "Europe/Berlin",
            "models": ("claude-opus-*",),
            "resets_at": "2026-11-30T23:00:00Z",
            "contact": "ops@example.com",
        },
    }


def test_a_total_has_no_reset_and_is_remembered_for_good() -> None:
    (alert,) = passed_budgets(
        [state(26 * UNITS_PER_DOLLAR, period="total", level="gateway", subject_id="", name=None)]
    )
    assert alert.text == "The whole gateway has spent 52 % of the total limit: $26.00 of $50.00."
    assert (alert.level, alert.forget_ms) == ("info", None)


def test_an_overspent_budget_is_an_error() -> None:
    (alert,) = passed_budgets([state(51 * UNITS_PER_DOLLAR)])
    assert (alert.level, alert.data["threshold_percent"]) == ("error", 100)


@pytest.mark.parametrize(
    "fields", [{"spent": 24 * UNITS_PER_DOLLAR}, {"spent": 10**9, "thresholds": ()}]
)
def test_a_budget_below_its_thresholds_tells_nothing(fields: dict[str, Any]) -> None:
    assert not list(passed_budgets([state(**fields)]))


def test_a_budget_of_nothing_tells_nothing() -> None:
    assert not list(passed_budgets([state(1, amount_units=0)]))


def test_a_raised_limit_is_told_of_anew() -> None:
    (before,) = passed_budgets([state(50 * UNITS_PER_DOLLAR)])
    (after,) = passed_budgets([state(100 * UNITS_PER_DOLLAR, amount_units=100 * UNITS_PER_DOLLAR)])
    assert before.id != after.id


@given(
    amount=st.integers(1, 10_000),
    thresholds=st.lists(st.integers(1, 200), max_size=6).map(tuple),
    costs=st.lists(st.integers(0, 3000), max_size=40),
    periods=st.lists(st.integers(0, 2), max_size=40),
)
def test_each_threshold_is_told_once_in_a_period_whatever_the_order_of_spendings(
    amount: int, thresholds: tuple[int, ...], costs: list[int], periods: list[int]
) -> None:
    own = limit(amount_units=amount, thresholds=thresholds)
    spent = dict.fromkeys(range(3), 0)
    told: set[str] = set()
    sent: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for period, cost in zip(periods, costs, strict=False):
        spent[period] += cost
        looked = BudgetState(
            account_id=f"lim_a@{period}",
            limit=own,
            name="Ada",
            period_end=NOW + period,
            spent=spent[period],
        )
        # Twice: somebody else looks too.
        for alert in [*passed_budgets([looked]), *passed_budgets([looked])]:
            if alert.id not in told:
                told.add(alert.id)
                sent[period].append(alert.data["threshold_percent"])
    for period, percents in sent.items():
        assert len(percents) == len(set(percents))
        assert percents == sorted(percents)
        passed = {each for each in thresholds if spent[period] * 100 >= amount * each}
        # The highest that was passed was told of, and nothing that was not passed.
        assert set(percents) <= passed
        assert max(percents, default=None) == max(passed, default=None)


def key(life_days: float, left_ms: int) -> ExpiringKey:
    end = NOW + left_ms // 1000
    return ExpiringKey(
        id="key_a", name="ci", owner="ada", created_at=end - int(life_days * 86_400), expires_at=end
    )


@pytest.mark.parametrize(
    ("left_ms", "days", "level", "left"),
    [
        (7 * DAY_MS, 7, "info", "7 days"),
        (2 * DAY_MS, 7, "info", "2 days"),
        (DAY_MS, 1, "warning", "24 hours"),
        (90 * 60_000, 1, "warning", "1 hour"),
    ],
)
def test_a_key_that_ends_soon_is_told_of_at_the_nearest_notice(
    left_ms: int, days: int, level: str, left: str
) -> None:
    (alert,) = ending_keys([key(90, left_ms)], (7, 1), NOW * 1000)
    assert (alert.data["days"], alert.level) == (days, level)
    assert alert.text.startswith(f"The key ci of ada ends in {left}, at 2026-11-")


@pytest.mark.parametrize(("life_days", "left_ms"), [(90, 8 * DAY_MS), (90, 0), (0.5, HOUR_MS)])
def test_a_key_that_lasts_has_ended_or_was_made_for_hours_is_not_told_of(
    life_days: float, left_ms: int
) -> None:
    assert not list(ending_keys([key(life_days, left_ms)], (7, 1), NOW * 1000))


def hour(spent: int, *before: int) -> HourlySpending:
    dollar = UNITS_PER_DOLLAR
    return HourlySpending(
        hour_start=NOW - NOW % 3600,
        spent=spent * dollar,
        before=tuple(each * dollar for each in before),
    )


def test_an_hour_far_above_the_median_is_told_of() -> None:
    alert = spike(hour(51, 10, 9, 11, 10, 400, 0, 10), 5.0, 20 * UNITS_PER_DOLLAR)
    assert alert is not None
    assert alert.text == (
        "The gateway has spent $51.00 since 2026-11-18T11:00:00Z, where this hour of the last 7 "
        "days cost $10.00 (median)."
    )
    assert alert.id == "spike:2026-11-18"


@pytest.mark.parametrize(
    "spending",
    [
        # Five times the usual, and not more.
        hour(50, 10, 10, 10, 10, 10, 10, 10),
        # A tiny sum, however unusual.
        hour(20, 0, 0, 0, 0),
        # Nothing to compare with.
        hour(1000, 1, 1),
    ],
)
def test_an_hour_as_usual_a_tiny_sum_or_a_new_gateway_is_no_spike(
    spending: HourlySpending,
) -> None:
    assert spike(spending, 5.0, 20 * UNITS_PER_DOLLAR) is None


@given(
    spent=st.integers(0, 10**6),
    before=st.lists(st.integers(0, 10**5), min_size=3, max_size=7),
    outlier=st.integers(10**5, 10**7),
)
def test_one_day_unlike_the_others_hides_no_spike_of_five_days(
    spent: int, before: list[int], outlier: int
) -> None:
    five = sorted([*before, *before])[:5]
    with_outlier = hour(spent, *five[:4], outlier)
    if spike(hour(spent, *[max(five)] * 5), 5.0, 0) is not None:
        assert spike(with_outlier, 5.0, 0) is not None


def test_a_breaker_is_told_of_when_it_opens_and_not_while_it_is() -> None:
    found = [OpenBreaker("a", "bad host", 5), OpenBreaker("b", "bad key", 0)]
    told = list(open_breakers(found, frozenset(), NOW * 1000))
    assert [alert.text for alert in told] == [
        "The upstream a is left alone: its breaker opened (bad host after 5 failures in a row).",
        "The upstream b is left alone: its breaker opened (bad key).",
    ]
    assert [
        alert.data["upstream"] for alert in open_breakers(found, frozenset({"a"}), NOW * 1000)
    ] == ["b"]


@pytest.mark.parametrize(
    ("lag", "is_told"),
    [
        ((10_001, 1.0), True),
        ((1, 300.5), True),
        ((10_000, 300.0), False),
    ],
)
def test_a_journal_is_told_of_above_a_bound(lag: tuple[int, float], is_told: bool) -> None:
    alert = lagging_journal(JournalLag(*lag), "gw-1", 10_000, 300.0, NOW * 1000)
    assert (alert is not None) is is_told
    assert lagging_journal(JournalLag(*lag), "gw-1", 0, 0.0, NOW * 1000) is None


def test_a_journals_alert_says_how_far_behind_it_is() -> None:
    alert = lagging_journal(JournalLag(12_345, 301.7), "gw-1", 10_000, 300.0, NOW * 1000)
    assert alert is not None
    assert alert.text == (
        "The gateway gw-1 has 12,345 usage records that are not in the store yet, the oldest for "
        "302 seconds."
    )


def test_attempts_are_spread_over_hours_and_end() -> None:
    waits = [retry_seconds(attempts) for attempts in range(1, 8)]
    assert waits[-1] is None
    known = [wait for wait in waits if wait is not None]
    assert known == sorted(known)
    assert 6 * 3600 < sum(known) < 9 * 3600


@pytest.mark.parametrize(
    ("units", "text"),
    [(19_060_000, "$38.12"), (617_283_945_000, "$1,234,567.89"), (4_999, "$0.00")],
)
def test_money_is_written_for_people(units: int, text: str) -> None:
    assert dollars(units) == text


@pytest.mark.parametrize(
    ("kind", "data", "page"),
    [
        ("budget", {}, "budgets"),
        ("key", {}, "keys/key_a"),
        ("breaker", {"upstream": "a/b"}, "upstreams/a%2Fb"),
        ("spike", {}, "overview"),
        ("journal", {}, "doctor"),
        ("test", {}, "alerts"),
    ],
)
def test_an_alert_leads_to_the_page_of_the_console_that_shows_more(
    kind: Any, data: dict[str, str], page: str
) -> None:
    alert = Alert(id="a", kind=kind, level="info", text="Told.", subject_id="key_a", data=data)
    url = f"https://claude.example.com/console/{page}"
    found = linked(alert, "https://claude.example.com")
    assert found.text == f"Told. {url}"
    assert event_of(found, 0)["data"]["console_url"] == url
    assert (found.id, found.level) == (alert.id, alert.level)
    assert linked(alert, None) is alert
