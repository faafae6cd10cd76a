"""Settings that are numbers: counts, times, sizes, rates, amounts of money."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

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
    """Return a number where the text is one."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _is_number(given: object) -> bool:
    return isinstance(given, int | float | Decimal) and not isinstance(given, bool)


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number between two bounds."""

    least: int = 0
    most: int | None = None
    noun: str = "a whole number"
    note: str = ""

    @property
    def expected(self) -> str:
        """The bounds."""
        if self.most is None:
            return f"{self.noun}, {self.least} or more{self.note}"
        return f"{self.noun} from {self.least} to {self.most}{self.note}"

    def read(self, given: object, base: Path) -> int:  # noqa: ARG002
        """Return the number."""
        if not isinstance(given, int) or isinstance(given, bool) or given < self.least:
            raise UnfitError
        if self.most is not None and given > self.most:
            raise UnfitError
        return given

    def parse(self, text: str) -> object:
        """Return the number that the text writes."""
        return _numeric(text)

    def write(self, value: int) -> str:
        """Return its digits."""
        return str(value)


@dataclass(frozen=True)
class Number(Kind):
    """A number that is not negative; zero stands for none."""

    has_none = True

    @property
    def expected(self) -> str:
        """The bounds."""
        return "a number, 0 or more (0: none)"

    def read(self, given: object, base: Path) -> float | None:  # noqa: ARG002
        """Return the number, None for zero."""
        if not _is_number(given):
            raise UnfitError
        number = float(given)  # type: ignore[arg-type]
        if not 0 <= number < math.inf:
            raise UnfitError
        return number or None

    def parse(self, text: str) -> object:
        """Return the number that the text writes."""
        return _numeric(text)

    def write(self, value: float | None) -> str:
        """Return its digits."""
        return _digits(value or 0.0)


@dataclass(frozen=True)
class Duration(Kind):
    """Seconds, as a number or with a unit."""

    least: float = 0.0
    positive: bool = True

    @property
    def expected(self) -> str:
        """The accepted syntax."""
        bound = "above 0" if self.positive else "0 or more"
        return f'a number of seconds {bound}, or a text such as "500ms", "90s", "5m" or "1h"'

    def read(self, given: object, base: Path) -> float:  # noqa: ARG002
        """Return the seconds."""
        if isinstance(given, str) and (match := _DURATION.fullmatch(given)):
            seconds = float(match[1]) * _DURATIONS[match[2]]
        elif _is_number(given):
            seconds = float(given)  # type: ignore[arg-type]
        else:
            raise UnfitError
        if not 0 <= seconds < math.inf or (self.positive and seconds == 0):
            raise UnfitError
        return seconds

    def parse(self, text: str) -> object:
        """Return the number that the text writes, or the text with its unit."""
        return _numeric(text)

    def write(self, value: float) -> str:
        """Return the seconds."""
        return _digits(value)


def _digits(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


@dataclass(frozen=True)
class Size(Kind):
    """Bytes, as a number or with a unit."""

    least: int = 1

    @property
    def expected(self) -> str:
        """The accepted syntax."""
        return f'a number of bytes, {self.least} or more, or a text such as "32MB" or "64MiB"'

    def read(self, given: object, base: Path) -> int:  # noqa: ARG002
        """Return the bytes."""
        if isinstance(given, str) and (match := _SIZE.fullmatch(given)):
            size = int(Decimal(match[1]) * _SIZES[(match[2] or "").lower()])
        elif isinstance(given, int) and not isinstance(given, bool):
            size = given
        else:
            raise UnfitError
        if size < self.least:
            raise UnfitError
        return size

    def write(self, value: int) -> str:
        """Return the bytes, in a unit where that is exact."""
        for unit in ("gi", "mi", "ki"):
            if value and value % _SIZES[unit] == 0:
                return quoted(f"{value // _SIZES[unit]}{unit.capitalize()}B")
        return str(value)


@dataclass(frozen=True)
class RateLimit(Kind):
    """So many in so long; zero stands for no limit."""

    has_none = True

    @property
    def expected(self) -> str:
        """The accepted syntax."""
        return 'a rate such as "1500/3m" (units s, m, h, d), or "0" for no limit'

    def read(self, given: object, base: Path) -> Rate | None:  # noqa: ARG002
        """Return the rate."""
        if given == 0 and not isinstance(given, bool):
            return None
        if not isinstance(given, str):
            raise UnfitError
        try:
            return parse_rate(given)
        except ValueError:
            raise UnfitError from None

    def write(self, value: Rate | None) -> str:
        """Return the rate as it is written."""
        return quoted("0" if value is None else str(value))


@dataclass(frozen=True)
class Money(Kind):
    """An exact amount of dollars."""

    @property
    def expected(self) -> str:
        """The bounds."""
        return f"an amount of dollars from 0 to {_MAX_DOLLARS:,}, a multiple of {MONEY_STEP:f}"

    def read(self, given: object, base: Path) -> Decimal:  # noqa: ARG002
        """Return the amount."""
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

    def parse(self, text: str) -> object:
        """Return the digits that were written."""
        return text

    def write(self, value: Decimal) -> str:
        """Return the digits, as text so that nobody rounds them."""
        return quoted(f"{value:f}")
