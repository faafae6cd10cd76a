"""Sessions of the console in the store: the hash of each one's id, and whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from sqlalchemy import delete, func, insert, select, text

from apertis.gateway.people.record import Role  # noqa: TC001 - msgspec reads it.
from apertis.gateway.store.audit import GATEWAY, note
from apertis.gateway.store.schema import console_session_epochs, console_sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from apertis.gateway.store.connections import Database

MAX_SESSIONS = 100
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
    # The hash of the secret that was entered.
    key_sha256: str | None = None
    role: Role
    way: Literal["key", "oidc"]
    address: str
    created_at: int
    expires_at: int


_FIELDS = ConsoleSession.__struct_fields__
_COLUMNS = tuple(console_sessions.c[name] for name in _FIELDS)


class StoredConsoleSessions:
    """Those who are signed in, for all gateways of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, session: ConsoleSession, ends: str | None = None) -> ConsoleSession:
        """Keep a new session, in the epoch that its subject has now; forget those that ended.

        `ends` is the session that the browser had before. Of one subject, the newest are kept.
        """
        subject = session.subject

        def work(connection: Connection) -> ConsoleSession:
            table = console_sessions
            ended = table.c.expires_at <= session.created_at
            if ends is not None:
                ended |= table.c.id_sha256 == ends
            connection.execute(delete(table).where(ended))
            too_many = (
                select(table.c.id_sha256)
                .where(table.c.subject == subject)
                .order_by(table.c.created_at.desc(), table.c.id_sha256)
                .offset(MAX_SESSIONS - 1)
            )
            connection.execute(
                delete(table).where(table.c.id_sha256.in_(connection.scalars(too_many).all()))
            )
            kept = msgspec.structs.replace(session, epoch=_epoch(connection, subject))
            connection.execute(insert(table), msgspec.structs.asdict(kept))
            told = {"way": session.way, "role": session.role, "address": session.address}
            _note(connection, subject, "sign_in", told)
            return kept

        return await self._database.write(work)

    async def failed(self, way: str, address: str, subject: str | None) -> None:
        """Tell the audit trail of an attempt that failed; `subject` is whose it would have been."""
        told = {"way": way, "address": address}
        await self._database.write(
            lambda connection: _note(connection, subject or "", "fail_sign_in", told)
        )

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
            session = _record(row)
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
            return tuple(map(_record, rows))

        return await self._database.read(work)

    async def end(self, subject: str, id_sha256: str, address: str) -> None:
        """End one session of a subject."""
        table = console_sessions

        def work(connection: Connection) -> None:
            own = (table.c.id_sha256 == id_sha256, table.c.subject == subject)
            if connection.execute(delete(table).where(*own)).rowcount:
                _note(connection, subject, "sign_out", {"address": address})

        await self._database.write(work)

    async def end_all(self, subject: str, address: str) -> None:
        """End all sessions of a subject, everywhere."""
        table = console_sessions

        def work(connection: Connection) -> None:
            # One that begins at this moment has the epoch of before.
            connection.execute(_END_ALL, {"subject": subject})
            connection.execute(delete(table).where(table.c.subject == subject))
            _note(connection, subject, "sign_out_everywhere", {"address": address})

        await self._database.write(work)


def _note(connection: Connection, subject: str, action: str, told: dict[str, str]) -> None:
    kind, _, id_ = subject.partition(":")
    note(connection, id_ or GATEWAY, action, kind or "console", id_, None, told)


def _record(row: Row[Any]) -> ConsoleSession:
    return ConsoleSession(**dict(zip(_FIELDS, row, strict=True)))


def _epoch(connection: Connection, subject: str) -> int:
    found = connection.scalar(
        select(func.max(console_session_epochs.c.epoch)).where(
            console_session_epochs.c.subject == subject
        )
    )
    return int(found or 0)
