"""What gateways tell each other over a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.people.record import Group
from apertis.gateway.store import signals as subject
from apertis.gateway.store.database import Store
from apertis.gateway.store.location import location_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

PATIENCE_SECONDS = 20


class Heard:
    """One gateway's end."""

    def __init__(self, url: str) -> None:
        self.told: list[Exception | None] = []
        signals = location_of(url).signals(self.told.append)
        assert signals is not None
        self.signals = signals
        self.signals.on_signal = lambda kind, text: self.queue.put_nowait((kind, text))
        self.queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def next(self) -> tuple[str, str]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.queue.get()


@contextlib.asynccontextmanager
async def listening(*urls: str) -> AsyncGenerator[list[Heard]]:
    ends = [Heard(url) for url in urls]
    tasks = [asyncio.get_running_loop().create_task(end.signals.run()) for end in ends]
    for end in ends:
        # Who begins to listen may have missed something.
        assert await end.next() == ("keys", "")
    yield ends
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_signal_reaches_all_others_and_not_its_sender(postgres_schema: str) -> None:
    async def run() -> None:
        async with listening(*[postgres_schema] * 3) as (a, b, c):
            a.signals.send("recall", "lim_1@0 a")
            b.signals.send("breaker", '{"ü":1}')
            assert await a.next() == ("breaker", '{"ü":1}')
            assert await b.next() == ("recall", "lim_1@0 a")
            assert {await c.next(), await c.next()} == {
                ("recall", "lim_1@0 a"),
                ("breaker", '{"ü":1}'),
            }
            assert a.queue.empty()
            # What the server would refuse is not sent, and ends nothing.
            a.signals.send("breaker", "x" * 9000)
            a.signals.send("recall", "y")
            assert await b.next() == ("recall", "y")

    asyncio.run(run())


def test_stores_in_other_schemas_hear_nothing(postgres: str, postgres_schema: str) -> None:
    async def run() -> None:
        async with listening(postgres_schema, postgres_schema, postgres) as (a, b, other):
            a.signals.send("recall", "x")
            assert await b.next() == ("recall", "x")
            assert other.queue.empty()

    asyncio.run(run())


def test_a_change_of_a_key_or_a_group_is_told_when_it_is_committed(
    postgres_schema: str, make_key: Callable[..., Any]
) -> None:
    async def run() -> None:
        async with await Store.open(postgres_schema) as store, listening(postgres_schema) as (a,):
            await store.keys.insert(make_key())
            assert await a.next() == ("keys", "")
            await store.organization.insert(Group(id="group_a", name="research"))
            assert await a.next() == ("keys", "")
            # Reading in turn is no change.
            await store.organization.change(lambda turn: turn.all())
            assert a.queue.empty()

    asyncio.run(run())


def test_a_connection_that_is_lost_is_made_again(
    postgres: str, postgres_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncpg: Any = pytest.importorskip("asyncpg")
    monkeypatch.setattr(subject, "_RETRY_SECONDS", 0.05)

    async def run() -> None:
        async with listening(postgres_schema, postgres_schema) as (a, b):
            connection = await asyncpg.connect(postgres)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'apertis' AND pid <> pg_backend_pid()"
            )
            await connection.close()
            # It looks for what it may have missed.
            assert await a.next() == await b.next() == ("keys", "")
            a.signals.send("recall", "again")
            assert await b.next() == ("recall", "again")
            assert [error is None for error in b.told] == [False, True]

    asyncio.run(run())
