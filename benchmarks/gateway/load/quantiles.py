"""What is reported of many numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of numbers in order; 0.99 is that which 99 % do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def described(values: Sequence[float], scale: float = 1.0) -> dict[str, float]:
    """Median, 99th percentile and the largest; zeros where there are none."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    return {
        "p50": quantile(ordered, 0.5) * scale,
        "p99": quantile(ordered, 0.99) * scale,
        "max": ordered[-1] * scale,
    }
