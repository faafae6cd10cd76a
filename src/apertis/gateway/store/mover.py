"""The move of usage records from journal to store, so that no request waits for a database."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from apertis.errors import ConfigurationError
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.store.accounts import StoredAccounts
    from apertis.gateway.store.journal import Tell

_INTERVAL_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 5.0
_RECORDS_AT_ONCE = 500
LEFT_UNBOOKED = "the usage of an earlier start could not be booked in time"
_ANY_EPOCH = 2**63 - 1
FLUSH_SECONDS = 20.0
"""Longest wait of a start until what an earlier process left is booked."""


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


async def book_left(
    folder: Path,
    usage: UsageSink,
    accounts: StoredAccounts,
    name: str,
    *,
    slots_from: int,
    alone: bool,
    tell: Tell,
) -> None:
    """Book what processes left in the journals below a folder that no process will open now.

    Those are the workers' from `slots_from` on, and the one of a process `alone`. Their leases, as
    replica `name/<slot>` or `name`, are closed then. `ConfigurationError` when it cannot be done in
    time, or a process still has one of the journals.
    """
    for slot, path in _left(folder, slots_from, alone=alone):
        journal = Journal.open(path, tell=tell)
        try:
            booked = await Mover(journal, usage).flush(FLUSH_SECONDS)
        finally:
            journal.close()
        if not booked:
            raise ConfigurationError(LEFT_UNBOOKED)
        replica = name if slot is None else f"{name}/{slot}"
        try:
            await accounts.close_earlier(replica, _ANY_EPOCH)
        except StoreUnavailableError as error:
            raise ConfigurationError(LEFT_UNBOOKED) from error
        if slot is not None:
            # Damaged lines are kept.
            with contextlib.suppress(OSError):
                path.rmdir()


def _left(folder: Path, slots_from: int, *, alone: bool) -> list[tuple[int | None, Path]]:
    if not folder.is_dir():
        return []
    left: list[tuple[int | None, Path]] = [
        (int(path.name), path)
        for path in sorted(folder.iterdir())
        if path.name.isdecimal() and int(path.name) >= slots_from
    ]
    if alone and any(folder.glob("usage-*.jsonl")):
        left.append((None, folder))
    return left
