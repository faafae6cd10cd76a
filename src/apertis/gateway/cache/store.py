"""The responses that are kept, each by the key of its request: in memory, and for a while."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from apertis.gateway.cache.replay import events_of, message_of
from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from apertis.accounting.readers import StreamReader
    from apertis.gateway.config import CacheSettings

# `pause_turn` asks the caller to go on, and what is not known yet may mean the same.
FINAL_STOP_REASONS: Final = frozenset(
    {
        "end_turn",
        "stop_sequence",
        "max_tokens",
        "tool_use",
        "refusal",
        "model_context_window_exceeded",
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept answer: the bytes of a message's JSON, or of its event stream. No repr shows them."""

    body: bytes = field(repr=False)
    streamed: bool
    stored_at: float

    def age_seconds(self, now: float) -> int:
        """Return its age in whole seconds."""
        return max(int(now - self.stored_at), 0)

    def replay(self, *, streamed: bool) -> bytes | None:
        """Return the response as events or a message; the bytes as received in the same form.

        None when it cannot be had in the other form, which makes it a miss.
        """
        if streamed == self.streamed:
            return self.body
        return events_of(self.body) if streamed else message_of(self.body)


class Recording:
    """A copy of one stream as it passes: `add` its bytes, `finish` at its regular end."""

    __slots__ = ("_limit", "_pieces", "_size", "enabled")

    def __init__(self, max_entry_bytes: int) -> None:
        self._limit = max_entry_bytes
        self._pieces: list[bytes] = []
        self._size = 0

    def __repr__(self) -> str:
        return f"Recording({self._size} bytes)"

    def add(self, data: bytes) -> None:
        """Keep the next bytes; a response that becomes too large is let go."""
        self._size += len(data)
        if self._size <= self._limit:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def finish(self, reader: StreamReader, now: float) -> Entry | None:
        """Return the entry to cache; None unless its reader saw a complete message.

        To be called only for a 200 of the model that was asked for.
        """
        is_final = reader.ends_block and reader.stop_reason in FINAL_STOP_REASONS
        if not is_final or self._size > self._limit:
            return None
        return Entry(b"".join(self._pieces), True, now)


class _Message(msgspec.Struct, tag_field="type", tag="message"):
    content: list[dict[str, msgspec.Raw]]
    usage: dict[str, msgspec.Raw]
    stop_reason: str | None = None


def message_entry(body: bytes, now: float) -> Entry | None:
    """Return the entry to cache of a whole response; None unless it is a complete message.

    To be called only for a 200 of the model that was asked for.
    """
    message = json_or_none(body, _Message)
    if message is None or message.stop_reason not in FINAL_STOP_REASONS:
        return None
    return Entry(body, False, now)


# What an entry costs besides its body: keys, tables, objects.
_OVERHEAD_BYTES: Final = 512


class ResponseCache:
    """Responses by `cache_key`: the least recently used make room, the old are forgotten."""

    __slots__ = ("_ages", "_entries", "_of_key", "_settings", "_size", "enabled")

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        # Whether anything is kept at all.
        self.enabled = settings.max_bytes > 0
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
    def size_bytes(self) -> int:
        """The memory that is taken."""
        return self._size

    def recording(self) -> Recording:
        """Return a recorder of a cacheable stream."""
        return Recording(self._settings.max_entry_bytes)

    def get(self, cache_key: bytes, now: float) -> Entry | None:
        """Return the response to an equal request, if there is a fresh one (Unix seconds)."""
        self.sweep(now)
        kept = self._entries.get(cache_key)
        if kept is None:
            return None
        if now - kept[0].stored_at >= self._settings.ttl_seconds:
            # One that came from elsewhere was not the newest when it was put.
            self.remove(cache_key)
            return None
        self._entries.move_to_end(cache_key)
        return kept[0]

    def put(self, cache_key: bytes, key_id: str, entry: Entry) -> bool:
        """Cache a response to a key's request, in place of an older one; False: no room for it."""
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
        """Forget a response."""
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
        """Forget all responses to a key, and say how many there were."""
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


class SharedCache(Protocol):
    """Responses of all gateways of a store, behind the memory of each. It never raises."""

    async def get(self, cache_key: bytes, key_id: str, now: float, /) -> Entry | None:
        """Return the response to an equal request of a key, if there is a fresh one."""
        ...

    def put(self, cache_key: bytes, key_id: str, entry: Entry, /) -> None:
        """Keep a response, soon."""
        ...


# They change how a response is handed out, or who is told of it, and not what the model says.
_LEFT_OUT = frozenset(
    {
        "stream",
        "metadata",
        "user",
        "fallback_models",
        "fallback_timeout",
        "fallback_enabled",
        "compression",
    }
)
_HEADERS = ("anthropic-version", "anthropic-beta")


class TopLevel(Protocol):
    """A request's body, whose top-level fields are known as the bytes of their JSON."""

    @property
    def names(self) -> Collection[str]:
        """The names of the fields."""
        ...

    def raw(self, name: str) -> bytes | None:
        """Return the JSON of a field."""
        ...


def cache_key(key_id: str, target: str, body: TopLevel, headers: Mapping[str, str]) -> bytes:
    """Return the name of a response in the cache: a hash that is the same only for equal requests.

    `key_id` is part of it, so nobody is served, or learns of, what another key was answered.
    `target` is path and query; names of headers are lower-case. The order of the fields does not
    matter, every byte of their values does.
    """
    digest = hashlib.sha256()
    pieces = [key_id.encode(), target.encode()]
    pieces += [headers.get(name, "").encode() for name in _HEADERS]
    for name in sorted(body.names):
        if name not in _LEFT_OUT:
            pieces += [name.encode(), body.raw(name) or b""]
    for piece in pieces:
        # The length first: no two requests give the same bytes by a shifted border.
        digest.update(b"%d:" % len(piece))
        digest.update(piece)
    return digest.digest()


CACHE_HEADER: Final = "x-response-cache"

MISS: Final = ((b"x-response-cache", b"miss"),)


def wants_cache(headers: Mapping[str, str], key_setting: bool) -> bool | Refusal:
    """Return whether a request is to be answered from the cache, and its response kept there.

    Its header `x-response-cache: on` or `off` wins over the key's setting.
    """
    said = headers.get(CACHE_HEADER)
    if said is None:
        return key_setting
    word = said.strip().lower()
    if word not in {"on", "off"}:
        return invalid_parameter(
            CACHE_HEADER, f"Invalid value for header '{CACHE_HEADER}': 'on' or 'off'"
        )
    return word == "on"


def hit_headers(age_seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header pairs of a response from the cache."""
    return (b"x-response-cache", b"hit"), (b"age", b"%d" % age_seconds)
