"""Signing in with a key of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.errors import Refusal, access_denied
from apertis.gateway.keys.admission import admit

if TYPE_CHECKING:
    from apertis.gateway.console.pages import Parts
    from apertis.gateway.signin.console_sessions import SignedIn

# One sentence for all that can be wrong with a key: nobody learns which keys there are.
_NOT_KNOWN = access_denied("No key that works is like this one. Check it, and try again.")


async def with_key(parts: Parts, secret: str, address: str) -> SignedIn | Refusal:
    """Sign in whoever has the secret of a key."""
    settings = parts.settings()
    if not settings.has_key_sign_in:
        return _NOT_KNOWN
    await parts.newer()
    key = admit(parts.directory, secret.strip() or None, address, parts.now())
    if isinstance(key, Refusal):
        return _NOT_KNOWN
    return await parts.sessions.begin(
        way="key",
        person=parts.organization.person_of(key.record),
        key=key.record,
        address=address,
        seconds=settings.console.session_seconds,
    )
