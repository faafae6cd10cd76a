"""The answers that are kept: in memory, for a while, and no more than so many bytes of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from apertis.gateway.cache.recording import Entry, Recording

if TYPE_CHECKING:
    from apertis.gateway.config import CacheSettings

__all__ = ["ResponseCache"]

# What an entry costs besides its body: keys, tables, objects.
_OVERHEAD_BYTES: Final = 512


class ResponseCache:
    """Answers by `cache_key`: the least recently used make room, the old are forgotten."""

    __slots__ = ("_ages", "_entries", "_of_key", "_settings", "_size")

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        # Least recently used first, with the id of the key that each entry belongs to.
        self._entries: OrderedDict[bytes, tuple[Entry, str]] = OrderedDict()
        # Oldest first: all live equally long.
        self._ages: dict[bytes, float] = {}
        self._of_key: dict[str, set[bytes]] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"ResponseCache({len(self)} entries, {self._size} bytes)"

    @property
    def enabled(self) -> bool:
        """Whether anything is kept at all."""
        return self._settings.max_bytes > 0

    @property
    def size_bytes(self) -> int:
        """The memory that is taken."""
        return self._size

    def recording(self, *, streamed: bool) -> Recording:
        """What copies an answer that may be kept; `streamed` tells an event stream."""
        return Recording(streamed=streamed, max_entry_bytes=self._settings.max_entry_bytes)

    def get(self, cache_key: bytes, now: float) -> Entry | None:
        """The answer to an equal request, if there was one not too long ago (Unix seconds)."""
        self.sweep(now)
        kept = self._entries.get(cache_key)
        if kept is None:
            return None
        self._entries.move_to_end(cache_key)
        return kept[0]

    def put(self, cache_key: bytes, key_id: str, entry: Entry) -> bool:
        """Keep an answer to a request of a key, in place of an older one; False: no room for it."""
        size = len(entry.body) + _OVERHEAD_BYTES
        self.sweep(entry.stored_at)
        self.remove(cache_key)
        if len(entry.body) > self._settings.max_entry_bytes or size > self._settings.max_bytes:
            return False
        while self._size + size > self._settings.max_bytes:
            self.remove(next(iter(self._entries)))
        self._entries[cache_key] = (entry, key_id)
        self._ages[cache_key] = entry.stored_at
        self._of_key.setdefault(key_id, set()).add(cache_key)
        self._size += size
        return True

    def remove(self, cache_key: bytes) -> None:
        """Forget an answer."""
        kept = self._entries.pop(cache_key, None)
        if kept is None:
            return
        entry, key_id = kept
        del self._ages[cache_key]
        self._size -= len(entry.body) + _OVERHEAD_BYTES
        own = self._of_key[key_id]
        own.discard(cache_key)
        if not own:
            del self._of_key[key_id]

    def purge(self, key_id: str) -> int:
        """Forget all answers to a key, and say how many there were."""
        own = [*self._of_key.get(key_id, ())]
        for cache_key in own:
            self.remove(cache_key)
        return len(own)

    def clear(self) -> None:
        """Forget everything."""
        for cache_key in [*self._entries]:
            self.remove(cache_key)

    def sweep(self, now: float) -> None:
        """Forget what is too old. To be called now and then also while nobody asks."""
        while self._ages:
            oldest = next(iter(self._ages))
            if now - self._ages[oldest] < self._settings.ttl_seconds:
                return
            self.remove(oldest)
