"""A worker's line to its parent."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.replicas import worker as module
from apertis.gateway.replicas.messages import (
    Channel,
    Collect,
    Collected,
    Failed,
    Ready,
    Reload,
    Scraped,
    State,
    Stop,
    Told,
    Total,
    receive,
)
from apertis.gateway.replicas.totals import gauge
from apertis.gateway.replicas.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

OWN = (gauge("apertis_in_flight", "F.", 1),)
ALL = (gauge("apertis_in_flight", "F.", 2),)


@asynccontextmanager
async def linked(heard: list[Any]) -> AsyncGenerator[tuple[Worker, Channel]]:
    ours, theirs = socket.socketpair()
    worker = Worker(theirs, 1, 2)
    worker.on_signal = lambda kind, text: heard.append((kind, text))
    worker.on_stop = lambda hurried: heard.append(("stop", hurried))
    worker.on_reload = lambda: heard.append("reload")
    worker.families = lambda: OWN
    await worker.open()
    parent = await Channel.open(ours)
    yield worker, parent
    await worker.close()
    await parent.close()
    theirs.close()


async def heard_all(worker: Worker, parent: Channel) -> None:
    """Wait until the worker has heard what was sent so far."""
    parent.send(Collect(99))
    while not isinstance(await parent.receive(), Collected):
        pass
    assert worker.slot == 1


def test_orders_and_signals_are_heard_and_the_end_of_the_parent_is_a_stop() -> None:
    heard: list[Any] = []
    stopped = asyncio.Event()

    async def run() -> None:
        async with linked(heard) as (worker, parent):
            parent.send(Told("recall", "a-1"))
            parent.send(Reload())
            parent.send(State(1, "another gateway has the store"))
            parent.send(Stop(hurried=True))
            await heard_all(worker, parent)
            assert (worker.ready, worker.trouble) == (1, "another gateway has the store")
            parent.send(State(2, None))
            await heard_all(worker, parent)
            assert (worker.ready, worker.trouble) == (2, None)
            worker.on_stop = lambda _: stopped.set()
            await parent.close()
            await stopped.wait()

    asyncio.run(run())
    assert heard == [("recall", "a-1"), "reload", ("stop", True)]


def test_what_a_worker_says_arrives_and_its_last_metrics_do_too() -> None:
    async def run() -> list[object]:
        async with linked([]) as (worker, parent):
            worker.serves()
            worker.send("keys")
            await worker.close()
            return [await parent.receive() for _ in range(3)]

    assert asyncio.run(run()) == [Ready(), Told("keys", ""), Collected(0, OWN)]


def test_the_metrics_of_all_are_asked_for_and_answered_by_number() -> None:
    async def run() -> None:
        async with linked([]) as (worker, parent):
            both = asyncio.gather(worker.total(), worker.total())
            first, second = await parent.receive(), await parent.receive()
            assert (first, second) == (Scraped(1, OWN), Scraped(2, OWN))
            parent.send(Total(2, ALL))
            # One that nobody waits for is passed over.
            parent.send(Total(7, ALL))
            parent.send(Total(1, OWN))
            assert list(await both) == [OWN, ALL]

    asyncio.run(run())


def test_a_parent_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.01)

    async def run() -> None:
        async with linked([]) as (worker, _):
            with pytest.raises(TimeoutError):
                await worker.total()

    asyncio.run(run())


def test_why_it_cannot_start_is_told_even_after_its_event_loop_ended() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = Worker(theirs, 0, 2)

        async def run() -> None:
            await worker.open()
            await worker.close()

        asyncio.run(run())
        assert receive(ours) == Collected(0, ())
        worker.fail("no such file")
        assert receive(ours) == Failed("no such file")
        ours.close()
        # Nobody is there to hear it.
        worker.fail("no such file")
