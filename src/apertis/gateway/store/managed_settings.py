"""Settings of Claude Code by group, in the store: a JSON text for each, with its version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, insert, select, update

from apertis.gateway.store.audit import note
from apertis.gateway.store.schema import managed_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sqlalchemy import Connection

    from apertis.gateway.store.connections import Database

_ACTIONS = {(False, True): "create", (True, True): "change", (True, False): "remove"}


class ManagedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a group's people; with an empty `group_id` those of everybody.

    `settings` is canonical JSON. Whoever changes them says which version they saw.
    """

    group_id: str
    uuid: str
    settings: str
    version: int
    changed_at: int

    # They may have credentials in them.
    __repr__ = object.__repr__


class StoredManagedSettings:
    """All of them, for all gateways of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Mapping[str, ManagedSettings]:
        """Read all of them, by group."""
        return await self._database.read(lambda at: _read(at, None))

    async def of(self, group_ids: Collection[str]) -> Mapping[str, ManagedSettings]:
        """Read those of some groups."""
        return await self._database.read(lambda at: _read(at, group_ids))

    async def change(
        self,
        group_id: str,
        decide: Callable[[ManagedSettings | None], ManagedSettings | None],
        told: Callable[[ManagedSettings | None], Mapping[str, object] | None],
        actor: str,
    ) -> None:
        """Keep what a decision makes of a group's settings; None removes them.

        An exception of the decision leaves them as they are. `told` says what of them the audit
        trail may tell.
        """

        def work(connection: Connection) -> None:
            table = managed_settings
            before = _read(connection, [group_id], locked=True).get(group_id)
            after = decide(before)
            if after == before:
                return
            of_group = table.c.group_id == group_id
            if after is None:
                connection.execute(delete(table).where(of_group))
            elif before is None:
                connection.execute(insert(table).values(msgspec.structs.asdict(after)))
            else:
                values = msgspec.structs.asdict(after)
                connection.execute(update(table).where(of_group).values(values))
            action = _ACTIONS[before is not None, after is not None]
            subject_id = group_id or "everybody"
            note(
                connection,
                actor,
                action,
                "managed_settings",
                subject_id,
                told(before),
                told(after),
            )

        await self._database.write(work)


def _read(
    connection: Connection, group_ids: Collection[str] | None, *, locked: bool = False
) -> dict[str, ManagedSettings]:
    statement = select(managed_settings)
    if group_ids is not None:
        statement = statement.where(managed_settings.c.group_id.in_(sorted(group_ids)))
    if locked:
        statement = statement.with_for_update()
    rows = connection.execute(statement).mappings().all()
    return {row["group_id"]: ManagedSettings(**row) for row in rows}
