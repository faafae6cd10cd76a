"""Cached responses of all gateways of a store, in Valkey: sealed, and only for a while.

Whoever has the server but not the store learns neither what was asked or answered nor by whom, and
can put nothing in its place: what cannot be opened, belongs to another request or is too old is a
miss.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
import os
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from apertis.errors import ConfigurationError
from apertis.gateway.cache import Entry
from apertis.installation import install_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.config import CacheSettings
    from apertis.gateway.replicas.valkey import Valkey

_NONCE_BYTES: Final = 12
# When it was stored, and whether it is a stream.
_HEAD = struct.Struct(">d?")
# What may wait to be sent; more is left out.
_MAX_WAITING: Final = 64
# Clocks of gateways may differ by so much.
_AHEAD_SECONDS: Final = 120.0
# After a failure requests go on without it for so long.
_PAUSE_SECONDS: Final = 1.0
_SCANNED: Final = 500


class Sealing:
    """Responses as they lie elsewhere: encrypted, and bound to their names by AES-GCM."""

    def __init__(self, secret: bytes) -> None:
        if find_spec("cryptography") is None:
            raise ConfigurationError(
                f"cache.shared needs cryptography: {install_command('valkey')}"
            )
        self._cipher: Any = importlib.import_module(
            "cryptography.hazmat.primitives.ciphers.aead"
        ).AESGCM
        self._invalid: type[Exception] = importlib.import_module(
            "cryptography.exceptions"
        ).InvalidTag
        self._secret = secret

    def _of(self, name: bytes) -> Any:
        # A key for each name: a nonce is never used twice with one, however many responses.
        return self._cipher(hmac.digest(self._secret, b"response:" + name, hashlib.sha256))

    def seal(self, name: bytes, entry: Entry) -> bytes:
        """Return what nobody reads or changes who does not have the secret."""
        nonce = os.urandom(_NONCE_BYTES)
        head = _HEAD.pack(entry.stored_at, entry.streamed)
        sealed: bytes = self._of(name).encrypt(nonce, head + entry.body, name)
        return nonce + sealed

    def open(self, name: bytes, sealed: bytes) -> Entry | None:
        """Return the response of this name; None for all else."""
        try:
            opened: bytes = self._of(name).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name
            )
            stored_at, streamed = _HEAD.unpack_from(opened)
        except (self._invalid, ValueError, struct.error):
            return None
        return Entry(opened[_HEAD.size :], streamed, stored_at)


class SharedResponses:
    """The responses in Valkey; `settings` bound their age and size as they do in memory."""

    def __init__(
        self,
        valkey: Valkey,
        secret: bytes,
        settings: CacheSettings,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._valkey = valkey
        self._sealing = Sealing(secret)
        self.settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._waiting: set[asyncio.Task[None]] = set()
        self._away_until = 0.0
        # By key, and "" for all: what is not newer was purged, whether or not the server knows.
        self.purged: dict[str, float] = {}

    async def get(self, cache_key: bytes, key_id: str, now: float) -> Entry | None:
        """Return the response to an equal request, if there is a fresh one (Unix seconds)."""
        if self._clock() < self._away_until:
            return None
        name = self._name(cache_key, key_id)
        found = await self._run(lambda pipeline: pipeline.get(name))
        if found is None or not isinstance(found[0], bytes):
            return None
        entry = self._sealing.open(cache_key, found[0])
        if entry is None or len(entry.body) > self.settings.max_entry_bytes:
            return None
        purged_at = max(self.purged.get(key_id, 0.0), self.purged.get("", 0.0))
        age = now - entry.stored_at
        is_fresh = -_AHEAD_SECONDS < age < self.settings.ttl_seconds
        return entry if is_fresh and entry.stored_at > purged_at else None

    def put(self, cache_key: bytes, key_id: str, entry: Entry) -> None:
        """Send a response there behind everything else; nothing waits for it."""
        is_large = len(entry.body) > self.settings.max_entry_bytes
        if is_large or len(self._waiting) >= _MAX_WAITING or self._clock() < self._away_until:
            return
        self._later(self._put(self._name(cache_key, key_id), cache_key, entry))

    async def _put(self, name: str, cache_key: bytes, entry: Entry) -> None:
        sealed = self._sealing.seal(cache_key, entry)
        ttl_ms = max(round(self.settings.ttl_seconds * 1000), 1)
        await self._run(lambda pipeline: pipeline.set(name, sealed, px=ttl_ms))

    def forget(self, key_id: str) -> None:
        """Take no more of what there is now of a key, "" for all keys."""
        now = self._wall_clock()
        since = now - self.settings.ttl_seconds - _AHEAD_SECONDS
        self.purged = {of: at for of, at in self.purged.items() if at > since}
        self.purged[key_id] = now

    def purge(self, key_id: str) -> None:
        """Remove the responses of a key, "" for all keys, behind everything else."""
        self.forget(key_id)
        self._later(self._purge(key_id))

    async def _purge(self, key_id: str) -> None:
        pattern = f"{self._prefix(key_id) if key_id else f'{self._valkey.prefix}response:'}*"
        cursor = 0
        while True:
            found = await self._run(
                lambda pipeline, at=cursor: pipeline.scan(at, pattern, _SCANNED)  # type: ignore[misc]
            )
            if found is None:
                return
            cursor, names = found[0]
            if names:
                await self._run(lambda pipeline, names=names: pipeline.unlink(*names))  # type: ignore[misc]
            if not cursor:
                return

    async def _run(self, commands: Callable[[Any], object]) -> list[Any] | None:
        found = await self._valkey.run(commands)
        if found is None:
            self._away_until = self._clock() + _PAUSE_SECONDS
        return found

    def _prefix(self, key_id: str) -> str:
        of = self._valkey.name_of(b"key:" + key_id.encode())[:16]
        return f"{self._valkey.prefix}response:{of}:"

    def _name(self, cache_key: bytes, key_id: str) -> str:
        return self._prefix(key_id) + self._valkey.name_of(b"name:" + cache_key)

    def _later(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def settle(self) -> None:
        """Wait until all is sent."""
        await asyncio.gather(*self._waiting)
