"""Settings that are numbers: counts, times, sizes, rates, amounts of money."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from apertis.gateway.config.kinds import Kind, UnfitError, quoted
from apertis.limiting.rates import Rate, parse_rate

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmg]i?)?b?", re.IGNORECASE)
_SIZES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|d)")
_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# One unit of the money that keys have: 500,000 of them are a dollar.
MONEY_STEP = Decimal("0.000002")
_MAX_DOLLARS = Decimal(1_000_000)


def _numeric(text: str) -> object:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _is_number(given: object) -> bool:
    return isinstance(given, int | float | Decimal) and not isinstance(given, bool)


def whole(
    least: int = 0, most: int | None = None, noun: str = "a whole number", note: str = ""
) -> Kind:
    """Make the kind of a whole number between two bounds."""

    def read(given: object, _: Path) -> int:
        if not isinstance(given, int) or isinstance(given, bool) or given < least:
            raise UnfitError
        if most is not None and given > most:
            raise UnfitError
        return given

    bounds = f", {least} or more" if most is None else f" from {least} to {most}"
    return Kind(f"{noun}{bounds}{note}", read, str, _numeric)


def _digits(value: float | None) -> str:
    number = value or 0.0
    return str(int(number)) if number == int(number) else repr(number)


def _number(given: Any, _: Path) -> float | None:
    if not _is_number(given) or not 0 <= float(given) < math.inf:
        raise UnfitError
    return float(given) or None


# Zero stands for none.
NUMBER = Kind("a number, 0 or more (0: none)", _number, _digits, _numeric, has_none=True)


def duration(*, positive: bool = True) -> Kind:
    """Make the kind of seconds, as a number or with a unit."""

    def read(given: Any, _: Path) -> float:
        if isinstance(given, str) and (match := _DURATION.fullmatch(given)):
            seconds = float(match[1]) * _DURATIONS[match[2]]
        elif _is_number(given):
            seconds = float(given)
        else:
            raise UnfitError
        if not 0 <= seconds < math.inf or (positive and seconds == 0):
            raise UnfitError
        return seconds

    bound = "above 0" if positive else "0 or more"
    expected = f'a number of seconds {bound}, or a text such as "500ms", "90s", "5m" or "1h"'
    return Kind(expected, read, _digits, _numeric)


def size(least: int = 1) -> Kind:
    """Make the kind of bytes, as a number or with a unit."""

    def read(given: object, _: Path) -> int:
        if isinstance(given, str) and (match := _SIZE.fullmatch(given)):
            bytes_ = int(Decimal(match[1]) * _SIZES[(match[2] or "").lower()])
        elif isinstance(given, int) and not isinstance(given, bool):
            bytes_ = given
        else:
            raise UnfitError
        if bytes_ < least:
            raise UnfitError
        return bytes_

    expected = f'a number of bytes, {least} or more, or a text such as "32MB" or "64MiB"'
    return Kind(expected, read, _write_size)


def _write_size(value: int) -> str:
    """Return the bytes, in a unit where that is exact."""
    for unit in ("gi", "mi", "ki"):
        if value and value % _SIZES[unit] == 0:
            return quoted(f"{value // _SIZES[unit]}{unit.capitalize()}B")
    return str(value)


def _rate(given: object, _: Path) -> Rate | None:
    if given == 0 and not isinstance(given, bool):
        return None
    if not isinstance(given, str):
        raise UnfitError
    try:
        return parse_rate(given)
    except ValueError:
        raise UnfitError from None


# So many in so long; zero stands for no limit.
RATE_LIMIT = Kind(
    'a rate such as "1500/3m" (units s, m, h, d), or "0" for no limit',
    _rate,
    lambda value: quoted("0" if value is None else str(value)),
    has_none=True,
)


def _money(given: object, _: Path) -> Decimal:
    # A float has been rounded already; the readers keep the digits that were written.
    if isinstance(given, bool) or not isinstance(given, str | int | Decimal):
        raise UnfitError
    try:
        amount = Decimal(given)
    except InvalidOperation:
        raise UnfitError from None
    if not amount.is_finite() or not 0 <= amount <= _MAX_DOLLARS or amount % MONEY_STEP:
        raise UnfitError
    return abs(amount)


# An exact amount, written as a text so that nobody rounds it.
MONEY = Kind(
    f"an amount of dollars from 0 to {_MAX_DOLLARS:,}, a multiple of {MONEY_STEP:f}",
    _money,
    lambda value: quoted(f"{value:f}"),
)
