"""The ledger: every request once, and its sums by key, day and session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import select

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import COLUMNS, Tokens
from apertis.gateway.store.booking import book
from apertis.gateway.store.report import report_statement, rows_of
from apertis.gateway.store.schema import usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apertis.gateway.store.connections import Database
    from apertis.gateway.store.records import UsageQuery, UsageRow

# Fewer than there are connections for readers, so that a long report never keeps a running
# gateway from seeing that a key was revoked.
_REPORTS_AT_ONCE = 2

_TOKENS = {name: usage.c[column] for name, column in COLUMNS.items()}
_REST = tuple(name for name in UsageRecord.__struct_fields__ if name != "tokens")


class StoredUsage:
    """Usage of requests. A record that was added is never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reports = asyncio.Semaphore(_REPORTS_AT_ONCE)

    async def add(self, records: Sequence[UsageRecord]) -> int:
        """Book the records whose request ids are new; how many those were.

        Their cost is added to the keys' `used_units` in the same transaction. Adding a record
        again changes nothing, so whoever does not know whether it arrived adds it again.
        """
        if not records:
            return 0
        return len(await self._database.write(lambda connection: book(connection, records)))

    async def get(self, request_id: str) -> UsageRecord | None:
        """Read one record."""
        columns = [usage.c[name] for name in _REST]
        statement = select(*columns, *_TOKENS.values()).where(usage.c.request_id == request_id)
        row = await self._database.read(lambda at: at.execute(statement).one_or_none())
        if row is None:
            return None
        tokens = Tokens(**dict(zip(_TOKENS, row[len(_REST) :], strict=True)))
        return UsageRecord(**dict(zip(_REST, row, strict=False)), tokens=tokens)

    async def report(self, query: UsageQuery) -> list[UsageRow]:
        """Add up what the query asks for, exactly.

        Whole days (UTC) cost little however many requests they had; the rest of a range is added
        up from its single records.
        """
        statement = report_statement(query)
        async with self._reports:
            rows = await self._database.read(lambda at: at.execute(statement).all())
        return rows_of(query, rows)
