"""The gateways of a store: when each started, and when it was last seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, insert, select, text, update

from apertis.gateway.store.clock import store_ms
from apertis.gateway.store.schema import leases, replicas

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from apertis.gateway.store.connections import Database

_KEPT_MS = 7 * 86_400_000


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway of the store. Times are Unix milliseconds of the store's clock.

    `epoch` tells the starts of one name apart, and grows from start to start; `state` is what it
    tells the others, as JSON. One that stopped by itself was last seen at 0.
    """

    name: str
    epoch: int
    sequence: int
    started_ms: int
    seen_ms: int
    state: str


class Seen(msgspec.Struct, frozen=True):
    """The gateways at a moment of the store's clock."""

    at_ms: int
    replicas: tuple[Replica, ...]


_FIELDS = Replica.__struct_fields__
# Two that start at once with one name take turns at its row.
_NEW = text(
    "INSERT INTO replicas (name, epoch, sequence, started_ms, seen_ms, state) "
    "VALUES (:name, 0, 0, 0, 0, :state) ON CONFLICT DO NOTHING"
)
_REPLICAS = select(*(replicas.c[name] for name in _FIELDS)).order_by(replicas.c.name)


class StoredReplicas:
    """Presence of gateways. One name has one process: the one that started last."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, name: str, state: str) -> Replica:
        """Give a process that starts the name, with an epoch that no earlier one had."""

        def work(connection: Connection) -> Replica:
            at = store_ms(connection)
            connection.execute(_NEW, {"name": name, "state": state})
            known = _locked(connection, name)
            # By the clock, so that it is new even in a store that was put back to yesterday's.
            epoch = max(at, 0 if known is None else known.epoch + 1)
            replica = Replica(
                name=name, epoch=epoch, sequence=0, started_ms=at, seen_ms=at, state=state
            )
            _keep(connection, known, replica)
            _drop_old(connection, at)
            return replica

        return await self._database.write(work)

    async def see(self, own: Replica, state: str) -> Seen | None:
        """Say that a gateway is there, and read who else is.

        None when another process has its name now. Where the store forgot it, it is kept again.
        """

        def work(connection: Connection) -> Seen | None:
            at = store_ms(connection)
            known = _locked(connection, own.name)
            if known is not None and known.epoch > own.epoch:
                return None
            sequence = 0 if known is None or known.epoch != own.epoch else known.sequence
            replica = msgspec.structs.replace(own, sequence=sequence, seen_ms=at, state=state)
            _keep(connection, known, replica)
            return Seen(at, _all(connection))

        return await self._database.write(work)

    async def stop(self, own: Replica) -> None:
        """Say that a gateway has stopped; its name and epoch stay known."""
        gone = (
            update(replicas)
            .where(replicas.c.name == own.name, replicas.c.epoch == own.epoch)
            .values(seen_ms=0)
        )
        await self._database.write(lambda connection: connection.execute(gone))

    async def read(self) -> Seen:
        """Read all that are known, those that are gone too."""
        return await self._database.read(lambda at: Seen(store_ms(at), _all(at)))


def _all(connection: Connection) -> tuple[Replica, ...]:
    return tuple(_replica(row) for row in connection.execute(_REPLICAS))


def _replica(row: Row[Any]) -> Replica:
    return Replica(**dict(zip(_FIELDS, row, strict=True)))


def _locked(connection: Connection, name: str) -> Replica | None:
    statement = _REPLICAS.where(replicas.c.name == name).with_for_update()
    row = connection.execute(statement).one_or_none()
    return None if row is None else _replica(row)


def _keep(connection: Connection, known: Replica | None, replica: Replica) -> None:
    values = msgspec.structs.asdict(replica)
    if known is None:
        connection.execute(insert(replicas).values(values))
    else:
        connection.execute(update(replicas).where(replicas.c.name == replica.name).values(values))


def _drop_old(connection: Connection, at: int) -> None:
    """Forget those that are gone for days and owe nothing: machines get new names each time."""
    owing = select(leases.c.replica).where(leases.c.closed_ms.is_(None))
    connection.execute(
        delete(replicas).where(
            replicas.c.started_ms < at - _KEPT_MS,
            replicas.c.seen_ms < at - _KEPT_MS,
            replicas.c.name.not_in(owing),
        )
    )
