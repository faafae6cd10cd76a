"""Usage of before is rolled up exactly, whatever is booked meanwhile, and as often as it takes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text

from apertis.gateway.store.booking import book
from apertis.gateway.store.database import Store
from apertis.gateway.store.location import location_of
from apertis.gateway.store.records import UsageQuery
from apertis.gateway.store.schema import ROLLUPS, metadata
from tests.gateway.store.test_migration import make_earlier, on_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from apertis.accounting.record import UsageRecord

QUARTER_MS = 900_000
# The first moment of a quarter hour.
NOW_MS = 1_790_000_100_000
BY = UsageQuery(group_by=("key", "model", "hour"), with_times=True, zone="Asia/Kolkata")
BY_HOUR = UsageQuery(group_by=("model", "hour"), with_times=True, zone="Europe/Berlin")
BY_PERSON = UsageQuery(group_by=("person", "hour"), zone="Europe/Berlin")


def all_sums(connection: Connection) -> list[list[Any]]:
    tables = (metadata.tables["usage_quarters"], *ROLLUPS)
    statements = [select(table).order_by(*table.primary_key) for table in tables]
    return [list(connection.execute(statement).all()) for statement in statements]


def forget(connection: Connection) -> None:
    """Make the tables as they are after an upgrade: with usage, and without its sums."""
    connection.execute(text("DELETE FROM usage_quarters"))
    for table in ROLLUPS:
        connection.execute(delete(table))
    newest = "SELECT coalesce((max(at_ms) / 900000 + 1) * 900000, 0) FROM usage"
    connection.execute(text(f"UPDATE usage_rollup SET complete_since_ms = ({newest})"))


@pytest.fixture
def some(make_usage: Callable[..., UsageRecord]) -> Callable[[int, int], list[UsageRecord]]:
    def make(count: int, seed: int) -> list[UsageRecord]:
        return [
            make_usage(
                at_ms=NOW_MS - (number * 7919 + seed * 104_729) % 50 * QUARTER_MS + number % 3 - 1,
                key_id=f"key_{number % 3}",
                model=("a", "b")[number % 2],
                upstream=(None, "anthropic")[number % 5 > 0],
                person_id=(None, "ann")[number % 7 > 2],
                group_id=(None, "red", "blue")[number % 3],
                status=(200, 529)[number % 11 == 0],
                kind=("messages", "batch")[number % 6 == 0],
                first_byte_ms=None if number % 4 == 0 else number * 31,
                total_ms=number * 101,
                cost_units=number + seed,
            )
            for number in range(count)
        ]

    return make


def rows(location: Path | str) -> list[Any]:
    found: list[Any] = on_database(location, all_sums)
    return found


def test_an_upgraded_store_is_rolled_up_in_steps_and_reports_are_exact_all_along(
    location: Path | str, some: Callable[[int, int], list[UsageRecord]]
) -> None:
    make_earlier(location, "0005")
    before = some(200, 1)
    on_database(location, lambda at: insert_as_before(at, before))

    async def work() -> None:
        async with await Store.open(location) as store:
            usage = store.usage
            assert await usage.complete_since() == NOW_MS + QUARTER_MS
            exact = [await usage.report(query) for query in (BY, BY_HOUR, BY_PERSON)]
            assert [sum(row.requests for row in rows) for rows in exact] == [200] * 3
            assert rows_of(await usage.report(UsageQuery())) == (200, cost(before))
            steps = 0
            since = await usage.complete_since()
            while await usage.roll_up(50):
                steps += 1
                reached = await usage.complete_since()
                assert reached < since
                since = reached
                assert [await usage.report(query) for query in (BY, BY_HOUR, BY_PERSON)] == exact
            assert steps > 3
            assert since == 0

    asyncio.run(work())


def insert_as_before(connection: Connection, records: list[UsageRecord]) -> None:
    for record in records:
        connection.execute(
            text(
                "INSERT INTO usage (request_id, at_ms, key_id, kind, model, requested_model, "
                "upstream, status, input_tokens, output_tokens, cache_read_tokens, "
                "cache_write_5m_tokens, cache_write_1h_tokens, web_search_requests, cost_units, "
                "estimated, cached, streamed, interrupted, first_byte_ms, total_ms, person_id) "
                "VALUES (:id, :at, :key, :kind, :model, 'm', :upstream, :status, 10, 20, 0, 0, 0, "
                "0, :cost, false, false, false, false, :first, :total, :person)"
            ),
            {
                "id": record.request_id,
                "at": record.at_ms,
                "key": record.key_id,
                "kind": record.kind,
                "model": record.model,
                "upstream": record.upstream,
                "status": record.status,
                "cost": record.cost_units,
                "first": record.first_byte_ms,
                "total": record.total_ms,
                "person": record.person_id,
            },
        )


def cost(records: list[UsageRecord]) -> int:
    return sum(record.cost_units for record in records)


def rows_of(found: list[Any]) -> tuple[int, int]:
    return found[0].requests, found[0].cost_units


def test_what_is_booked_meanwhile_counts_once(
    opened: Any, some: Callable[[int, int], list[UsageRecord]]
) -> None:
    store: Store = opened.store
    database = store._database
    booked: list[UsageRecord] = []

    def add(records: list[UsageRecord]) -> None:
        opened.run(store.usage.add(records))
        booked.extend(records)

    def rolled_up() -> list[Any]:
        while opened.run(store.usage.roll_up(100)):
            pass
        found: list[Any] = opened.run(database.read(all_sums))
        return found

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.sampled_from(["roll", "roll", "add", "again"]), max_size=12))
    def check(steps: list[str]) -> None:
        add(some(30, len(steps)))
        direct = rolled_up()
        opened.run(database.write(forget))
        for number, step in enumerate(steps):
            if step == "roll":
                opened.run(store.usage.roll_up(15))
            elif step == "add":
                add(some(20, number))
            else:
                opened.run(store.usage.add(booked[-20:]))
            (row,) = opened.run(store.usage.report(UsageQuery()))
            assert (row.requests, row.cost_units) == (len(booked), cost(booked))
        found = rolled_up()
        assert "add" in steps or found == direct
        opened.run(database.write(forget))
        assert rolled_up() == found

    check()


def test_two_that_roll_up_at_once_while_others_book_count_each_record_once(
    location: Path | str, some: Callable[[int, int], list[UsageRecord]]
) -> None:
    async def work() -> None:
        async with await Store.open(location) as one, await Store.open(location) as other:
            booked = some(300, 1)
            await one.usage.add(booked)
            database = one._database
            await database.write(forget)

            async def roll(store: Store) -> None:
                while await store.usage.roll_up(20):
                    pass

            async def add(store: Store, seed: int) -> None:
                for number in range(8):
                    more = some(25, seed * 8 + number)
                    booked.extend(more)
                    await store.usage.add(more)

            await asyncio.gather(roll(one), roll(other), add(one, 2), add(other, 3))
            assert rows_of(await one.usage.report(UsageQuery())) == (len(booked), cost(booked))
            found = await database.read(all_sums)
            await database.write(forget)
            await roll(one)
            assert await database.read(all_sums) == found

    asyncio.run(work())


def test_a_booking_that_is_not_committed_yet_is_waited_for(
    postgres_schema: str, some: Callable[[int, int], list[UsageRecord]]
) -> None:
    async def work() -> None:
        async with await Store.open(postgres_schema) as store:
            await store.usage.add(some(30, 1))
            place = location_of(postgres_schema)
            beside = place.connect()
            writer: Any = beside._writer
            database = store._database
            await database.write(forget)
            booked = asyncio.Event()

            async def book_slowly() -> None:
                async with writer._engine.begin() as connection:
                    await connection.run_sync(lambda at: book(at, some(10, 2)))
                    booked.set()
                    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
                    async with asyncio.timeout(20):
                        while not await database.read(lambda at: at.scalar(waiting)):
                            await asyncio.to_thread(time.sleep, 0.01)

            async def roll_up() -> None:
                await booked.wait()
                await store.usage.roll_up(1000)

            await asyncio.gather(book_slowly(), roll_up())
            assert await store.usage.complete_since() > 0
            while await store.usage.roll_up(1000):
                pass
            assert rows_of(await store.usage.report(UsageQuery()))[0] == 40
            await beside.close()

    asyncio.run(work())
