"""The ledger: every request once, and its sums."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Table,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import COLUMNS, Tokens
from apertis.gateway.budgets.periods import following, start_of
from apertis.gateway.store.booking import QUARTER_MS, QUARTERS_AN_HOUR, book
from apertis.gateway.store.cache_report import CacheRow, cache_statement
from apertis.gateway.store.calendar import UTC_ALWAYS, Calendar
from apertis.gateway.store.histogram import COLUMNS as TIME_COLUMNS
from apertis.gateway.store.histogram import SHIFT
from apertis.gateway.store.records import TIMES, Recent, SessionRow, UsageRow
from apertis.gateway.store.rollup import (
    RECORDS_A_STEP,
    complete_since,
    counts_of_records,
    roll_up,
    sums_of_records,
)
from apertis.gateway.store.schema import ROLLUPS, SUMS, usage, usage_quarters, usage_sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row, Select

    from apertis.gateway.store.connections import Database
    from apertis.gateway.store.records import (
        Dimension,
        RecentQuery,
        SessionQuery,
        UsageQuery,
    )

# Fewer than there are connections for readers, so that a long report never keeps a running
# gateway from seeing that a key was revoked.
_REPORTS_AT_ONCE = 2

_TOKENS = {name: usage.c[column] for name, column in COLUMNS.items()}
# What it was booked in is kept in the accounts alone.
_BOOKED = {"accounts", "lease"}
_REST = tuple(name for name in UsageRecord.__struct_fields__ if name not in {"tokens", *_BOOKED})
_SELECTED = select(*(usage.c[name] for name in _REST), *_TOKENS.values())
# How many records each step of a search for the last ones looks at, and how long it goes on.
_STEPS = (1_000, 5_000, *(20_000,) * 15)
_SEARCH_SECONDS = 0.25


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
        statement = _SELECTED.where(usage.c.request_id == request_id)
        row = await self._database.read(lambda at: at.execute(statement).one_or_none())
        return None if row is None else _record_of(row)

    async def recent(self, query: RecentQuery) -> Recent:
        """Read the last requests, newest first.

        A filter that keeps few of many records does not hold up anybody: the search is given up
        after a while, and says how far it looked.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + _SEARCH_SECONDS
        conditions = _kept(query)
        found: list[UsageRecord] = []
        place = query.before
        for size in _STEPS:
            step = partial(
                _step,
                around=_around(query, place),
                conditions=conditions,
                size=size,
                limit=query.limit + 1 - len(found),
            )
            edge, rows = await self._database.read(step)
            found += map(_record_of, rows)
            if len(found) > query.limit:
                last = found[query.limit - 1]
                return Recent(
                    records=tuple(found[: query.limit]), next=(last.at_ms, last.request_id)
                )
            place = edge
            if edge is None or clock() >= until:
                break
        looked = None if place is None else place[0]
        return Recent(records=tuple(found), next=place, looked_until_ms=looked)

    async def sessions(self, query: SessionQuery) -> list[SessionRow]:
        """Read the sums of sessions, from those by days."""
        async with self._reports:
            return await self._database.read(lambda at: _sessions_of(at, query))

    async def report(self, query: UsageQuery) -> list[UsageRow]:
        """Add up what the query asks for, exactly.

        Whole quarter hours cost little however many requests they had; the rest of a range is added
        up from its single records, and so are times that are not rolled up yet (`complete_since`),
        and questions of sessions and agents for more than their sums by days in UTC.
        """
        calendar, rows = await self._added_up(query)
        return rows_of(query, calendar, rows)

    async def costs(self, query: UsageQuery) -> list[tuple[tuple[str | None, ...], int]]:
        """Read what each row of a report costs, and nothing else of it: a fraction of the work."""
        calendar, rows = await self._added_up(query, _COSTS)
        return [(_group_of(query, calendar, row), row.cost_units) for row in rows]

    async def cache_report(self, query: UsageQuery) -> list[CacheRow]:
        """Add up what was read from prompt caches and what was missed, by group, model and cause.

        Read from single records, and so only for a range. No hours, days, weeks or months.
        """
        groups = [func.coalesce(_column(usage, name), "") for name in query.group_by]
        filters = {_column(usage, name): values for name, values in _filters(query).items()}
        until_ms = _DUSK if query.until_ms is None else query.until_ms
        statement = cache_statement(groups, filters, query.since_ms or 0, until_ms)
        async with self._reports:
            rows = await self._database.read(lambda at: at.execute(statement).all())
        width = len(groups)
        return [CacheRow(tuple(name or None for name in row[:width]), *row[width:]) for row in rows]

    async def complete_since(self) -> int:
        """Return from when on (Unix milliseconds) usage is rolled up; 0 for all of it."""
        return await complete_since(self._database)

    async def roll_up(self, records: int = RECORDS_A_STEP) -> bool:
        """Roll up about so many records of before; False when all are."""
        return await roll_up(self._database, records)

    async def _added_up(
        self, query: UsageQuery, summed: tuple[str, ...] | None = None
    ) -> tuple[Calendar, Sequence[Row[Any]]]:
        async with self._reports:
            # What is rolled up by then only grows.
            complete_since_ms = await self.complete_since()
            calendar = await self._calendar(query)
            if calendar is None:
                return UTC_ALWAYS, ()
            statement = report_statement(query, calendar, complete_since_ms, summed)
            return calendar, await self._database.read(lambda at: at.execute(statement).all())

    async def _calendar(self, query: UsageQuery) -> Calendar | None:
        if set(TIMES).isdisjoint(query.group_by):
            return UTC_ALWAYS
        ends = select(
            select(func.min(usage.c.at_ms)).scalar_subquery(),
            select(func.max(usage.c.at_ms)).scalar_subquery(),
        )
        first, last = await self._database.read(lambda at: at.execute(ends).one())
        if first is None:
            return None
        first = max(first, query.since_ms or 0) // 1000
        end = min(last + 1, _DUSK if query.until_ms is None else query.until_ms) // 1000 + 1
        return Calendar.of(query.zone, first, end)


# What was used last is in the last days, so that the others need not be looked at.
_LAST_DAYS = (1, 4, 16, 64)


def _sessions_of(connection: Connection, query: SessionQuery) -> list[SessionRow]:
    first_day = query.since_ms // _DAY_MS
    found: Sequence[Row[Any]] = ()
    days = [first_day]
    if query.order == "last" and not query.sessions:
        newest = connection.execute(select(func.max(usage_sessions.c.day))).scalar_one()
        days = [newest - count + 1 for count in _LAST_DAYS if newest is not None] + days
    for day in days:
        found = connection.execute(_chosen_sessions(query, max(day, first_day))).all()
        if len(found) == query.limit or day <= first_day:
            break
    if not found:
        return []
    sums = connection.execute(_sums_of_sessions(query, found)).all()
    rows = {(row.session, row.key): row for row in (_session_of(tuple(each)) for each in sums)}
    return [rows[tuple(each)] for each in found]


def _of_sessions(query: SessionQuery, first_day: int) -> list[ColumnElement[bool]]:
    of = usage_sessions.c
    conditions = [of.session != "", of.day >= first_day]
    conditions += [of.key_id.in_(query.keys)] if query.keys else []
    conditions += [of.session.in_(query.sessions)] if query.sessions else []
    return conditions


def _last_used() -> ColumnElement[Any]:
    of = usage_sessions.c
    return cast(func.max(func.coalesce(of.last_ms, _day_ms())), BigInteger)


def _day_ms() -> ColumnElement[Any]:
    return cast(usage_sessions.c.day, BigInteger) * literal(_DAY_MS, BigInteger)


def _chosen_sessions(query: SessionQuery, first_day: int) -> Select[Any]:
    """Choose the sessions of a page, by as little of each as their order needs."""
    of = usage_sessions.c
    order = _last_used() if query.order == "last" else func.sum(of.cost_units)
    columns: list[ColumnElement[Any]] = [of.session, of.key_id]
    return (
        select(*columns)
        .where(*_of_sessions(query, first_day))
        .group_by(of.session, of.key_id)
        .order_by(order.desc(), of.session, of.key_id)
        .offset(query.offset)
        .limit(query.limit)
    )


def _sums_of_sessions(query: SessionQuery, chosen: Sequence[Row[Any]]) -> Select[Any]:
    of = usage_sessions.c
    first = cast(func.min(func.coalesce(of.first_ms, _day_ms())), BigInteger)
    # The session itself has no agent.
    agents = func.count(func.distinct(func.nullif(of.agent, "")))
    columns: list[ColumnElement[Any]] = [of.session, of.key_id, first, _last_used(), agents]
    return (
        select(*columns, *(cast(func.sum(of[name]), BigInteger) for name in SUMS))
        .where(
            *_of_sessions(query, query.since_ms // _DAY_MS),
            of.session.in_({row.session for row in chosen}),
            of.key_id.in_({row.key_id for row in chosen}),
        )
        .group_by(of.session, of.key_id)
    )


def _session_of(values: tuple[Any, ...]) -> SessionRow:
    session, key, first, last, agents, *sums = values
    return SessionRow(
        session=session,
        key=key,
        first_ms=first,
        last_ms=last,
        agents=agents,
        **dict(zip(SUMS, sums, strict=True)),
    )


_Place = tuple[int, str]


def _record_of(row: Row[Any]) -> UsageRecord:
    tokens = Tokens(**dict(zip(_TOKENS, row[len(_REST) :], strict=True)))
    return UsageRecord(**dict(zip(_REST, row, strict=False)), tokens=tokens)


def _step(
    connection: Connection,
    *,
    around: list[ColumnElement[bool]],
    conditions: list[ColumnElement[bool]],
    size: int,
    limit: int,
) -> tuple[_Place | None, Sequence[Row[Any]]]:
    """Search the next `size` records; give the place of the last one, None if there are fewer."""
    newest_first = usage.c.at_ms.desc(), usage.c.request_id.desc()
    edge = (
        select(usage.c.at_ms, usage.c.request_id)
        .where(*around)
        .order_by(*newest_first)
        .offset(size - 1)
        .limit(1)
    )
    last = connection.execute(edge).one_or_none() if conditions else None
    if last is not None:
        at_ms, request_id = last
        # The first of both is what the index can find.
        around = [*around, usage.c.at_ms >= at_ms]
        around.append(or_(usage.c.at_ms > at_ms, usage.c.request_id >= request_id))
    rows = _SELECTED.where(*around, *conditions).order_by(*newest_first).limit(limit)
    found = connection.execute(rows).all()
    return (None if last is None else (last.at_ms, last.request_id)), found


def _around(query: RecentQuery, place: _Place | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.since_ms is not None:
        conditions.append(usage.c.at_ms >= query.since_ms)
    if query.until_ms is not None:
        conditions.append(usage.c.at_ms < query.until_ms)
    if place is not None:
        at_ms, request_id = place
        conditions.append(usage.c.at_ms <= at_ms)
        conditions.append(or_(usage.c.at_ms < at_ms, usage.c.request_id < request_id))
    return conditions


def _kept(query: RecentQuery) -> list[ColumnElement[bool]]:
    of = usage.c
    filters = {
        of.key_id: query.keys,
        of.person_id: query.people,
        of.group_id: query.groups,
        of.session: query.sessions,
        of.upstream: query.upstreams,
        of.code: query.codes,
    }
    conditions: list[ColumnElement[bool]] = [
        column.in_(values) for column, values in filters.items() if values
    ]
    if query.models:
        conditions.append(or_(of.model.in_(query.models), of.requested_model.in_(query.models)))
    if query.min_status is not None:
        conditions.append(of.status >= query.min_status)
    if query.end_status is not None:
        conditions.append(of.status < query.end_status)
    owned = {
        of.key_id: query.of_keys,
        of.person_id: query.of_people,
        of.group_id: query.of_groups,
    }
    whose = [column.in_(values) for column, values in owned.items() if values]
    if whose:
        conditions.append(or_(*whose))
    return conditions


_COLUMNS: dict[str, str] = {"key": "key_id", "person": "person_id", "group": "group_id"}
_ONLY_BY_SESSION: frozenset[str] = frozenset(("session", "agent"))
_NEVER_BY_SESSION: frozenset[str] = frozenset(("person", "group", "hour"))
_QUARTER_SECONDS = QUARTER_MS // 1000
_HOUR_SECONDS = 3600
# Each is a value of the statement, four times; a year has 365 of them.
_MAX_SHARED_HOURS = 1000
_DAY_SECONDS = 86_400
_DAY_MS = _DAY_SECONDS * 1000
# A range without a limit, as whole days.
_DAWN, _DUSK = 0, 10**6 * _DAY_SECONDS * 1000


def report_statement(
    query: UsageQuery,
    calendar: Calendar = UTC_ALWAYS,
    complete_since_ms: int = 0,
    summed: tuple[str, ...] | None = None,
) -> Select[Any]:
    """Build the statement that answers the query: the dimensions asked for, then these sums.

    None: all those that the query asks for.
    """
    if summed is None:
        summed = (*SUMS, *_TIME_NAMES) if query.with_times else SUMS
    found = union_all(*_parts(query, calendar, complete_since_ms, summed)).subquery()
    groups = [found.c[name] for name in query.group_by]
    sums = {
        name: cast(func.coalesce(func.sum(found.c[name]), 0), BigInteger).label(name)
        for name in summed
    }
    statement = select(*groups, *sums.values()).group_by(*groups)
    # Without groups there is always a row; it says nothing when no request was found.
    statement = statement.having(func.sum(found.c.requests) > 0)
    if query.order == "cost":
        statement = statement.order_by(sums["cost_units"].desc(), sums["requests"].desc())
    return statement.order_by(*groups).limit(query.limit)


def rows_of(query: UsageQuery, calendar: Calendar, rows: Iterable[Row[Any]]) -> list[UsageRow]:
    """Give names to what the statement answered."""
    first = len(query.group_by)
    width = first + len(SUMS)
    found: list[UsageRow] = []
    for row in rows:
        values: dict[str, Any] = dict(
            zip(query.group_by, _group_of(query, calendar, row), strict=True)
        )
        values |= zip(SUMS, row[first:width], strict=True)
        if query.with_times:
            counts = tuple(row[width:])
            values["first_byte_times"] = counts[: len(counts) // 2]
            values["total_times"] = counts[len(counts) // 2 :]
        found.append(UsageRow(**values))
    return found


def _group_of(query: UsageQuery, calendar: Calendar, row: Row[Any]) -> tuple[str | None, ...]:
    # No session, no class: empty in the tables, None outside.
    return tuple(
        calendar.label(name, value) if name in TIMES else value or None
        for name, value in zip(query.group_by, row, strict=False)
    )


_TIME_NAMES = tuple(f"{of}_{name}" for of in ("first_byte", "total") for name in TIME_COLUMNS)
# Of those that cost the same, requests say which comes first.
_COSTS = ("requests", "cost_units")


class _Rollup(NamedTuple):
    """A table of sums, and how many seconds each of its rows is of."""

    table: Table
    unit: ColumnElement[Any]
    seconds: int


_QUARTERS = [
    _Rollup(table, table.c.quarter, _QUARTER_SECONDS)
    for table in (*ROLLUPS, usage_quarters)
    if "quarter" in table.c
]
_HOURS = [_Rollup(table, table.c.hour, _HOUR_SECONDS) for table in ROLLUPS if "hour" in table.c]
_SESSIONS = _Rollup(usage_sessions, usage_sessions.c.day, _DAY_SECONDS)


def _rollups(query: UsageQuery, calendar: Calendar) -> list[_Rollup]:
    """Choose the sums that answer the query, the finest first; none where only records do."""
    dimensions: set[str] = {*query.group_by, *_filters(query)}
    if _ONLY_BY_SESSION.isdisjoint(dimensions):
        needed = {_COLUMNS.get(name, name) for name in dimensions.difference(TIMES)}
        needed.update(TIME_COLUMNS if query.with_times else ())
        able = [*_able(_QUARTERS, needed), *_able(_HOURS, needed)]
    elif query.with_times or not _NEVER_BY_SESSION.isdisjoint(dimensions):
        able = []
    else:
        able = [_SESSIONS]
    if not calendar.is_made_of(able[0].seconds if able else _QUARTER_SECONDS):
        return []
    return [
        rollup
        for rollup in able
        if calendar.is_made_of(rollup.seconds) or _has_few_shared_hours(query)
    ]


def _able(rollups: Iterable[_Rollup], needed: set[str]) -> list[_Rollup]:
    """Choose the one with the fewest rows that has these columns, if any has."""
    return [rollup for rollup in rollups if needed.issubset(rollup.table.columns.keys())][:1]


def _has_few_shared_hours(query: UsageQuery) -> bool:
    """Return whether days of a zone of half hours can be made of hours but for one a day."""
    if query.since_ms is None or query.until_ms is None or "hour" in query.group_by:
        return False
    return query.until_ms - query.since_ms <= _MAX_SHARED_HOURS * _DAY_SECONDS * 1000


def _shared_hours(query: UsageQuery, calendar: Calendar, first: int, end: int) -> list[int]:
    """List the hours in which a day, week or month ends and the next one begins."""
    found: set[int] = set()
    for name in TIMES:
        if name in query.group_by:
            begins = start_of(name, calendar.zone, first * _HOUR_SECONDS)
            while begins < end * _HOUR_SECONDS:
                if begins % _HOUR_SECONDS and begins > first * _HOUR_SECONDS:
                    found.add(begins // _HOUR_SECONDS)
                begins = following(name, calendar.zone, begins)
    return sorted(found)


def _parts(
    query: UsageQuery, calendar: Calendar, complete_since_ms: int, summed: tuple[str, ...]
) -> list[Select[Any]]:
    """Split the range into what is summed up and what is left at its two ends."""
    since = _DAWN if query.since_ms is None else query.since_ms
    until = _DUSK if query.until_ms is None else query.until_ms
    parts: list[Select[Any]] = []

    def split(since: int, until: int, rollups: Sequence[_Rollup]) -> None:
        if not rollups:
            parts.append(_records(query, calendar, range(since, until), summed))
            return
        *finer, rollup = rollups
        unit_ms = rollup.seconds * 1000
        complete = since if rollup is _SESSIONS else max(since, complete_since_ms)
        first, end = -(-complete // unit_ms), until // unit_ms
        if first > end:
            split(since, until, finer)
            return
        parts.append(_sums(query, calendar, rollup, range(first, end), summed))
        if not calendar.is_made_of(rollup.seconds):
            shared = _shared_hours(query, calendar, first, end)
            parts[-1] = parts[-1].where(rollup.unit.not_in(shared))
            quarters = [
                hour * QUARTERS_AN_HOUR + at for hour in shared for at in range(QUARTERS_AN_HOUR)
            ]
            within = range(first * QUARTERS_AN_HOUR, end * QUARTERS_AN_HOUR)
            of_quarters = _sums(query, calendar, finer[-1], within, summed)
            parts.append(of_quarters.where(finer[-1].unit.in_(quarters)))
        if since < first * unit_ms:
            split(since, first * unit_ms, finer)
        if end * unit_ms < until:
            split(end * unit_ms, until, finer)

    split(since, until, _rollups(query, calendar))
    return parts


def _sums(
    query: UsageQuery,
    calendar: Calendar,
    rollup: _Rollup,
    units: range,
    summed: tuple[str, ...],
) -> Select[Any]:
    table = rollup.table
    conditions: list[ColumnElement[bool]] = [
        _column(table, name).in_(values) for name, values in _filters(query).items()
    ]
    conditions += [rollup.unit >= units.start, rollup.unit < units.stop]
    seconds = cast(rollup.unit, BigInteger) * literal(rollup.seconds, BigInteger)
    groups = [
        calendar.number(name, seconds) if name in TIMES else _column(table, name)
        for name in query.group_by
    ]
    return _part(query, groups, _added_of(table, summed), conditions)


# Expressions are many, cost more to make than to use, and are the same each time.
@cache
def _added_of(table: Table, summed: tuple[str, ...]) -> tuple[ColumnElement[Any], ...]:
    """Return the sums of these names, of a table's rows."""
    if table is usage:
        sums = sums_of_records()
        first_byte, total = map(counts_of_records, (usage.c.first_byte_ms, usage.c.total_ms))
    else:
        sums = [table.c[name] for name in SUMS]
        # Both counts of a column: see `histogram`.
        times = [table.c[name] for name in TIME_COLUMNS if name in table.c]
        first_byte = [column % literal(1 << SHIFT, BigInteger) for column in times]
        total = [column // literal(1 << SHIFT, BigInteger) for column in times]
    columns = dict(zip((*SUMS, *_TIME_NAMES), (*sums, *first_byte, *total), strict=False))
    return tuple(cast(func.sum(columns[name]), BigInteger).label(name) for name in summed)


def _records(
    query: UsageQuery, calendar: Calendar, moments_ms: range, summed: tuple[str, ...]
) -> Select[Any]:
    conditions = [usage.c.at_ms >= moments_ms.start, usage.c.at_ms < moments_ms.stop]
    conditions += [_named(_column(usage, name), values) for name, values in _filters(query).items()]
    seconds = usage.c.at_ms // literal(1000, BigInteger)
    groups = [
        calendar.number(name, seconds) if name in TIMES else func.coalesce(_column(usage, name), "")
        for name in query.group_by
    ]
    return _part(query, groups, _added_of(usage, summed), conditions)


def _named(column: ColumnElement[Any], values: tuple[str, ...]) -> ColumnElement[bool]:
    # What is an empty text in the sums is null here.
    return (func.coalesce(column, "") if "" in values else column).in_(values)


def _part(
    query: UsageQuery,
    groups: Sequence[ColumnElement[Any]],
    added: Sequence[ColumnElement[Any]],
    conditions: Sequence[ColumnElement[bool]],
) -> Select[Any]:
    """Add up one part, so that only its groups have to be put together with other parts."""
    named = [column.label(name) for name, column in zip(query.group_by, groups, strict=True)]
    return select(*named, *added).where(*conditions).group_by(*groups)


def _column(table: Table, name: Dimension) -> ColumnElement[Any]:
    return table.c[_COLUMNS.get(name, name)]


def _filters(query: UsageQuery) -> dict[Dimension, tuple[str, ...]]:
    filters: dict[Dimension, tuple[str, ...]] = {
        "key": query.keys,
        "person": query.people,
        "group": query.groups,
        "model": query.models,
        "session": query.sessions,
        "request_class": query.request_classes,
        "agent": query.agents,
        "upstream": query.upstreams,
        "kind": query.kinds,
    }
    return {name: values for name, values in filters.items() if values}
