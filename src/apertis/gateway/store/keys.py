"""Keys in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_origin

import msgspec
from sqlalchemy import func, insert, select, update

from apertis.gateway.keys.record import SETTINGS, KeyRecord
from apertis.gateway.store.records import UnknownKeyError
from apertis.gateway.store.schema import key_usage, key_version, keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sqlalchemy import Connection, Row, Select

    from apertis.gateway.store.connections import Database

_LISTS = frozenset(name for name, setting in SETTINGS.items() if get_origin(setting.type) is tuple)
_KEPT_BY_STORE = frozenset(("id", "used_units", "created_at", "sequence", "version"))
_CHANGEABLE = frozenset(KeyRecord.__struct_fields__) - _KEPT_BY_STORE

_VERSION = select(key_version.c.version)
_RECORDS: Select[Any] = select(
    keys, func.coalesce(key_usage.c.used_units, 0).label("used_units")
).outerjoin(key_usage, key_usage.c.key_id == keys.c.id)
_NAMES = tuple(column.name for column in _RECORDS.selected_columns)
# Where the lists stand in a row of `_RECORDS`.
_LIST_PLACES = tuple(place for place, name in enumerate(_NAMES) if name in _LISTS)


class StoredKeys:
    """All keys that were ever made; deleted ones stay, with their status."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current_version(self) -> int:
        """Return the version of the newest change, for a cheap look whether there was one."""
        return await self._database.read(_current_version)

    async def changes_since(self, version: int) -> list[KeyRecord]:
        """Return all keys created or changed after this version, in the order of changes.

        What requests use up is no change.
        """
        return await _read(
            self._database, _RECORDS.where(keys.c.version > version).order_by(keys.c.version)
        )

    async def insert(self, record: KeyRecord) -> KeyRecord:
        """Keep a new key; what comes back has its version."""

        def work(connection: Connection) -> KeyRecord:
            version = _next_version(connection)
            values = {name: getattr(record, name) for name in _CHANGEABLE}
            values |= {"id": record.id, "created_at": record.created_at}
            values |= {"sequence": version, "version": version}
            connection.execute(insert(keys).values(_columns(values)))
            if record.used_units:
                used = {"key_id": record.id, "used_units": record.used_units}
                connection.execute(insert(key_usage).values(used))
            return msgspec.structs.replace(record, sequence=version, version=version)

        return await self._database.write(work)

    async def get(self, key_id: str) -> KeyRecord | None:
        """Read one key, deleted ones too."""
        found = await _read(self._database, _RECORDS.where(keys.c.id == key_id))
        return found[0] if found else None

    async def list(self) -> tuple[KeyRecord, ...]:
        """Read all keys in the order in which they were made, deleted ones too."""
        order = (keys.c.created_at, keys.c.sequence, keys.c.id)
        return tuple(await _read(self._database, _RECORDS.order_by(*order)))

    async def update(self, key_id: str, **changes: object) -> KeyRecord:
        """Change fields of a key, and give the changed one.

        `UnknownKeyError` when there is none of this id; `TypeError` for a field that keys do not
        have or that cannot be set.
        """
        unknown = sorted(changes.keys() - _CHANGEABLE)
        if unknown:
            raise TypeError(f"a key's {', '.join(unknown)} cannot be set")

        def work(connection: Connection) -> KeyRecord:
            values = _columns({**changes, "version": _next_version(connection)})
            connection.execute(update(keys).where(keys.c.id == key_id).values(values))
            row = connection.execute(_RECORDS.where(keys.c.id == key_id)).one_or_none()
            if row is None:
                raise UnknownKeyError(f"there is no key {key_id!r}")
            return _record(row)

        return await self._database.write(work)


async def _read(database: Database, statement: Select[Any]) -> list[KeyRecord]:
    rows = await database.read(lambda connection: connection.execute(statement).all())
    return [_record(row) for row in rows]


def _current_version(connection: Connection) -> int:
    return int(connection.execute(_VERSION).scalar_one())


def _next_version(connection: Connection) -> int:
    connection.execute(update(key_version).values(version=key_version.c.version + 1))
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
