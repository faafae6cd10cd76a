"""Usage reports: from what is added up by day, and at the ends of a range from single records."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, case, cast, func, literal, select, union_all

from apertis.gateway.store.booking import DAY_MS, FIRST_FAILURE
from apertis.gateway.store.records import UsageRow
from apertis.gateway.store.schema import SUMS, usage, usage_daily, usage_sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Row, Select, Table

    from apertis.gateway.store.records import Dimension, UsageQuery

__all__ = ["report_statement", "rows_of"]

_COLUMNS: dict[Dimension, str] = {"key": "key_id"}
_ONLY_BY_SESSION: frozenset[Dimension] = frozenset(("session", "agent"))
_EPOCH = date(1970, 1, 1)


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
    if "day" in values:
        values["day"] = (_EPOCH + timedelta(days=values["day"])).isoformat()
    # No session, no class: empty in the tables, None outside.
    return UsageRow(**{name: None if value == "" else value for name, value in values.items()})


def _parts(query: UsageQuery) -> list[Select[Any]]:
    """Split the range into whole days and what is left at its two ends."""
    since, until = query.since_ms, query.until_ms
    first_day = None if since is None else -(-since // DAY_MS)
    end_day = None if until is None else until // DAY_MS
    if since is not None and until is not None and (first_day or 0) > (end_day or 0):
        return [_records(query, since, until)]
    parts = [_days(query, first_day, end_day)]
    if since is not None and first_day is not None and since < first_day * DAY_MS:
        parts.append(_records(query, since, first_day * DAY_MS))
    if until is not None and end_day is not None and end_day * DAY_MS < until:
        parts.append(_records(query, end_day * DAY_MS, until))
    return parts


def _days(query: UsageQuery, first: int | None, end: int | None) -> Select[Any]:
    filters = _filters(query)
    by_session = not _ONLY_BY_SESSION.isdisjoint((*query.group_by, *filters))
    table = usage_sessions if by_session else usage_daily
    columns = {name: _column(table, name) for name in (*query.group_by, *filters) if name != "day"}
    conditions = [columns[name].in_(values) for name, values in filters.items()]
    if first is not None:
        conditions.append(table.c.day >= first)
    if end is not None:
        conditions.append(table.c.day < end)
    groups = [table.c.day if name == "day" else columns[name] for name in query.group_by]
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
