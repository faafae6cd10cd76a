"""The audit trail: who changed what, added in the transaction of the change.

No secret is in it, and no hash of one. Names and addresses of a person that was removed are not in
it either: `forget` takes them out of what was written before.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.schema import audit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sqlalchemy import Connection

    from apertis.gateway.observe.log import Log
    from apertis.gateway.store.connections import Database

GATEWAY = "gateway"
"""The actor of what the gateway does itself, such as its first key."""

# Of records, what is secret, what is known from the entry itself, and what is no setting.
_LEFT_OUT = frozenset(
    ("id", "sha256", "hint", "previous_sha256", "used_units", "sequence", "version")
)
PERSONAL = frozenset(("name", "email", "external_id", "owner", "address"))
_IDS_AT_ONCE = 1000
_DAY_SECONDS = 86_400
_SWEEP_SECONDS = 6 * 3600


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. `before` and `after` have the fields that differ, as JSON.

    The actor is the id of a key or person, `cli:user@host`, or `gateway`.
    """

    id: int
    at_ms: int
    actor: str
    action: str
    subject: str
    subject_id: str
    before: msgspec.Raw | None
    after: msgspec.Raw | None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Entries to read, the newest first. Times are Unix milliseconds; None: no limit."""

    limit: int = 100
    # Those that are older than this entry.
    before_id: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    subject_id: str | None = None


class StoredAudit:
    """The audit trail, for those who read it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, query: AuditQuery) -> tuple[AuditEntry, ...]:
        """Read a page of entries."""
        statement = select(audit).order_by(audit.c.id.desc()).limit(query.limit)
        if query.before_id is not None:
            statement = statement.where(audit.c.id < query.before_id)
        if query.since_ms is not None:
            statement = statement.where(audit.c.at_ms >= query.since_ms)
        if query.until_ms is not None:
            statement = statement.where(audit.c.at_ms < query.until_ms)
        for name in ("actor", "action", "subject", "subject_id"):
            value = getattr(query, name)
            if value is not None:
                statement = statement.where(audit.c[name] == value)
        rows = await self._database.read(lambda at: at.execute(statement).all())
        return tuple(
            AuditEntry(
                id=row.id,
                at_ms=row.at_ms,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                subject_id=row.subject_id,
                before=_raw(row.before),
                after=_raw(row.after),
            )
            for row in rows
        )

    async def drop(self, before_ms: int) -> None:
        """Forget what is older than this."""
        await self._database.write(
            lambda at: at.execute(delete(audit).where(audit.c.at_ms < before_ms))
        )


async def sweep(stored: StoredAudit, days: int, log: Log) -> None:
    """Forget what is older than so many days, a few times a day, until canceled; 0: nothing."""
    while days:
        try:
            await stored.drop(int((time.time() - days * _DAY_SECONDS) * 1000))
        except StoreUnavailableError as error:
            log.event("error", "the audit trail cannot be swept", reason=str(error))
        await asyncio.sleep(_SWEEP_SECONDS)


def note(
    connection: Connection,
    actor: str,
    action: str,
    subject: str,
    subject_id: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> None:
    """Add an entry in the transaction of the change that it tells of."""
    connection.execute(
        insert(audit).values(
            at_ms=int(clock() * 1000),
            actor=actor,
            action=action,
            subject=subject,
            subject_id=subject_id,
            before=_json(before),
            after=_json(after),
        )
    )


def differences(
    before: msgspec.Struct | None, after: msgspec.Struct
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return what an entry says of a change: of a new record all that is set."""
    new = _public(after)
    if before is None:
        # Not what is left as it would be anyway; an amount of 0 is a setting like any other.
        unset: tuple[object, ...] = (None, (), False)
        told = {name: v for name, v in new.items() if not any(v is no or v == () for no in unset)}
        return None, told
    old = _public(before)
    changed = [name for name in new if old[name] != new[name]]
    return {name: old[name] for name in changed}, {name: new[name] for name in changed}


def forget(connection: Connection, subject_ids: Collection[str]) -> None:
    """Take names and addresses out of all that was written of these."""
    ids = sorted(subject_ids)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[start : start + _IDS_AT_ONCE]
        found = select(audit.c.id, audit.c.before, audit.c.after).where(
            audit.c.subject_id.in_(part)
        )
        rows = [
            {"entry": row.id, "old": _impersonal(row.before), "new": _impersonal(row.after)}
            for row in connection.execute(found).all()
        ]
        if rows:
            connection.execute(
                update(audit)
                .where(audit.c.id == bindparam("entry"))
                .values(before=bindparam("old"), after=bindparam("new")),
                rows,
            )


def _public(record: msgspec.Struct) -> dict[str, Any]:
    return {
        name: getattr(record, name) for name in record.__struct_fields__ if name not in _LEFT_OUT
    }


def _impersonal(text: str | None) -> str | None:
    if text is None:
        return None
    fields: dict[str, Any] = msgspec.json.decode(text)
    return _json({name: value for name, value in fields.items() if name not in PERSONAL})


def _json(fields: Mapping[str, Any] | None) -> str | None:
    return None if fields is None else msgspec.json.encode(fields).decode()


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
