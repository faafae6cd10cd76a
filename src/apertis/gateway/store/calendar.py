"""The hours, days, weeks and months of a time zone, as numbers that the database groups by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import BigInteger, case, literal

from apertis.gateway.budgets.periods import first_second, offsets, time_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import ColumnElement

    from apertis.gateway.budgets.periods import CalendarPeriod, Offset

_HOUR, _DAY, _WEEK = 3600, 86_400, 7
# Added before a division, which would round up what is below zero: 1970 begins in 1969 west of UTC.
_AHEAD_DAYS = 7
_AHEAD = _AHEAD_DAYS * _DAY
# From the Monday before it to the first day of 1970.
_THURSDAY = 3
_MONTHS = 12
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A zone's offsets from UTC, and the first seconds of its months, within a range."""

    zone: ZoneInfo
    offsets: tuple[Offset, ...]
    months: tuple[tuple[int, int], ...]
    """The first second of each month, and the number of the month."""

    @classmethod
    def of(cls, zone: str, first: int, end: int) -> Self:
        """Make the calendar of a range in Unix seconds."""
        place = time_zone(zone)
        return cls(place, offsets(place, first, end), tuple(_months(place, first, end)))

    def is_made_of(self, seconds: int) -> bool:
        """Return whether its hours and days begin with whole units of so many seconds in UTC."""
        offset_is = all(offset.seconds % seconds == 0 for offset in self.offsets)
        return offset_is and all(offset.since % seconds == 0 for offset in self.offsets[1:])

    def number(self, dimension: CalendarPeriod, seconds: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the number of the hour, day, week or month that a moment is in."""
        if dimension == "month":
            # Never a constant, which a database would take for the number of a column to group by.
            steps = [(since, _integer(number)) for since, number in self.months]
            return case((seconds >= _integer(0), _stepped(seconds, steps)))
        number = _NUMBERS[dimension]
        first, *later = self.offsets
        steps = [(first.since, number(seconds, first.seconds, None))]
        steps += [(since, number(seconds, offset, since)) for since, offset in later]
        return _stepped(seconds, steps)

    def label(self, dimension: CalendarPeriod, number: int) -> str:
        """Write an hour, day, week or month by its number, as ISO 8601 does."""
        if dimension == "hour":
            shown = datetime.fromtimestamp(number, self.zone).isoformat(timespec="minutes")
            return shown.replace("+00:00", "Z")
        if dimension == "month":
            return f"{number // _MONTHS:04}-{number % _MONTHS + 1:02}"
        return (_EPOCH + timedelta(days=number)).isoformat()


def _months(zone: ZoneInfo, first: int, end: int) -> list[tuple[int, int]]:
    day = datetime.fromtimestamp(first, UTC).astimezone(zone).date().replace(day=1)
    found = [(first, day.year * _MONTHS + day.month - 1)]
    while True:
        day = (day + timedelta(days=31)).replace(day=1)
        since = first_second(day, zone)
        if since >= end:
            return found
        found.append((since, day.year * _MONTHS + day.month - 1))


def _hour(seconds: ColumnElement[Any], offset: int, since: int | None) -> ColumnElement[Any]:
    # Two hours of the same name are two: its number is its first second.
    ahead = offset + _AHEAD
    first = (seconds + _integer(ahead)) // _integer(_HOUR) * _integer(_HOUR) - _integer(ahead)
    if since is None or (since + ahead) % _HOUR == 0:
        return first
    # Where clocks are put back by half an hour, an hour begins in its middle.
    return case((first < _integer(since), _integer(since)), else_=first)


def _day(seconds: ColumnElement[Any], offset: int, _: int | None) -> ColumnElement[Any]:
    return (seconds + _integer(offset + _AHEAD)) // _integer(_DAY) - _integer(_AHEAD_DAYS)


def _week(seconds: ColumnElement[Any], offset: int, since: int | None) -> ColumnElement[Any]:
    monday = _THURSDAY + _AHEAD_DAYS
    days = _day(seconds, offset, since) + _integer(monday)
    return days // _integer(_WEEK) * _integer(_WEEK) - _integer(monday)


_NUMBERS: dict[str, Callable[[ColumnElement[Any], int, int | None], ColumnElement[Any]]] = {
    "hour": _hour,
    "day": _day,
    "week": _week,
}


def _stepped(
    seconds: ColumnElement[Any], steps: Sequence[tuple[int, ColumnElement[Any]]]
) -> ColumnElement[Any]:
    """Choose the value of the last step that was reached: the newest first, as most rows are."""
    if len(steps) == 1:
        return steps[0][1]
    *later, (_, first) = reversed(steps)
    return case(*((seconds >= _integer(since), value) for since, value in later), else_=first)


def _integer(value: int) -> ColumnElement[int]:
    return literal(value, BigInteger)


UTC_ALWAYS = Calendar.of("UTC", 0, 0)
"""For questions in which no hours, days, weeks or months are told apart."""
