"""Sessions of the console: the cookie, who it stands for, and the token of its forms.

Theory of operation. A sign-in makes a random id. The cookie carries `id.mac`, with a MAC under a
key of the store, so that what was made up costs no look into the store; the store knows the hash of
the id. Each request looks the session up, at most once a second on each gateway, and takes the role
from the person or key as it is then, never more than at the sign-in. So somebody who is disabled is
out within a second, and a sign-out holds on every replica. The token of forms is a MAC of the id:
it lives as long as the session and is known to its pages alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, NamedTuple

from apertis.gateway.signin.roles import Viewer, groups_within, least, role_of
from apertis.gateway.store.console_sessions import ConsoleSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Person
    from apertis.gateway.store.console_sessions import StoredConsoleSessions
    from apertis.gateway.store.secrets import StoredSecrets

_ID_BYTES = 32
_SIGNING = "console sessions"
# A sign-out or a disabled person counts within this time on every gateway.
_LOOK_SECONDS = 1.0
_MAX_KNOWN = 10_000


class SignedIn(NamedTuple):
    """A new session: the value of its cookie, and for how long."""

    cookie: str
    seconds: int


class ConsoleSessions:
    """Sessions of one gateway, over those of the store."""

    def __init__(
        self,
        stored: StoredConsoleSessions,
        secrets: StoredSecrets,
        directory: Directory,
        organization: Callable[[], Organization],
        now: Callable[[], float],
    ) -> None:
        self._stored = stored
        self._secrets = secrets
        self._directory = directory
        self._organization = organization
        self._now = now
        self._signing: bytes | None = None
        # By the hash of the id: when it was looked up, and what was found.
        self._known: dict[str, tuple[float, ConsoleSession | None]] = {}

    async def begin(
        self,
        *,
        way: Literal["key", "oidc"],
        person: Person | None,
        key: KeyRecord | None,
        address: str,
        seconds: int,
    ) -> SignedIn:
        """Sign somebody in; whoever was signed in with this browser before is not any more."""
        now, session_id = int(self._now()), secrets.token_urlsafe(_ID_BYTES)
        await self._stored.begin(
            ConsoleSession(
                id_sha256=_hash(session_id),
                subject=_subject(person, key),
                person_id=None if person is None else person.id,
                key_id=None if key is None else key.id,
                role=role_of(person, key),
                way=way,
                address=address,
                created_at=now,
                expires_at=now + seconds,
            )
        )
        return SignedIn(f"{session_id}.{await self._mac('cookie', session_id)}", seconds)

    async def find(self, cookie: str | None) -> Viewer | None:
        """Return who a cookie stands for; None for nobody."""
        session_id = await self._id_of(cookie)
        if session_id is None:
            return None
        session = await self._look_up(_hash(session_id))
        return None if session is None else self._viewer(session)

    async def end(self, viewer: Viewer) -> None:
        """Sign out this session."""
        self._known.pop(viewer.session, None)
        await self._stored.end(viewer.session)

    async def end_all(self, viewer: Viewer) -> None:
        """Sign out all sessions of whoever this is, on every gateway."""
        self._known.clear()
        await self._stored.end_all(_subject(viewer.person, viewer.key))

    async def form_token(self, cookie: str) -> str:
        """Return what the forms of a session carry."""
        return await self._mac("form", cookie.partition(".")[0])

    async def is_form_token(self, cookie: str, token: str | None) -> bool:
        """Return whether a form came from a page of this session."""
        if token is None:
            return False
        return hmac.compare_digest((await self.form_token(cookie)).encode(), token.encode())

    async def _id_of(self, cookie: str | None) -> str | None:
        session_id, _, mac = (cookie or "").partition(".")
        if not session_id or not mac:
            return None
        wanted = await self._mac("cookie", session_id)
        return session_id if hmac.compare_digest(wanted.encode(), mac.encode()) else None

    async def _mac(self, what: str, text: str) -> str:
        if self._signing is None:
            self._signing = await self._secrets.get(_SIGNING)
        return hmac.digest(self._signing, f"{what}:{text}".encode(), "sha256").hex()

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

    def _viewer(self, session: ConsoleSession) -> Viewer | None:
        organization = self._organization()
        person = key = None
        if session.key_id is not None:
            found = self._directory.get(session.key_id)
            key = None if found is None else found.record
            if found is None or not _works(found.record, self._now()) or found.is_barred:
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
                groups_within(organization, group_id) if role == "group_administrator" else ()
            ),
        )


def _subject(person: Person | None, key: KeyRecord | None) -> str:
    if person is not None:
        return f"person:{person.id}"
    return "" if key is None else f"key:{key.id}"


def _works(record: KeyRecord, now: float) -> bool:
    return record.status == "enabled" and (record.expires_at is None or record.expires_at > now)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
