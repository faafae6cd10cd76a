"""The status of a limit, and the headers that report it."""

from __future__ import annotations

import msgspec

HeaderPairs = tuple[tuple[bytes, bytes], ...]


class LimitStatus(msgspec.Struct, frozen=True, gc=False):
    """The decision on a request, and what is left of the limit after it."""

    allowed: bool
    limit: int
    remaining: int
    # Unix seconds, rounded up: when `remaining` rises again; now, if nothing is used.
    reset_at: int
    # 0 when allowed; otherwise at least 1: after this time the same request is allowed, unless
    # others took the place.
    retry_after_seconds: int = 0
    # Whose limit it is, where a request counts for several.
    who: str = ""

    def headers(self) -> HeaderPairs:
        """Return the header fields that report it; `retry-after` only on a rejection."""
        pairs = (
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset_at),
        )
        if self.allowed:
            return pairs
        return (*pairs, (b"retry-after", b"%d" % self.retry_after_seconds))


def stricter(one: LimitStatus | None, other: LimitStatus | None) -> LimitStatus | None:
    """Give the standing that decides: None stands for no limit, and is never the stricter one.

    A refusal is stricter than an admission, the longer of two refusals stricter than the shorter;
    of two admissions that with less remaining, and of equals that which resets later.
    """
    if one is None or other is None:
        return other if one is None else one
    if one.allowed != other.allowed:
        return other if one.allowed else one
    if one.retry_after_seconds != other.retry_after_seconds:
        return one if one.retry_after_seconds > other.retry_after_seconds else other
    if one.remaining != other.remaining:
        return one if one.remaining < other.remaining else other
    return one if one.reset_at >= other.reset_at else other
