"""Many rows in few statements."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["BulkInsert"]

# SQLite takes 32,766 values a statement; a prepared one keeps some 100 bytes for each.
_MAX_VALUES = 4_000


class BulkInsert:
    """Inserts rows, given as tuples in the order of the table's columns.

    A row whose primary key is there already is an error; or, with `sums`, its columns of these
    names are added to those of the row that is there. No primary key may come twice in one run.
    """

    def __init__(self, table: Table, sums: Sequence[str] = ()) -> None:
        columns = [column.name for column in table.columns]
        self._width = len(columns)
        # Names of tables and columns are ours; the values are never part of the text.
        self._head = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES "  # noqa: S608
        self._tail = _addition(table, sums) if sums else ""
        row = f"({', '.join(f'${number}' for number in range(1, self._width + 1))})"
        self._numbered = self._head + row + self._tail
        self._unnumbered = f"({', '.join('?' * self._width)})"

    async def run(self, connection: AsyncConnection, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert the rows as a part of the connection's transaction."""
        if not rows:
            return
        if connection.dialect.name != "sqlite":
            # The driver sends all rows in one go.
            await connection.exec_driver_sql(self._numbered, list(rows))
            return
        # SQLite's driver gives up the interpreter's lock at every statement and waits to get it
        # back: with a statement a row, a busy event loop would make that seconds.
        step = _MAX_VALUES // self._width
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            statement = self._head + ", ".join([self._unnumbered] * len(part)) + self._tail
            await connection.exec_driver_sql(statement, tuple(chain.from_iterable(part)))


def _addition(table: Table, sums: Sequence[str]) -> str:
    identity = ", ".join(column.name for column in table.primary_key)
    added = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in sums)
    return f" ON CONFLICT ({identity}) DO UPDATE SET {added}"
