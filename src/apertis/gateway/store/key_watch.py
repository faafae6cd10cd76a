"""Changes of keys by other processes, applied while the gateway runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from apertis.gateway.store.records import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.observe.log import Log

# A change of a key that another process makes acts within a second.
_WATCH_SECONDS = 0.25
# However many unknown keys are tried, the store is not asked more often.
_GAP_SECONDS = 0.03
# A store that does not answer must not hold a refusal back for long.
_PATIENCE_SECONDS = 1.0


class _Keys(Protocol):
    """The queries that the key watch makes."""

    async def current_version(self) -> int: ...

    async def changes_since(self, version: int) -> Iterable[KeyRecord]: ...


class KeyWatch:
    """A watch for changes, a few times a second, and at once when an unknown key appears."""

    def __init__(self, keys: _Keys, directory: Directory, log: Log) -> None:
        self._keys = keys
        self._directory = directory
        self._log = log
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._failing = False

    async def run(self) -> None:
        """Look until canceled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _WATCH_SECONDS)
            # Who comes after this line may know a key that this look is too early for.
            self._wanted.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await self._look()
            finally:
                _told(waiting)
            await asyncio.sleep(_GAP_SECONDS)

    async def catch_up(self) -> None:
        """Return when all that was changed before the call is known, or cannot be.

        Calls at the same time share one look.
        """
        looked = asyncio.get_running_loop().create_future()
        self._waiting.append(looked)
        self._wanted.set()
        await asyncio.wait({looked}, timeout=_PATIENCE_SECONDS)

    async def _look(self) -> None:
        keys, directory = self._keys, self._directory
        try:
            if await keys.current_version() > directory.version:
                directory.apply(await keys.changes_since(directory.version))
            self._failing = False
        except StoreUnavailableError as error:
            if not self._failing:
                self._log.event("error", "the store cannot be read", reason=str(error))
            self._failing = True


def _told(waiting: Iterable[asyncio.Future[None]]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)
