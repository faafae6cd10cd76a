"""Message batches in the store: whose they are, where they run, and what is held for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from apertis.gateway.budgets.accounts import AccountChange
from apertis.gateway.keys.matching import compile_models
from apertis.gateway.store.accounts import hold_units, lock_accounts, models_of, release_units
from apertis.gateway.store.booking import book
from apertis.gateway.store.records import Batch, BatchLine, Settlement, UnknownBatchError
from apertis.gateway.store.schema import batch_holds, batch_lines, batches
from apertis.gateway.store.statements import BulkInsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Executable, Row, Select

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.budgets.accounts import Hold
    from apertis.gateway.keys.matching import ModelList
    from apertis.gateway.store.connections import Database
    from apertis.gateway.store.records import BatchResult

_LINES = BulkInsert(batch_lines)
_HOLDS = BulkInsert(batch_holds)
_KEPT_HOLDS = BulkInsert(batch_holds, changed=("units",))
_LINES_AT_ONCE = 1000
# An upstream ends a batch after 24 hours; results that did not come a day later never will.
_HELD_SECONDS = 2 * 86_400
_LINE_FIELDS = BatchLine.__struct_fields__
_FIELDS = Batch.__struct_fields__
_BATCHES = select(*(batches.c[name] for name in _FIELDS))
_NEWEST_FIRST = [batches.c[name].desc() for name in ("created_at", "sequence", "id")]
_NEXT = select(func.coalesce(func.max(batches.c.sequence), 0) + 1).scalar_subquery()


class StoredBatches:
    """Batches and their lines. Each line is settled once, however often its result is read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(
        self,
        batch: Batch,
        lines: Sequence[BatchLine] = (),
        holds: Sequence[Hold] = (),
        lease: tuple[str, int] | None = None,
    ) -> Batch:
        """Keep a new batch with its lines; what comes back has their sums.

        Its `holds` are held by their accounts from now on. They were reserved on the leases of
        this replica and epoch, which count them as returned, or on none.
        """
        held = sum(line.held_units for line in lines)
        kept = msgspec.structs.replace(batch, held_units=held, lines=len(lines), settled_lines=0)
        values = {name: getattr(kept, name) for name in _FIELDS} | {"sequence": _NEXT}
        rows = [(batch.id, line.custom_id, line.model, line.held_units, False) for line in lines]

        def work(connection: Connection) -> None:
            connection.execute(insert(batches).values(values))
            _LINES.run(connection, rows)
            units = {hold.account_id: hold.units for hold in holds}
            known = hold_units(connection, units, lease)
            _HOLDS.run(connection, [(batch.id, id_, units[id_]) for id_ in known])

        await self._database.write(work)
        return kept

    async def get(self, batch_id: str) -> Batch | None:
        """Read one batch."""
        rows = await self._read(_BATCHES.where(batches.c.id == batch_id))
        return _batch(rows[0]) if rows else None

    async def list(self, *, key_id: str | None = None) -> tuple[Batch, ...]:
        """Read all batches, or those of one key; the newest first."""
        statement = _BATCHES.order_by(*_NEWEST_FIRST)
        if key_id is not None:
            statement = statement.where(batches.c.key_id == key_id)
        return tuple(_batch(row) for row in await self._read(statement))

    async def lines(self, batch_id: str) -> tuple[BatchLine, ...]:
        """Read a batch's lines, in the order of their ids."""
        statement = _lines_of(batch_id).order_by(batch_lines.c.custom_id)
        return tuple(_line(row) for row in await self._read(statement))

    async def find_lines(self, batch_id: str, custom_ids: Iterable[str]) -> dict[str, BatchLine]:
        """Read those of a batch's lines that have one of these ids, by their ids."""
        ids = list(custom_ids)
        return await self._database.read(lambda at: _find_lines(at, batch_id, ids))

    async def settle(self, batch_id: str, results: Iterable[BatchResult]) -> Settlement:
        """Book the lines that were not settled before, and give up what was held for them.

        All in one transaction, and in the accounts that hold something for the batch: the periods
        in which it was made. A line that the batch was not kept with held nothing.
        `UnknownBatchError` when the batch is not kept at all.
        """
        by_id: dict[str, BatchResult] = {}
        for result in results:
            by_id.setdefault(result.custom_id, result)

        def work(connection: Connection) -> Settlement:
            held = _take_turn(connection, batch_id)
            lines = _find_lines(connection, batch_id, list(by_id))
            fresh = [r for r in by_id.values() if not _is_settled(lines, r.custom_id)]
            holds = _Holds(connection, batch_id)
            over = [lines[r.custom_id] for r in fresh if r.custom_id in lines]
            released_units = sum(line.held_units for line in over)
            # With the last line nothing is held any more for models that could have answered.
            is_over = released_units >= held
            released = holds.give_back_all() if is_over else holds.give_back(over)
            booked = book(connection, [holds.named(r.record, r) for r in fresh if r.record])
            ids = {record.request_id for record in booked}
            settled = Settlement(
                custom_ids=tuple(result.custom_id for result in fresh),
                released_units=released_units,
                cost_units=sum(record.cost_units for record in booked),
                accounts=holds.changes(
                    released, [r for r in fresh if r.record and r.record.request_id in ids]
                ),
            )
            _mark(connection, batch_id, settled, lines)
            return settled

        return await self._database.write(work)

    async def release(self, batch_id: str) -> tuple[AccountChange, ...]:
        """Give up what is still held, since no more results will come; by which accounts.

        `UnknownBatchError` when the batch is not kept.
        """
        of_batch = (batch_lines.c.batch_id == batch_id) & ~batch_lines.c.settled

        def work(connection: Connection) -> tuple[AccountChange, ...]:
            _take_turn(connection, batch_id)
            holds = _Holds(connection, batch_id)
            connection.execute(update(batches).where(batches.c.id == batch_id).values(held_units=0))
            # A result that is read after all is still booked; there is nothing to release for it.
            connection.execute(update(batch_lines).where(of_batch).values(held_units=0))
            return holds.changes(holds.give_back_all(), ())

        return await self._database.write(work)

    async def expired(self, now: float) -> tuple[str, ...]:
        """Return the ids of batches whose results will not come, and that still hold something."""
        statement = (
            select(batches.c.id)
            .where(batches.c.created_at < int(now) - _HELD_SECONDS, batches.c.held_units > 0)
            .order_by(batches.c.created_at, batches.c.id)
        )
        return tuple(row.id for row in await self._read(statement))

    async def delete(self, batch_id: str) -> tuple[AccountChange, ...]:
        """Forget a batch and its lines; what accounts still held for it.

        What was booked for it stays booked. `UnknownBatchError` when the batch is not kept.
        """

        def work(connection: Connection) -> tuple[AccountChange, ...]:
            _take_turn(connection, batch_id)
            holds = _Holds(connection, batch_id)
            changes = holds.changes(holds.give_back_all(), ())
            connection.execute(delete(batch_holds).where(batch_holds.c.batch_id == batch_id))
            connection.execute(delete(batch_lines).where(batch_lines.c.batch_id == batch_id))
            connection.execute(delete(batches).where(batches.c.id == batch_id))
            return changes

        return await self._database.write(work)

    async def _read(self, statement: Executable) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(statement).all())


class _Holds:
    """The holds of accounts for a batch, locked until the transaction ends."""

    def __init__(self, connection: Connection, batch_id: str) -> None:
        of_batch = select(batch_holds.c.account_id, batch_holds.c.units)
        of_batch = of_batch.where(batch_holds.c.batch_id == batch_id)
        # Whoever changes them has the batch's turn.
        rows = connection.execute(of_batch).all()
        self._units: dict[str, int] = {row.account_id: row.units for row in rows}
        lock_accounts(connection, self._units)
        self._connection = connection
        self._batch_id = batch_id
        # The models that count, by account; all of them in those that are not here.
        self._models: dict[str, ModelList] = {
            account_id: compile_models(models)
            for account_id, models in models_of(connection, self._units).items()
        }

    def give_back(self, lines: Sequence[BatchLine]) -> dict[str, int]:
        """Give back what is held for lines; how much by account."""
        held = {
            account_id: sum(
                line.held_units for line in lines if self._counts(account_id, line.model)
            )
            for account_id in self._units
        }
        return self._release({id_: min(units, self._units[id_]) for id_, units in held.items()})

    def give_back_all(self) -> dict[str, int]:
        """Give back all that is still held; how much by account."""
        return self._release(self._units)

    def named(self, record: UsageRecord, result: BatchResult) -> UsageRecord:
        """Name the accounts in which the record of a result counts, and with how much."""
        if not self._units:
            return record
        costs = {id_: self._cost(id_, result) for id_ in sorted(self._units)}
        charges = [
            id_ if units == record.cost_units else f"{id_}={units}"
            for id_, units in costs.items()
            if units
        ]
        return msgspec.structs.replace(record, accounts=",".join(charges), lease="")

    def changes(
        self, released: Mapping[str, int], booked: Sequence[BatchResult]
    ) -> tuple[AccountChange, ...]:
        """Say what became of each account."""
        return tuple(
            AccountChange(
                account_id=id_,
                released_units=released[id_],
                cost_units=sum(self._cost(id_, result) for result in booked),
            )
            for id_ in sorted(self._units)
        )

    def _cost(self, account_id: str, result: BatchResult) -> int:
        record = result.record
        if record is None:
            return 0
        costs = result.costs or ((record.model, record.cost_units),)
        return sum(units for model, units in costs if self._counts(account_id, model))

    def _counts(self, account_id: str, model: str) -> bool:
        models = self._models.get(account_id)
        return models is None or models.allows(model)

    def _release(self, units: Mapping[str, int]) -> dict[str, int]:
        some = {id_: held for id_, held in units.items() if held}
        release_units(self._connection, some)
        left = [(self._batch_id, id_, self._units[id_] - held) for id_, held in some.items()]
        _KEPT_HOLDS.run(self._connection, left)
        return dict(units)


def _batch(row: Row[Any]) -> Batch:
    return Batch(**dict(zip(_FIELDS, row, strict=True)))


def _line(row: Row[Any]) -> BatchLine:
    return BatchLine(**dict(zip(_LINE_FIELDS, row, strict=True)))


def _lines_of(batch_id: str) -> Select[Any]:
    return select(*(batch_lines.c[name] for name in _LINE_FIELDS)).where(
        batch_lines.c.batch_id == batch_id
    )


def _is_settled(lines: Mapping[str, BatchLine], custom_id: str) -> bool:
    return custom_id in lines and lines[custom_id].settled


def _take_turn(connection: Connection, batch_id: str) -> int:
    """Keep others from changing the batch until the transaction ends; the units it holds."""
    statement = select(batches.c.held_units).where(batches.c.id == batch_id).with_for_update()
    held = connection.execute(statement).scalar_one_or_none()
    if held is None:
        raise UnknownBatchError(f"there is no batch {batch_id!r}")
    return int(held)


def _find_lines(
    connection: Connection, batch_id: str, custom_ids: Sequence[str]
) -> dict[str, BatchLine]:
    lines: dict[str, BatchLine] = {}
    for start in range(0, len(custom_ids), _LINES_AT_ONCE):
        asked = custom_ids[start : start + _LINES_AT_ONCE]
        statement = _lines_of(batch_id).where(batch_lines.c.custom_id.in_(asked))
        rows = connection.execute(statement).all()
        lines.update({row.custom_id: _line(row) for row in rows})
    return lines


def _mark(
    connection: Connection, batch_id: str, settlement: Settlement, lines: Mapping[str, BatchLine]
) -> None:
    known = [custom_id for custom_id in settlement.custom_ids if custom_id in lines]
    other = [custom_id for custom_id in settlement.custom_ids if custom_id not in lines]
    for start in range(0, len(known), _LINES_AT_ONCE):
        named = batch_lines.c.custom_id.in_(known[start : start + _LINES_AT_ONCE])
        connection.execute(
            update(batch_lines)
            .where(batch_lines.c.batch_id == batch_id, named)
            .values(settled=True)
        )
    _LINES.run(connection, [(batch_id, custom_id, "", 0, True) for custom_id in other])
    connection.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(
            held_units=batches.c.held_units - settlement.released_units,
            lines=batches.c.lines + len(other),
            settled_lines=batches.c.settled_lines + len(settlement.custom_ids),
        )
    )
