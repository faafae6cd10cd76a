"""Sessions of the console: the cookie, who it stands for, and the token of its forms.

Theory of operation. A sign-in makes a random id. The cookie carries `id.mac`, with a MAC under a
key of the store, so that what was made up costs no look into the store; the store knows the hash of
the id. Each request looks the session up, at most once a second on each gateway, and takes the role
from the person or key as it is then, never more than at the sign-in. So somebody who is disabled is
out within a second, as is who came by a secret that works no more, and a sign-out holds on every
replica. The token of forms is a MAC of the id:
it lives as long as the session and is known to its pages alone. Who signs in gets an id that nobody
had before, and whatever the browser was signed in with ends.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Literal, NamedTuple

from apertis.gateway.errors import Refusal, rate_limit_exceeded
from apertis.gateway.keys.secrets import hash_secret
from apertis.gateway.signin.attempts import Attempts
from apertis.gateway.signin.roles import Viewer, least, role_of
from apertis.gateway.store.console_sessions import ConsoleSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Person
    from apertis.gateway.signin.signing import Signing
    from apertis.gateway.store.console_sessions import StoredConsoleSessions

_ID_BYTES = 32
# A sign-out or a disabled person counts within this time on every gateway.
_LOOK_SECONDS = 1.0
_MAX_KNOWN = 10_000


Way = Literal["key", "oidc"]


class SignedIn(NamedTuple):
    """A new session: the value of its cookie, for how long, and whose it is."""

    cookie: str
    seconds: int
    subject: str

    # Whoever has the cookie is signed in.
    def __repr__(self) -> str:
        """Say whose it is."""
        return f"SignedIn({self.subject!r})"


class ConsoleSessions:
    """Sessions of one gateway, over those of the store. `now` is Unix seconds."""

    def __init__(
        self,
        stored: StoredConsoleSessions,
        signing: Signing,
        directory: Directory,
        organization: Callable[[], Organization],
        now: Callable[[], float],
    ) -> None:
        self.signing = signing
        self._stored = stored
        self._directory = directory
        self._organization = organization
        self._now = now
        self._attempts = Attempts()
        # By the hash of the id: when it was looked up, and what was found.
        self._known: dict[str, tuple[float, ConsoleSession | None]] = {}

    def attempt(self, address: str) -> Refusal | None:
        """Count an attempt to sign in, which `begin` or `failed` ends; refuse one too many."""
        return _too_many(self._attempts.begin(address, self._now()))

    async def failed(
        self,
        way: Way,
        address: str,
        person: Person | None = None,
        key: KeyRecord | None = None,
    ) -> None:
        """Tell the audit trail that an attempt failed; whose it would have been, if that is known.

        That is the same work for all of them, so that nobody learns from it what is known.
        """
        if self._attempts.is_audited(self._now()):
            subject = subject_of(person, key)
            await self._stored.failed(way, address, subject)

    async def begin(
        self,
        *,
        way: Way,
        person: Person | None,
        key: KeyRecord | None,
        address: str,
        seconds: int,
        secret: str | None = None,
        earlier: str | None = None,
    ) -> SignedIn | Refusal:
        """Sign somebody in; the session of the `earlier` cookie of this browser ends.

        `secret` is the key's that was entered: with it the session ends.
        """
        now, session_id = int(self._now()), secrets.token_urlsafe(_ID_BYTES)
        subject = subject_of(person, key)
        refusal = _too_many(self._attempts.succeeded(address, subject, self._now()))
        if refusal is not None:
            return refusal
        before = await self._id_of(earlier)
        ends = None if before is None else _hash(before)
        await self._stored.begin(
            ConsoleSession(
                id_sha256=_hash(session_id),
                subject=subject,
                person_id=None if person is None else person.id,
                key_id=None if key is None else key.id,
                key_sha256=None if secret is None else hash_secret(secret),
                role=role_of(person, key),
                way=way,
                address=address,
                created_at=now,
                expires_at=now + seconds,
            ),
            ends,
        )
        self._known.pop(ends or "", None)
        cookie = f"{session_id}.{await self.signing.mac('cookie', session_id)}"
        return SignedIn(cookie, seconds, subject)

    async def find(self, cookie: str | None, address: str) -> Viewer | None:
        """Return who a cookie stands for; None for nobody."""
        session_id = await self._id_of(cookie)
        if session_id is None:
            return None
        session = await self._look_up(_hash(session_id))
        return None if session is None else self._viewer(session, address)

    async def of(self, viewer: Viewer) -> tuple[ConsoleSession, ...]:
        """List all sessions of whoever this is, the newest first."""
        return await self._stored.of(subject_of(viewer.person, viewer.key), int(self._now()))

    async def end(self, viewer: Viewer, session: str, address: str) -> None:
        """Sign out one session of whoever this is, known by the hash of its id."""
        self._known.pop(session, None)
        await self._stored.end(subject_of(viewer.person, viewer.key), session, address)

    async def end_all(self, viewer: Viewer, address: str) -> None:
        """Sign out all sessions of whoever this is, on every gateway."""
        await self._stored.end_all(subject_of(viewer.person, viewer.key), address)
        self._known.clear()

    async def form_token(self, cookie: str) -> str:
        """Return what the forms of a session carry."""
        return await self.signing.mac("form", cookie.partition(".")[0])

    async def is_form_token(self, cookie: str, token: str | None) -> bool:
        """Return whether a form came from a page of this session."""
        session_id = cookie.partition(".")[0]
        return token is not None and await self.signing.is_mac("form", session_id, token)

    async def _id_of(self, cookie: str | None) -> str | None:
        session_id, _, mac = (cookie or "").partition(".")
        if not session_id or not mac:
            return None
        return session_id if await self.signing.is_mac("cookie", session_id, mac) else None

    async def _look_up(self, id_sha256: str) -> ConsoleSession | None:
        now = self._now()
        known = self._known.get(id_sha256)
        if known is not None and 0 <= now - known[0] < _LOOK_SECONDS:
            return known[1]
        session = await self._stored.find(id_sha256, int(now))
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[id_sha256] = now, session
        return session

    def _viewer(self, session: ConsoleSession, address: str) -> Viewer | None:
        organization = self._organization()
        person = key = None
        if session.key_id is not None:
            found = self._directory.get(session.key_id)
            key = None if found is None else found.record
            if found is None or not _works(found.record, self._now()) or found.is_barred:
                return None
            if not found.is_secret(session.key_sha256 or "", self._now()):
                return None
            if found.record.person_id != session.person_id:
                # Given to somebody else, or taken from who has signed in with it.
                return None
            if found.record.addresses is not None and not found.allows_address(address):
                return None
        if session.person_id is not None:
            person = organization.people.get(session.person_id)
            if person is None or person.status != "enabled":
                return None
        role = least(session.role, role_of(person, key))
        group_id = None if person is None else person.group_id
        return Viewer(
            session=session.id_sha256,
            role=role,
            person=person,
            key=key,
            group_ids=(
                organization.groups_within(group_id) if role == "group_administrator" else ()
            ),
        )


def subject_of(person: Person | None, key: KeyRecord | None) -> str:
    """Return whose sessions end together: the person's, or those of a key that is nobody's."""
    if person is not None:
        return f"person:{person.id}"
    return "" if key is None else f"key:{key.id}"


def _too_many(wait_seconds: int | None) -> Refusal | None:
    if wait_seconds is None:
        return None
    return rate_limit_exceeded(wait_seconds, "attempts to sign in")


def _works(record: KeyRecord, now: float) -> bool:
    return record.status == "enabled" and (record.expires_at is None or record.expires_at > now)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
