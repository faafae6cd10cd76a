"""Days, weeks and months of any time zone, as budgets renew with them.

A period starts with the first moment of its first day and ends with the start of the next one, so
days of 23 and 25 hours are whole days, and no moment lies between two periods.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

Period = Literal["day", "week", "month", "total"]
PERIODS: Final[tuple[Period, ...]] = ("day", "week", "month", "total")
CalendarPeriod = Literal["hour", "day", "week", "month"]

_ONE_DAY = timedelta(days=1)
_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3600


class Span(NamedTuple):
    """A period in Unix seconds, from `start` until before `end`; a total has no end."""

    start: int
    end: int | None


TOTAL: Final = Span(0, None)


def span_of(period: Period, zone: str, now: float) -> Span:
    """Return the period that a moment (Unix seconds) is in.

    `zone` is a name of the IANA time zone database; `ZoneInfoNotFoundError` when it is none.
    """
    if period == "total":
        return TOTAL
    place = time_zone(zone)
    day = datetime.fromtimestamp(now, place).date()
    if period == "week":
        day -= timedelta(days=day.weekday())
    elif period == "month":
        day = day.replace(day=1)
    return Span(first_second(day, place), first_second(_following(period, day), place))


def _following(period: Period, day: date) -> date:
    if period == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + (_ONE_DAY * 7 if period == "week" else _ONE_DAY)


def first_second(day: date, zone: ZoneInfo) -> int:
    """Return the first second of a day in a zone, where midnight may be skipped or come twice."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    # Of a midnight that comes twice the first; one that is skipped leads behind the gap.
    seconds = int(midnight.timestamp())
    if datetime.fromtimestamp(seconds, zone).date() < day:
        later = midnight.replace(fold=1).utcoffset()
        earlier = midnight.utcoffset()
        if later is not None and earlier is not None:
            seconds += int((earlier - later).total_seconds())
    return seconds


class Offset(NamedTuple):
    """The seconds that a zone is before UTC, from a moment on (Unix seconds)."""

    since: int
    seconds: int


def offsets(zone: ZoneInfo, first: int, end: int) -> tuple[Offset, ...]:
    """Return a zone's offsets between two moments (Unix seconds), the first one from `first` on.

    No zone changes its offset twice within a day.
    """
    found = [Offset(first, _offset(zone, first))]
    before = first
    while before < end:
        after = min(before + _DAY_SECONDS, end)
        offset = _offset(zone, after)
        if offset != found[-1].seconds:
            found.append(Offset(_change(zone, before, after), offset))
        before = after
    return tuple(found)


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """Return the first second with the offset of `after`, which is not that of `before`."""
    offset = _offset(zone, after)
    while before + 1 < after:
        between = (before + after) // 2
        if _offset(zone, between) == offset:
            after = between
        else:
            before = between
    return after


@lru_cache(maxsize=1000)
def time_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name; `ZoneInfoNotFoundError` or `ValueError` when it is none."""
    return ZoneInfo(name)


def hour_of(zone: ZoneInfo, second: int) -> int:
    """Return the first second of the hour that a moment is in; two of one name are two."""
    local = datetime.fromtimestamp(second, zone)
    first = second - local.minute * 60 - local.second
    if datetime.fromtimestamp(first, zone).utcoffset() == local.utcoffset():
        return first
    # Where clocks are put back by half an hour, an hour begins in its middle.
    return _change(zone, first, second)


def start_of(period: CalendarPeriod, zone: ZoneInfo, second: int) -> int:
    """Return the first second of the hour, day, week or month that a moment is in."""
    return hour_of(zone, second) if period == "hour" else span_of(period, zone.key, second).start


def following(period: CalendarPeriod, zone: ZoneInfo, start: int) -> int:
    """Return the first second of the next hour, day, week or month."""
    if period == "hour":
        return hour_of(zone, start + _HOUR_SECONDS)
    end = span_of(period, zone.key, start).end
    return start if end is None else end


def name_of(period: CalendarPeriod, zone: ZoneInfo, start: int) -> str:
    """Write an hour, day, week or month as ISO 8601 does; a week by its Monday."""
    moment = datetime.fromtimestamp(start, zone)
    if period == "hour":
        return moment.isoformat(timespec="minutes").replace("+00:00", "Z")
    # The first second of a month is in it, but that of a week may be on a Tuesday: where a whole
    # Monday is skipped.
    day = moment.date()
    if period == "week":
        day -= timedelta(days=day.weekday())
    return day.isoformat()[:7] if period == "month" else day.isoformat()
