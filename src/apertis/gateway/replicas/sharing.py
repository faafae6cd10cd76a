"""The exchange of counts with the other gateways, so that limits are one over all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.limits.shares import Heard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from apertis.gateway.limits.limiter import Limiter
    from apertis.gateway.limits.shares import Report

EXCHANGE_SECONDS = 1.0
# Where there is a Valkey that all of them reach.
QUICK_SECONDS = 0.2
# Whoever was not heard through it for so long may not reach it.
_SILENT_SECONDS = 1.5
_SWEEP_SECONDS = 3600.0


class ShareStore(Protocol):
    """The store of counts. Raises `StoreUnavailableError` when it fails."""

    async def exchange(
        self,
        replica: str,
        told: Sequence[tuple[str, int, int]],
        idle: Sequence[str],
        since_ms: int,
        /,
    ) -> tuple[int, Iterable[tuple[str, str, int, int, int]]]:
        """Say what one counted, and read what others have said since a time of the store."""
        ...

    async def sweep(self) -> None:
        """Forget what is old."""
        ...


class Spoken(NamedTuple):
    """The word of another gateway: counts of parties as in a `Report`, and how old they are."""

    replica: str
    told: Sequence[tuple[str, int, int]]
    idle: Sequence[str]
    age_ms: int


class QuickShares(Protocol):
    """A quicker way for the same counts that may lose them at any time."""

    async def exchange(
        self, replica: str, told: Sequence[tuple[str, int, int]], idle: Sequence[str], /
    ) -> tuple[Sequence[Spoken], bool] | None:
        """Say what one counted, and return what others said since the last call.

        False beside it: something that was said before may be lost. None: it is away.
        """
        ...


class Sharing:
    """The exchange of one gateway.

    `live` gives the names of all that are there, this one among them. One that is alone, or has
    nothing to tell, asks nothing of the store. Without the store each keeps the part that it had.

    With a `quick` way, the store is asked only while there is somebody that is not heard through
    it, or something that was said there is lost: at the next exchange, with all that was told last.
    """

    def __init__(
        self,
        limiter: Limiter,
        store: ShareStore,
        own: str,
        live: Callable[[], Collection[str]],
        clock: Callable[[], float],
        quick: QuickShares | None = None,
    ) -> None:
        self._limiter = limiter
        self._store = store
        self._own = own
        self._live = live
        self._clock = clock
        self._heard_ms = 0
        self._swept = clock()
        # Idle parties of which the others were not told yet.
        self._idle: dict[str, None] = {}
        self._quick = quick
        # True while the quick way is enough.
        self.is_quick = False
        self._tells_all = True
        self._among: frozenset[str] = frozenset()
        # When each was heard through it last.
        self._spoke: dict[str, float] = {}
        # What the store's clock is ahead of this one, once it was asked.
        self._ahead_ms: int | None = None

    async def run(self) -> None:
        """Exchange counts about each second until canceled."""
        while True:
            await asyncio.sleep(QUICK_SECONDS if self.is_quick else EXCHANGE_SECONDS)
            try:
                await self.exchange()
            except StoreUnavailableError:
                # Readiness and the watch for keys tell of it.
                continue

    async def exchange(self) -> None:
        """Exchange counts once."""
        live = self._live()
        limiter = self._limiter
        limiter.share_among(max(len(live), 1))
        told, idle = limiter.reports(self._clock())
        self._idle |= dict.fromkeys(idle)
        for report in told:
            self._idle.pop(report.party, None)
        quick, ahead_ms, was_quick = self._quick, self._ahead_ms, self.is_quick
        asks_first = quick is not None and ahead_ms is None and len(live) > 1
        if quick is not None and ahead_ms is not None and len(live) > 1:
            self.is_quick = await self._exchange_quickly(quick, told, idle, live, ahead_ms)
            if self.is_quick:
                return
            if was_quick:
                told = limiter.last_reports()
        if told or self._idle or limiter.is_shared or asks_first:
            try:
                at_ms, rows = await self._store.exchange(
                    self._own, told, list(self._idle), self._heard_ms
                )
            except StoreUnavailableError:
                limiter.report_again(told)
                raise
            self._ahead_ms = at_ms - round(self._clock() * 1000)
            self._idle.clear()
            if was_quick:
                # The others have not said it here yet: each keeps its part until they have.
                return
            self._heard_ms = at_ms
            limiter.heard(told, [Heard(*row) for row in rows], at_ms, live)
        if self._clock() - self._swept >= _SWEEP_SECONDS:
            self._swept = self._clock()
            await self._store.sweep()

    async def _exchange_quickly(
        self,
        quick: QuickShares,
        told: Sequence[Report],
        idle: Sequence[str],
        live: Collection[str],
        ahead_ms: int,
    ) -> bool:
        """Exchange counts the quick way, and return whether that is enough."""
        among, was_lost = frozenset(live), self._tells_all
        if was_lost or among - self._among:
            # Who is new, or has heard nothing since it was lost, knows none of them.
            told = self._limiter.last_reports()
        self._among = among
        said = await quick.exchange(self._own, told, idle)
        if said is None:
            self._tells_all = True
            return False
        spoken, is_whole = said
        self._tells_all = not is_whole
        now = self._clock()
        now_ms = round(now * 1000) + ahead_ms
        rows: list[Heard] = []
        for replica, counts, gone, age_ms in spoken:
            if replica == self._own:
                continue
            at_ms = now_ms - age_ms
            self._spoke[replica] = now - age_ms / 1000
            rows += [Heard(party, replica, used, demand, at_ms) for party, used, demand in counts]
            rows += [Heard(party, replica, 0, 0, at_ms) for party in gone]
        if is_whole or not self.is_quick:
            self._limiter.heard(told, rows, now_ms, live)
        self._spoke = {name: at for name, at in self._spoke.items() if name in among}
        since = now - _SILENT_SECONDS
        heard_all = all(self._spoke.get(name, since) > since for name in among - {self._own})
        # After a loss the others say all again in their next word.
        return is_whole and heard_all and not was_lost
