"""The exchange of counts with the other gateways, so that limits are one over all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.limits.shares import Heard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from apertis.gateway.limits.limiter import Limiter

EXCHANGE_SECONDS = 1.0
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


class Sharing:
    """The exchange of one gateway.

    `live` gives the names of all that are there, this one among them. One that is alone, or has
    nothing to tell, asks nothing of the store. Without the store each keeps the part that it had.
    """

    def __init__(
        self,
        limiter: Limiter,
        store: ShareStore,
        own: str,
        live: Callable[[], Collection[str]],
        clock: Callable[[], float],
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

    async def run(self) -> None:
        """Exchange counts about each second until canceled."""
        while True:
            await asyncio.sleep(EXCHANGE_SECONDS)
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
        if told or self._idle or limiter.is_shared:
            try:
                at_ms, rows = await self._store.exchange(
                    self._own, told, list(self._idle), self._heard_ms
                )
            except StoreUnavailableError:
                limiter.report_again(told)
                raise
            self._heard_ms = at_ms
            self._idle.clear()
            limiter.heard(told, [Heard(*row) for row in rows], at_ms, live)
        if self._clock() - self._swept >= _SWEEP_SECONDS:
            self._swept = self._clock()
            await self._store.sweep()
