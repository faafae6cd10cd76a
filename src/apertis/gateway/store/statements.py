"""Statements for many rows at once, of which a few are prepared and kept."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Table

_T = TypeVar("_T")

# SQLite takes 32,766 values a statement; a prepared one keeps some 100 bytes for each.
_MAX_VALUES = 4_000


def powers_of_two(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut `count` things into pieces whose sizes are powers of two, at most `most`: from, to.

    A statement for any number of rows is prepared anew each time; those of these sizes are kept.
    """
    start = 0
    most = 1 << (most.bit_length() - 1)
    while start < count:
        size = min(most, 1 << ((count - start).bit_length() - 1))
        yield start, start + size
        start += size


def padded(values: Sequence[_T]) -> list[_T]:
    """Repeat the last of some values until their number is a power of two.

    One statement for them is cheaper than several of the sizes that are kept.
    """
    count = len(values)
    return [*values, *([values[-1]] * ((1 << (count - 1).bit_length()) - count))] if count else []


NOTHING = -1
"""The stand-in for null in rows for SQLite, where nothing else is negative.

Its driver looks for an adapter of each None and of each truth value, at twenty times the cost of
any other value.
"""


class BulkInsert:
    """A statement that inserts rows, given as tuples in the order of the table's columns.

    A row whose primary key is there already is an error; or, with `sums`, its columns of these
    names are added to those of the row that is there, with `changed` they take their place, with
    `latest` they do so where they are greater, with `earliest` where they are less, and with
    `unless_there` it stays as it is. No primary key may come twice in one run.
    """

    def __init__(
        self,
        table: Table,
        sums: Sequence[str] = (),
        changed: Sequence[str] = (),
        *,
        latest: Sequence[str] = (),
        earliest: Sequence[str] = (),
        unless_there: bool = False,
    ) -> None:
        columns = [column.name for column in table.columns]
        self._width = len(columns)
        # Names of tables and columns are ours; the values are never part of the text.
        self._head = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES "  # noqa: S608
        self._tail = " ON CONFLICT DO NOTHING" if unless_there else ""
        if sums or changed or latest or earliest:
            kept = dict.fromkeys(latest, ">") | dict.fromkeys(earliest, "<")
            self._tail = _on_conflict(table, sums, changed, kept)
        row = f"({', '.join(f'${number}' for number in range(1, self._width + 1))})"
        self._numbered = self._head + row + self._tail
        marks = (f"nullif(?, {NOTHING})" if column.nullable else "?" for column in table.columns)
        self._unnumbered = f"({', '.join(marks)})"
        # For SQLite, by their number of rows.
        self._statements: dict[int, str] = {}

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert the rows as a part of the connection's transaction; with SQLite see `NOTHING`."""
        if not rows:
            return
        if connection.dialect.name != "sqlite":
            # The driver sends all rows in one go.
            connection.exec_driver_sql(self._numbered, list(rows))
            return
        # SQLite's driver gives up the interpreter's lock at every statement and waits to get it
        # back: with a statement a row, a busy event loop would make that seconds.
        for start, end in powers_of_two(len(rows), _MAX_VALUES // self._width):
            values = tuple(chain.from_iterable(rows[start:end]))
            connection.exec_driver_sql(self._statement(end - start), values)

    def _statement(self, rows: int) -> str:
        statement = self._statements.get(rows)
        if statement is None:
            statement = self._head + ", ".join([self._unnumbered] * rows) + self._tail
            self._statements[rows] = statement
        return statement


def _on_conflict(
    table: Table, sums: Sequence[str], changed: Sequence[str], kept: Mapping[str, str]
) -> str:
    identity = ", ".join(column.name for column in table.primary_key)
    values = [f"{name} = {table.name}.{name} + excluded.{name}" for name in sums]
    values += [f"{name} = excluded.{name}" for name in changed]
    # Neither database has the other's word for the greater of two, and null is never kept.
    values += [
        f"{name} = CASE WHEN {table.name}.{name} {sign} excluded.{name} THEN {table.name}.{name} "
        f"ELSE excluded.{name} END"
        for name, sign in kept.items()
    ]
    return f" ON CONFLICT ({identity}) DO UPDATE SET {', '.join(values)}"
