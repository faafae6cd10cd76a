"""Each of the four deadlines ends what waits too long, and is named."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, AsyncApertis, Timeout
from apertis.errors import APITimeoutError, StreamTruncatedError
from apertis.testing import AwaitDisconnect, Exchange, ScriptedServer, http_chunk, sse_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., APITimeoutError]

NEVER = AwaitDisconnect()


def blocking(asked: dict[str, Any], base_url: str, **options: Any) -> APITimeoutError:
    with (
        Apertis(base_url=base_url, api_key="k", max_retries=0, **options) as client,
        pytest.raises(APITimeoutError) as caught,
    ):
        client.messages.create(**asked)
    return caught.value


def asynchronous(asked: dict[str, Any], base_url: str, **options: Any) -> APITimeoutError:
    async def call() -> None:
        async with AsyncApertis(base_url=base_url, api_key="k", max_retries=0, **options) as client:
            await client.messages.create(**asked)

    with pytest.raises(APITimeoutError) as caught:
        asyncio.run(call())
    return caught.value


@pytest.fixture(params=[blocking, asynchronous], ids=["sync", "async"])
def fails(request: pytest.FixtureRequest, asked: dict[str, Any]) -> Run:
    def run(base_url: str, **options: Any) -> APITimeoutError:
        error: APITimeoutError = request.param(asked | options.pop("ask", {}), base_url, **options)
        return error

    return run


@pytest.mark.parametrize(
    ("timeout", "name"),
    [
        (Timeout(response=0.05), "response"),
        (Timeout(response=9.0, total=0.05), "total"),
        (Timeout(idle=0.01, response=0.05), "response"),
        (0.05, "total"),
    ],
)
def test_a_server_without_an_answer(fails: Run, timeout: Any, name: str) -> None:
    with ScriptedServer([Exchange(NEVER)]) as server:
        error = fails(server.base_url, timeout=timeout)
        assert error.deadline == name
        assert f"127.0.0.1:{server.port}" in str(error)
        server.wait_until_disconnected()


@pytest.mark.parametrize(
    "begun",
    [
        b"H",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\n\r\n{",
    ],
)
@pytest.mark.parametrize(
    ("timeout", "name"),
    [(Timeout(idle=0.05), "idle"), (Timeout(idle=9.0, total=0.05), "total")],
)
def test_a_server_that_falls_silent(fails: Run, begun: bytes, timeout: Any, name: str) -> None:
    with ScriptedServer([Exchange(begun, NEVER)]) as server:
        assert fails(server.base_url, timeout=timeout).deadline == name
        server.wait_until_disconnected()


@pytest.fixture
def full_listener() -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(8)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    for sock in (*fillers, listener):
        sock.close()


@pytest.mark.parametrize(
    ("timeout", "name"),
    [(Timeout(connect=0.05), "connect"), (Timeout(connect=9.0, total=0.05), "total")],
)
def test_a_server_that_nobody_gets_through_to(
    fails: Run, full_listener: str, timeout: Any, name: str
) -> None:
    error = fails(full_listener, timeout=timeout)
    assert error.deadline == name
    assert "cannot connect to 127.0.0.1:" in str(error)


def test_the_total_covers_all_tries(asked: dict[str, Any]) -> None:
    # The first answer asks for a wait that is longer than what is left.
    busy = b"HTTP/1.1 529 Busy\r\nretry-after-ms: 5000\r\ncontent-length: 0\r\n\r\n"
    with (
        ScriptedServer([busy]) as server,
        Apertis(base_url=server.base_url, api_key="k", timeout=Timeout(total=1.0)) as client,
        pytest.raises(Exception, match="529"),
    ):
        client.messages.create(**asked)


@pytest.mark.parametrize(
    ("timeout", "name"),
    [(Timeout(idle=0.05), "idle"), (Timeout(idle=9.0, total=0.2), "total")],
)
def test_a_stream_that_falls_silent_gives_what_came(
    asked: dict[str, Any], begun: bytes, timeout: Any, name: str
) -> None:
    with ScriptedServer([Exchange(begun, NEVER)] * 2) as server:
        with (
            Apertis(base_url=server.base_url, api_key="k", timeout=timeout) as client,
            client.messages.stream(**asked) as stream,
            pytest.raises(StreamTruncatedError) as caught,
        ):
            stream.until_done()
        check_partial(caught.value, name)

        async def read() -> None:
            async with (
                AsyncApertis(base_url=server.base_url, api_key="k", timeout=timeout) as client,
                client.messages.stream(**asked) as stream,
            ):
                await stream.until_done()

        with pytest.raises(StreamTruncatedError) as caught:
            asyncio.run(read())
        check_partial(caught.value, name)
        server.wait_until_disconnected()


def check_partial(error: StreamTruncatedError, name: str) -> None:
    assert isinstance(error, APITimeoutError)
    assert error.deadline == name
    assert error.partial is not None
    assert error.partial.text == "hello"


def test_pings_keep_a_stream_alive_but_not_for_ever(asked: dict[str, Any], begun: bytes) -> None:
    ping = http_chunk(b'event: ping\ndata: {"type": "ping"}\n\n')
    assert begun.startswith(sse_head())

    def drip(server: ScriptedServer) -> StreamTruncatedError:
        with (
            Apertis(base_url=server.base_url, api_key="k", timeout=Timeout(total=0.3)) as client,
            client.messages.stream(**asked) as stream,
            pytest.raises(StreamTruncatedError) as caught,
        ):
            stream.until_done()
        return caught.value

    # Far more than the client reads in its time: the stream never pauses.
    flood = Exchange(begun, *[ping * 2000] * 2000, NEVER)
    with ScriptedServer([flood]) as server:
        check_partial(drip(server), "total")
