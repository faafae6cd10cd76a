"""Histograms of durations, in buckets whose bounds grow by the square root of 2.

The bounds reach from 100 ms to 19 minutes. A percentile that is read from such counts is at most
16 % below the real one or 19 % above it: the middle of a bucket, by ratio, is off by the fourth
root of 2. Outside of the bounds it is only said to be below the first or above the last.

One column of the store holds two counts of a bucket: in its lower 31 bits the responses whose first
byte came so late, above these those that were complete so late. A quarter of an hour has no 2**31
responses.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BOUNDS_MS: Final = tuple(round(100 * 2 ** (place / 2)) for place in range(28))
"""Each bucket ends before its bound; the last one has no end."""
BUCKETS: Final = len(BOUNDS_MS) + 1
COLUMNS: Final = tuple(f"times_{place:02}" for place in range(BUCKETS))

SHIFT: Final = 31
MASK: Final = (1 << SHIFT) - 1


def bucket_of(ms: int) -> int:
    """Return the bucket of a duration."""
    return bisect_right(BOUNDS_MS, ms)


def percentile(counts: Sequence[int], percent: int) -> int | None:
    """Estimate the duration (ms) that so many percent do not exceed; None when none was counted."""
    rank = max(-(-sum(counts) * percent // 100), 1)
    seen = 0
    for bucket, count in enumerate(counts):
        seen += count
        if seen >= rank:
            return _middle(bucket)
    return None


def _middle(bucket: int) -> int:
    if bucket == 0:
        return BOUNDS_MS[0]
    if bucket == len(BOUNDS_MS):
        return BOUNDS_MS[-1]
    return math.isqrt(BOUNDS_MS[bucket - 1] * BOUNDS_MS[bucket])
