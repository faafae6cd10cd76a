"""The ledger: every request once, and its sums by key, day and session."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, case, cast, func, literal, select, union_all

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import COLUMNS, Tokens
from apertis.gateway.store.booking import DAY_MS, FIRST_FAILURE, book
from apertis.gateway.store.records import UsageRow
from apertis.gateway.store.schema import SUMS, usage, usage_daily, usage_sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Row, Select, Table

    from apertis.gateway.store.connections import Database
    from apertis.gateway.store.records import Dimension, UsageQuery

# Fewer than there are connections for readers, so that a long report never keeps a running
# gateway from seeing that a key was revoked.
_REPORTS_AT_ONCE = 2

_TOKENS = {name: usage.c[column] for name, column in COLUMNS.items()}
# What it was booked in is kept in the accounts alone.
_BOOKED = {"accounts", "lease"}
_REST = tuple(name for name in UsageRecord.__struct_fields__ if name not in {"tokens", *_BOOKED})


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


_COLUMNS: dict[Dimension, str] = {"key": "key_id"}
_ONLY_BY_SESSION: frozenset[Dimension] = frozenset(("session", "agent"))
_EPOCH = date(1970, 1, 1)
# A range without a limit, as whole days.
_DAWN, _DUSK = 0, 10**6 * DAY_MS


def report_statement(query: UsageQuery) -> Select[Any]:
    """Build the statement that answers the query: the dimensions asked for, then all sums."""
    found = union_all(*_parts(query)).subquery()
    groups = [found.c[name] for name in query.group_by]
    sums = [
        cast(func.coalesce(func.sum(found.c[name]), 0), BigInteger).label(name) for name in SUMS
    ]
    statement = select(*groups, *sums).group_by(*groups)
    # Without groups there is always a row; it says nothing when no request was found.
    statement = statement.having(func.sum(found.c.requests) > 0)
    if query.order == "cost":
        statement = statement.order_by(sums[-1].desc())
    return statement.order_by(*groups).limit(query.limit)


def rows_of(query: UsageQuery, rows: Iterable[Row[Any]]) -> list[UsageRow]:
    """Give names to what the statement answered."""
    names = (*query.group_by, *SUMS)
    return [_usage_row(dict(zip(names, row, strict=True))) for row in rows]


def _usage_row(values: dict[str, Any]) -> UsageRow:
    for name, value in values.items():
        if name == "day":
            values[name] = (_EPOCH + timedelta(days=value)).isoformat()
        elif value == "":
            # No session, no class: empty in the tables, None outside.
            values[name] = None
    return UsageRow(**values)


def _parts(query: UsageQuery) -> list[Select[Any]]:
    """Split the range into whole days and what is left at its two ends."""
    since = _DAWN if query.since_ms is None else query.since_ms
    until = _DUSK if query.until_ms is None else query.until_ms
    first_day, end_day = -(-since // DAY_MS), until // DAY_MS
    if first_day > end_day:
        return [_records(query, since, until)]
    parts = [_days(query, first_day, end_day)]
    if since < first_day * DAY_MS:
        parts.append(_records(query, since, first_day * DAY_MS))
    if end_day * DAY_MS < until:
        parts.append(_records(query, end_day * DAY_MS, until))
    return parts


def _days(query: UsageQuery, first: int, end: int) -> Select[Any]:
    filters = _filters(query)
    by_session = not _ONLY_BY_SESSION.isdisjoint((*query.group_by, *filters))
    table = usage_sessions if by_session else usage_daily
    conditions: list[ColumnElement[bool]] = [
        _column(table, name).in_(values) for name, values in filters.items()
    ]
    conditions += [table.c.day >= first, table.c.day < end]
    groups = [_column(table, name) for name in query.group_by]
    return _part(query, groups, [table.c[name] for name in SUMS], conditions)


def _records(query: UsageQuery, since_ms: int, until_ms: int) -> Select[Any]:
    conditions = [usage.c.at_ms >= since_ms, usage.c.at_ms < until_ms]
    conditions += [_column(usage, name).in_(values) for name, values in _filters(query).items()]
    day = cast(usage.c.at_ms // DAY_MS, Integer)
    groups = [
        day if name == "day" else func.coalesce(_column(usage, name), "") for name in query.group_by
    ]
    counted: dict[str, ColumnElement[Any]] = {
        "requests": literal(1),
        "failed": case((usage.c.status >= FIRST_FAILURE, 1), else_=0),
        **{
            name: case((usage.c[name], 1), else_=0)
            for name in ("cached", "estimated", "interrupted")
        },
    }
    sums = [counted[name] if name in counted else usage.c[name] for name in SUMS]
    return _part(query, groups, sums, conditions)


def _part(
    query: UsageQuery,
    groups: Sequence[ColumnElement[Any]],
    sums: Sequence[ColumnElement[Any]],
    conditions: Sequence[ColumnElement[bool]],
) -> Select[Any]:
    """Add up one part, so that only its groups have to be put together with other parts."""
    named = [column.label(name) for name, column in zip(query.group_by, groups, strict=True)]
    added = [
        cast(func.sum(column), BigInteger).label(name)
        for name, column in zip(SUMS, sums, strict=True)
    ]
    return select(*named, *added).where(*conditions).group_by(*groups)


def _column(table: Table, name: Dimension) -> ColumnElement[Any]:
    return table.c[_COLUMNS.get(name, name)]


def _filters(query: UsageQuery) -> dict[Dimension, tuple[str, ...]]:
    filters: dict[Dimension, tuple[str, ...]] = {
        "key": query.keys,
        "model": query.models,
        "session": query.sessions,
        "request_class": query.request_classes,
        "agent": query.agents,
        "upstream": query.upstreams,
        "kind": query.kinds,
    }
    return {name: values for name, values in filters.items() if values}
