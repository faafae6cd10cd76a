"""Bounds on sign-ins: of failures by address and in all, and of successes by whoever it is. Pure.

Each gateway counts for itself, as it counts the requests of addresses. No secret that could be
guessed at this rate is accepted anywhere: the bounds save work, and keep the audit trail short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apertis.limiting.rates import Rate
from apertis.limiting.windows import Windows, party_of

if TYPE_CHECKING:
    from apertis.limiting.status import LimitStatus

_BY_ADDRESS: Final = Rate(20, 300)
_IN_ALL: Final = Rate(600, 300)
_BY_SUBJECT: Final = Rate(300, 300)
# Failures that the audit trail is told of.
_AUDITED: Final = Rate(100, 3600)
_ALL: Final = ""


class Attempts:
    """Attempts to sign in at one gateway. `now` is Unix seconds."""

    def __init__(self) -> None:
        self._by_address = Windows(_BY_ADDRESS)
        self._in_all = Windows(_IN_ALL)
        self._by_subject = Windows(_BY_SUBJECT)
        self._audited = Windows(_AUDITED)

    def begin(self, address: str, now: float) -> int | None:
        """Count an attempt as failed until `succeeded`; the seconds to wait if there are too many.

        Counted before it is tried, so that many at once are no more than one after another.
        """
        by_address = self._by_address.take(party_of(address), now)
        if not by_address.allowed:
            return by_address.retry_after_seconds
        in_all = self._in_all.take(_ALL, now)
        if in_all.allowed:
            return None
        self._by_address.give_back(party_of(address))
        return in_all.retry_after_seconds

    def succeeded(self, address: str, subject: str, now: float) -> int | None:
        """Take the count of a failure back; the seconds to wait if this one comes too often."""
        self._by_address.give_back(party_of(address))
        self._in_all.give_back(_ALL)
        standing: LimitStatus = self._by_subject.take(subject, now)
        return None if standing.allowed else standing.retry_after_seconds

    def is_audited(self, now: float) -> bool:
        """Return whether the audit trail is told of this failure, too."""
        return self._audited.take(_ALL, now).allowed
