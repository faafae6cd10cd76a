"""The adding up of usage that was booked before there were quarter hours.

It goes back from the newest quarter to the oldest, some thousand records at a time. A step reads
without holding up anybody. Then, while nothing else is booked for a moment, it makes sure that no
record came meanwhile, puts its sums in the place of what is there, and moves the mark. So a step
that is interrupted, comes late or comes twice changes nothing, and each record counts once.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Integer,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from apertis.gateway.store.booking import (
    FIRST_FAILURE,
    QUARTER_MS,
    TIMED,
    insert_quarters,
    quarters_of,
)
from apertis.gateway.store.histogram import BOUNDS_MS, SHIFT
from apertis.gateway.store.schema import (
    ROLLUPS,
    SUMS,
    usage,
    usage_quarters,
    usage_rollup,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Table

    from apertis.gateway.store.connections import Database

RECORDS_A_STEP = 2000
_QUARTER = cast(usage.c.at_ms // literal(QUARTER_MS, BigInteger), Integer)
_NAMES = [column.name for column in usage_quarters.primary_key if column.name != "quarter"]
_GROUPS = [_QUARTER, *(func.coalesce(usage.c[name], "") for name in _NAMES)]
# Nothing is booked as long as this is held, and what is being booked is waited for.
_HOLD = text(f"LOCK TABLE {usage.name} IN SHARE MODE")


class _Found(NamedTuple):
    since_ms: int
    records: int
    rows: list[tuple[Any, ...]]


async def complete_since(database: Database) -> int:
    """Return from when on (Unix milliseconds) all usage is rolled up; 0 for all that there is."""
    statement = select(usage_rollup.c.complete_since_ms)
    return await database.read(lambda connection: connection.execute(statement).scalar_one())


async def roll_up(database: Database, records: int = RECORDS_A_STEP) -> bool:
    """Add up the newest quarter hours that are not, of about so many records; False: none is left.

    Others may book meanwhile, and do the same.
    """
    until_ms = await complete_since(database)
    if not until_ms:
        return False
    found = await database.read(lambda connection: _read(connection, until_ms, records))
    await database.write(lambda connection: _keep(connection, until_ms, found))
    return True


def _read(connection: Connection, until_ms: int, records: int) -> _Found:
    earlier = select(usage.c.at_ms).where(usage.c.at_ms < until_ms)
    oldest = connection.scalar(earlier.order_by(usage.c.at_ms.desc()).offset(records - 1).limit(1))
    since_ms = 0 if oldest is None else oldest // QUARTER_MS * QUARTER_MS
    sums = [cast(func.sum(column), BigInteger) for column in sums_of_records()]
    first_byte, total = (
        counts_of_records(column) for column in (usage.c.first_byte_ms, usage.c.total_ms)
    )
    times = [
        cast(func.sum(first) + func.sum(whole) * literal(1 << SHIFT, BigInteger), BigInteger)
        for first, whole in zip(first_byte, total, strict=True)
    ]
    statement = (
        select(*_GROUPS, *sums, *times)
        .where(usage.c.at_ms >= since_ms, usage.c.at_ms < until_ms)
        .group_by(*_GROUPS)
    )
    rows = [tuple(row) for row in connection.execute(statement)]
    # The first sum is that of the requests.
    return _Found(since_ms, sum(row[len(_GROUPS)] for row in rows), rows)


def _keep(connection: Connection, until_ms: int, found: _Found) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_HOLD)
    within = usage.c.at_ms >= found.since_ms, usage.c.at_ms < until_ms
    if connection.scalar(select(func.count()).select_from(usage).where(*within)) != found.records:
        return
    moved = connection.execute(
        update(usage_rollup)
        .where(usage_rollup.c.complete_since_ms == until_ms)
        .values(complete_since_ms=found.since_ms)
    )
    if moved.rowcount != 1:
        return
    # Records that came late have been added here, and to `usage` as well.
    connection.execute(
        delete(usage_quarters).where(
            usage_quarters.c.quarter >= found.since_ms // QUARTER_MS,
            usage_quarters.c.quarter < until_ms // QUARTER_MS,
        )
    )
    insert_quarters(connection, sorted(found.rows))
    for table in ROLLUPS:
        _add_up_quarters(connection, table, found.since_ms, until_ms)


def _add_up_quarters(connection: Connection, table: Table, since_ms: int, until_ms: int) -> None:
    """Add up the hours whose last quarter is among those that were added up.

    The hour that a step ends in the middle of is the next one's.
    """
    quarters = quarters_of(table)
    first, end = (-(-ms // (QUARTER_MS * quarters)) for ms in (since_ms, until_ms))
    of = usage_quarters.c
    unit, *names = table.columns.keys()
    by = len(table.primary_key) - 1
    groups = [of.quarter // quarters, *(of[name] for name in names[:by])]
    sums = [cast(func.sum(of[name]), BigInteger) for name in names[by:]]
    within = of.quarter >= first * quarters, of.quarter < end * quarters
    connection.execute(delete(table).where(table.c[unit] >= first, table.c[unit] < end))
    added = select(*groups, *sums).where(*within).group_by(*groups)
    connection.execute(insert(table).from_select([unit, *names], added))


def sums_of_records() -> list[ColumnElement[Any]]:
    """Return what each record adds to `SUMS`."""
    counted: dict[str, ColumnElement[Any]] = {
        "requests": literal(1),
        "failed": case((usage.c.status >= FIRST_FAILURE, 1), else_=0),
        **{
            name: case((usage.c[name], 1), else_=0)
            for name in ("cached", "estimated", "interrupted")
        },
    }
    return [counted[name] if name in counted else usage.c[name] for name in SUMS]


def counts_of_records(ms: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return what each record adds to a histogram."""
    is_timed = and_(usage.c.kind == TIMED, usage.c.status < FIRST_FAILURE)
    counts: list[ColumnElement[Any]] = []
    for low, high in pairwise((None, *BOUNDS_MS, None)):
        within = [is_timed, ms.is_not(None)]
        if low is not None:
            within.append(ms >= low)
        if high is not None:
            within.append(ms < high)
        counts.append(case((and_(*within), 1), else_=0))
    return counts
