"""Sessions of the console in the store: the hash of each one's id, and whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from sqlalchemy import delete, func, insert, select, text

from apertis.gateway.people.record import Role  # noqa: TC001 - msgspec reads it.
from apertis.gateway.store.schema import console_session_epochs, console_sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from apertis.gateway.store.connections import Database

_END_ALL = text(
    "INSERT INTO console_session_epochs (subject, epoch) VALUES (:subject, 1) "
    "ON CONFLICT (subject) DO UPDATE SET epoch = console_session_epochs.epoch + 1"
)


class ConsoleSession(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in to the console. Times are Unix seconds.

    `subject` is whose all sessions end together: `person:` or `key:` and an id. A session whose
    `epoch` is not its subject's any more has ended.
    """

    id_sha256: str
    subject: str
    epoch: int = 0
    person_id: str | None = None
    key_id: str | None = None
    role: Role
    way: Literal["key", "oidc"]
    address: str
    created_at: int
    expires_at: int


_FIELDS = ConsoleSession.__struct_fields__
_COLUMNS = tuple(console_sessions.c[name] for name in _FIELDS)


class StoredConsoleSessions:
    """Who is signed in, for all gateways of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, session: ConsoleSession) -> ConsoleSession:
        """Keep a new session, in the epoch that its subject has now; forget those that ended."""

        def work(connection: Connection) -> ConsoleSession:
            connection.execute(
                delete(console_sessions).where(console_sessions.c.expires_at <= session.created_at)
            )
            kept = msgspec.structs.replace(session, epoch=_epoch(connection, session.subject))
            connection.execute(insert(console_sessions), msgspec.structs.asdict(kept))
            return kept

        return await self._database.write(work)

    async def find(self, id_sha256: str, now: int) -> ConsoleSession | None:
        """Return a session that has not ended."""

        def work(connection: Connection) -> ConsoleSession | None:
            row = connection.execute(
                select(*_COLUMNS).where(
                    console_sessions.c.id_sha256 == id_sha256, console_sessions.c.expires_at > now
                )
            ).one_or_none()
            if row is None:
                return None
            session = ConsoleSession(**row._mapping)
            return session if session.epoch == _epoch(connection, session.subject) else None

        return await self._database.read(work)

    async def of(self, subject: str, now: int) -> tuple[ConsoleSession, ...]:
        """List a subject's sessions that have not ended, the newest first."""

        def work(connection: Connection) -> tuple[ConsoleSession, ...]:
            rows = connection.execute(
                select(*_COLUMNS)
                .where(
                    console_sessions.c.subject == subject,
                    console_sessions.c.expires_at > now,
                    console_sessions.c.epoch == _epoch(connection, subject),
                )
                .order_by(console_sessions.c.created_at.desc())
            )
            return tuple(ConsoleSession(**row._mapping) for row in rows)

        return await self._database.read(work)

    async def end(self, id_sha256: str) -> None:
        """End one session."""
        await self._database.write(
            lambda connection: connection.execute(
                delete(console_sessions).where(console_sessions.c.id_sha256 == id_sha256)
            )
        )

    async def end_all(self, subject: str) -> None:
        """End all sessions of a subject, everywhere."""
        await self._database.write(
            lambda connection: connection.execute(_END_ALL, {"subject": subject})
        )


def _epoch(connection: Connection, subject: str) -> int:
    found = connection.scalar(
        select(func.max(console_session_epochs.c.epoch)).where(
            console_session_epochs.c.subject == subject
        )
    )
    return int(found or 0)
