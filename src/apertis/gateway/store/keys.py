"""Keys in the store."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple, Protocol, get_origin

import msgspec
from sqlalchemy import func, insert, select, update

from apertis.gateway.budgets.accounts import AccountSpec
from apertis.gateway.budgets.limit import account_id, quota_limit
from apertis.gateway.budgets.periods import TOTAL
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.keys.record import SETTINGS, KeyRecord
from apertis.gateway.store.accounts import make_accounts
from apertis.gateway.store.audit import GATEWAY, differences, note
from apertis.gateway.store.records import UnknownKeyError
from apertis.gateway.store.schema import accounts, key_usage, key_version, keys
from apertis.gateway.store.signals import tell_of_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, Row, Select

    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.keys.directory import Directory, Key
    from apertis.gateway.observe.log import Log
    from apertis.gateway.people.organization import Changes
    from apertis.gateway.store.connections import Database

_LISTS = frozenset(name for name, setting in SETTINGS.items() if get_origin(setting.type) is tuple)
_KEPT_BY_STORE = frozenset(("id", "used_units", "created_at", "sequence", "version"))
_CHANGEABLE = frozenset(KeyRecord.__struct_fields__) - _KEPT_BY_STORE

_IDS_AT_ONCE = 1000

_VERSION = select(key_version.c.version)
_RECORDS: Select[Any] = select(
    keys, func.coalesce(key_usage.c.used_units, 0).label("used_units")
).outerjoin(key_usage, key_usage.c.key_id == keys.c.id)
_NAMES = tuple(column.name for column in _RECORDS.selected_columns)
# Where the lists stand in a row of `_RECORDS`.
_LIST_PLACES = tuple(place for place, name in enumerate(_NAMES) if name in _LISTS)


class KeyUse(NamedTuple):
    """Usage of a key in all, and the moment of its last request (Unix milliseconds)."""

    used_units: int
    last_used_ms: int | None


class StoredKeys:
    """All keys that were ever made; deleted ones stay, with their status."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current_version(self) -> int:
        """Return the version of the newest change, for a cheap look whether there was one."""
        return await self._database.read(_current_version, seconds=_LOOK_SECONDS)

    async def changes_since(self, version: int) -> list[KeyRecord]:
        """Return all keys created or changed after this version, in the order of changes.

        What requests use up is no change.
        """
        return await _read(
            self._database, _RECORDS.where(keys.c.version > version).order_by(keys.c.version)
        )

    async def insert(self, record: KeyRecord, actor: str = GATEWAY) -> KeyRecord:
        """Keep a new key; what comes back has its version."""

        def work(connection: Connection) -> KeyRecord:
            kept = insert_key(connection, record, next_version(connection))
            note(connection, actor, "create", "key", kept.id, *differences(None, kept))
            return kept

        return await self._database.write(work)

    async def insert_first(self, record: KeyRecord, actor: str = GATEWAY) -> KeyRecord | None:
        """Keep a key where there is none yet; None where another process was faster."""

        def work(connection: Connection) -> KeyRecord | None:
            # Whoever has the turn sees what all before it have made.
            connection.execute(_VERSION.with_for_update())
            if connection.execute(select(keys.c.id).limit(1)).first() is not None:
                return None
            kept = insert_key(connection, record, next_version(connection))
            note(connection, actor, "create", "key", kept.id, *differences(None, kept))
            return kept

        return await self._database.write(work)

    async def get(self, key_id: str) -> KeyRecord | None:
        """Read one key, deleted ones too."""
        found = await _read(self._database, _RECORDS.where(keys.c.id == key_id))
        return found[0] if found else None

    async def uses(self, key_ids: Sequence[str]) -> dict[str, KeyUse]:
        """Return what these keys have used; those without a request are not in it."""
        statement = select(key_usage).where(key_usage.c.key_id.in_(key_ids))
        rows = await self._database.read(lambda at: at.execute(statement).all())
        return {row.key_id: KeyUse(row.used_units, row.last_used_ms) for row in rows}

    async def list(self) -> tuple[KeyRecord, ...]:
        """Read all keys in the order in which they were made, deleted ones too."""
        order = (keys.c.created_at, keys.c.sequence, keys.c.id)
        return tuple(await _read(self._database, _RECORDS.order_by(*order)))

    async def update(self, key_id: str, actor: str = GATEWAY, **changes: object) -> KeyRecord:
        """Change fields of a key, and give the changed one.

        `UnknownKeyError` when there is none of this id; `TypeError` for a field that keys do not
        have or that cannot be set.
        """
        unknown = sorted(changes.keys() - _CHANGEABLE)
        if unknown:
            raise TypeError(f"a key's {', '.join(unknown)} cannot be set")

        def work(connection: Connection) -> KeyRecord:
            before, after = change_key(connection, key_id, changes, next_version(connection))
            told = differences(before, after)
            note(connection, actor, action_of(before, after), "key", key_id, *told)
            return after

        return await self._database.write(work)


def insert_key(connection: Connection, record: KeyRecord, version: int) -> KeyRecord:
    """Keep a new key in a transaction of several changes."""
    connection.execute(insert(keys), key_row(record, version))
    if record.used_units:
        used = {"key_id": record.id, "used_units": record.used_units}
        connection.execute(insert(key_usage).values(used))
    # Now, so that a first request can be paid for when the store cannot be written.
    _make_quota(connection, record)
    return msgspec.structs.replace(record, sequence=version, version=version)


def key_row(record: KeyRecord, version: int) -> dict[str, object]:
    """Return the row of a new key."""
    values = {name: getattr(record, name) for name in _CHANGEABLE}
    values |= {"id": record.id, "created_at": record.created_at}
    return _columns(values | {"sequence": version, "version": version})


def change_key(
    connection: Connection, key_id: str, changes: Mapping[str, object], version: int
) -> tuple[KeyRecord, KeyRecord]:
    """Change a key in a transaction of several changes: before and after it.

    `UnknownKeyError` when there is none of this id.
    """
    row = connection.execute(_RECORDS.where(keys.c.id == key_id)).one_or_none()
    if row is None:
        raise UnknownKeyError(f"there is no key {key_id!r}")
    before = _record(row)
    values = _columns({**changes, "version": version})
    connection.execute(update(keys).where(keys.c.id == key_id).values(values))
    after = msgspec.structs.replace(before, **changes, version=version)
    _follow_quota(connection, before, after)
    return before, after


def read_keys(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[KeyRecord, ...]:
    """Read keys in a transaction, in the order in which they were made."""
    order = (keys.c.created_at, keys.c.sequence, keys.c.id)
    rows = connection.execute(_RECORDS.where(*conditions).order_by(*order)).all()
    return tuple(_record(row) for row in rows)


def follow_limits(connection: Connection, most_units: Mapping[str, int]) -> None:
    """Let the accounts of limits, by the limits' ids, hand out as much as these now allow."""
    limits = sorted(most_units)
    found: list[str] = []
    for start in range(0, len(limits), _IDS_AT_ONCE):
        these = accounts.c.limit_id.in_(limits[start : start + _IDS_AT_ONCE])
        found += connection.execute(select(accounts.c.id).where(these)).scalars()
    found.sort()
    # Whoever locks several accounts does so in the order of their ids.
    for start in range(0, len(found), _IDS_AT_ONCE):
        these = accounts.c.id.in_(found[start : start + _IDS_AT_ONCE])
        locked = select(accounts.c.id).where(these).order_by(accounts.c.id).with_for_update()
        connection.execute(locked).all()
    for limit_id, units in most_units.items():
        of_limit = accounts.c.limit_id == limit_id
        connection.execute(update(accounts).where(of_limit).values(limit_units=units))


def _follow_quota(connection: Connection, before: KeyRecord, after: KeyRecord) -> None:
    if after.quota_units is None or after.quota_units == before.quota_units:
        return
    limit_id = f"quota-{after.id}"
    _make_quota(connection, after)
    follow_limits(connection, {limit_id: after.quota_units})
    if before.quota_units is None:
        # What was spent without a quota was booked in no account.
        of_limit = accounts.c.limit_id == limit_id
        connection.execute(update(accounts).where(of_limit).values(spent=after.used_units))


def _make_quota(connection: Connection, record: KeyRecord) -> None:
    limit = quota_limit(record)
    if limit is not None:
        spec = AccountSpec(account_id=account_id(limit, TOTAL.start), limit=limit, span=TOTAL)
        make_accounts(connection, [spec])


def action_of(before: KeyRecord, after: KeyRecord) -> str:
    """Name what was done to a key, for the audit trail."""
    if after.sha256 != before.sha256:
        return "rotate"
    if after.status != before.status:
        return {"enabled": "enable", "disabled": "disable", "deleted": "delete"}[after.status]
    return "change"


async def _read(database: Database, statement: Select[Any]) -> list[KeyRecord]:
    def work(connection: Connection) -> list[KeyRecord]:
        # Not all rows at once beside all records.
        parts = connection.execute(statement).partitions(_ROWS_AT_ONCE)
        return [_record(row) for rows in parts for row in rows]

    return await database.read(work)


def _current_version(connection: Connection) -> int:
    return int(connection.execute(_VERSION).scalar_one())


def next_version(connection: Connection) -> int:
    """Take the next version, and with it the turn: nobody else has it until the commit."""
    connection.execute(update(key_version).values(version=key_version.c.version + 1))
    tell_of_keys(connection)
    return _current_version(connection)


def _columns(values: Mapping[str, object]) -> dict[str, object]:
    return {
        name: msgspec.json.encode(value).decode() if name in _LISTS and value is not None else value
        for name, value in values.items()
    }


def _record(row: Row[Any]) -> KeyRecord:
    values = list(row)
    for place in _LIST_PLACES:
        if values[place] is not None:
            values[place] = msgspec.json.decode(values[place], type=tuple[str, ...])
    return KeyRecord(**dict(zip(_NAMES, values, strict=True)))


_ROWS_AT_ONCE = 1000
# A look is short: whoever asks for the store's health is soon told that it is silent.
_LOOK_SECONDS = 2.0
# A change of a key that another process makes acts within a second.
_WATCH_SECONDS = 0.25
# However many unknown keys are tried, the store is not asked more often.
_GAP_SECONDS = 0.03
# A store that does not answer must not hold a refusal back for long.
_PATIENCE_SECONDS = 1.0


class _Keys(Protocol):
    """The queries for keys that the watch makes."""

    async def current_version(self) -> int: ...

    async def changes_since(self, version: int) -> Iterable[KeyRecord]: ...

    async def list(self) -> Iterable[KeyRecord]: ...


class _People(Protocol):
    """The same for people, groups and limits."""

    async def changes_since(self, version: int) -> Changes: ...

    async def all(self) -> Changes: ...


class KeyWatch:
    """A watch for changes of keys, people, groups and limits.

    It looks a few times a second, and at once when an unknown key appears.
    """

    def __init__(
        self, keys: _Keys, people: _People, directory: Directory, budgets: Budgets, log: Log
    ) -> None:
        self._keys = keys
        self._people = people
        self._directory = directory
        self._budgets = budgets
        self._log = log
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._failing = False
        # The two were read one after the other: what came in between is read again.
        self._version = min(directory.version, budgets.organization.version)
        self._bar(directory.all())

    async def run(self) -> None:
        """Look until canceled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_SECONDS):
                    await self._wanted.wait()
            # Who comes after this line may know a key that this look is too early for.
            self._wanted.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await self._look()
            finally:
                _told(waiting)
            await asyncio.sleep(_GAP_SECONDS)

    async def catch_up(self) -> None:
        """Return when all that was changed before the call is known, or cannot be.

        Calls at the same time share one look.
        """
        looked = asyncio.get_running_loop().create_future()
        self._waiting.append(looked)
        self._wanted.set()
        await asyncio.wait({looked}, timeout=_PATIENCE_SECONDS)

    def look_soon(self) -> None:
        """Look at once, since there may be something to see."""
        self._wanted.set()

    async def _look(self) -> None:
        try:
            version = await self._keys.current_version()
            if version < self._version:
                await self._start_anew()
            elif version > self._version:
                await self._follow(version)
            self._failing = False
        except StoreUnavailableError as error:
            if not self._failing:
                self._log.event("error", "the store cannot be read", reason=str(error))
            self._failing = True

    async def _follow(self, version: int) -> None:
        directory, organization = self._directory, self._budgets.organization
        # From what this watch has seen: the admin API brings keys into the directory, too.
        records = await self._keys.changes_since(self._version)
        changes = await self._people.changes_since(self._version)
        directory.apply(records)
        generation = organization.generation
        organization.apply(changes)
        if organization.generation != generation:
            self._budgets.changed()
        if changes.people:
            self._bar(directory.all())
        else:
            self._bar(filter(None, (directory.get(record.id) for record in records)))
        # Not what came while it was read: of that one part may have been read too early.
        self._version = version

    def _bar(self, keys: Iterable[Key]) -> None:
        for key in keys:
            key.is_barred = self._budgets.organization.is_barred(key.record)

    async def _start_anew(self) -> None:
        """Read everything again: the store was restored from a time when there was less."""
        self._log.event("error", "the store is older than it was: all keys are read again")
        self._directory.restart(await self._keys.list())
        self._budgets.organization.restart(await self._people.all())
        self._budgets.changed()
        self._bar(self._directory.all())
        self._version = max(self._directory.version, self._budgets.organization.version)


def _told(waiting: Iterable[asyncio.Future[None]]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)
