"""The move of usage records from journal to store, so that no request waits for a database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from apertis.gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.store.journal import Journal

_INTERVAL_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 5.0
_RECORDS_AT_ONCE = 500


class UsageSink(Protocol):
    """The sink that usage records are booked in."""

    async def add(self, records: Sequence[UsageRecord], /) -> int:
        """Book those whose request id is new, all or none; give their number.

        `StoreUnavailableError` when it could not be done, or nobody knows whether it was.
        """
        ...


class Mover:
    """A mover of the journal's records into the store, in order and in batches, with retries.

    `on_change` is told the error when it begins to fail, and None when it works again. One `Mover`
    reads a journal.
    """

    def __init__(
        self,
        journal: Journal,
        ledger: UsageSink,
        *,
        interval_seconds: float = _INTERVAL_SECONDS,
        records_at_once: int = _RECORDS_AT_ONCE,
        on_change: Callable[[Exception | None], None] = lambda _: None,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._interval_seconds = interval_seconds
        self._records_at_once = records_at_once
        self._on_change = on_change
        self._failures = 0
        self._moving = asyncio.Lock()
        # How many records the last batch had.
        self._moved = 0

    @property
    def is_failing(self) -> bool:
        """True if the last batch could not be booked."""
        return self._failures > 0

    async def run(self) -> None:
        """Keep moving until canceled; a batch that was canceled in between comes again.

        A small batch costs the store nearly what a large one does. So it is followed by a pause,
        in which the next one grows.
        """
        while True:
            await self._move_all(small_ones=False)
            await self._pause()

    async def flush(self, timeout_seconds: float) -> bool:
        """Move all that there is now; False when the time did not suffice. Nothing is lost then."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not await self._move_all():
                    await self._pause()
        except TimeoutError:
            return False
        return True

    async def move_once(self) -> bool:
        """Move one batch; False when the journal has no more.

        `StoreUnavailableError` or `OSError` when it failed: then the same batch is the next one.
        """
        async with self._moving:
            chunk = self._journal.read(self._records_at_once)
            if chunk is None:
                return False
            self._moved = len(chunk.records)
            if chunk.records:
                await self._ledger.add(chunk.records)
            self._journal.moved(chunk)
            return True

    async def _move_all(self, *, small_ones: bool = True) -> bool:
        try:
            while await self.move_once():
                self._works()
                if not small_ones and 0 < self._moved < self._records_at_once // 2:
                    break
        except (StoreUnavailableError, OSError) as error:
            self._failures += 1
            if self._failures == 1:
                self._on_change(error)
            return False
        self._works()
        return True

    def _works(self) -> None:
        if self._failures:
            self._failures = 0
            self._on_change(None)

    async def _pause(self) -> None:
        # 32 intervals are beyond the longest pause; more would only grow the number.
        seconds = self._interval_seconds * (1 << min(self._failures, 5))
        await asyncio.sleep(min(seconds, max(_MAX_PAUSE_SECONDS, self._interval_seconds)))
