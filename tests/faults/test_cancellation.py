"""A cancelled task leaves no connection behind, wherever it was."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, AsyncApertis, StreamTruncatedError
from apertis.testing import AwaitDisconnect, Exchange, Gate, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def open_in(client: AsyncApertis) -> int:
    return sum(pool._open for pool in client._sender.transport._pools.values())  # type: ignore[attr-defined]


async def turns(done: Callable[[], bool]) -> None:
    """Let the other tasks run until it is done."""
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - the pool has no event for its tests.
            await asyncio.sleep(0)


async def cancelled(call: Coroutine[Any, Any, Any], when: threading.Event) -> None:
    """Cancel the call when the event comes, and see it end so."""
    task = asyncio.get_running_loop().create_task(call)
    assert await asyncio.to_thread(when.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_while_it_waits_for_the_answer(asked: dict[str, Any], ok: bytes) -> None:
    gate = Gate()
    gate.open()

    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k", max_connections=1) as client:
            await cancelled(client.messages.create(**asked), gate.reached)
            await asyncio.to_thread(server.wait_until_disconnected)
            assert open_in(client) == 0
            assert (await client.messages.create(**asked)).text == "hello"

    with ScriptedServer([Exchange(gate, AwaitDisconnect()), ok]) as server:
        asyncio.run(run(server))
        assert server.connection_count == 2


def test_while_it_sends(asked: dict[str, Any]) -> None:
    gate = Gate()
    large = asked | {"messages": [{"role": "user", "content": "x" * 8_000_000}]}

    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k") as client:
            await cancelled(client.messages.create(**large), gate.reached)
            assert open_in(client) == 0

    with ScriptedServer([Exchange(gate, AwaitDisconnect(), read="head")]) as server:
        # What the server never read must not keep the connection: the loop would end before it.
        asyncio.run(run(server))
        gc.collect()
        gate.open()
        server.wait_until_disconnected()


def test_while_it_reads_a_stream(asked: dict[str, Any], begun: bytes, ok: bytes) -> None:
    reached = threading.Event()

    async def read(client: AsyncApertis) -> None:
        async with client.messages.stream(**asked) as stream:
            async for _ in stream.text_stream:
                reached.set()

    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k", max_connections=1) as client:
            await cancelled(read(client), reached)
            await asyncio.to_thread(server.wait_until_disconnected)
            assert open_in(client) == 0
            assert (await client.messages.create(**asked)).text == "hello"

    with ScriptedServer([Exchange(begun, AwaitDisconnect()), ok]) as server:
        asyncio.run(run(server))


def test_while_it_is_without_a_block_around_the_stream(asked: dict[str, Any], begun: bytes) -> None:
    reached = threading.Event()

    async def read(client: AsyncApertis) -> None:
        async for event in await client.messages.create(**asked, stream=True):
            if event.type == "content_block_delta":
                reached.set()

    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k") as client:
            await cancelled(read(client), reached)
            await asyncio.to_thread(server.wait_until_disconnected)
            assert open_in(client) == 0

    with ScriptedServer([Exchange(begun, AwaitDisconnect())]) as server:
        asyncio.run(run(server))


def test_while_it_waits_for_its_turn(asked: dict[str, Any], begun: bytes, ok: bytes) -> None:
    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k", max_connections=1) as client:
            async with client.messages.stream(**asked) as stream:
                await anext(aiter(stream.text_stream))
                (pool,) = client._sender.transport._pools.values()  # type: ignore[attr-defined]
                loop = asyncio.get_running_loop()
                calls = [loop.create_task(client.messages.create(**asked)) for _ in range(3)]
                await turns(lambda: len(pool._waiting) == 3)
                calls[0].cancel()
                calls[1].cancel()
                done = await asyncio.gather(*calls[:2], return_exceptions=True)
                assert [type(end) for end in done] == [asyncio.CancelledError] * 2
                assert len(pool._waiting) == 1
            assert (await calls[2]).text == "hello"
            assert open_in(client) == 1

    with ScriptedServer([Exchange(begun, AwaitDisconnect()), ok]) as server:
        asyncio.run(run(server))
        assert len(server.requests) == 2


def test_at_the_moment_its_turn_comes(asked: dict[str, Any], begun: bytes, ok: bytes) -> None:
    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k", max_connections=1) as client:
            loop = asyncio.get_running_loop()
            stream = await client.messages.create(**asked, stream=True)
            (pool,) = client._sender.transport._pools.values()  # type: ignore[attr-defined]
            first, second = (loop.create_task(client.messages.create(**asked)) for _ in range(2))
            await turns(lambda: len(pool._waiting) == 2)
            # The place is given to the first, which is cancelled before it can take it.
            await stream.close()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert (await second).text == "hello"

    with ScriptedServer([Exchange(begun, AwaitDisconnect()), ok]) as server:
        asyncio.run(run(server))
        assert len(server.requests) == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_while_it_connects(asked: dict[str, Any], scheme: str) -> None:
    accepted = threading.Event()
    gone = threading.Event()

    def serve(listener: socket.socket) -> None:
        with listener:
            connection, _ = listener.accept()
        with connection:
            # A proxy, or a server with TLS, that never says a word.
            connection.settimeout(60)
            assert connection.recv(65536)
            accepted.set()
            while connection.recv(65536):
                pass
            gone.set()

    async def run(port: int) -> None:
        base_url, proxy = f"https://127.0.0.1:{port}", ""
        if scheme == "http":
            base_url, proxy = "http://api.example", f"http://127.0.0.1:{port}"
        async with AsyncApertis(base_url=base_url, api_key="k", proxy=proxy) as client:
            await cancelled(client.messages.create(**asked), accepted)
            assert await asyncio.to_thread(gone.wait, 10)
            assert open_in(client) == 0

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    asyncio.run(run(listener.getsockname()[1]))
    thread.join(60)


def test_while_nobody_accepts(asked: dict[str, Any]) -> None:
    async def run(port: int) -> None:
        client = AsyncApertis(base_url=f"http://127.0.0.1:{port}", api_key="k", proxy="")
        async with client:
            task = asyncio.get_running_loop().create_task(client.messages.create(**asked))
            await turns(lambda: open_in(client) == 1)
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert open_in(client) == 0

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        asyncio.run(run(listener.getsockname()[1]))
        for filler in fillers:
            filler.close()


def test_a_deadline_of_the_callers_own_works(asked: dict[str, Any]) -> None:
    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k") as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.messages.create(**asked)
            await asyncio.to_thread(server.wait_until_disconnected)
            assert open_in(client) == 0

    with ScriptedServer([Exchange(AwaitDisconnect())]) as server:
        asyncio.run(run(server))


def test_one_failure_in_a_group_ends_the_others(asked: dict[str, Any]) -> None:
    async def fail_when(reached: threading.Event) -> None:
        await asyncio.to_thread(reached.wait, 10)
        raise LookupError

    async def run(server: ScriptedServer, gates: list[Gate]) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k") as client:

            async def group_of_calls() -> None:
                async with asyncio.TaskGroup() as group:
                    for _ in gates:
                        group.create_task(client.messages.create(**asked))
                    group.create_task(fail_when(gates[-1].reached))

            with pytest.raises(ExceptionGroup) as caught:
                await group_of_calls()
            assert [type(error) for error in caught.value.exceptions] == [LookupError]
            await asyncio.to_thread(server.wait_until_disconnected)
            assert open_in(client) == 0

    gates = [Gate() for _ in range(4)]
    for gate in gates:
        gate.open()
    with ScriptedServer([Exchange(gate, AwaitDisconnect()) for gate in gates]) as server:
        asyncio.run(run(server, gates))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "helper"])
def test_closing_a_stream_ends_the_task_that_reads_it(
    asked: dict[str, Any], begun: bytes, *, raw: bool
) -> None:
    async def read(stream: Any, reading: asyncio.Event) -> None:
        async for event in stream:
            if event.type == ("content_block_delta" if raw else "text"):
                reading.set()

    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k") as client:
            opened = client.messages.stream(**asked)
            async with await client.messages.create(stream=True, **asked) if raw else opened as s:
                reading = asyncio.Event()
                task = asyncio.get_running_loop().create_task(read(s, reading))
                await reading.wait()
                events: Any = s._events
                await turns(lambda: events.ag_running)
                await s.close()
                with pytest.raises(StreamTruncatedError, match="was closed before") as caught:
                    await asyncio.wait_for(task, 10)
            assert caught.value.partial is not None
            assert open_in(client) == 0

    with ScriptedServer([Exchange(begun, AwaitDisconnect())]) as server:
        asyncio.run(run(server))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "helper"])
def test_closing_a_stream_ends_the_thread_that_reads_it(
    asked: dict[str, Any], begun: bytes, *, raw: bool
) -> None:
    """As a program with a button to stop does it."""
    reading = threading.Event()
    errors: list[Exception] = []

    def read(stream: Any) -> None:
        try:
            for event in stream:
                if event.type == ("content_block_delta" if raw else "text"):
                    reading.set()
        except StreamTruncatedError as error:
            errors.append(error)

    with (
        ScriptedServer([Exchange(begun, AwaitDisconnect())]) as server,
        Apertis(base_url=server.base_url, api_key="k") as client,
    ):
        opened = client.messages.create(stream=True, **asked) if raw else None
        with opened or client.messages.stream(**asked) as stream:
            thread = threading.Thread(target=read, args=(stream,))
            thread.start()
            assert reading.wait(60)
            # From here on nothing comes: the reader goes into its wait, and stays there.
            events: Any = stream._events
            while not events.gi_running:
                time.sleep(0)
            stream.close()
            thread.join(60)
            assert not thread.is_alive()
        assert [str(error) for error in errors] == ["the stream was closed before its end"]
