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

    def met_by(self, value: float) -> bool:
        return value >= self.value if self.at_least else value <= self.value


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """One measure of every side, round by round. A side that failed in a round has a NaN there."""

    label: str
    unit: str
    rounds: Mapping[str, Sequence[float]]
    target: Bound | None = None
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
        met = self.target is not None and self.target.met_by(median(self.rounds[OURS]))
        return (
            self.label,
            *(self.value(side) for side in sides),
            self.spread(),
            *(self.times_better(side) for side in others),
            self._target(),
            "" if self.target is None else "yes" if met else "NO",
        )

    def _target(self) -> str:
        if self.target is None:
            return ""
        sign = ">=" if self.target.at_least else "<="
        return f"{sign} {self.target.value:,g} {self.unit}".strip()


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
