"""Every way an upstream can fail: before, at and after the first byte of its answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamTimeouts
from apertis.gateway.upstreams.outcome import Fault
from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Gate,
    Reset,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_head,
)

if TYPE_CHECKING:
    from apertis.gateway.upstreams.anthropic import AnthropicUpstream
    from tests.kit.asking import Asker, Heard

OK = json_response(200, {"ok": True})
OK_BODY = b'{"ok":true}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
CONNECT_SOON = UpstreamTimeouts(connect=0.1, first_byte=5.0, idle=5.0)
FIRST_BYTE_SOON = UpstreamTimeouts(connect=5.0, first_byte=0.1, idle=5.0)
IDLE_SOON = UpstreamTimeouts(connect=5.0, first_byte=5.0, idle=0.1)


def kind_of(heard: Heard) -> Fault | None:
    return None if heard.failure is None else heard.failure.kind


def test_a_port_on_which_nobody_listens_is_a_failure(asker: Asker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    heard = asker.ask(asker.upstream(f"http://127.0.0.1:{port}"))
    assert heard.failure == UpstreamFailure(
        Fault.CONNECT, f"cannot connect to 127.0.0.1:{port}: connection refused"
    )


def test_the_name_is_not_known(asker: Asker) -> None:
    heard = asker.ask(asker.upstream("http://upstream.invalid"))
    assert kind_of(heard) is Fault.CONNECT
    assert heard.failure is not None
    assert "upstream.invalid" in heard.failure.reason


def test_a_handshake_is_not_answered(asker: Asker) -> None:
    with ScriptedServer([Exchange(AwaitDisconnect(), read="nothing")]) as server:
        upstream = asker.upstream(server.base_url.replace("http:", "https:"))
        heard = asker.ask(upstream, CONNECT_SOON)
        server.wait_until_disconnected()
    assert kind_of(heard) is Fault.CONNECT


@pytest.mark.parametrize("end", [Close, Reset])
@pytest.mark.parametrize(
    "begun",
    [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["nothing", "half a status line", "half a head", "an interim answer"],
)
def test_it_ends_before_its_head_does(asker: Asker, begun: bytes, end: Any) -> None:
    steps = (begun, end) if begun else (end,)
    with ScriptedServer([Exchange(*steps)]) as server:
        heard = asker.ask(asker.upstream(server.base_url))
        assert len(server.requests) == 1
    assert (heard.status, kind_of(heard)) == (0, Fault.BROKEN)


@pytest.mark.parametrize(
    "said",
    [
        b"220 mail.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname: a\x01b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"x" * 70_000,
    ],
)
def test_what_it_says_is_no_http(asker: Asker, said: bytes) -> None:
    with ScriptedServer([Exchange(said, AwaitDisconnect())]) as server:
        heard = asker.ask(asker.upstream(server.base_url))
        server.wait_until_disconnected()
    assert (heard.status, kind_of(heard)) == (0, Fault.BROKEN)


def test_a_folded_header_makes_no_line_of_its_own(asker: Asker) -> None:
    folded = b"HTTP/1.1 200 OK\r\na: b\r\n x-evil: c\r\ncontent-length: 0\r\n\r\n"
    with ScriptedServer([Exchange(folded, Close)]) as server:
        heard = asker.ask(asker.upstream(server.base_url))
    assert all(b"\n" not in value and b"\r" not in value for _, value in heard.headers)


def test_it_is_silent_before_the_first_byte(asker: Asker) -> None:
    with ScriptedServer([Exchange(AwaitDisconnect())]) as server:
        heard = asker.ask(asker.upstream(server.base_url), FIRST_BYTE_SOON)
        server.wait_until_disconnected()
    assert (heard.status, kind_of(heard)) == (0, Fault.TIMEOUT)


def test_it_is_silent_inside_its_head(asker: Asker) -> None:
    with ScriptedServer([Exchange(b"HTTP/1.1 200 OK\r\na", AwaitDisconnect())]) as server:
        heard = asker.ask(asker.upstream(server.base_url), IDLE_SOON)
        server.wait_until_disconnected()
    assert (heard.status, kind_of(heard)) == (0, Fault.TIMEOUT)


def test_it_takes_no_body(asker: Asker) -> None:
    gate = Gate()
    with ScriptedServer([Exchange(gate, Close, read="head")]) as server:
        heard = asker.ask(asker.upstream(server.base_url), FIRST_BYTE_SOON, body=b"x" * 8_000_000)
        gate.open()
    assert kind_of(heard) is Fault.TIMEOUT


@pytest.mark.parametrize("end", [Close, Reset])
@pytest.mark.parametrize(
    ("sent", "came"),
    [
        (HEAD, b""),
        (HEAD + b"half", b"half"),
        (sse_head(), b""),
        (sse_head() + http_chunk(b"event"), b"event"),
        (sse_head() + http_chunk(b"event")[:-4], b"eve"),
        (sse_head() + http_chunk(b"event") + b"0\r\n", b"event"),
    ],
    ids=["head", "half", "stream's head", "after a chunk", "inside a chunk", "inside the end"],
)
def test_it_ends_inside_its_body(asker: Asker, sent: bytes, came: bytes, end: Any) -> None:
    gate = Gate()

    async def reading(upstream: AnthropicUpstream) -> tuple[bytes, list[object]]:
        answer = await asker.opened(upstream)
        assert answer.status == 200
        body = await answer.read() if came else b""
        assert isinstance(body, bytes)
        gate.open()
        # It stays failed, however often it is asked.
        return body, [await answer.read(), await answer.read()]

    with ScriptedServer([Exchange(sent, gate, end)]) as server:
        body, ends = asker.run(reading(asker.upstream(server.base_url)))
        server.wait_until_disconnected()
    assert body == came
    assert isinstance(ends[0], UpstreamFailure)
    assert ends[0].kind is Fault.BROKEN
    assert ends[0] == ends[1]


def test_its_framing_breaks_inside_the_body(asker: Asker) -> None:
    gate = Gate()

    async def reading(upstream: AnthropicUpstream) -> list[object]:
        answer = await asker.opened(upstream)
        read: list[object] = [await answer.read()]
        gate.open()
        return [*read, await answer.read()]

    steps = (sse_head() + http_chunk(b"event"), gate, b"zz\r\nxx", AwaitDisconnect())
    with ScriptedServer([Exchange(*steps)]) as server:
        event, failure = asker.run(reading(asker.upstream(server.base_url)))
        server.wait_until_disconnected()
    assert event == b"event"
    assert isinstance(failure, UpstreamFailure)
    assert failure.kind is Fault.BROKEN


def test_its_compressed_body_is_damaged(asker: Asker) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\n"
    with ScriptedServer([head + b"\x1f\x8bnonsens"]) as server:
        heard = asker.ask(asker.upstream(server.base_url))
    assert (heard.body, kind_of(heard)) == (b"", Fault.BROKEN)


def test_it_falls_silent_inside_its_body(asker: Asker) -> None:
    steps = (sse_head() + http_chunk(b"event"), AwaitDisconnect())
    with ScriptedServer([Exchange(*steps)]) as server:
        heard = asker.ask(asker.upstream(server.base_url), IDLE_SOON)
        server.wait_until_disconnected()
    assert (heard.body, kind_of(heard)) == (b"event", Fault.TIMEOUT)


@pytest.mark.parametrize("surplus", [b"surplus", OK, b"\r\n\r\nHTTP/1.1 500 Evil\r\n\r\n"])
def test_it_says_more_than_it_was_asked(asker: Asker, surplus: bytes) -> None:
    with ScriptedServer([OK + surplus, OK]) as server:
        upstream = asker.upstream(server.base_url)
        for _ in range(2):
            heard = asker.ask(upstream)
            assert (heard.status, heard.body, heard.failure) == (200, OK_BODY, None)
        assert server.connection_count == 2


@pytest.mark.parametrize("end", [Close, Reset])
def test_a_kept_connection_that_is_closed_is_replaced_once(asker: Asker, end: Any) -> None:
    with ScriptedServer([OK, Exchange(end), OK]) as server:
        upstream = asker.upstream(server.base_url)
        assert asker.ask(upstream).body == OK_BODY
        assert asker.ask(upstream, body=b"x" * 100_000).body == OK_BODY
        assert server.connection_count == 2
        assert len(server.requests[2].body) == 100_000
    with ScriptedServer([OK, Exchange(end), Exchange(end)]) as server:
        upstream = asker.upstream(server.base_url)
        asker.ask(upstream)
        assert kind_of(asker.ask(upstream)) is Fault.BROKEN


def test_a_connection_that_the_upstream_closed_meanwhile_is_not_used(asker: Asker) -> None:
    with ScriptedServer([Exchange(OK, Close), OK]) as server:
        upstream = asker.upstream(server.base_url)
        asker.ask(upstream)
        server.wait_until_disconnected()
        assert asker.ask(upstream).body == OK_BODY


def test_nothing_is_sent_again_once_an_answer_has_begun(asker: Asker) -> None:
    with ScriptedServer([OK, Exchange(b"H", Close)]) as server:
        upstream = asker.upstream(server.base_url)
        asker.ask(upstream)
        assert kind_of(asker.ask(upstream)) is Fault.BROKEN
        assert len(server.requests) == 2


def test_nothing_is_sent_again_because_it_took_long(asker: Asker) -> None:
    with ScriptedServer([OK, Exchange(AwaitDisconnect())]) as server:
        upstream = asker.upstream(server.base_url)
        asker.ask(upstream)
        assert kind_of(asker.ask(upstream, FIRST_BYTE_SOON)) is Fault.TIMEOUT


def test_a_failed_request_gives_its_place_back(asker: Asker) -> None:
    with ScriptedServer([Exchange(Reset), Exchange(HEAD, Close), OK]) as server:
        upstream = asker.upstream(server.base_url, max_connections=1)
        assert kind_of(asker.ask(upstream)) is Fault.BROKEN
        assert kind_of(asker.ask(upstream)) is Fault.BROKEN
        assert asker.ask(upstream).body == OK_BODY


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(gate: Gate) -> None:
    """The server has come to the gate."""
    await asyncio.to_thread(gate.reached.wait, 10)


@pytest.mark.parametrize("steps", [(), (b"HTTP/1.1 200 O",)], ids=["silence", "half a head"])
def test_a_task_that_is_cancelled_while_it_opens_hangs_up(
    asker: Asker, steps: tuple[bytes, ...]
) -> None:
    gate = Gate()

    async def leaving(upstream: AnthropicUpstream) -> None:
        task = asyncio.get_running_loop().create_task(asker.asking(upstream))
        await until(gate)
        await cancelled(task)
        gate.open()

    with ScriptedServer([Exchange(*steps, gate, AwaitDisconnect()), OK]) as server:
        upstream = asker.upstream(server.base_url, max_connections=1)
        asker.run(leaving(upstream))
        assert asker.ask(upstream).body == OK_BODY


def test_a_task_that_is_cancelled_while_it_connects_gives_its_place_back(asker: Asker) -> None:
    gate = Gate()

    async def leaving(upstream: AnthropicUpstream) -> list[Fault | None]:
        task = asyncio.get_running_loop().create_task(asker.asking(upstream))
        await until(gate)
        for _ in range(10):
            # The handshake begins a few rounds after the connection is there; asyncio forgets a
            # transport whose task is cancelled between the two.
            await asyncio.sleep(0)
        await cancelled(task)
        gate.open()
        return [kind_of(await asker.asking(upstream))]

    script = [Exchange(gate, AwaitDisconnect(), read="nothing"), Exchange(Close, read="nothing")]
    with ScriptedServer(script) as server:
        # Neither speaks TLS, so the connection never comes about.
        https = server.base_url.replace("http:", "https:")
        assert asker.run(leaving(asker.upstream(https, max_connections=1))) == [Fault.CONNECT]


def test_a_task_that_is_cancelled_while_it_reads_hangs_up(asker: Asker) -> None:
    async def leaving(upstream: AnthropicUpstream) -> object:
        answer = await asker.opened(upstream)
        assert await answer.read() == b"event"
        reading = asyncio.get_running_loop().create_task(answer.read())
        await asyncio.sleep(0)
        await cancelled(reading)
        return await answer.read()

    steps = (sse_head() + http_chunk(b"event"), AwaitDisconnect())
    with ScriptedServer([Exchange(*steps), OK]) as server:
        upstream = asker.upstream(server.base_url, max_connections=1)
        left = asker.run(leaving(upstream))
        assert isinstance(left, UpstreamFailure)
        assert asker.ask(upstream).body == OK_BODY


@pytest.mark.parametrize("forget", [True, False])
def test_an_answer_that_is_left_hangs_up(asker: Asker, forget: bool) -> None:
    async def leaving(upstream: AnthropicUpstream) -> None:
        answer = await asker.opened(upstream)
        assert await answer.read() == b"event"
        if not forget:
            answer.close()
            assert await answer.read() == b""
        del answer
        gc.collect()
        await asyncio.sleep(0)

    steps = (sse_head() + http_chunk(b"event"), AwaitDisconnect())
    with ScriptedServer([Exchange(*steps), OK]) as server:
        upstream = asker.upstream(server.base_url, max_connections=1)
        asker.run(leaving(upstream))
        assert asker.ask(upstream).body == OK_BODY


class Flood(threading.Thread):
    """A server that sends so many bytes, as fast as its client takes them."""

    def __init__(self, size: int, patience_seconds: float) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.size = size
        self.sent = 0
        self.patience_seconds = patience_seconds
        self.stopped = threading.Event()

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with connection, self.listener:
            connection.recv(65536)
            connection.settimeout(self.patience_seconds)
            piece = b"x" * 65536
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % self.size)
            try:
                while self.sent < self.size:
                    connection.sendall(piece)
                    self.sent += len(piece)
            except OSError:
                self.stopped.set()


MAX_PIECE = 1024 * 1024


def test_a_large_answer_is_handed_on_and_not_gathered(asker: Asker) -> None:
    flood = Flood(100 * 2**20, patience_seconds=10)
    flood.start()

    async def reading(upstream: AnthropicUpstream) -> tuple[int, int]:
        answer = await asker.opened(upstream)
        total = largest = 0
        while data := await answer.read():
            assert isinstance(data, bytes)
            total, largest = total + len(data), max(largest, len(data))
            for _ in range(20):
                # The loop goes on meanwhile, and would gather all that comes.
                await asyncio.sleep(0)
        return total, largest

    total, largest = asker.run(reading(asker.upstream(flood.url)))
    flood.join(60)
    assert total == flood.size
    assert largest < MAX_PIECE


def test_a_reader_that_does_not_read_stops_its_upstream(asker: Asker) -> None:
    flood = Flood(64 * 2**20, patience_seconds=0.2)
    flood.start()

    async def waiting(upstream: AnthropicUpstream) -> bytes | UpstreamFailure:
        answer = await asker.opened(upstream)
        # The loop runs all the while, and would read if it were not told to stop.
        await asyncio.to_thread(flood.stopped.wait, 10)
        first = await answer.read()
        answer.close()
        return first

    first = asker.run(waiting(asker.upstream(flood.url)))
    flood.join(60)
    assert flood.stopped.is_set()
    assert flood.sent < flood.size / 4
    assert isinstance(first, bytes)
    assert len(first) < MAX_PIECE
