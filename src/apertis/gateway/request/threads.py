"""The conversations that upstreams hold: how much is in them, so that going on can be paid for.

A response is remembered at once, and written to the store behind it. One that was lost on the way,
with the process or with the store, is only unknown: then a whole window counts.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.records import ThreadMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apertis.accounting.estimate import Held

# How long a conversation can rest, and how many responses of all keys are kept.
KEPT_SECONDS: Final = 30 * 86_400
MAX_KEPT: Final = 100_000
_MAX_IN_MEMORY = 10_000
_PAUSE_SECONDS = 0.2
_PAUSE_AFTER_FAILURE_SECONDS = 5.0
_DROP_SECONDS = 600.0


class ThreadStore(Protocol):
    """The store of threads. Raises `StoreUnavailableError` when it fails."""

    async def add(self, messages: Iterable[ThreadMessage], /) -> None:
        """Keep these."""
        ...

    async def find(self, key_id: str, message_ids: Iterable[str], /) -> dict[str, ThreadMessage]:
        """Read those of a key that have one of these ids."""
        ...

    async def drop(self, before: int, keep: int, /) -> None:
        """Forget old ones, and all but the newest."""
        ...


class Threads:
    """Responses that a conversation can continue from, by key and id."""

    def __init__(
        self,
        store: ThreadStore,
        wall_clock: Callable[[], float],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._now = wall_clock
        self._on_failure = on_failure
        self._recent: OrderedDict[tuple[str, str], ThreadMessage] = OrderedDict()
        self._unwritten: OrderedDict[tuple[str, str], ThreadMessage] = OrderedDict()
        self._wake = asyncio.Event()
        self._dropped = 0.0

    def remember(self, key_id: str, message_id: str, upstream: str, held: Held) -> None:
        """Take note of a response before its last byte leaves."""
        message = ThreadMessage(
            key_id=key_id,
            message_id=message_id,
            upstream=upstream,
            tokens=held.tokens,
            searches=held.searches,
            allowance=held.allowance,
            hour=held.hour,
            at=int(self._now()),
        )
        for kept in (self._recent, self._unwritten):
            _put(kept, message)
        self._wake.set()

    async def find(self, key_id: str, message_ids: Iterable[str]) -> dict[str, ThreadMessage]:
        """Give what is known of a key's answers with these ids, by their ids."""
        found: dict[str, ThreadMessage] = {}
        missing: list[str] = []
        for message_id in message_ids:
            known = self._recent.get((key_id, message_id))
            if known is None:
                missing.append(message_id)
            else:
                found[message_id] = known
        if missing:
            try:
                found |= await self._store.find(key_id, missing)
            except StoreUnavailableError as error:
                self._on_failure(error)
        earliest = self._now() - KEPT_SECONDS
        return {id_: message for id_, message in found.items() if message.at >= earliest}

    async def run(self) -> None:
        """Write what is remembered, until canceled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(
                _PAUSE_SECONDS if await self.flush() else _PAUSE_AFTER_FAILURE_SECONDS
            )

    async def flush(self) -> bool:
        """Write all that there is now; False when the store failed: then it is written later."""
        self._wake.clear()
        messages = dict(self._unwritten)
        if not messages:
            return True
        now = self._now()
        try:
            await self._store.add(messages.values())
            if now - self._dropped >= _DROP_SECONDS:
                await self._store.drop(int(now - KEPT_SECONDS), MAX_KEPT)
                self._dropped = now
        except StoreUnavailableError as error:
            self._wake.set()
            self._on_failure(error)
            return False
        for id_, message in messages.items():
            # What came meanwhile under the same id is newer.
            if self._unwritten.get(id_) is message:
                del self._unwritten[id_]
        return True


def _put(kept: OrderedDict[tuple[str, str], ThreadMessage], message: ThreadMessage) -> None:
    id_ = message.key_id, message.message_id
    kept[id_] = message
    kept.move_to_end(id_)
    if len(kept) > _MAX_IN_MEMORY:
        kept.popitem(last=False)
