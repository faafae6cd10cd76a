"""The database puts each moment into the hour, day, week and month that the calendar says."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, create_engine, literal, select, union_all

from apertis.gateway.budgets.periods import name_of, start_of
from apertis.gateway.store.calendar import Calendar
from apertis.gateway.store.records import TIMES

# Offsets of half and quarter hours, clocks put back by half an hour, a change at a minute past
# midnight, and a day that was left out.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Niue",
)
# 1985 to 2035.
MOMENTS = st.integers(473_385_600, 2_051_222_400)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), MOMENTS, st.integers(0, 500 * 86_400), st.data())
def test_numbers_are_those_of_the_calendar(
    zone: str, first: int, seconds: int, data: st.DataObject
) -> None:
    calendar = Calendar.of(zone, first, first + seconds + 1)
    place = ZoneInfo(zone)
    near_changes = [
        st.integers(max(offset.since - 7200, first), min(offset.since + 7200, first + seconds))
        for offset in calendar.offsets[1:]
    ]
    moments = data.draw(
        st.lists(st.one_of(st.integers(first, first + seconds), *near_changes), min_size=1)
    )
    rows = union_all(
        *(
            select(literal(at).label("at"), literal(at, BigInteger).label("second"))
            for at in moments
        )
    ).subquery()
    with create_engine("sqlite://").connect() as connection:
        for period in TIMES:
            statement = select(rows.c.at, calendar.number(period, rows.c.second))
            for moment, number in connection.execute(statement):
                start = start_of(period, place, moment)
                assert calendar.label(period, number) == name_of(period, place, start)


@pytest.mark.parametrize(
    ("zone", "year", "quarters"),
    [
        ("Europe/Berlin", 2026, True),
        ("Asia/Kathmandu", 2026, True),
        # It changed at a minute past midnight, until 2011.
        ("America/St_Johns", 2008, False),
        ("America/St_Johns", 2026, True),
    ],
)
def test_it_says_whether_days_are_made_of_quarter_hours(
    zone: str, year: int, *, quarters: bool
) -> None:
    first = (year - 1970) * 31_556_952
    calendar = Calendar.of(zone, first, first + 366 * 86_400)
    assert calendar.is_made_of(900) is quarters
