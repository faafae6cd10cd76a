"""Reports say exactly what adding up the single records would say."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from apertis.accounting.tokens import Tokens
from apertis.gateway.budgets.periods import name_of, start_of
from apertis.gateway.store.calendar import Calendar
from apertis.gateway.store.histogram import BUCKETS, bucket_of
from apertis.gateway.store.records import DIMENSIONS, TIMES, UsageQuery, UsageRow
from apertis.gateway.store.schema import metadata
from apertis.gateway.store.usage import report_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.store.records import Dimension

DAY = 86_400_000
# 2026-09-21, at the first moment of the day.
MONDAY = 20_717 * DAY
# Five days by the hour; then more than a year, and the days on which clocks change.
AT_MS = [
    # Within a quarter hour, before all others.
    MONDAY - 320 * DAY + 1_000_001,
    *(MONDAY + number * DAY // 24 + number % 3 - 1 for number in range(120)),
    *(MONDAY + number * 7 * DAY + number * 2_940_000 for number in range(60)),
    *(
        day * DAY + hour * DAY // 24
        for day in (20_548, 20_731, 20_751, 20_905)
        for hour in range(-12, 36, 3)
    ),
]
# Days of 23 and of 25 hours, half and quarter hours, the ends of the calendar, and one that changed
# at a minute past midnight.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Niue",
)


COLUMNS = {"key": "key_id", "person": "person_id", "group": "group_id"}


def value(record: UsageRecord, dimension: Dimension, zone: str = "UTC") -> str | None:
    if dimension in TIMES:
        place = ZoneInfo(zone)
        return name_of(dimension, place, start_of(dimension, place, record.at_ms // 1000))
    found: str | None = getattr(record, COLUMNS.get(dimension, dimension))
    return found


def counts(values: Iterable[int | None]) -> tuple[int, ...]:
    counted = [0] * BUCKETS
    for ms in values:
        if ms is not None:
            counted[bucket_of(ms)] += 1
    return tuple(counted)


def add_up(records: Iterable[UsageRecord], query: UsageQuery) -> list[UsageRow]:
    """The report, by the simplest means."""
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
    groups: dict[tuple[str | None, ...], list[UsageRecord]] = defaultdict(list)
    for record in records:
        after = query.since_ms is None or query.since_ms <= record.at_ms
        before = query.until_ms is None or record.at_ms < query.until_ms
        # An empty text keeps those that have none.
        kept = all(not names or (value(record, by) or "") in names for by, names in filters.items())
        if after and before and kept:
            groups[tuple(value(record, by, query.zone) for by in query.group_by)].append(record)
    return [
        UsageRow(
            **dict(zip(query.group_by, group, strict=True)),
            requests=len(members),
            failed=sum(record.status >= 400 for record in members),
            cached=sum(record.cached for record in members),
            estimated=sum(record.estimated for record in members),
            interrupted=sum(record.interrupted for record in members),
            input_tokens=sum(record.tokens.input for record in members),
            output_tokens=sum(record.tokens.output for record in members),
            cache_read_tokens=sum(record.tokens.cache_read for record in members),
            cache_write_5m_tokens=sum(record.tokens.cache_write_5m for record in members),
            cache_write_1h_tokens=sum(record.tokens.cache_write_1h for record in members),
            web_search_requests=sum(record.tokens.web_search_requests for record in members),
            cost_units=sum(record.cost_units for record in members),
            **(times(members) if query.with_times else {}),
        )
        for group, members in groups.items()
    ]


def times(records: Iterable[UsageRecord]) -> dict[str, tuple[int, ...]]:
    timed = [record for record in records if record.kind == "messages" and record.status < 400]
    return {
        "first_byte_times": counts(record.first_byte_ms for record in timed),
        "total_times": counts(record.total_ms for record in timed),
    }


def in_order(rows: Iterable[UsageRow]) -> list[tuple[Any, ...]]:
    return sorted((msgspec.structs.astuple(row) for row in rows), key=repr)


@pytest.fixture
def week(opened: Any, make_usage: Callable[..., UsageRecord]) -> list[UsageRecord]:
    """Records that differ in everything that a report tells apart."""
    count = st_numbers()
    records = [
        make_usage(
            at_ms=AT_MS[number],
            key_id=("key_a", "key_b")[number % 2],
            model=("opus", "sonnet", "haiku")[number % 3],
            kind=("messages", "messages", "batch", "count_tokens")[number % 4],
            upstream=(None, "anthropic")[number % 5 > 0],
            session=(None, "s1", "s2")[number % 7 % 3],
            agent=(None, "a1")[number % 11 > 5],
            request_class=(None, "main", "subagent")[number % 13 % 3],
            status=(200, 400, 529)[number % 17 % 3],
            cached=number % 5 == 0,
            estimated=number % 6 == 0,
            interrupted=number % 9 == 0,
            tokens=Tokens(*(next(count) for _ in range(6))),
            cost_units=next(count),
            person_id=(None, "ann", "bob")[number % 19 % 3],
            group_id=(None, "team")[number % 23 % 2],
            first_byte_ms=(None, 7, 350)[number % 3] or next(count) % 2000,
            total_ms=next(count) % 2**22,
        )
        for number in range(len(AT_MS))
    ]
    opened.run(opened.store.usage.add(records))
    return records


def st_numbers() -> Any:
    number = 7
    while True:
        number = number * 48_271 % 2_147_483_647
        yield number


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_each_dimension_groups_exactly(
    opened: Any, week: list[UsageRecord], dimension: Dimension
) -> None:
    query = UsageQuery(group_by=(dimension,))
    rows = opened.run(opened.store.usage.report(query))
    assert in_order(rows) == in_order(add_up(week, query))


def test_any_question_is_answered_as_if_each_record_were_read(
    opened: Any, week: list[UsageRecord]
) -> None:
    moment = st.one_of(
        st.none(),
        st.integers(MONDAY - DAY, MONDAY + 6 * DAY),
        st.integers(MONDAY - 300 * DAY, MONDAY + 500 * DAY),
        st.integers(-600, 600).map(lambda number: MONDAY + number * 900_000),
        st.integers(-1, 6).map(lambda day: MONDAY + day * DAY),
    )

    def some(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
        return st.one_of(st.just(()), st.lists(st.sampled_from(names), max_size=2).map(tuple))

    def queries(*dimensions: Dimension, **filters: Any) -> st.SearchStrategy[UsageQuery]:
        by = st.lists(st.sampled_from(dimensions), unique=True, max_size=4).map(tuple)
        zone = st.sampled_from(ZONES)
        return st.builds(
            UsageQuery,
            since_ms=moment,
            until_ms=moment,
            group_by=by,
            zone=zone,
            order=st.sampled_from(("group", "cost")),
            **filters,
        )

    whose = {"people": some("ann", ""), "groups": some("team", "")}
    every = queries(
        *DIMENSIONS,
        **whose,
        with_times=st.booleans(),
        keys=some("key_a", "key_c"),
        models=some("opus", "haiku"),
        sessions=some("s1"),
        request_classes=some("main"),
        agents=some("a1", "a2"),
        upstreams=some("anthropic"),
        kinds=some("messages", "batch"),
    )
    # What hours of any kind may answer: few of all questions are.
    by_hour = queries("person", "group", "model", *TIMES, **whose, with_times=st.booleans())
    of_people = queries("person", "group", *TIMES, **whose)

    @settings(max_examples=150, deadline=None)
    @given(st.one_of(every, by_hour, of_people))
    def check(query: UsageQuery) -> None:
        rows = opened.run(opened.store.usage.report(query))
        assert in_order(rows) == in_order(add_up(week, query))
        costs = [(tuple(getattr(row, by) for by in query.group_by), row.cost_units) for row in rows]
        assert opened.run(opened.store.usage.costs(query)) == costs

    check()


def test_rows_come_in_the_order_of_their_group(opened: Any, week: list[UsageRecord]) -> None:
    query = UsageQuery(group_by=("day", "model"))
    rows = opened.run(opened.store.usage.report(query))
    assert len(rows) > 9
    assert rows == sorted(rows, key=lambda row: (row.day, row.model))


def test_the_most_expensive_come_first_when_asked_for(opened: Any, week: list[UsageRecord]) -> None:
    query = UsageQuery(group_by=("session", "model"), order="cost", limit=4)
    rows = opened.run(opened.store.usage.report(query))
    every = sorted(add_up(week, query), key=lambda row: -row.cost_units)
    assert rows == every[:4]


def test_an_empty_session_is_none(opened: Any, make_usage: Callable[..., UsageRecord]) -> None:
    opened.run(opened.store.usage.add([make_usage(session=""), make_usage(session=None)]))
    for since in (None, 1_790_000_000_000):
        query = UsageQuery(group_by=("session",), since_ms=since)
        (row,) = opened.run(opened.store.usage.report(query))
        assert (row.session, row.requests) == (None, 2)


def test_sums_beyond_32_bits_are_exact(opened: Any, make_usage: Callable[..., UsageRecord]) -> None:
    large = 2**50 - 1
    records = [make_usage(cost_units=large, tokens=Tokens(input=large)) for _ in range(5)]
    opened.run(opened.store.usage.add(records))
    for query in (UsageQuery(), UsageQuery(since_ms=1), UsageQuery(since_ms=1_790_000_000_000)):
        (row,) = opened.run(opened.store.usage.report(query))
        assert (row.cost_units, row.input_tokens) == (5 * large, 5 * large)
        assert type(row.cost_units) is int


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
@pytest.mark.parametrize("by", ["hour", "day", "week", "month"])
def test_a_month_is_reported_from_sums_alone(zone: str, by: Dimension) -> None:
    first, end = (
        int(datetime(2026, month, 1, tzinfo=ZoneInfo(zone)).timestamp()) for month in (10, 11)
    )
    query = UsageQuery(
        since_ms=first * 1000, until_ms=end * 1000, zone=zone, group_by=(by,), with_times=True
    )
    statement = report_statement(query, Calendar.of(zone, first, end))
    with create_engine("sqlite://").connect() as connection:
        metadata.create_all(connection)
        text = statement.compile(connection, compile_kwargs={"literal_binds": True})
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    read = [step for step in plan if step.startswith(("SEARCH", "SCAN")) and "usage" in step]
    hours = "SEARCH usage_hours USING PRIMARY KEY (hour>? AND hour<?)"
    quarters = "SEARCH usage_model_quarters USING PRIMARY KEY (quarter>? AND quarter<?)"
    if zone != "Asia/Kathmandu":
        assert read == [hours]
    elif by == "hour":
        assert read == [quarters]
    else:
        # Its days begin within an hour: the quarters of that one, and those at both ends.
        of_one = "SEARCH usage_model_quarters USING PRIMARY KEY (quarter=?)"
        assert read == [hours, of_one, quarters, quarters]


@pytest.mark.parametrize(
    ("by", "filters", "table"),
    [
        (("model",), {"groups": ("red",)}, "usage_group_hours"),
        (("group", "day"), {}, "usage_group_hours"),
        (("person", "day"), {}, "usage_person_hours"),
        (("day",), {"people": ("ann",), "groups": ("red",)}, "usage_person_hours"),
    ],
)
def test_groups_and_people_are_reported_from_hours_of_their_own(
    by: tuple[Dimension, ...], filters: dict[str, Any], table: str
) -> None:
    query = UsageQuery(since_ms=MONDAY, until_ms=MONDAY + DAY, group_by=by, **filters)
    with create_engine("sqlite://").connect() as connection:
        metadata.create_all(connection)
        text = report_statement(query).compile(connection, compile_kwargs={"literal_binds": True})
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert [step for step in plan if "usage" in step] == [
        f"SEARCH {table} USING PRIMARY KEY (hour>? AND hour<?)"
    ]


@pytest.mark.parametrize(
    ("by", "with_times"), [(("key",), False), (("person", "model"), False), (("person",), True)]
)
def test_what_no_hours_tell_apart_is_reported_from_quarter_hours(
    by: tuple[Dimension, ...], with_times: bool
) -> None:
    query = UsageQuery(since_ms=MONDAY, until_ms=MONDAY + DAY, group_by=by, with_times=with_times)
    with create_engine("sqlite://").connect() as connection:
        metadata.create_all(connection)
        text = report_statement(query).compile(connection, compile_kwargs={"literal_binds": True})
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert [step for step in plan if "usage" in step] == [
        "SEARCH usage_quarters USING PRIMARY KEY (quarter>? AND quarter<?)"
    ]


def test_the_ends_of_a_range_are_found_by_their_time() -> None:
    query = UsageQuery(since_ms=MONDAY + 1, until_ms=MONDAY + 10 * DAY + 1)
    statement = report_statement(query)
    with create_engine("sqlite://").connect() as connection:
        metadata.create_all(connection)
        text = statement.compile(connection, compile_kwargs={"literal_binds": True})
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert [step for step in plan if "usage" in step] == [
        "SEARCH usage_hours USING PRIMARY KEY (hour>? AND hour<?)",
        *(
            "SEARCH usage_model_quarters USING PRIMARY KEY (quarter>? AND quarter<?)",
            "SEARCH usage USING INDEX usage_by_time (at_ms>? AND at_ms<?)",
        )
        * 2,
    ]
