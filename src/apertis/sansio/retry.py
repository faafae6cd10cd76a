"""May a call be retried, and after how long: pure, from values.

Statuses 408, 409, 429 and from 500 on, and failures of the connection, are retried unless
`x-should-retry` says otherwise; so is an error event that comes before a stream delivered anything.
The wait is min(0.5 * 2^n, 8) seconds with jitter down to 75 %, or what the service asks for, as
long as that is not above `max_retry_after`.
"""

from __future__ import annotations

import msgspec

from apertis.sansio.outcome import Failure, Outcome, Response, retry_after, status_of

FIRST_DELAY = 0.5
MAX_DELAY = 8.0


class RetryPolicy(msgspec.Struct, frozen=True):
    """Number of retries, and the longest wait that a service may ask for (seconds)."""

    max_retries: int = 2
    max_retry_after: float = 60.0

    def delay(self, retries: int, outcome: Outcome, *, jitter: float, now: float) -> float | None:
        """Return the seconds to wait before the next attempt; None when there is none.

        `retries` counts the tries after the first one so far, `jitter` is a random number from 0
        to 1, `now` is in Unix seconds.
        """
        if retries >= self.max_retries or not retryable(outcome):
            return None
        asked = None if isinstance(outcome, Failure) else retry_after(outcome.headers, now)
        if asked is None or asked <= 0:
            return backoff(retries, jitter)
        return asked if asked <= self.max_retry_after else None


def backoff(retries: int, jitter: float) -> float:
    """Return the wait after so many retries, in seconds."""
    # The exponent is bounded: 2.0**1025 does not exist.
    return min(FIRST_DELAY * 2.0 ** min(retries, 10), MAX_DELAY) * (1 - 0.25 * jitter)


def retryable(outcome: Outcome) -> bool:
    """Return whether another attempt can help."""
    if isinstance(outcome, Failure):
        return not (outcome.permanent or outcome.malformed or outcome.deadline == "total")
    wish = outcome.headers.get("x-should-retry")
    if wish in {"true", "false"}:
        return wish == "true"
    status = outcome.status if isinstance(outcome, Response) else status_of(outcome.document)
    return status in {408, 409, 429} or status >= 500
