"""Points in time and spans as people write them: `2026-12-31`, `2026-12-31T18:00Z`, `30d`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

Time = Annotated[
    str, Meta(description="ISO 8601 in UTC.", extra_json_schema={"format": "date-time"})
]


Dollars = Annotated[str, Meta(description="US dollars, exactly.")]


UNITS_PER_DOLLAR = 500_000


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DATE_LENGTH = len("2026-12-31")
# The last second that ISO 8601 writes with a year of four digits.
_LATEST = 253_402_300_799


def read_span(text: str) -> int | None:
    """Read a span such as `90s`, `15m`, `24h`, `30d` or `2w` as seconds; None if it is none."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal()) or unit not in _UNITS:
        return None
    seconds = int(number) * _UNITS[unit]
    return seconds if seconds < _LATEST else None


def read_moment(text: str, *, whole_day: bool = False, zone: tzinfo = UTC) -> int | None:
    """Read an ISO 8601 date or time as Unix seconds; None if it is none.

    Where it names no zone it is in `zone`. A date alone is the moment at which that day begins, or
    with `whole_day` the one at which it ends.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        if whole_day and len(text.strip()) == _DATE_LENGTH:
            moment += timedelta(days=1)
        seconds = moment.timestamp()
    except (ValueError, OverflowError):
        return None
    return int(seconds) if 0 <= seconds <= _LATEST else None


def iso(seconds: float) -> str:
    """Write Unix seconds as ISO 8601 in UTC: `2026-12-31T18:00:00Z`."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


_DIGITS = 6
# A comma stands before three digits, so that `1,5` is not taken for fifteen.
_WRITTEN = re.compile(
    r"\$? ?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]{0,6})?|\.[0-9]{1,6})", re.ASCII
)


def usd(units: int) -> str:
    """Write units as US dollars, exactly: `12.5`, `0.000002`, `-3`; 500,000 units are 1."""
    sign = "-" if units < 0 else ""
    dollars, rest = divmod(abs(units), UNITS_PER_DOLLAR)
    millionths = rest * (10**_DIGITS // UNITS_PER_DOLLAR)
    fraction = f"{millionths:0{_DIGITS}d}".rstrip("0")
    return f"{sign}{dollars}.{fraction}" if fraction else f"{sign}{dollars}"


def read_usd(text: str) -> Decimal | None:
    """Read US dollars as people write them: `12.5`, `$1,234.50`, `.000002`; None if it is none.

    Exactly, with six digits of a dollar at most.
    """
    found = _WRITTEN.fullmatch(text.strip())
    return None if found is None else Decimal(found[1].replace(",", ""))
