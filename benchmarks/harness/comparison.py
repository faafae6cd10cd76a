"""Two sides of one measurement, taken in turns, and the target that it is held to."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Comparison:
    """What each round gave, in the same order for both sides. Less is better, always."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.ours) != len(self.theirs) or not self.ours:
            raise ValueError(f"{len(self.ours)} rounds of ours and {len(self.theirs)} of theirs")

    @property
    def our_median(self) -> float:
        return median(self.ours)

    @property
    def their_median(self) -> float:
        return median(self.theirs)

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times less ours is, by round: neighbors share the machine's state."""
        return tuple(theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    def over(self, other: Comparison) -> Comparison:
        """This one as a multiple of another, round by round and side by side."""
        return Comparison(
            tuple(a / b for a, b in zip(self.ours, other.ours, strict=True)),
            tuple(a / b for a, b in zip(self.theirs, other.theirs, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Target:
    """At most this much, and at least so many times less than theirs."""

    at_most: float
    times_less: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report. `digits` are the decimals of the values."""

    label: str
    unit: str
    comparison: Comparison
    target: Target | None = None
    digits: int = 1

    def verdict(self) -> str:
        """Whether the target is met; which half of it, where it has two and one is missed."""
        if self.target is None:
            return ""
        small = self.comparison.our_median <= self.target.at_most
        if self.target.times_less is None:
            return "yes" if small else "NO"
        less = self.comparison.ratio >= self.target.times_less
        if small and less:
            return "yes"
        if small or less:
            return "only the value" if small else "only the ratio"
        return "NO"
