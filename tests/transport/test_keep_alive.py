"""Connections are kept, and one that the server gave up is replaced unnoticed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

import apertis.aio.pool
import apertis.sync.pool
from apertis.errors import APIConnectionError
from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Gate,
    Reset,
    ScriptedServer,
    http_chunk,
    sse_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.testing import RecordedRequest

    Connect = Callable[..., Any]


def test_one_connection_serves_call_after_call(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([ok] * 5) as server:
        client = connect(server.base_url)
        for _ in range(5):
            assert client.create().text == "hello"
        assert server.connection_count == 1


def test_a_stream_gives_its_connection_back(connect: Connect, ok: bytes, streamed: bytes) -> None:
    with ScriptedServer([streamed, ok, streamed]) as server:
        client = connect(server.base_url)
        assert client.text() == "hello"
        assert client.create().text == "hello"
        assert client.text() == "hello"
        assert server.connection_count == 1


def test_a_server_that_lags_with_the_end_of_a_stream_holds_nobody_up(
    connect: Connect, ok: bytes, streamed: bytes
) -> None:
    # The last chunk of the body never comes, although the message is whole.
    unended = Exchange(streamed.removesuffix(b"0\r\n\r\n"), AwaitDisconnect())
    with ScriptedServer([unended, ok]) as server:
        client = connect(server.base_url)
        assert client.text() == "hello"
        assert client.create().text == "hello"
        assert server.connection_count == 2


def test_an_answer_that_announces_the_end_is_the_last_on_its_connection(
    connect: Connect, ok: bytes
) -> None:
    last = ok.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    with ScriptedServer([Exchange(last, AwaitDisconnect()), ok]) as server:
        client = connect(server.base_url)
        client.create()
        client.create()
        assert server.connection_count == 2


@pytest.mark.parametrize("end", [Close, Reset])
@pytest.mark.parametrize("retries", [0, 2])
def test_a_connection_closed_while_idle_is_replaced(
    connect: Connect, ok: bytes, end: type[Close], retries: int
) -> None:
    with ScriptedServer([Exchange(ok, end), ok]) as server:
        client = connect(server.base_url, max_retries=retries)
        client.create()
        server.wait_until_disconnected()
        answer = client.create()
        assert answer.response.retries == 0
        assert server.connection_count == 2


@pytest.mark.parametrize("end", [Close, Reset])
def test_a_reused_connection_that_ends_without_an_answer_is_replaced(
    connect: Connect, ok: bytes, end: type[Close]
) -> None:
    # The server reads the second request, and closes at the very moment.
    with ScriptedServer([ok, Exchange(end), ok]) as server:
        client = connect(server.base_url, max_retries=0)
        client.create()
        assert client.create().response.retries == 0
        assert server.connection_count == 2
        assert len(server.requests) == 3


def test_it_is_replaced_once_and_by_a_new_one(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([ok, Exchange(Close), Exchange(Close)]) as server:
        client = connect(server.base_url, max_retries=0)
        client.create()
        with pytest.raises(APIConnectionError, match="without a response"):
            client.create()
        assert server.connection_count == 2


def test_a_new_connection_that_ends_without_an_answer_is_a_failure(connect: Connect) -> None:
    with ScriptedServer([Exchange(Close)]) as server:
        client = connect(server.base_url, max_retries=0)
        with pytest.raises(APIConnectionError, match="without a response"):
            client.create()


@pytest.mark.parametrize("end", [Close, Reset])
@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Hints\r\n\r\n"])
def test_nothing_is_sent_again_when_an_answer_had_begun(
    connect: Connect, ok: bytes, begun: bytes, end: type[Close]
) -> None:
    with ScriptedServer([ok, Exchange(begun, end)]) as server:
        client = connect(server.base_url, max_retries=0)
        client.create()
        with pytest.raises(APIConnectionError):
            client.create()
        assert len(server.requests) == 2


def test_an_old_connection_is_not_trusted(
    connect: Connect, ok: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([ok, ok]) as server:
        client = connect(server.base_url)
        monkeypatch.setattr(apertis.sync.pool, "MAX_IDLE_SECONDS", -1.0)
        monkeypatch.setattr(apertis.aio.pool, "MAX_IDLE_SECONDS", -1.0)
        client.create()
        client.create()
        assert server.connection_count == 2


def test_bytes_that_nobody_asked_for_end_the_reuse(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([Exchange(ok + ok, AwaitDisconnect()), ok]) as server:
        client = connect(server.base_url)
        client.create()
        client.create()
        assert server.connection_count == 2


def test_a_closed_client_hangs_up_and_can_be_used_again(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([ok, ok]) as server:
        client = connect(server.base_url)
        client.create()
        if client.kind == "sync":
            client.client.close()
        else:
            client.runner.run(client.client.close())
        server.wait_until_disconnected()
        client.create()
        assert server.connection_count == 2


def test_copies_share_the_connections(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([ok, ok]) as server:
        client = connect(server.base_url)
        client.create()
        client.client = client.client.with_options(max_retries=7)
        client.create()
        assert server.connection_count == 1


def test_the_system_watches_over_silent_connections(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([ok]) as server:
        client = connect(server.base_url)
        client.create()
        (pool,) = client.client._sender.transport._pools.values()
        (connection,) = pool._idle
        if client.kind == "sync":
            sock = connection.sock
        else:
            sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 60


def test_a_stream_that_is_left_early_hangs_up(
    connect: Connect, ok: bytes, events: list[dict[str, Any]]
) -> None:
    begun = sse_response(events[:3], complete=False)
    with ScriptedServer([Exchange(begun, AwaitDisconnect()), ok]) as server:
        client = connect(server.base_url, max_connections=1)
        first = client.first_text()
        assert first == "hello"
        server.wait_until_disconnected()
        assert client.create().text == "hello"
        assert server.connection_count == 2


def test_an_answer_that_nobody_asked_for_is_nobodys(connect: Connect, ok: bytes) -> None:
    idle, sent = Gate(), Gate()
    wrong = ok.replace(b"hello", b"wrong")
    with ScriptedServer([Exchange(ok, idle, wrong, sent, AwaitDisconnect()), ok]) as server:
        client = connect(server.base_url)
        client.create()
        idle.open()
        assert sent.reached.wait(60)
        sent.open()
        client.settle()
        assert client.create().text == "hello"
        assert server.connection_count == 2


def test_a_lost_connection_is_replaced_by_a_new_one_and_not_by_another_old_one(
    connect: Connect, ok: bytes, streamed: bytes, events: list[dict[str, Any]]
) -> None:
    gate = Gate()
    begun = sse_response(events[:3], complete=False)

    def answer(request: RecordedRequest) -> Exchange:
        if request.json()["max_tokens"] == 7:  # type: ignore[index]
            return Exchange(begun, gate, streamed.removeprefix(begun))
        # The two old connections take one call each.
        return Exchange(ok) if len(server.requests) in {2, 4} else Exchange(Close)

    with ScriptedServer(answer) as server:
        client = connect(server.base_url, max_retries=0)

        def work() -> None:
            client.create()
            gate.open()

        client.text_around(work, max_tokens=7)
        assert server.connection_count == 2
        assert client.create().text == "hello"
        assert [request.connection for request in server.requests][:2] == [0, 1]
        assert server.requests[-1].connection == 2


def test_a_server_that_goes_on_after_the_end_of_a_stream_is_left(
    connect: Connect, streamed: bytes
) -> None:
    pings = http_chunk(b'event: ping\ndata: {"type": "ping"}\n\n') * 2000
    endless = [pings] * 5000
    script = Exchange(streamed.removesuffix(b"0\r\n\r\n"), *endless, AwaitDisconnect())
    with ScriptedServer([script]) as server:
        assert connect(server.base_url).text() == "hello"
        server.wait_until_disconnected()
