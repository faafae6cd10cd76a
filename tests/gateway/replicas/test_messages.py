"""Messages between parent and workers: cut anywhere, they arrive whole and in order."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.replicas.messages import (
    Begin,
    Channel,
    Collected,
    Failed,
    Message,
    Ready,
    Stop,
    Told,
    encode,
    receive,
)
from apertis.gateway.replicas.totals import Family

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES: list[Message] = [
    Begin(1, 2, 5, {"host": "127.0.0.1", "port": 0, "tokens_per_second": 1.5}),
    Ready(),
    Failed("no"),
    Stop(hurried=True),
    Told("recall", "q-1"),
    Collected(7, (Family("c", "counter", "C.", (("c_total", {"model": "a"}, 3),)),)),
]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_messages_arrive_in_order_however_they_are_cut(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair

    async def run() -> list[Message | None]:
        channel = await Channel.open(ours)
        found: list[Message | None] = []

        async def read() -> None:
            while not found or found[-1] is not None:
                found.append(await channel.receive())

        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            data = b"".join(map(encode, MESSAGES))
            for place in range(len(data)):
                theirs.send(data[place : place + 1])
                await asyncio.sleep(0)
            theirs.close()
        await channel.close()
        return found

    assert asyncio.run(run()) == [*MESSAGES, None]


def test_one_message_is_read_without_an_event_loop(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.sendall(encode(MESSAGES[0]) + encode(MESSAGES[1])[:3])
    assert receive(ours) == MESSAGES[0]
    theirs.close()
    assert receive(ours) is None


def test_who_does_not_read_gets_orders_but_no_further_hints(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair

    async def run() -> None:
        channel = await Channel.open(ours)
        for _ in range(400):
            channel.send(Told("recall", "x" * 7000))
        channel.send(Stop(hurried=False))
        theirs.settimeout(10)
        reading = asyncio.get_running_loop().run_in_executor(None, read_all)
        await channel.close(10)
        hints, last = await reading
        assert 10 < hints < 390
        assert last == Stop(hurried=False)

    def read_all() -> tuple[int, Message | None]:
        hints, last = 0, None
        while (message := receive(theirs)) is not None:
            last = message
            hints += isinstance(message, Told)
        return hints, last

    asyncio.run(run())


def test_to_tell_one_that_is_gone_does_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair

    async def run() -> None:
        channel = await Channel.open(ours)
        theirs.close()
        assert await channel.receive() is None
        for _ in range(10):
            channel.send(Ready())
            await asyncio.sleep(0)
        await channel.close()
        channel.send(Ready())

    asyncio.run(run())
