"""Plots: drawn as SVG for all, and as data for the script that draws them to be looked into."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final, Literal, NamedTuple

import msgspec

from apertis.gateway.units import UNITS_PER_DOLLAR

Unit = Literal["money", "count", "ms", "percent"]
Kind = Literal["bars", "lines"]
COLORS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight")
"""Classes of colors in the style sheet."""

WIDTH, HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 8, 8, 24
_TICKS = 6
_GAP = 0.2


class Line(NamedTuple):
    """One series: its name, the class of its color, and a value for each period."""

    name: str
    color: str
    values: tuple[int | float | None, ...]


class Rect(NamedTuple):
    """One piece of a bar."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True)
class Plot:
    """Values over periods: stacked bars, or lines. Money is in units."""

    id: str
    title: str
    unit: Unit
    kind: Kind
    periods: tuple[str, ...]
    """Their names in full."""
    ticks: tuple[str, ...]
    """Their names in short."""
    lines: tuple[Line, ...]

    @property
    def data(self) -> str:
        """The plot as JSON, with money in dollars and shares in percent."""
        return msgspec.json.encode(
            {
                "unit": self.unit,
                "kind": self.kind,
                "periods": self.periods,
                "ticks": self.ticks,
                "series": [
                    {
                        "name": line.name,
                        "color": line.color,
                        "values": [self._shown(value) for value in line.values],
                    }
                    for line in self.lines
                ],
            }
        ).decode()

    @cached_property
    def totals(self) -> tuple[int | float, ...]:
        """All series of a period together."""
        return tuple(
            sum(line.values[at] or 0 for line in self.lines) for at in range(len(self.periods))
        )

    @cached_property
    def top(self) -> float:
        """The value at the top of the axis: a round one."""
        if self.kind == "bars":
            return round_above(max(self.totals, default=0))
        values = [value for line in self.lines for value in line.values if value is not None]
        return round_above(max(values, default=0))

    @property
    def grid(self) -> tuple[tuple[float, float], ...]:
        """Values of the axis, and the heights at which they are."""
        return tuple((self.top * part, self._y(self.top * part)) for part in (0, 0.5, 1))

    @property
    def rects(self) -> tuple[Rect, ...]:
        """The bars, piece by piece."""
        found: list[Rect] = []
        width = self._step * (1 - _GAP)
        for at in range(len(self.periods)):
            values = [line.values[at] or 0 for line in self.lines]
            for line, value, top in zip(self.lines, values, accumulate(values), strict=True):
                if value:
                    y = self._y(top)
                    height = max(self._y(top - value) - y, 0.4)
                    x = _LEFT + self._step * (at + _GAP / 2)
                    found.append(
                        Rect(round(x, 2), y, round(width, 2), round(height, 2), line.color)
                    )
        return tuple(found)

    @property
    def paths(self) -> tuple[tuple[str, str], ...]:
        """The lines as path data with their colors; without a value there is a gap."""
        found: list[tuple[str, str]] = []
        for line in self.lines:
            path, is_drawn = "", False
            for at, value in enumerate(line.values):
                if value is not None:
                    x = round(_LEFT + self._step * (at + 0.5), 2)
                    # A value alone is a dot, as the line's ends are round.
                    path += f"{'L' if is_drawn else 'M'}{x} {self._y(value)}h0"
                is_drawn = value is not None
            found.append((path, line.color))
        return tuple(found)

    @property
    def marks(self) -> tuple[tuple[str, float], ...]:
        """Some names of periods, and where they stand."""
        every = max(-(-len(self.ticks) // _TICKS), 1)
        return tuple(
            (name, round(_LEFT + self._step * (at + 0.5), 2))
            for at, name in enumerate(self.ticks)
            if at % every == 0
        )

    @property
    def _step(self) -> float:
        return (WIDTH - _LEFT - _RIGHT) / max(len(self.periods), 1)

    def _y(self, value: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / self.top, 2)

    def _shown(self, value: float | None) -> int | float | None:
        if value is None or self.unit in ("count", "ms"):
            return value
        return value / UNITS_PER_DOLLAR if self.unit == "money" else value * 100


def round_above(value: float) -> float:
    """Return the next value of 1, 2 or 5 with zeros; 1 for nothing."""
    if value <= 0:
        return 1
    size = 1.0
    while size * 10 <= value:
        size *= 10
    while size > value:
        size /= 10
    return next(size * step for step in (1, 2, 5, 10) if size * step >= value)
