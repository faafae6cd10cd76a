"""Message batches in the store: whose they are, where they run, and what is held for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from apertis.gateway.budgets.accounts import AccountChange
from apertis.gateway.keys.matching import compile_models
from apertis.gateway.store.accounts import (
    change_account,
    lock_accounts,
    models_of,
    return_lease,
)
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
_LINES_AT_ONCE = 1000
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
        seat: tuple[str, int] | None = None,
    ) -> Batch:
        """Keep a new batch with its lines; what comes back has their sums.

        Its `holds` are what its accounts have held for it from now on; with `seat`, the leases of
        this replica's name and epoch had it until now.
        """
        held = sum(line.held_units for line in lines)
        kept = msgspec.structs.replace(batch, held_units=held, lines=len(lines), settled_lines=0)
        values = {name: getattr(kept, name) for name in _FIELDS} | {"sequence": _NEXT}
        rows = [(batch.id, line.custom_id, line.model, line.held_units, False) for line in lines]

        def work(connection: Connection) -> None:
            connection.execute(insert(batches).values(values))
            _LINES.run(connection, rows)
            _hold(connection, batch.id, holds, seat)

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

        All in one transaction. A line that the batch was not kept with held nothing.
        `UnknownBatchError` when the batch is not kept at all.
        """
        by_id: dict[str, BatchResult] = {}
        for result in results:
            by_id.setdefault(result.custom_id, result)

        def work(connection: Connection) -> Settlement:
            _take_turn(connection, batch_id)
            lines = _find_lines(connection, batch_id, list(by_id))
            fresh = [r for r in by_id.values() if not _is_settled(lines, r.custom_id)]
            changes, records = _settled_holds(connection, batch_id, fresh, lines)
            booked = book(connection, records)
            settled = Settlement(
                custom_ids=tuple(result.custom_id for result in fresh),
                released_units=sum(
                    lines[r.custom_id].held_units for r in fresh if r.custom_id in lines
                ),
                cost_units=sum(record.cost_units for record in booked),
                accounts=changes,
            )
            _mark(connection, batch_id, settled, lines)
            return settled

        return await self._database.write(work)

    async def release(self, batch_id: str) -> tuple[AccountChange, ...]:
        """Give up what is still held, since no more results will come; of which accounts.

        `UnknownBatchError` when the batch is not kept.
        """
        of_batch = (batch_lines.c.batch_id == batch_id) & ~batch_lines.c.settled

        def work(connection: Connection) -> tuple[AccountChange, ...]:
            _take_turn(connection, batch_id)
            connection.execute(update(batches).where(batches.c.id == batch_id).values(held_units=0))
            # A result that is read after all is still booked; there is nothing to release for it.
            connection.execute(update(batch_lines).where(of_batch).values(held_units=0))
            return _release(connection, batch_id)

        return await self._database.write(work)

    async def delete(self, batch_id: str) -> tuple[AccountChange, ...]:
        """Forget a batch and its lines; what of its accounts was still held for it.

        What was booked for it stays booked. `UnknownBatchError` when the batch is not kept.
        """

        def work(connection: Connection) -> tuple[AccountChange, ...]:
            _take_turn(connection, batch_id)
            connection.execute(delete(batch_lines).where(batch_lines.c.batch_id == batch_id))
            connection.execute(delete(batches).where(batches.c.id == batch_id))
            return _release(connection, batch_id)

        return await self._database.write(work)

    async def _read(self, statement: Executable) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(statement).all())


def _hold(
    connection: Connection, batch_id: str, holds: Sequence[Hold], seat: tuple[str, int] | None
) -> None:
    """Let accounts hold money for a batch, in place of the leases that reserved it."""
    by_id = {hold.account_id: hold.units for hold in holds if hold.units}
    for account_id in sorted(lock_accounts(connection, by_id)):
        units = by_id[account_id]
        change_account(connection, account_id, held=units)
        connection.execute(
            insert(batch_holds).values(batch_id=batch_id, account_id=account_id, units=units)
        )
        if seat is not None:
            return_lease(connection, account_id, *seat, units)


def _settled_holds(
    connection: Connection,
    batch_id: str,
    results: Sequence[BatchResult],
    lines: Mapping[str, BatchLine],
) -> tuple[tuple[AccountChange, ...], list[UsageRecord]]:
    """Give back what accounts held for these lines, and say where their records are booked."""
    holds = _holds_of(connection, batch_id)
    records = [result.record for result in results if result.record is not None]
    if not holds:
        return (), records
    models = models_of(connection, holds)
    lists = {account_id: compile_models(entries) for account_id, entries in models.items()}
    changes: list[AccountChange] = []
    for account_id, held in holds.items():
        allowed = lists.get(account_id)
        released = sum(
            line.held_units
            for result in results
            if (line := lines.get(result.custom_id)) is not None
            and (allowed is None or allowed.allows(line.model))
        )
        cost = sum(
            record.cost_units
            for record in records
            if allowed is None or allowed.allows(record.model)
        )
        released = min(released, held)
        _give_back(connection, batch_id, account_id, released)
        changes.append(
            AccountChange(account_id=account_id, released_units=released, cost_units=cost)
        )
    return tuple(changes), [
        msgspec.structs.replace(record, accounts=_charges(record, holds, lists))
        for record in records
    ]


def _charges(record: UsageRecord, holds: Mapping[str, int], lists: Mapping[str, ModelList]) -> str:
    return ",".join(
        account_id
        if account_id not in lists or lists[account_id].allows(record.model)
        else f"{account_id}=0"
        for account_id in holds
    )


def _release(connection: Connection, batch_id: str) -> tuple[AccountChange, ...]:
    holds = _holds_of(connection, batch_id)
    for account_id, units in holds.items():
        _give_back(connection, batch_id, account_id, units)
    return tuple(
        AccountChange(account_id=account_id, released_units=units)
        for account_id, units in holds.items()
    )


def _holds_of(connection: Connection, batch_id: str) -> dict[str, int]:
    """Read what accounts hold for a batch, and lock these accounts."""
    of_batch = select(batch_holds.c.account_id).where(batch_holds.c.batch_id == batch_id)
    lock_accounts(connection, list(connection.execute(of_batch).scalars()))
    statement = select(batch_holds.c.account_id, batch_holds.c.units).where(
        batch_holds.c.batch_id == batch_id
    )
    return {
        row.account_id: row.units
        for row in connection.execute(statement.order_by(batch_holds.c.account_id))
    }


def _give_back(connection: Connection, batch_id: str, account_id: str, units: int) -> None:
    change_account(connection, account_id, held=-units)
    connection.execute(
        update(batch_holds)
        .where(batch_holds.c.batch_id == batch_id, batch_holds.c.account_id == account_id)
        .values(units=batch_holds.c.units - units)
    )


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
