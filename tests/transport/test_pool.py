"""The pool is bounded, and its places are given in the order of asking."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, AsyncApertis, Timeout
from apertis.errors import APITimeoutError, ConfigurationError
from apertis.testing import AwaitDisconnect, Close, Exchange, Gate, ScriptedServer, sse_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.testing import RecordedRequest

    Connect = Callable[..., Any]

REQUEST: dict[str, Any] = {
    "model": "m",
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "x"}],
}


def waiting_in(client: Any) -> int:
    return sum(len(pool._waiting) for pool in client._sender.transport._pools.values())


def open_in(client: Any) -> int:
    return sum(pool._open for pool in client._sender.transport._pools.values())


def test_no_more_connections_are_open_than_allowed_and_the_turns_are_fair(ok: bytes) -> None:
    gates = [Gate() for _ in range(6)]
    with ScriptedServer([Exchange(gate, ok) for gate in gates]) as server:
        client = Apertis(base_url=server.base_url, api_key="k", max_connections=2)
        done: list[int] = []
        threads = []

        def work(number: int) -> None:
            client.messages.create(**REQUEST)
            done.append(number)

        for number in range(6):
            call = threading.Thread(target=work, args=(number,))
            call.start()
            threads.append(call)
            if number < 2:
                assert gates[number].reached.wait(60)
            else:
                while waiting_in(client) < number - 1:
                    pass
        for number, gate in enumerate(gates):
            assert gate.reached.wait(60)
            gate.open()
            threads[number].join(60)
            if number + 2 < len(gates):
                # The next in the queue has sent its request, before another turn is given.
                assert gates[number + 2].reached.wait(60)
        assert done == [0, 1, 2, 3, 4, 5]
        assert server.connection_count == 2
        client.close()


def test_tasks_take_turns_as_well(ok: bytes) -> None:
    async def run(server: ScriptedServer) -> list[int]:
        done: list[int] = []
        async with AsyncApertis(base_url=server.base_url, api_key="k", max_connections=1) as client:

            async def call(number: int) -> None:
                await client.messages.create(**REQUEST)
                done.append(number)

            async with asyncio.TaskGroup() as group:
                for number in range(30):
                    group.create_task(call(number))
            assert waiting_in(client) == 0
            assert open_in(client) == 1
        return done

    with ScriptedServer(lambda _: ok) as server:
        assert asyncio.run(run(server)) == list(range(30))
        assert server.connection_count == 1


def test_tasks_fill_all_the_places(ok: bytes) -> None:
    gates = [Gate() for _ in range(3)]

    async def run(server: ScriptedServer) -> None:
        async with AsyncApertis(base_url=server.base_url, api_key="k", max_connections=3) as client:
            async with asyncio.TaskGroup() as group:
                for _ in range(9):
                    group.create_task(client.messages.create(**REQUEST))
                for gate in gates:
                    assert await asyncio.to_thread(gate.reached.wait, 10)
                    gate.open()
            assert open_in(client) == 3

    script: list[Exchange | bytes] = [*(Exchange(gate, ok) for gate in gates), *[ok] * 6]
    with ScriptedServer(script) as server:
        asyncio.run(run(server))
        assert server.connection_count == 3


def test_a_wait_for_a_connection_has_a_deadline_with_a_name(
    connect: Connect, events: list[dict[str, Any]]
) -> None:
    begun = Exchange(sse_response(events[:3], complete=False), AwaitDisconnect())
    for timeout, name in (
        (Timeout(connect=0.05), "connect"),
        (Timeout(connect=9.0, total=0.05), "total"),
    ):
        with ScriptedServer([begun]) as server:
            client = connect(server.base_url, max_connections=1, max_retries=0)
            with client.opened() as _, pytest.raises(APITimeoutError, match="in use") as caught:
                client.create(timeout=timeout)
            assert caught.value.deadline == name
            assert open_in(client.client) == 0
            assert waiting_in(client.client) == 0


def test_a_failed_call_gives_its_place_back(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([Exchange(Close), Exchange(b"nonsense\r\n\r\n"), ok]) as server:
        client = connect(server.base_url, max_connections=1, max_retries=2)
        assert client.create().text == "hello"
        assert open_in(client.client) == 1


def test_a_stream_that_nobody_holds_any_more_gives_its_place_back(
    connect: Connect, ok: bytes, events: list[dict[str, Any]]
) -> None:
    begun = Exchange(sse_response(events[:3], complete=False), AwaitDisconnect())
    with ScriptedServer([begun, ok]) as server:
        client = connect(server.base_url, max_connections=1, timeout=Timeout(connect=5.0))
        client.forget_a_stream()
        gc.collect()
        assert client.create().text == "hello"
        assert server.connection_count == 2


def test_a_finalizer_inside_the_lock_of_its_own_thread_does_not_wait_for_it(
    ok: bytes, events: list[dict[str, Any]]
) -> None:
    begun = Exchange(sse_response(events[:3], complete=False), AwaitDisconnect())
    with ScriptedServer([begun, ok]) as server:
        client = Apertis(
            base_url=server.base_url, api_key="k", max_connections=1, timeout=Timeout(connect=5.0)
        )
        stream = client.messages.create(**REQUEST, stream=True)
        next(stream)
        (pool,) = client._sender.transport._pools.values()  # type: ignore[attr-defined]
        with pool._lock:
            # What the garbage collector does when it strikes between two lines of the pool.
            del stream
            gc.collect()
        assert client.messages.create(**REQUEST).text == "hello"
        client.close()


def test_sixteen_threads_share_a_client(ok: bytes) -> None:
    def answer(request: RecordedRequest) -> bytes:
        return ok.replace(b"msg_1", request.headers["x-number"].encode().rjust(5, b"0"))

    with ScriptedServer(answer) as server:
        client = Apertis(base_url=server.base_url, api_key="k", max_connections=5)
        seen: list[str] = []

        def work(thread: int) -> None:
            for turn in range(10):
                number = f"{thread:02d}{turn:02d}"
                message = client.messages.create(**REQUEST, extra_headers={"x-number": number})
                if message.id == f"0{number}":
                    seen.append(number)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(set(seen)) == 160
        assert server.connection_count <= 5
        assert open_in(client) == server.connection_count
        client.close()
        assert open_in(client) == 0


@pytest.mark.parametrize("value", [0, -1, True, "9", 1.5, None])
def test_a_bound_that_is_none_is_refused_at_once(value: Any) -> None:
    for kind in (Apertis, AsyncApertis):
        with pytest.raises(ConfigurationError, match="max_connections"):
            kind(api_key="k", max_connections=value)
