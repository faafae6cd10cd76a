"""Rates: so many requests in so many seconds, written `1500/3m`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_SECONDS = 7 * 86400
_WRITTEN = re.compile(r"([0-9]{1,12})/([0-9]{0,6})([smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any window of `seconds`."""

    count: int
    seconds: int

    def __str__(self) -> str:
        """Return the rate as it is written, in the largest unit that has no fraction."""
        unit = next(u for u in ("d", "h", "m", "s") if self.seconds % _SECONDS[u] == 0)
        return f"{self.count}/{self.seconds // _SECONDS[unit]}{unit}"


def parse_rate(text: str) -> Rate | None:
    """Return the rate that `text` writes: `1500/3m`, `3000/m`, `20/90s`; None for `0`, no limit.

    Units are `s`, `m`, `h` and `d`. `ValueError` for anything else, for a window of no length,
    and for one of more than a week.
    """
    written = text.strip()
    if written == "0":
        return None
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ValueError(f"not a rate: {text!r}")
    rate = Rate(int(match[1]), int(match[2] or "1") * _SECONDS[match[3]])
    if rate.count == 0:
        raise ValueError("a rate of no requests lets nothing in; no limit is written 0")
    if not 0 < rate.seconds <= _MAX_SECONDS:
        raise ValueError("the window of a rate is at least a second and at most a week")
    return rate
