"""Message batches in the store: whose they are, where they run, and what is held for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from apertis.gateway.store.booking import book
from apertis.gateway.store.bulk import BulkInsert
from apertis.gateway.store.records import Batch, BatchLine, Settlement
from apertis.gateway.store.schema import batch_lines, batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from apertis.gateway.store.connections import Database
    from apertis.gateway.store.records import BatchResult

__all__ = ["StoredBatches"]

_LINES = BulkInsert(batch_lines)
_FIELDS = Batch.__struct_fields__
_BATCHES = select(*(batches.c[name] for name in _FIELDS))


class StoredBatches:
    """Batches and their lines. Each line is settled once, however often its result is read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, batch: Batch, lines: Sequence[BatchLine] = ()) -> Batch:
        """Keep a new batch with its lines; what comes back has their sums."""
        held = sum(line.held_units for line in lines)
        kept = Batch(
            id=batch.id,
            upstream=batch.upstream,
            key_id=batch.key_id,
            created_at=batch.created_at,
            held_units=held,
            lines=len(lines),
        )
        async with self._database.writing() as connection:
            values = {name: getattr(kept, name) for name in _FIELDS}
            await connection.execute(insert(batches).values(values))
            await _LINES.run(
                connection,
                [(batch.id, line.custom_id, line.model, line.held_units, False) for line in lines],
            )
        return kept

    async def get(self, batch_id: str) -> Batch | None:
        """Read one batch."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_BATCHES.where(batches.c.id == batch_id))).one_or_none()
        return None if row is None else _batch(row)

    async def list(self, *, key_id: str | None = None) -> tuple[Batch, ...]:
        """Read all batches, or those of one key; the newest first."""
        statement = _BATCHES.order_by(batches.c.created_at.desc(), batches.c.id.desc())
        if key_id is not None:
            statement = statement.where(batches.c.key_id == key_id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return tuple(_batch(row) for row in rows)

    async def held_by_key(self) -> dict[str, int]:
        """The units that are held for batches, by the keys' ids."""
        held = func.sum(batches.c.held_units)
        statement = select(batches.c.key_id, held).group_by(batches.c.key_id).having(held > 0)
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return {key_id: int(units) for key_id, units in rows}

    async def settle(self, batch_id: str, results: Iterable[BatchResult]) -> Settlement:
        """Book the lines that were not settled before, and give up what was held for them.

        All in one transaction. A line that the batch was not kept with held nothing.
        """
        by_id: dict[str, BatchResult] = {}
        for result in results:
            by_id.setdefault(result.custom_id, result)
        async with self._database.writing() as connection:
            await _wait_for_turn(connection, batch_id)
            lines = await _lines(connection, batch_id)
            fresh = [
                result
                for custom_id, result in by_id.items()
                if custom_id not in lines or not lines[custom_id].settled
            ]
            known = [lines[result.custom_id] for result in fresh if result.custom_id in lines]
            released = sum(line.held_units for line in known)
            await _mark(connection, batch_id, fresh, lines)
            booked = await book(connection, [r.record for r in fresh if r.record is not None])
            await connection.execute(
                update(batches)
                .where(batches.c.id == batch_id)
                .values(
                    held_units=batches.c.held_units - released,
                    settled_lines=batches.c.settled_lines + len(fresh),
                    lines=batches.c.lines + len(fresh) - len(known),
                )
            )
        return Settlement(
            custom_ids=tuple(result.custom_id for result in fresh),
            released_units=released,
            cost_units=sum(record.cost_units for record in booked),
        )
