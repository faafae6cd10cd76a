"""Breakers of several gateways that ask the same upstreams: they open and close together."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final

import msgspec

from apertis.gateway.routing.breaker import Cause
from apertis.gateway.routing.router import Fleet
from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from apertis.gateway.replicas.presence import Presence
    from apertis.gateway.replicas.signals import Signals
    from apertis.gateway.routing.breaker import Breaker
    from apertis.gateway.routing.router import Router

# How long a probe that is due waits for the gateway whose turn it is: that one may have no request
# to make it with.
TURN_SECONDS: Final = 2.0


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of a breaker: it is closed where there is no cause.

    Clocks differ, so times are durations, and `serial` counts up with every change of an upstream's
    breaker by anybody: the newest one holds, however late others arrive.
    """

    upstream: str
    serial: int
    cause: str | None = None
    seconds: float = 0.0
    probing: bool = False


_TOLD = msgspec.json.Decoder(Told)
_CAUSES = {cause.value: cause for cause in Cause}


def turn_of(upstream: str, own: str, names: Collection[str]) -> int:
    """Return how many of these gateways have a probe of the upstream before this one: 0 or more.

    Everybody comes to the same order without asking anybody.
    """

    def score(name: str) -> bytes:
        return hashlib.blake2b(f"{upstream}\0{name}".encode(), digest_size=8).digest()

    return sum(1 for name in names if score(name) > score(own))


class SharedBreakers(Fleet):
    """The link between the breakers of this gateway and those of the others."""

    def __init__(
        self,
        presence: Presence,
        signals: Signals,
        router: Callable[[], Router],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._presence = presence
        self._signals = signals
        self._router = router
        self._clock = clock
        # Of the newest change of each upstream's breaker that is known here.
        self._serials: dict[str, int] = {}

    def may_probe(self, upstream: str, overdue_seconds: float) -> bool:
        """Return whether a probe is this one's to make; after a while it is anyone's."""
        turn = turn_of(upstream, self._presence.own.name, self._presence.names)
        return overdue_seconds >= turn * TURN_SECONDS

    def tell(self, upstream: str, breaker: Breaker, now: float) -> None:
        """Tell the others what a breaker has done."""
        serial = self._serials[upstream] = self._serials.get(upstream, 0) + 1
        told = _told(upstream, serial, breaker.cause, breaker.until - now, breaker.probing)
        self._signals.send("breaker", msgspec.json.encode(told).decode())
        self._presence.tell()

    def heard(self, text: str) -> None:
        """Follow what the breaker of another gateway did."""
        told = json_or_none(text.encode(), _TOLD)
        if told is not None:
            self._follow(told)

    def look(self) -> None:
        """Follow what the others' states say, for whom a signal did not arrive."""
        for state in self._presence.states().values():
            for upstream, (serial, cause, seconds) in state.breakers.items():
                self._follow(Told(upstream, serial, cause, seconds))

    def state(self) -> dict[str, tuple[int, str | None, float]]:
        """Return what the others may know: of each upstream the newest change."""
        opened = self._router().open_breakers(self._clock())
        found: dict[str, tuple[int, str | None, float]] = {}
        for upstream, serial in self._serials.items():
            cause, seconds = opened.get(upstream, (None, 0.0))
            told = _told(upstream, serial, cause, seconds)
            # To the second: what is told is told again only when it changes.
            found[upstream] = serial, told.cause, float(round(told.seconds))
        return found

    def _follow(self, told: Told) -> None:
        if told.serial <= self._serials.get(told.upstream, 0):
            return
        cause = None if told.cause is None else _CAUSES.get(told.cause, Cause.BAD_HOST)
        known = self._router().follow(
            told.upstream, cause, told.seconds, self._clock(), probing=told.probing
        )
        if known:
            self._serials[told.upstream] = told.serial


def _told(
    upstream: str, serial: int, cause: Cause | None, seconds: float, probing: bool = False
) -> Told:
    if cause is None:
        return Told(upstream, serial)
    return Told(upstream, serial, cause.value, round(max(seconds, 0.0), 3), probing)
