"""Circuit breakers: an upstream's health, judged by the outcome of earlier requests.

A breaker is closed while all is well. It opens after so many failures of the host in a row, or at
the first refusal of the gateway's credential or of its account; then the upstream is left alone
for a while, ten times as long for a bad key, which mends itself less often than a host. After that
it is half open: one request is let through as a probe, and what becomes of it closes the breaker
or opens it again.

Where several gateways ask the same upstreams, each tells the others what its breakers do, and they
do the same: a breaker that opens, closes or probes does so for all.
"""

from __future__ import annotations

import enum
from typing import Final

from apertis.gateway.upstreams.outcome import Outcome

# How many times longer than for a bad host a bad key is left alone.
BAD_KEY_FACTOR: Final = 10

_HOST_FAULTS = frozenset(
    {
        Outcome.UNREACHABLE,
        Outcome.TIMEOUT,
        Outcome.OVERLOADED,
        Outcome.SERVER_ERROR,
        Outcome.MALFORMED,
    }
)
# What no request with this credential gets past. A 403 can be about one model alone.
_KEY_FAULTS = frozenset({Outcome.BAD_KEY, Outcome.UNPAID})
# The host answered sensibly, and took the credential.
_SOUND = frozenset({Outcome.OK, Outcome.CLIENT_FAULT, Outcome.RATE_LIMITED})


class BreakerState(enum.Enum):
    """The state of a breaker: allow everything, nothing that can go elsewhere, or one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Cause(enum.Enum):
    """The reason that a breaker is not closed."""

    BAD_HOST = "bad host"
    BAD_KEY = "bad key"


class Breaker:
    """The breaker of one upstream with its one credential. Times are Unix seconds."""

    __slots__ = ("_limit", "_open_seconds", "cause", "failures", "probing", "until")

    def __init__(self, failures: int, open_seconds: float) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self.cause: Cause | None = None
        # In a row, of the host.
        self.failures = 0
        # Open up to here; while a probe is under way, no other is let through before this.
        self.until = 0.0
        self.probing = False

    def state(self, now: float) -> BreakerState:
        """Return the current state."""
        if self.cause is None:
            return BreakerState.CLOSED
        if self.probing or now >= self.until:
            return BreakerState.HALF_OPEN
        return BreakerState.OPEN

    def is_due(self, now: float) -> bool:
        """Return whether it is half open, and its probe is still to be had."""
        return self.cause is not None and now >= self.until

    def probe(self, now: float) -> None:
        """Let one request through that is tried first of all.

        A probe of which nothing is heard holds its place only as long as the breaker stays open.
        """
        self.probing = True
        self.until = now + self._open_seconds

    def follow(self, cause: Cause | None, seconds: float, now: float, *, probing: bool) -> None:
        """Do what the breaker of another gateway did: it is open for so long, or closed.

        `probing`: its probe is under way, and nobody else's is let through meanwhile.
        """
        if cause is None:
            self.cause, self.failures, self.probing = None, 0, False
        elif not probing:
            self._open(cause, now + seconds)
        elif self.cause is not None:
            self.until = max(self.until, now + seconds)

    def report(self, outcome: Outcome, now: float) -> None:
        """Learn from an attempt. What says nothing about host or key changes nothing."""
        if outcome in _SOUND:
            self.cause, self.failures, self.probing = None, 0, False
        elif outcome in _KEY_FAULTS:
            self.failures = 0
            if self.cause is not Cause.BAD_KEY or self._is_half_open(now):
                self._open(Cause.BAD_KEY, now + BAD_KEY_FACTOR * self._open_seconds)
        elif outcome in _HOST_FAULTS:
            self.failures += 1
            if self.cause is None:
                tripped = self.failures >= self._limit
            else:
                tripped = self._is_half_open(now)
            if tripped:
                self._open(Cause.BAD_HOST, now + self._open_seconds)

    def _is_half_open(self, now: float) -> bool:
        return self.state(now) is BreakerState.HALF_OPEN

    def _open(self, cause: Cause, until: float) -> None:
        self.cause, self.until, self.probing = cause, until, False
