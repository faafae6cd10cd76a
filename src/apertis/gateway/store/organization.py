"""People, groups and limits in the store, changed together with keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import func, insert, or_, select, update

from apertis.gateway.budgets.accounts import AccountSpec
from apertis.gateway.budgets.limit import Limit, account_id
from apertis.gateway.budgets.periods import span_of
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.people.organization import Changes
from apertis.gateway.people.record import Group, Person
from apertis.gateway.store.accounts import make_accounts, spent_before
from apertis.gateway.store.alerts import forget_alerts
from apertis.gateway.store.audit import GATEWAY, differences, forget, note
from apertis.gateway.store.clock import store_ms
from apertis.gateway.store.keys import (
    action_of,
    change_key,
    follow_limits,
    insert_key,
    key_row,
    read_keys,
)
from apertis.gateway.store.schema import accounts, groups, key_version, keys, limits, people
from apertis.gateway.store.signals import tell_of_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Row, Select, Table

    from apertis.gateway.budgets.periods import Span
    from apertis.gateway.store.connections import Database

_Result = TypeVar("_Result")
_T = TypeVar("_T", bound=Group | Person | Limit)

_TABLES: dict[type[Any], tuple[str, Table]] = {
    Group: ("group", groups),
    Person: ("person", people),
    Limit: ("limit", limits),
}
_VERSION = select(key_version.c.version)
_LISTS: dict[str, Any] = {"models": tuple[str, ...], "thresholds": tuple[int, ...]}
_IDS_AT_ONCE = 1000
_STATUS_ACTIONS = {"enabled": "enable", "disabled": "disable", "removed": "remove"}


class LimitAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account of a limit: of one period, or of one session."""

    limit_id: str
    scope: str
    spent: int
    leased: int
    held: int


class StoredOrganization:
    """All groups, people and limits that were ever made; removed ones stay, with their status.

    Every change takes the next version, from the counter that keys have too, and has its entry in
    the audit trail, in one transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Changes:
        """Read all of them."""
        return await self.changes_since(0)

    async def changes_since(self, version: int) -> Changes:
        """Read those created or changed after this version, in the order of changes."""
        return await self._database.read(lambda connection: _changes(connection, version))

    async def accounts(self, wanted: Mapping[Limit, Span]) -> tuple[LimitAccount, ...]:
        """Read the accounts of limits in these periods.

        One that nothing was booked in yet is shown as it will begin.
        """
        return await self._database.read(lambda connection: _accounts(connection, wanted))

    async def fullest(self, percent: int, now: int, most: int) -> tuple[str, ...]:
        """Return the ids of limits of whose amount so much is spent now, the fullest first.

        Of a limit per session one session with that much is enough.
        """
        share = func.max(accounts.c.spent * 1.0 / limits.c.amount_units)
        statement = (
            select(limits.c.id)
            .join(accounts, accounts.c.limit_id == limits.c.id)
            .where(
                limits.c.status == "enabled",
                limits.c.amount_units > 0,
                accounts.c.period_start <= now,
                or_(accounts.c.period_end.is_(None), accounts.c.period_end > now),
                accounts.c.spent * 100 >= limits.c.amount_units * percent,
            )
            .group_by(limits.c.id)
            .order_by(share.desc(), limits.c.id)
            .limit(most)
        )
        found = await self._database.read(lambda connection: connection.scalars(statement).all())
        return tuple(found)

    async def insert(self, record: _T, actor: str = GATEWAY) -> _T:
        """Keep a new one; what comes back has its version."""
        return await self.change(lambda turn: turn.insert(record), actor)

    async def update(self, record: _T, actor: str = GATEWAY) -> _T:
        """Keep another state of one; what comes back has its version. `KeyError` without it."""
        return await self.change(lambda turn: turn.update(record), actor)

    async def change(self, work: Callable[[Turn], _Result], actor: str = GATEWAY) -> _Result:
        """Do work that reads and changes several of them and of keys, in one transaction."""

        def run(connection: Connection) -> _Result:
            turn = Turn(connection, actor)
            result = work(turn)
            turn.end()
            return result

        return await self._database.write(run)


class Turn:
    """A transaction in which nobody else changes groups, people, limits or keys.

    Without `audited` a change has no entry of its own: `note` writes one for all of them.
    """

    def __init__(self, connection: Connection, actor: str) -> None:
        # SQLite lets one write at a time anyway.
        locked = _VERSION.with_for_update()
        self._version = self._first = int(connection.execute(locked).scalar_one())
        self._connection = connection
        self._actor = actor
        self._most_units: dict[str, int] = {}

    def all(self) -> Changes:
        """Read all groups, people and limits."""
        return _changes(self._connection, 0, self._version)

    def read_keys(
        self,
        *,
        of_id: str | None = None,
        of_person: str | None = None,
        of_group: str | None = None,
    ) -> tuple[KeyRecord, ...]:
        """Read all keys, one, or those of a person or of a group itself; deleted ones too."""
        asked = ((keys.c.id, of_id), (keys.c.person_id, of_person), (keys.c.group_id, of_group))
        conditions = [column == id_ for column, id_ in asked if id_ is not None]
        return read_keys(self._connection, *conditions)

    def insert(self, record: _T) -> _T:
        """Keep a new one."""
        subject, table = _TABLES[type(record)]
        version = self._next_version()
        kept = msgspec.structs.replace(record, sequence=version, version=version)
        self._connection.execute(insert(table), _columns(kept))
        if isinstance(kept, Limit) and not kept.per_session:
            # Now, so that what is spent from here on is counted, whoever comes first.
            now = store_ms(self._connection) / 1000
            span = span_of(kept.period, kept.zone, now)
            spec = AccountSpec(account_id=account_id(kept, span.start), limit=kept, span=span)
            make_accounts(self._connection, [spec])
        self.note("create", subject, kept.id, *differences(None, kept))
        return kept

    def insert_key(self, record: KeyRecord) -> KeyRecord:
        """Keep a new key."""
        kept = insert_key(self._connection, record, self._next_version())
        self.note("create", "key", kept.id, *differences(None, kept))
        return kept

    def insert_all(self, records: Iterable[Group | Person | Limit | KeyRecord]) -> None:
        """Keep many new ones at once, without entries in the audit trail."""
        rows: dict[Table, list[dict[str, object]]] = {}
        for record in records:
            version = self._next_version()
            if isinstance(record, KeyRecord):
                rows.setdefault(keys, []).append(key_row(record, version))
                continue
            _, table = _TABLES[type(record)]
            kept = msgspec.structs.replace(record, sequence=version, version=version)
            rows.setdefault(table, []).append(_columns(kept))
        for table, values in rows.items():
            self._connection.execute(insert(table), values)

    def update(self, record: _T, *, audited: bool = True) -> _T:
        """Keep another state of one; `KeyError` when there is none of its id."""
        subject, table = _TABLES[type(record)]
        of_id = table.c.id == record.id
        row = self._connection.execute(select(table).where(of_id)).one_or_none()
        if row is None:
            raise KeyError(record.id)
        before = _record(type(record), row)
        version = self._next_version()
        kept = msgspec.structs.replace(record, sequence=before.sequence, version=version)
        self._connection.execute(update(table).where(of_id).values(_columns(kept)))
        if isinstance(kept, Limit):
            self._most_units[kept.id] = kept.most_units
        if audited:
            changed = before.status != kept.status
            action = _STATUS_ACTIONS[kept.status] if changed else "change"
            self.note(action, subject, kept.id, *differences(before, kept))
        return kept

    def change_key(self, key_id: str, *, audited: bool = True, **changes: object) -> KeyRecord:
        """Change fields of a key."""
        version = self._next_version()
        before, after = change_key(self._connection, key_id, changes, version)
        if audited:
            self.note(action_of(before, after), "key", key_id, *differences(before, after))
        return after

    def note(
        self,
        action: str,
        subject: str,
        subject_id: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an entry to the audit trail."""
        note(self._connection, self._actor, action, subject, subject_id, before, after)

    def forget(self, subject_ids: Collection[str]) -> None:
        """Take names and addresses out of what the audit trail and alerts say of these."""
        forget(self._connection, subject_ids)
        forget_alerts(self._connection, subject_ids)

    def end(self) -> None:
        """Keep the version, and let the accounts follow the limits; the last that a turn does."""
        if self._version != self._first:
            self._connection.execute(update(key_version).values(version=self._version))
            tell_of_keys(self._connection)
        follow_limits(self._connection, self._most_units)

    def _next_version(self) -> int:
        self._version += 1
        return self._version


def _changes(connection: Connection, since: int, upto: int | None = None) -> Changes:
    if upto is None:
        # Between two statements somebody may change something: what is newer than the version that
        # is read first is left to the next look, or that would begin behind what it has not seen.
        upto = int(connection.execute(_VERSION).scalar_one())

    def read(kind: type[_T]) -> tuple[_T, ...]:
        _, table = _TABLES[kind]
        version = table.c.version
        wanted: Select[Any] = select(table).where(version > since, version <= upto)
        rows = connection.execute(wanted.order_by(version)).all()
        return tuple(_record(kind, row) for row in rows)

    return Changes(groups=read(Group), people=read(Person), limits=read(Limit))


def _accounts(connection: Connection, wanted: Mapping[Limit, Span]) -> tuple[LimitAccount, ...]:
    starts = {limit.id: span.start for limit, span in wanted.items()}
    names = LimitAccount.__struct_fields__
    columns = (accounts.c[name] for name in names)
    statement = select(accounts.c.period_start, *columns)
    found: list[LimitAccount] = []
    ids = sorted(starts)
    for begin in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[begin : begin + _IDS_AT_ONCE]
        first = min(starts[id_] for id_ in part)
        these = (accounts.c.limit_id.in_(part), accounts.c.period_start >= first)
        rows: Sequence[Row[Any]] = connection.execute(statement.where(*these)).all()
        for row in rows:
            account = LimitAccount(
                **dict(zip(LimitAccount.__struct_fields__, row[1:], strict=True))
            )
            if row[0] == starts[account.limit_id]:
                found.append(account)
    opened = {account.limit_id for account in found}
    for limit, span in wanted.items():
        if limit.id not in opened and not limit.per_session:
            spec = AccountSpec(account_id=account_id(limit, span.start), limit=limit, span=span)
            spent = spent_before(connection, limit, spec)
            found.append(LimitAccount(limit_id=limit.id, scope="", spent=spent, leased=0, held=0))
    return tuple(found)


def _columns(record: Group | Person | Limit) -> dict[str, object]:
    values: dict[str, object] = msgspec.structs.asdict(record)
    for name in values.keys() & _LISTS.keys():
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name]).decode()
    return values


def _record(kind: type[_T], row: Row[Any]) -> _T:
    _, table = _TABLES[kind]
    values: dict[str, Any] = dict(zip(table.c.keys(), row, strict=True))
    for name in values.keys() & _LISTS.keys():
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=_LISTS[name])
    return kind(**values)
