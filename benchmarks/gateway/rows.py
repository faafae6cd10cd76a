"""The rows of the comparison: each side's rounds, how they compare, whether a target is met."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from gateway.ours import NAME as OURS
from harness.report import aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Bound:
    """What ours has to reach: at most this, or at least this."""

    value: float
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What ours has to reach as a share or a multiple of another side in the same run."""

    value: float
    of: str
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """One measure of every side, round by round. A side that failed in a round has a NaN there."""

    label: str
    unit: str
    rounds: Mapping[str, Sequence[float]]
    target: Bound | Share | None = None
    digits: int = 1
    more_is_better: bool = False

    def value(self, side: str) -> str:
        """The median; nothing for a side that is not there or has failed."""
        taken = self.rounds.get(side, ())
        if not taken or any(map(math.isnan, taken)):
            return "-"
        return f"{median(taken):,.{self.digits}f} {self.unit}".strip()

    def spread(self) -> str:
        """Our lowest and highest round."""
        ours = self.rounds[OURS]
        return f"{min(ours):,.{self.digits}f} to {max(ours):,.{self.digits}f}"

    def times_better(self, side: str) -> str:
        """How many times better ours is, by rounds; empty where a quotient says nothing."""
        pairs = list(zip(self.rounds[OURS], self.rounds.get(side, ()), strict=False))
        if not pairs or any(not min(pair) > 0 for pair in pairs):
            return ""
        quotients = [
            ours / theirs if self.more_is_better else theirs / ours for ours, theirs in pairs
        ]
        lowest, highest = min(quotients), max(quotients)
        return f"{_short(median(quotients))} ({_short(lowest)} to {_short(highest)})"

    def cells(self, sides: Sequence[str]) -> tuple[str, ...]:
        others = [side for side in sides if side != OURS]
        return (
            self.label,
            *(self.value(side) for side in sides),
            self.spread(),
            *(self.times_better(side) for side in others),
            *self._judged(),
        )

    def _judged(self) -> tuple[str, str]:
        """The target, and whether it is met."""
        target = self.target
        if target is None:
            return "", ""
        sign = ">=" if target.at_least else "<="
        if isinstance(target, Bound):
            told = f"{sign} {target.value:,g} {self.unit}".strip()
            reached = median(self.rounds[OURS])
        else:
            told = f"{sign} {target.value:g} x {target.of}"
            pairs = zip(self.rounds[OURS], self.rounds.get(target.of, ()), strict=False)
            quotients = [ours / theirs for ours, theirs in pairs if theirs > 0]
            if not quotients:
                return told, "not measured"
            reached = median(quotients)
            told += f" (is {reached:.2f})"
        met = reached >= target.value if target.at_least else reached <= target.value
        return told, "yes" if met else "NO"


def comparison_table(rows: Iterable[GatewayRow], sides: Sequence[str]) -> str:
    others = [f"times better than {side}" for side in sides if side != OURS]
    headings = ("", *sides, "our rounds", *others, "target", "met")
    return aligned([headings, *(row.cells(sides) for row in rows)])


def in_words(values: Sequence[float], unit: str, digits: int = 0) -> str:
    """A median with its spread, for a cell of its own."""
    middle, lowest, highest = (
        f"{value:,.{digits}f}" for value in (median(values), min(values), max(values))
    )
    spread = f" ({lowest} to {highest})" if len(values) > 1 else ""
    return f"{middle} {unit}".strip() + spread


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
