"""Sums at a glance: those of the records themselves, in any zone; series, comparison, forecast."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.prices import LIST_PRICES
from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens
from apertis.gateway.admin.overview import (
    MAX_SERIES,
    METRICS,
    OverviewQuery,
    Sums,
    forecast,
    overview,
)
from apertis.gateway.budgets.periods import following, name_of, start_of
from apertis.gateway.store.database import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.admin.overview import Overview

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York")
DAY = 86_400
MODEL = "claude-sonnet-4-5"


def looked_at(folder: Path, records: list[UsageRecord], query: OverviewQuery, now: int) -> Overview:
    async def work() -> Overview:
        async with await Store.open(folder) as store:
            await store.usage.add(records)
            return await overview(query, store.usage, LIST_PRICES.get, now)

    return asyncio.run(work())


def at(zone: str, *moment: int) -> int:
    return int(datetime(*moment, tzinfo=ZoneInfo(zone)).timestamp())  # type: ignore[arg-type,misc]  # a moment has no zone of its own


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("of", ["model", "group", "person"])
def test_sums_are_those_of_the_records_over_a_change_of_clocks(
    tmp_path: Path, make_usage: Callable[..., UsageRecord], zone: str, of: Any
) -> None:
    place = ZoneInfo(zone)
    # October and November of 2026: clocks are put on or back in every one of these zones.
    since, until = at(zone, 2026, 10, 1), at(zone, 2026, 11, 9)
    numbers = range(700)
    records = [
        make_usage(
            at_ms=(since - 3 * DAY) * 1000 + number * 5_431_777,
            model=("claude-opus-4-5", MODEL)[number % 2],
            group_id=(None, "red", "blue")[number % 3],
            person_id=(None, *(f"p{one}" for one in range(12)))[number % 13],
            status=(200, 429)[number % 9 == 0],
            cost_units=number * 7,
            tokens=Tokens(input=number, output=1, cache_read=number * 3, cache_write_5m=2),
        )
        for number in numbers
    ]
    now = until - 3600
    query = OverviewQuery(
        since=since, until=until, before=(since - 2 * DAY, since), by="day", zone=zone, of=of
    )
    found = looked_at(tmp_path, records, query, now)

    expected: dict[str, list[UsageRecord]] = {}
    start = start_of("day", place, since)
    while start < until:
        name = name_of("day", place, start)
        end = following("day", place, start)
        expected[name] = [one for one in records if start <= one.at_ms / 1000 < end]
        start = end
    assert found.periods == tuple(expected)
    for sums, of_day in zip(found.sums, expected.values(), strict=True):
        check(sums, of_day)
    within = [one for one in records if since <= one.at_ms / 1000 < until]
    check(found.totals, within)
    check(found.before, [one for one in records if since - 2 * DAY <= one.at_ms / 1000 < since])
    for metric in METRICS:
        by_period = zip(*(one.values[metric] for one in found.series), strict=True)
        assert [sum(values) for values in by_period] == [
            getattr(sums, metric) for sums in found.sums
        ]
    field = {"model": "model", "group": "group_id", "person": "person_id"}[of]
    for one in found.series:
        if not one.is_rest:
            cost = sum(of_one.cost_units for of_one in within if getattr(of_one, field) == one.id)
            assert sum(one.values["cost_units"]) == cost
    if of == "person":
        assert [one.is_rest for one in found.series] == [False] * MAX_SERIES + [True]


def check(sums: Sums, records: list[UsageRecord]) -> None:
    tokens = [one.tokens for one in records]
    assert sums.requests == len(records)
    assert sums.failed == sum(one.status >= 400 for one in records)
    assert sums.cost_units == sum(one.cost_units for one in records)
    assert sums.prompt_tokens == sum(one.prompt for one in tokens)
    assert sums.tokens == sum(one.prompt + one.output for one in tokens)
    read = sum(one.cache_read for one in tokens)
    assert sums.read_share == (read / sums.prompt_tokens if records else None)
    saved = sum(
        one.tokens.cache_read * (LIST_PRICES[one.model].input - LIST_PRICES[one.model].cache_read)
        for one in records
    )
    assert sums.saved_units == round(saved / 1_000_000)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4 * DAY),
            st.sampled_from([None, *(f"p{number}" for number in range(12))]),
            st.sampled_from([None, *(f"red{number}" for number in range(9)), "blue"]),
            st.sampled_from([200, 529]),
            # Many cost the same.
            st.integers(0, 3),
        ),
        max_size=60,
    ),
    st.sampled_from(["person", "group"]),
    st.sampled_from([None, ("red1", "red2", "blue")]),
    st.sampled_from(ZONES),
)
def test_series_are_of_those_whose_records_cost_most(
    said: list[tuple[int, str | None, str | None, int, int]],
    of: Any,
    groups: tuple[str, ...] | None,
    zone: str,
) -> None:
    since = at(zone, 2026, 10, 24)
    records = [
        UsageRecord(
            request_id=f"req_{number}", at_ms=(since + after) * 1000 + 1, key_id="k", model=MODEL,
            requested_model=MODEL, status=status, cost_units=cost, person_id=person,
            group_id=group, tokens=Tokens(input=number, output=2),
        )
        for number, (after, person, group, status, cost) in enumerate(said)
    ]  # fmt: skip
    until = since + 3 * DAY + 1000
    query = OverviewQuery(
        since=since, until=until, before=(since - DAY, since), by="day", zone=zone, of=of,
        groups=groups,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        found = looked_at(Path(folder), records, query, until)

    kept = [one for one in records if one.at_ms < until * 1000]
    if groups is not None:
        kept = [one for one in kept if one.group_id in groups]
    whose: dict[str | None, dict[str, list[UsageRecord]]] = {}
    for one in kept:
        day = name_of("day", ZoneInfo(zone), one.at_ms // 1000)
        whose.setdefault(getattr(one, f"{of}_id"), {}).setdefault(day, []).append(one)

    def values(days: dict[str, list[UsageRecord]]) -> dict[Any, tuple[int, ...]]:
        within = [days.get(name, []) for name in found.periods]
        return {
            "cost_units": tuple(sum(one.cost_units for one in ones) for ones in within),
            "requests": tuple(map(len, within)),
            "tokens": tuple(
                sum(one.tokens.input + one.tokens.output for one in ones) for ones in within
            ),
            "failed": tuple(sum(one.status >= 400 for one in ones) for ones in within),
        }

    expected = sorted(
        ((one, values(days)) for one, days in whose.items()),
        key=lambda of_one: (
            -sum(of_one[1]["cost_units"]), -sum(of_one[1]["requests"]), of_one[0] or "",
        ),
    )  # fmt: skip
    shown = [one for one in found.series if not one.is_rest]
    assert [(one.id, one.values) for one in shown] == expected[:MAX_SERIES]
    rest = [one.values for one in found.series if one.is_rest]
    summed = {
        metric: tuple(
            map(sum, zip(*(of_one[metric] for _, of_one in expected[MAX_SERIES:]), strict=True))
        )
        for metric in METRICS
    }
    assert rest == ([summed] if any(map(any, summed.values())) else [])


@pytest.mark.parametrize("of", ["person", "group"])
def test_of_those_that_cost_the_same_those_with_the_most_requests_are_told_apart(
    tmp_path: Path, make_usage: Callable[..., UsageRecord], of: Any
) -> None:
    now = DAY * 20_000
    names = [f"{of}_{number}" for number in (*range(10), 9, 8, 9)]
    records = [
        make_usage(at_ms=now * 1000, cost_units=5, person_id=name, group_id=name)
        for name in names[:10]
    ]
    records += [
        make_usage(at_ms=now * 1000, cost_units=0, person_id=name, group_id=name)
        for name in names[10:]
    ]
    query = OverviewQuery(since=now, until=now + DAY, before=(0, now), by="day", zone="UTC", of=of)
    found = looked_at(tmp_path, records, query, now + 60)
    expected = [f"{of}_{number}" for number in (9, 8, 0, 1, 2, 3, 4)]
    assert [one.id for one in found.series] == [*expected, None]


def test_groups_that_are_not_the_viewers_do_not_count(
    tmp_path: Path, make_usage: Callable[..., UsageRecord]
) -> None:
    records = [
        make_usage(at_ms=DAY * 1000 * 20_000, group_id=group, cost_units=cost)
        for group, cost in (("mine", 1), ("inner", 10), ("theirs", 100), (None, 1000))
    ]
    now = DAY * 20_000 + 60
    query = OverviewQuery(
        since=now - DAY, until=now + DAY, before=(0, now - DAY), by="hour", zone="UTC", of="group",
        groups=("mine", "inner"),
    )  # fmt: skip
    found = looked_at(tmp_path, records, query, now)
    assert found.totals.cost_units == 11
    assert [one.id for one in found.series] == ["inner", "mine"]


def test_who_has_no_groups_sees_nothing(
    tmp_path: Path, make_usage: Callable[..., UsageRecord]
) -> None:
    now = DAY * 20_000
    query = OverviewQuery(
        since=0, until=now, before=(0, 0), by="month", zone="UTC", of="model", groups=()
    )
    found = looked_at(tmp_path, [make_usage(cost_units=5)], query, now)
    assert (found.periods, found.totals, found.forecast) == ((), Sums(), None)


def test_percentiles_are_of_all_models_together(
    tmp_path: Path, make_usage: Callable[..., UsageRecord]
) -> None:
    now = DAY * 20_000
    records = [
        make_usage(
            at_ms=now * 1000, model=f"m{number % 3}", kind="messages", first_byte_ms=first,
            total_ms=first * 10,
        )
        for number, first in enumerate([200] * 90 + [5000] * 10)
    ]  # fmt: skip
    query = OverviewQuery(since=now, until=now + DAY, before=(0, now), by="day", zone="UTC")
    totals = looked_at(tmp_path, records, query, now + 60).totals
    assert totals.first_byte_p50_ms == pytest.approx(200, rel=0.19)
    assert totals.first_byte_p95_ms == pytest.approx(5000, rel=0.19)
    assert totals.total_p50_ms == pytest.approx(2000, rel=0.19)


def test_a_forecast_adds_the_mean_of_the_last_whole_days() -> None:
    # Noon of the 15th of a month of 30 days: 15.5 days are left.
    now = at("UTC", 2026, 11, 15, 12)
    days = {f"2026-11-{day:02}": 1000 for day in range(1, 15)} | {"2026-11-15": 300}
    found = forecast(days, "UTC", now)
    assert found is not None
    assert (found.spent_units, found.days) == (14_300, 7)
    assert found.expected_units == 14_300 + 15_500
    assert found.until == at("UTC", 2026, 12, 1)


def test_a_forecast_counts_days_without_usage_but_none_before_the_first() -> None:
    now = at("UTC", 2026, 11, 15)
    found = forecast({"2026-11-11": 800, "2026-11-14": 0}, "UTC", now)
    assert found is not None
    assert (found.days, found.expected_units) == (4, 800 + 200 * 16)
    assert forecast({"2026-11-15": 800}, "UTC", now) is None


def test_a_forecast_at_the_beginning_of_a_month_takes_the_days_before() -> None:
    now = at("Europe/Berlin", 2026, 11, 1)
    first = datetime(2026, 10, 20)  # noqa: DTZ001 - only its day counts.
    days = {(first + timedelta(days=day)).date().isoformat(): 100 for day in range(12)}
    found = forecast(days, "Europe/Berlin", now)
    assert found is not None
    assert (found.spent_units, found.expected_units) == (0, 3000)


@settings(max_examples=200)
@given(
    st.sampled_from(ZONES),
    st.integers(1_700_000_000, 1_900_000_000),
    st.dictionaries(st.integers(0, 45), st.integers(0, 10**9)),
)
def test_a_forecast_is_never_below_what_is_spent(
    zone: str, now: int, costs: dict[int, int]
) -> None:
    days = {name_of("day", ZoneInfo(zone), now - day * DAY): cost for day, cost in costs.items()}
    found = forecast(days, zone, now)
    month = name_of("month", ZoneInfo(zone), now)
    if found is not None:
        spent = sum(cost for day, cost in days.items() if day.startswith(month))
        assert found.spent_units == spent <= found.expected_units
        assert 1 <= found.days <= 7
