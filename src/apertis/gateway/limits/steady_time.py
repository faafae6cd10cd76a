"""Time that never runs backwards, made from a clock that may."""

from __future__ import annotations

__all__ = ["SteadyTime"]

_MICROSECONDS = 1_000_000


class SteadyTime:
    """Whole microseconds, so that sums and comparisons are exact, and never less than before.

    When the clock steps back, time stands still until the clock has caught up; if it steps back
    by more than `patience_seconds`, time goes on from where it was, at the clock's new pace. So a
    clock that is set back opens no window early, and keeps none closed for hours.
    """

    __slots__ = ("_ahead", "_latest", "_patience")

    def __init__(self, patience_seconds: int) -> None:
        self._patience = patience_seconds * _MICROSECONDS
        self._latest = 0
        # By how much this time is ahead of the clock since the clock was set back.
        self._ahead = 0

    def at(self, now: float) -> int:
        """The time, when the clock shows `now` (Unix seconds)."""
        time = round(now * _MICROSECONDS) + self._ahead
        if time >= self._latest:
            self._latest = time
            return time
        if self._latest - time > self._patience:
            self._ahead += self._latest - time
        return self._latest

    def clock_seconds(self, time: int) -> int:
        """What the clock shows at a time, in whole Unix seconds, rounded up."""
        return -((self._ahead - time) // _MICROSECONDS)
