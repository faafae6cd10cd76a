"""Signing in: with a key of the gateway, or with an identity provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.admin.identities import person_of
from apertis.gateway.errors import Refusal, access_denied
from apertis.gateway.keys.admission import admit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.console.pages import Parts
    from apertis.gateway.signin.console_sessions import SignedIn
    from apertis.gateway.signin.oidc import Provider

# One sentence for all that can be wrong with a key: nobody learns which keys there are.
_NOT_KNOWN = access_denied("This is no key that works here. Check it, and try again.")


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
        secret=secret.strip(),
        address=address,
        seconds=settings.console.session_seconds,
        earlier=earlier,
    )


async def with_provider(
    parts: Parts,
    provider: Provider,
    query: Mapping[str, str],
    attempt: str | None,
    redirect_uri: str,
    address: str,
    earlier: str | None,
) -> tuple[SignedIn, str] | Refusal:
    """Sign in whoever comes back from the provider, and say where they wanted to go.

    `attempt` is the cookie that the browser got when it was sent there, `earlier` a session's.
    """
    begun = await provider.begun(query, attempt)
    if isinstance(begun, Refusal):
        # Not counted: pages of others can send a browser here, and would lock its network out.
        return begun
    sessions = parts.sessions
    refusal = sessions.attempt(address)
    if refusal is not None:
        return refusal
    finished = await provider.finish(query, begun, redirect_uri)
    if isinstance(finished, Refusal):
        await sessions.failed("oidc", address)
        return finished
    organization = parts.store.organization
    person = await person_of(organization, finished.identity, provider.settings, parts.now())
    if isinstance(person, Refusal):
        await sessions.failed("oidc", address)
        return person
    # Somebody who is new is known here, too, before the first page asks.
    await parts.newer()
    entered = await sessions.begin(
        way="oidc",
        person=person,
        key=None,
        address=address,
        seconds=parts.settings().console.session_seconds,
        earlier=earlier,
    )
    return entered if isinstance(entered, Refusal) else (entered, finished.to)
