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


async def with_key(
    parts: Parts, secret: str, address: str, earlier: str | None
) -> SignedIn | Refusal:
    """Sign in whoever has the secret of a key; `earlier` is the cookie that the browser has.

    The keys of Claude Code's sign-ins and of the chat are for programs, not for a console.
    """
    settings, sessions = parts.settings(), parts.sessions
    if not settings.has_key_sign_in:
        return _NOT_KNOWN
    refusal = sessions.attempt(address)
    if refusal is not None:
        return refusal
    await parts.newer()
    now = parts.now()
    key = admit(parts.directory, secret.strip() or None, address, now)
    if isinstance(key, Refusal) or key.record.kind != "key":
        known = parts.directory.find(secret.strip(), now)
        record = None if known is None else known.record
        person = None if record is None else parts.organization.person_of(record)
        await sessions.failed("key", address, person, record)
        return _NOT_KNOWN
    return await sessions.begin(
        way="key",
        person=parts.organization.person_of(key.record),
        key=key.record,
        address=address,
        seconds=settings.console.session_seconds,
        earlier=earlier,
    )
