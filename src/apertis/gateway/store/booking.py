"""Booking of usage within a transaction: the records, their sums, and the keys' used units."""

from __future__ import annotations

import operator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from apertis.accounting.tokens import COLUMNS, counts_of
from apertis.gateway.store.accounts import book_costs, is_number
from apertis.gateway.store.histogram import BUCKETS, SHIFT, bucket_of
from apertis.gateway.store.histogram import COLUMNS as TIMES
from apertis.gateway.store.schema import (
    ROLLUPS,
    SUMS,
    key_usage,
    usage,
    usage_quarters,
    usage_sessions,
)
from apertis.gateway.store.statements import NOTHING, BulkInsert, powers_of_two

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from apertis.accounting.record import UsageRecord

# How many single values a question asks for at once.
_MAX_ASKED = 1024

QUARTER_MS = 900_000
QUARTERS_A_DAY = 96
QUARTERS_AN_HOUR = 4

FIRST_FAILURE = 400
# What an upstream or a caller says is kept within these, so that no record can ever be one that
# the database refuses: it would hold up all that come after it. Nothing real comes near them.
_MOST = 2**50
_LONGEST = 200

_RECORDS = BulkInsert(usage)
_QUARTERS = BulkInsert(usage_quarters, (*SUMS, *TIMES))
_SESSIONS = BulkInsert(usage_sessions, SUMS, latest=("last_ms",), earliest=("first_ms",))
_KEYS = BulkInsert(key_usage, ("used_units",), latest=("last_used_ms",))

_Row = tuple[Any, ...]

# How to take what is needed from a row of `usage`.
_PLACES = {column.name: place for place, column in enumerate(usage.columns)}
_AT, _STATUS = _PLACES["at_ms"], _PLACES["status"]


def _pick(*names: str) -> Callable[[_Row], _Row]:
    return operator.itemgetter(*(_PLACES[name] for name in names))


_at, _status = operator.itemgetter(_AT), operator.itemgetter(_STATUS)
# What of a row is added up, behind the number of rows and of failures: see `SUMS`.
_summed = _pick("cached", "estimated", "interrupted", *COLUMNS.values(), "cost_units")
_group = _pick(
    "key_id",
    "person_id",
    "group_id",
    "model",
    "kind",
    "request_class",
    "upstream",
    "session",
    "agent",
)
# Of a group with its quarter hour in front: what `usage_quarters` tells apart, and the places of
# what `usage_sessions` does, but for the day.
_QUARTERS_WIDTH = len(usage_quarters.primary_key)
_KIND = _QUARTERS_WIDTH - 3
_SESSIONS_WIDTH = len(usage_sessions.primary_key)
_session = operator.itemgetter(1, *range(4, _QUARTERS_WIDTH + 2))


class _Rollup(NamedTuple):
    """A table that quarter hours are added up in."""

    insert: BulkInsert
    quarters: int
    """The number of them in one of its units."""
    group: Callable[[_Row], _Row]
    """Takes what tells its rows apart out of what tells those of the quarters apart."""
    width: int
    """The number of the quarters' sums that it has, from the first."""

    @classmethod
    def of(cls, table: Table) -> _Rollup:
        names = table.columns.keys()
        by = len(table.primary_key)
        places = [usage_quarters.columns.keys().index(name) for name in names[1:by]]
        group = operator.itemgetter(0, *places)
        return cls(BulkInsert(table, names[by:]), quarters_of(table), group, len(names) - by)


def quarters_of(table: Table) -> int:
    """Return how many quarter hours are in each row of a table of `ROLLUPS`."""
    return QUARTERS_AN_HOUR if "hour" in table.columns else 1


_ROLLUPS = [_Rollup.of(table) for table in ROLLUPS]
_times = _pick("status", "first_byte_ms", "total_ms")
# The only ones whose times are counted.
TIMED = "messages"


def book(connection: Connection, records: Iterable[UsageRecord]) -> list[UsageRecord]:
    """Book the records whose request ids are new, once each; those are the response."""
    distinct: dict[str, UsageRecord] = {}
    for record in records:
        distinct.setdefault(record.request_id, record)
    for request_id in _known(connection, list(distinct)):
        del distinct[request_id]
    if connection.dialect.name == "sqlite":
        rows = [_row(record, NOTHING, int) for record in distinct.values()]
    else:
        rows = [_row(record) for record in distinct.values()]
    # First: an account that is made now must not find these rows among what was spent before.
    book_costs(connection, *_costs(distinct.values()))
    _RECORDS.run(connection, rows)
    _add_up(connection, rows)
    return list(distinct.values())


def _costs(records: Iterable[UsageRecord]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Add up what records cost, by lease and account, and by key where they name no account."""
    unnamed: dict[str, int] = {}
    # Many records name the same accounts, so what they say is taken apart once.
    grouped: dict[tuple[str, str], list[int]] = {}
    for record in records:
        units = min(record.cost_units, _MOST)
        if record.accounts:
            name = record.lease, record.accounts
            group = grouped.get(name)
            if group is None:
                grouped[name] = [units, 1]
            else:
                group[0] += units
                group[1] += 1
        elif units:
            unnamed[record.key_id] = unnamed.get(record.key_id, 0) + units
    costs: dict[str, dict[str, int]] = {}
    for (lease, accounts), (total, count) in grouped.items():
        of_lease = costs.setdefault(lease, {})
        for entry in accounts.split(","):
            account, _, own = entry.partition("=")
            units = count * min(int(own), _MOST) if is_number(own) else total
            of_lease[account] = of_lease.get(account, 0) + units
    return costs, unnamed


def _known(connection: Connection, request_ids: Sequence[str]) -> list[str]:
    known: list[str] = []
    is_sqlite = connection.dialect.name == "sqlite"
    for start, end in powers_of_two(len(request_ids), _MAX_ASKED):
        statement = _selection(end - start, is_sqlite=is_sqlite)
        asked = tuple(request_ids[start:end])
        known.extend(connection.exec_driver_sql(statement, asked).scalars())
    return known


@cache
def _selection(values: int, *, is_sqlite: bool) -> str:
    marks = ("?" if is_sqlite else f"${number}" for number in range(1, values + 1))
    # Only the values are not ours, and they are not part of the text.
    return f"SELECT request_id FROM {usage.name} WHERE request_id IN ({', '.join(marks)})"  # noqa: S608


def _row(record: UsageRecord, nothing: int | None = None, flag: type[int] = bool) -> _Row:
    """Return the row of a record, with `nothing` for null and truth values as `flag` makes them."""
    counts = counts_of(record.tokens)
    if max(counts) > _MOST:
        counts = tuple(min(count, _MOST) for count in counts)
    return (
        record.request_id,
        record.at_ms,
        record.key_id,
        record.kind,
        _text(record.model),
        _text(record.requested_model),
        nothing if record.upstream is None else _text(record.upstream),
        record.status,
        nothing if record.code is None else _text(record.code),
        *counts,
        min(record.cost_units, _MOST),
        flag(record.estimated),
        flag(record.cached),
        flag(record.streamed),
        flag(record.interrupted),
        nothing if record.session is None else _text(record.session),
        nothing if record.agent is None else _text(record.agent),
        nothing if record.request_class is None else _text(record.request_class),
        nothing if record.upstream_request_id is None else _text(record.upstream_request_id),
        nothing if record.first_byte_ms is None else record.first_byte_ms,
        record.total_ms,
        nothing if record.bill_to is None else _text(record.bill_to),
        nothing if record.person_id is None else record.person_id,
        nothing if record.group_id is None else record.group_id,
        nothing if record.prefix_change is None else record.prefix_change,
        nothing if record.attempts is None else record.attempts,
        nothing if record.fallback_reason is None else record.fallback_reason,
        nothing if record.reserved_units is None else record.reserved_units,
    )


def _text(text: str) -> str:
    # PostgreSQL keeps no NUL, and no index takes a text of any length.
    if len(text) > _LONGEST or "\0" in text:
        return text[:_LONGEST].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text


def _add_up(connection: Connection, rows: Iterable[_Row]) -> None:
    nothing = NOTHING if connection.dialect.name == "sqlite" else None
    quarters: dict[_Row, list[int]] = {}
    rolled_up: list[dict[_Row, list[int]]] = [{} for _ in _ROLLUPS]
    sessions: dict[_Row, list[int]] = {}
    spent: dict[_Row, list[int]] = {}
    last: dict[_Row, int] = {}
    spans: dict[_Row, tuple[int, int]] = {}
    for group, members in _by_group(rows).items():
        # A dimension that is not there is kept as an empty text.
        named: _Row = tuple(["" if value is nothing else value for value in group])
        sums = _sums(members)
        quarter = named[:_QUARTERS_WIDTH]
        key = quarter[1:2]
        moments = [*map(_at, members)]
        begins, ends = min(moments), max(moments)
        last[key] = max(last.get(key, 0), ends)
        known = quarters.get(quarter)
        if known is None:
            known = quarters[quarter] = [*sums, *_NO_TIMES]
        else:
            known[: len(sums)] = map(operator.add, known, sums)
        if named[_KIND] == TIMED:
            _count_times(known, members, nothing)
        session = (named[0] // QUARTERS_A_DAY, *_session(named))
        _add(sessions, session, sums)
        span = spans.get(session)
        if span is not None:
            begins, ends = min(span[0], begins), max(span[1], ends)
        spans[session] = begins, ends
    for quarter, sums in quarters.items():
        for rollup, added in zip(_ROLLUPS, rolled_up, strict=True):
            group = rollup.group((quarter[0] // rollup.quarters, *quarter[1:]))
            _add(added, group, sums[: rollup.width])
        _add(spent, quarter[1:2], sums[_COST : _COST + 1])
    # Always in one order, so that two transactions never wait for each other.
    _QUARTERS.run(connection, _rows_of(quarters))
    for rollup, added in zip(_ROLLUPS, rolled_up, strict=True):
        rollup.insert.run(connection, _rows_of(added))
    _SESSIONS.run(connection, [(*row, *spans[row[:_SESSIONS_WIDTH]]) for row in _rows_of(sessions)])
    _KEYS.run(connection, [(*row, last[row[:1]]) for row in _rows_of(spent)])


def insert_quarters(connection: Connection, rows: Sequence[_Row]) -> None:
    """Add sums of quarter hours, in the order of their keys."""
    _QUARTERS.run(connection, rows)


def _sums(rows: Sequence[_Row]) -> list[int]:
    if len(rows) == 1:
        return [1, int(_status(rows[0]) >= FIRST_FAILURE), *_summed(rows[0])]
    failed = sum(map(FIRST_FAILURE.__le__, map(_status, rows)))
    return [len(rows), failed, *map(sum, zip(*map(_summed, rows), strict=True))]


def _by_group(rows: Iterable[_Row]) -> dict[_Row, list[_Row]]:
    groups: dict[_Row, list[_Row]] = {}
    for row in rows:
        groups.setdefault((row[_AT] // QUARTER_MS, *_group(row)), []).append(row)
    return groups


_FIRST_BYTE, _TOTAL = 1, 1 << SHIFT
_NO_TIMES = (0,) * BUCKETS
# Of the sums of a quarter hour: the cost, and the first of the times behind it.
_COST, _FIRST_TIME = len(SUMS) - 1, len(SUMS)


def _count_times(sums: list[int], rows: Iterable[_Row], nothing: int | None) -> None:
    """Count how long responses took that were no errors: see `histogram`."""
    for status, first_byte_ms, total_ms in map(_times, rows):
        if status < FIRST_FAILURE:
            sums[_FIRST_TIME + bucket_of(total_ms)] += _TOTAL
            if first_byte_ms is not nothing:
                sums[_FIRST_TIME + bucket_of(first_byte_ms)] += _FIRST_BYTE


def _add(groups: dict[_Row, list[int]], group: _Row, sums: Sequence[int]) -> None:
    known = groups.get(group)
    if known is None:
        groups[group] = list(sums)
    else:
        groups[group] = list(map(operator.add, known, sums))


def _rows_of(groups: Mapping[_Row, Sequence[int]]) -> list[_Row]:
    return [(*group, *groups[group]) for group in sorted(groups)]
