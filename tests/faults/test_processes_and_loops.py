"""A client outlives forks and event loops, and serves several of each."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, AsyncApertis
from apertis.testing import AwaitDisconnect, Exchange, Gate, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def in_child(work: Callable[[], None]) -> int:
    """The exit code of a forked process that does the work: 0 when it raised nothing."""
    with warnings.catch_warnings():
        # Python warns of forks beside threads; the servers of these tests are threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@needs_fork
def test_a_child_does_not_talk_over_its_parents_connections(
    asked: dict[str, Any], ok: bytes
) -> None:
    with ScriptedServer(lambda _: ok) as server:
        client = Apertis(base_url=server.base_url, api_key="k", max_connections=1)
        client.messages.create(**asked)

        def work() -> None:
            for _ in range(3):
                assert client.messages.create(**asked).text == "hello"

        assert in_child(work) == 0
        client.messages.create(**asked)
        used = [request.connection for request in server.requests]
        assert used == [0, 1, 1, 1, 0]
        client.close()


@needs_fork
def test_a_child_does_not_give_back_a_stream_of_its_parent(
    asked: dict[str, Any], begun: bytes, ok: bytes
) -> None:
    with ScriptedServer([Exchange(begun, AwaitDisconnect()), ok, ok]) as server:
        client = Apertis(base_url=server.base_url, api_key="k", max_connections=1)
        stream = client.messages.create(**asked, stream=True)
        next(stream)

        def work() -> None:
            # The parent's one place is not this process's, and closing hangs up for nobody else.
            client.messages.create(**asked)
            stream.close()
            assert sum(p._open for p in client._sender.transport._pools.values()) == 1  # type: ignore[attr-defined]

        assert in_child(work) == 0
        assert next(stream).type == "content_block_start"
        assert server.open_connection_count >= 1
        stream.close()
        server.wait_until_disconnected()
        client.messages.create(**asked)
        client.close()


@needs_fork
def test_a_lock_that_another_thread_held_is_no_matter(asked: dict[str, Any], ok: bytes) -> None:
    with ScriptedServer([ok, ok]) as server:
        client = Apertis(base_url=server.base_url, api_key="k")
        client.messages.create(**asked)
        (pool,) = client._sender.transport._pools.values()  # type: ignore[attr-defined]
        with pool._lock, client._sender.transport._lock:  # type: ignore[attr-defined]
            assert in_child(lambda: client.messages.create(**asked) and None) == 0
        client.close()


@needs_fork
def test_an_asynchronous_client_begins_anew_in_a_child(asked: dict[str, Any], ok: bytes) -> None:
    async def call(client: AsyncApertis) -> None:
        await client.messages.create(**asked)

    async def fork(client: AsyncApertis) -> int:
        await call(client)

        def work() -> None:
            asyncio.run(call(client))

        code = in_child(work)
        await call(client)
        return code

    with ScriptedServer(lambda _: ok) as server:
        client = AsyncApertis(base_url=server.base_url, api_key="k")
        assert asyncio.run(fork(client)) == 0
        assert [request.connection for request in server.requests] == [0, 1, 0]


def test_one_client_works_over_several_runs(asked: dict[str, Any], ok: bytes) -> None:
    with ScriptedServer(lambda _: ok) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        client = AsyncApertis(base_url=server.base_url, api_key="k")

        async def twice() -> None:
            await client.messages.create(**asked)
            await client.messages.create(**asked)

        for _ in range(3):
            asyncio.run(twice())
            gc.collect()
            server.wait_until_disconnected()
        used = [request.connection for request in server.requests]
        assert used == [0, 0, 1, 1, 2, 2]
        assert len(client._sender.transport._pools) <= 1  # type: ignore[attr-defined]


def test_a_stream_left_open_in_a_run_ends_with_it(
    asked: dict[str, Any], begun: bytes, ok: bytes
) -> None:
    script: list[Exchange | bytes] = [Exchange(begun, AwaitDisconnect()), ok]
    with ScriptedServer(script) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        client = AsyncApertis(base_url=server.base_url, api_key="k", max_connections=1)
        kept = []

        async def begin() -> None:
            kept.append(await client.messages.create(**asked, stream=True))
            await anext(aiter(kept[0]))

        asyncio.run(begin())
        server.wait_until_disconnected()
        kept.clear()
        gc.collect()

        async def call() -> str:
            return str((await client.messages.create(**asked)).text)

        assert asyncio.run(call()) == "hello"


def test_closing_in_a_loop_does_not_end_what_comes_after(asked: dict[str, Any], ok: bytes) -> None:
    # What other tests have left is not looked at again each time.
    gc.freeze()

    async def run(client: AsyncApertis) -> None:
        for _ in range(3):
            await client.messages.create(**asked)
            await client.close()
            await client.messages.create(**asked)
            for _ in range(5):
                await asyncio.sleep(0)
                gc.collect()
            await client.messages.create(**asked)
        await client.close()

    with ScriptedServer(lambda _: ok) as server:
        asyncio.run(run(AsyncApertis(base_url=server.base_url, api_key="k")))
        assert [r.connection for r in server.requests] == [0, 1, 1, 1, 2, 2, 2, 3, 3]


def test_two_loops_in_two_threads_share_a_client(asked: dict[str, Any], ok: bytes) -> None:
    gates = [Gate(), Gate()]
    script: list[Exchange | bytes] = [*(Exchange(gate, ok) for gate in gates), *[ok] * 40]
    with ScriptedServer(script) as server:
        client = AsyncApertis(base_url=server.base_url, api_key="k", max_connections=2)
        answers: list[str] = []

        async def calls() -> None:
            for _ in range(21):
                message = await client.messages.create(**asked)
                answers.append(message.text)

        threads = [threading.Thread(target=asyncio.run, args=(calls(),)) for _ in gates]
        for thread in threads:
            thread.start()
        # Both are under way at once before either goes on.
        for gate in gates:
            assert gate.reached.wait(60)
        for gate in gates:
            gate.open()
        for thread in threads:
            thread.join(60)
        assert answers == ["hello"] * 42
        assert server.connection_count == 2
        server.wait_until_disconnected()


def test_a_stream_may_be_collected_in_another_thread(
    asked: dict[str, Any], begun: bytes, ok: bytes
) -> None:
    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k", max_connections=1) as client:
            held = [await client.messages.create(**asked, stream=True)]

            def drop() -> None:
                held.clear()
                gc.collect()

            await asyncio.to_thread(drop)
            assert (await client.messages.create(**asked)).text == "hello"

    with ScriptedServer([Exchange(begun, AwaitDisconnect()), ok]) as server:
        asyncio.run(run(server), debug=True)


def test_uvloop_runs_it_as_well(asked: dict[str, Any], begun: bytes, ok: bytes) -> None:
    if sys.platform == "win32":
        pytest.skip("there is no uvloop on Windows")
    uvloop = pytest.importorskip("uvloop")

    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k", max_connections=1) as client:
            for _ in range(3):
                assert (await client.messages.create(**asked)).text == "hello"
            stream = await client.messages.create(**asked, stream=True)
            await anext(aiter(stream))
            await stream.close()
            await asyncio.to_thread(server.wait_until_disconnected)
            assert (await client.messages.create(**asked)).text == "hello"

    with ScriptedServer([ok, ok, ok, Exchange(begun, AwaitDisconnect()), ok]) as server:
        uvloop.run(run(server))
        assert server.connection_count == 2
