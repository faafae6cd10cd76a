"""Signatures of what a browser keeps: MACs under a key of the store."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.store.secrets import StoredSecrets

NAME: Final = "console sessions"
# A new key counts within this time on every gateway.
_LOOK_SECONDS: Final = 1.0


class Signing:
    """The key of the console's cookies and forms, made at its first use. `now` is Unix seconds.

    Whatever was signed with an earlier key is void once `rotate` has made another one.
    """

    def __init__(self, secrets: StoredSecrets, now: Callable[[], float]) -> None:
        self._secrets = secrets
        self._now = now
        self._known: tuple[float, bytes] | None = None

    async def mac(self, purpose: str, text: str) -> str:
        """Return the MAC of a text; that of one purpose is worth nothing for another."""
        key = await self._key()
        return hmac.digest(key, f"{purpose}:{text}".encode(), "sha256").hex()

    async def is_mac(self, purpose: str, text: str, given: str) -> bool:
        """Return whether this is the MAC of a text."""
        return hmac.compare_digest((await self.mac(purpose, text)).encode(), given.encode())

    async def rotate(self, actor: str) -> None:
        """Make another key, so that nobody is signed in any more."""
        self._known = self._now(), await self._secrets.replace(NAME, actor)

    async def _key(self) -> bytes:
        now = self._now()
        if self._known is None or not 0 <= now - self._known[0] < _LOOK_SECONDS:
            self._known = now, await self._secrets.get(NAME)
        return self._known[1]
