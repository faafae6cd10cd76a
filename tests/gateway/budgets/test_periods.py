"""Days, weeks and months begin and end where people's clocks say so."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.budgets.periods import (
    PERIODS,
    TOTAL,
    Offset,
    Period,
    following,
    name_of,
    offsets,
    span_of,
    start_of,
    time_zone,
)

ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "America/Havana", "Asia/Beirut", "Pacific/Apia", "Pacific/Kiritimati"),
)
MOMENTS = st.integers(946_684_800, 4_102_444_800)
MOMENTS_OF_TODAY = st.integers(1_104_537_600, 2_051_222_400)


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-11-28T23:59:59", "2026-11-28T00:00", "2026-11-29T00:00"),
        ("week", "UTC", "2026-11-29T12:00", "2026-11-23T00:00", "2026-11-30T00:00"),
        ("week", "UTC", "2026-11-30T00:00", "2026-11-30T00:00", "2026-12-07T00:00"),
        ("month", "UTC", "2026-12-31T23:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        # The leap day.
        ("month", "UTC", "2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("day", "UTC", "2028-02-29T12:00", "2028-02-29T00:00", "2028-03-01T00:00"),
        # A zone with half hours.
        ("day", "Asia/Kolkata", "2026-11-28T00:10", "2026-11-28T00:00", "2026-11-29T00:00"),
        # Days of 23 and of 25 hours.
        ("day", "Europe/Berlin", "2027-03-28T12:00", "2027-03-28T00:00", "2027-03-29T00:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00", "2026-10-25T00:00", "2026-10-26T00:00"),
        # Midnight is skipped, and comes twice.
        ("day", "Asia/Beirut", "2022-03-27T12:00", "2022-03-27T01:00", "2022-03-28T00:00"),
        ("day", "America/Havana", "2024-11-03T12:00", "2024-11-03T00:00", "2024-11-04T00:00"),
    ],
)
def test_a_period_is_that_of_its_zone(
    period: Period, zone: str, now: str, start: str, end: str
) -> None:
    assert span_of(period, zone, at(now, zone)) == (at(start, zone), at(end, zone))


def test_a_day_of_daylight_saving_is_as_long_as_it_is() -> None:
    lengths = [
        (span.end or 0) - span.start
        for day in ("2027-03-28T12:00", "2026-10-25T12:00", "2026-10-26T12:00")
        for span in [span_of("day", "Europe/Berlin", at(day))]
    ]
    assert lengths == [23 * 3600, 25 * 3600, 24 * 3600]


def test_day_week_and_month_may_begin_together() -> None:
    now = at("2027-02-01T09:00")
    assert {span_of(period, "UTC", now).start for period in PERIODS[:3]} == {at("2027-02-01T00:00")}


def test_a_total_has_no_end() -> None:
    assert span_of("total", "Europe/Berlin", 1e9) == TOTAL == (0, None)


def test_a_zone_that_there_is_not_is_an_error() -> None:
    with pytest.raises(KeyError):
        span_of("day", "Europe/Atlantis", 0)


@given(period=st.sampled_from(PERIODS[:3]), zone=st.sampled_from(ZONES), now=MOMENTS)
def test_periods_follow_each_other_without_a_gap(period: Period, zone: str, now: int) -> None:
    span = span_of(period, zone, now)
    assert span.end is not None
    assert span.start <= now < span.end
    assert span_of(period, zone, span.start) == span == span_of(period, zone, span.end - 1)
    assert span_of(period, zone, span.end).start == span.end
    assert span_of(period, zone, span.start - 1).end == span.start


@given(zone=st.sampled_from(ZONES), now=MOMENTS)
def test_a_period_starts_with_the_first_moment_of_its_date(zone: str, now: int) -> None:
    start = span_of("day", zone, now).start
    place = ZoneInfo(zone)
    before = datetime.fromtimestamp(start - 1, place).date()
    assert datetime.fromtimestamp(start, place).date() > before
    assert before >= datetime.fromtimestamp(now, place).date() - timedelta(days=2)


@given(st.sampled_from(ZONES), MOMENTS_OF_TODAY)
def test_hours_follow_each_other_and_have_one_offset_and_one_name(zone: str, now: int) -> None:
    place = ZoneInfo(zone)
    start = start_of("hour", place, now)
    after = following("hour", place, start)
    assert start <= now < after <= start + 3600
    for second in (start, now, after - 1):
        assert start_of("hour", place, second) == start
    first, last = (datetime.fromtimestamp(at, place) for at in (start, after - 1))
    assert (first.date(), first.hour, first.utcoffset()) == (
        last.date(),
        last.hour,
        last.utcoffset(),
    )
    assert name_of("hour", place, start) != name_of("hour", place, after)


def test_names_are_those_of_iso_8601() -> None:
    berlin = time_zone("Europe/Berlin")
    # 2026-10-25, the second two o'clock.
    now = 1_792_890_000
    assert name_of("hour", berlin, start_of("hour", berlin, now)) == "2026-10-25T02:00+01:00"
    assert name_of("hour", time_zone("UTC"), now) == "2026-10-25T01:00Z"
    assert name_of("day", berlin, start_of("day", berlin, now)) == "2026-10-25"
    assert name_of("week", berlin, start_of("week", berlin, now)) == "2026-10-19"
    assert name_of("month", berlin, start_of("month", berlin, now)) == "2026-10"


@given(st.sampled_from(ZONES), MOMENTS_OF_TODAY, st.integers(0, 800 * 86_400), st.data())
def test_offsets_are_those_of_each_moment(
    zone: str, first: int, seconds: int, data: st.DataObject
) -> None:
    place = ZoneInfo(zone)
    found = offsets(place, first, first + seconds)
    assert found[0].since == first
    moments = [data.draw(st.integers(first, first + seconds))]
    moments += [second for since, _ in found[1:] for second in (since - 1, since)]
    for second in moments:
        known = [offset.seconds for offset in found if offset.since <= second][-1]
        assert datetime.fromtimestamp(second, place).utcoffset() == timedelta(seconds=known)


def test_a_zone_without_changes_has_one_offset() -> None:
    assert offsets(time_zone("Asia/Kathmandu"), 0, 10) == (Offset(0, 19_800),)
