"""What an answer may look like on the wire, over real sockets and both clients."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, AsyncApertis, Timeout
from apertis.errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    ContentTooLargeError,
    RedirectError,
)
from apertis.sansio.http1 import Http1Connection
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
    from collections.abc import Callable

    Connect = Callable[..., Any]

REQUEST: dict[str, Any] = {
    "model": "m",
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "x"}],
}


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def with_length(body: bytes, *lines: str) -> bytes:
    return head(f"content-length: {len(body)}", *lines) + body


def bare_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def chunked(body: bytes) -> bytes:
    return http_chunk(body[:7]) + http_chunk(body[7:]) + http_chunk(b"")


FRAMINGS: dict[str, Callable[[bytes], tuple[Any, ...]]] = {
    "by length": lambda body: (with_length(body),),
    "chunked": lambda body: (head("transfer-encoding: chunked"), chunked(body)),
    "chunk by chunk": lambda body: (
        head("transfer-encoding: chunked"),
        *(http_chunk(body[i : i + 40]) for i in range(0, len(body), 40)),
        http_chunk(b""),
    ),
    "to the end": lambda body: (head("content-type: application/json"), body, Close),
    "HTTP/1.0": lambda body: (b"HTTP/1.0 200 OK\r\n\r\n", body, Close),
    "after 100 and 103": lambda body: (
        head(status="100 Continue"),
        head("link: </x>", status="103 Early Hints"),
        with_length(body),
    ),
    "gzip": lambda body: (with_length(gzip.compress(body), "content-encoding: gzip"),),
    "deflate": lambda body: (with_length(zlib.compress(body), "content-encoding: deflate"),),
    "bare deflate": lambda body: (with_length(bare_deflate(body), "content-encoding: deflate"),),
    "gzip in chunks": lambda body: (
        head("transfer-encoding: chunked", "content-encoding: gzip"),
        chunked(gzip.compress(body)),
    ),
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_body_comes_as_it_was_meant(
    connect: Connect, message: dict[str, Any], framing: str
) -> None:
    steps = FRAMINGS[framing](json.dumps(message).encode())
    with ScriptedServer([Exchange(*steps)] * 2) as server:
        client = connect(server.base_url)
        assert client.create().to_dict() == message
        assert client.create().to_dict() == message
        kept = framing not in {"to the end", "HTTP/1.0"}
        assert server.connection_count == (1 if kept else 2)


@pytest.mark.parametrize("end", [Close, Reset])
@pytest.mark.parametrize(
    "begun",
    [
        with_length(b'{"id": "x"}' * 9)[:-1],
        head("transfer-encoding: chunked") + http_chunk(b'{"id": "x"}'),
        head("content-encoding: gzip") + gzip.compress(b"{}" * 99)[:-3],
    ],
    ids=["by length", "chunked", "gzip"],
)
def test_a_body_that_ends_early_is_a_failure(connect: Connect, begun: bytes, end: Any) -> None:
    with ScriptedServer([Exchange(begun, end)]) as server:
        client = connect(server.base_url, max_retries=0)
        with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1"):
            client.create()


BOMB = gzip.compress(bytes(2**30), 9)
ID = "request-id: req_1"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_a_bomb_takes_no_memory(connect: Connect, kind: str, streamed: bool) -> None:
    assert len(BOMB) > 10**6
    answer = with_length(BOMB, f"content-type: {kind}", "content-encoding: gzip", ID)
    with ScriptedServer([Exchange(answer)]) as server:
        client = connect(server.base_url)
        tracemalloc.start()
        with pytest.raises(APIResponseError, match="expands to more than 100 times") as caught:
            client.text() if streamed else client.create()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert caught.value.request_id == "req_1"
    assert caught.value.retries == 0
    assert peak < 64 * 2**20


def test_a_body_that_compresses_well_is_read(connect: Connect, message: dict[str, Any]) -> None:
    text = "".join(f"{i:06}: the same words again and again, line by line\n" for i in range(60_000))
    message["content"] = [{"type": "text", "text": text}]
    body = gzip.compress(json.dumps(message).encode(), 9)
    assert len(text) > 10 * len(body)
    with ScriptedServer([with_length(body, "content-encoding: gzip")]) as server:
        assert connect(server.base_url).create().text == text


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "nonsense"])
def test_a_coding_that_nobody_asked_for_is_named(connect: Connect, coding: str) -> None:
    answer = with_length(b"{}", f"content-encoding: {coding}", ID)
    said = f"coding '{coding}', which was not requested"
    with ScriptedServer([answer]) as server, pytest.raises(APIResponseError, match=said) as caught:
        connect(server.base_url).create()
    assert caught.value.request_id == "req_1"


def test_an_error_in_a_coding_that_nobody_asked_for_is_that_error(connect: Connect) -> None:
    answer = head("content-encoding: br", "content-length: 2", status="413 Too Large") + b"{}"
    with ScriptedServer([answer]) as server, pytest.raises(ContentTooLargeError):
        connect(server.base_url).create()


def test_a_body_without_an_end_is_given_up(connect: Connect) -> None:
    piece = b" " * 2**20
    begun = head("content-type: application/json", ID)
    with ScriptedServer([Exchange(begun, *[piece] * 65, AwaitDisconnect())]) as server:
        with pytest.raises(APIResponseError, match="larger than 67108864 bytes") as caught:
            connect(server.base_url).create()
        server.wait_until_disconnected()
    assert caught.value.request_id == "req_1"
    assert caught.value.headers is not None


def test_an_answer_that_ends_early_is_asked_for_again(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([Exchange(ok[:-1], Close), ok]) as server:
        assert connect(server.base_url).create().response.retries == 1


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x-padding: x\r\n" * 8000,
        b"HTTP/1.1 200 " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 100_000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000,
        head("transfer-encoding: chunked") + b"0\r\n" + b"x-late: x\r\n" * 9000,
        head("transfer-encoding: chunked") + b"0\r\nx-late: " + b"x" * 100_000,
        head("transfer-encoding: chunked") + b"1;" + b"x" * 100_000,
    ],
    ids=["headers", "line", "value", "hints", "trailers", "trailer", "extension"],
)
def test_what_frames_an_answer_is_bounded(connect: Connect, flood: bytes) -> None:
    # The server would go on; the client has enough before that.
    with ScriptedServer([Exchange(flood, AwaitDisconnect())]) as server:
        client = connect(server.base_url, max_retries=0, timeout=5.0)
        with pytest.raises(APIConnectionError, match="larger than 65536 bytes"):
            client.create()
        server.wait_until_disconnected()


def test_small_chunks_are_no_flood(connect: Connect, message: dict[str, Any]) -> None:
    body = json.dumps(message).encode().ljust(20_000)
    chunks = b"".join(http_chunk(body[i : i + 1]) for i in range(len(body))) + http_chunk(b"")
    assert len(chunks) > 65536
    with ScriptedServer([Exchange(head("transfer-encoding: chunked"), chunks)]) as server:
        assert connect(server.base_url).create().text == "hello"


def test_what_frames_a_long_body_is_counted_anew_with_each_piece() -> None:
    reading = Http1Connection()
    reading.receive(head("transfer-encoding: chunked"))
    for _ in range(30_000):
        # Framing that comes in packets of its own, as small events over a slow line do.
        reading.receive(b"1\r\n")
        reading.receive(b"x\r\n")
        assert reading.take_body() == b"x"
    assert reading.failure is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_reported_and_not_followed(connect: Connect, status: int) -> None:
    there = "http://elsewhere.example/v1/messages"
    with ScriptedServer([json_response(status, {}, {"location": there})]) as server:
        with pytest.raises(RedirectError, match=there) as caught:
            connect(server.base_url).create()
        assert (caught.value.status, caught.value.location) == (status, there)
        assert len(server.requests) == 1


LARGE = [{"role": "user", "content": "x" * 8_000_000}]


@pytest.mark.parametrize("stays", [True, False])
def test_a_refusal_that_comes_while_the_body_is_being_sent_is_seen(
    connect: Connect, ok: bytes, stays: bool
) -> None:
    gate = Gate()
    if not stays:
        gate.open()
    refusal = json_response(413, {"error": {"type": "request_too_large", "message": "too large"}})
    with ScriptedServer([Exchange(refusal, gate, Close, read="head"), ok]) as server:
        client = connect(server.base_url, max_retries=0, timeout=Timeout(response=8.0))
        with pytest.raises(ContentTooLargeError, match="too large"):
            client.create(messages=LARGE)
        # What was left of that request does not stand before the next one.
        assert client.create().text == "hello"
        assert server.connection_count == 2
        gate.open()


def test_a_large_request_arrives_whole(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([ok, ok]) as server:
        client = connect(server.base_url)
        client.create(messages=LARGE)
        client.create(messages=LARGE)
        assert server.requests[0].json() == server.requests[1].json()
        assert server.requests[0].json()["messages"] == LARGE  # type: ignore[index]
        assert server.connection_count == 1


def test_a_server_that_takes_no_body_meets_the_deadline(connect: Connect) -> None:
    with ScriptedServer([Exchange(AwaitDisconnect(), read="head")]) as server:
        client = connect(server.base_url, max_retries=0, timeout=Timeout(response=0.2))
        # AwaitDisconnect reads on, so only the answer is missing.
        with pytest.raises(APITimeoutError) as caught:
            client.create(messages=LARGE)
        assert caught.value.deadline == "response"


def test_a_server_that_reads_nothing_meets_the_deadline(connect: Connect) -> None:
    gate = Gate()
    with ScriptedServer([Exchange(gate, Close, read="head")]) as server:
        client = connect(server.base_url, max_retries=0, timeout=Timeout(response=0.2))
        with pytest.raises(APITimeoutError) as caught:
            client.create(messages=LARGE)
        assert caught.value.deadline == "response"
        gate.open()


def listening() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


class Flood(threading.Thread):
    """A server that sends a stream as fast as its client takes it, up to a bound."""

    BOUND = 64 * 1024 * 1024

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener, self.url = listening()
        self.sent = 0
        self.blocked = threading.Event()

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with connection, self.listener:
            connection.recv(65536)
            connection.settimeout(0.3)
            delta = b'{"type": "ping", "padding": "' + b"x" * 65536 + b'"}'
            event = http_chunk(b"event: ping\ndata: " + delta + b"\n\n")
            start = b'event: message_start\ndata: {"type": "message_start", "message": %s}\n\n'
            message: dict[str, Any] = {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "model": "m",
            }
            message |= {
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 1, "output_tokens": 1},
            }
            block: dict[str, Any] = {"type": "content_block_start", "index": 0}
            block |= {"content_block": {"type": "text", "text": ""}}
            begun = start % json.dumps(message).encode()
            begun += b"event: content_block_start\ndata: %s\n\n" % json.dumps(block).encode()
            connection.sendall(sse_head() + http_chunk(begun))
            try:
                while self.sent < self.BOUND:
                    connection.sendall(event)
                    self.sent += len(event)
            except TimeoutError:
                self.blocked.set()
            except OSError:
                pass


def test_a_slow_reader_stops_the_server_and_not_the_memory() -> None:
    flood = Flood()
    flood.start()
    client = Apertis(base_url=flood.url, api_key="k")
    with client.messages.create(**REQUEST, stream=True) as stream:
        next(stream)
        assert flood.blocked.wait(60)
        assert flood.sent < flood.BOUND / 4
    client.close()
    flood.join(60)


def test_a_slow_task_stops_the_server_while_its_loop_goes_on() -> None:
    flood = Flood()
    flood.start()

    async def run() -> int:
        async with AsyncApertis(base_url=flood.url, api_key="k") as client:
            stream = await client.messages.create(**REQUEST, stream=True)
            await anext(aiter(stream))
            # The loop runs all the while, and would read if it were not told to stop.
            await asyncio.to_thread(flood.blocked.wait, 10)
            (pool,) = client._sender.transport._pools.values()  # type: ignore[attr-defined]
            assert pool._open == 1
            await stream.close()
        return flood.sent

    assert asyncio.run(run()) < flood.BOUND / 4
    assert flood.blocked.is_set()
    flood.join(60)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (with_length(b"<html><h1>Sign in</h1></html>", "content-type: text/html"), "Sign in"),
        (with_length(b"", "content-type: application/json"), "empty"),
        (with_length(b'{"id": "msg_1", "typ', "content-type: application/json"), "msg_1"),
        (with_length(b'{"id": "msg_1"}', "content-type: application/json"), "msg_1"),
        (with_length(b"[1, 2]", "content-type: application/json"), "1, 2"),
        (with_length(b"null"), "null"),
        (with_length(b"\xff\xfe{}"), "begins with"),
        (head("content-length: 0", status="204 No Content"), "empty"),
    ],
    ids=["HTML", "empty", "cut JSON", "a field is missing", "a list", "null", "no text", "204"],
)
def test_a_success_that_is_no_message_shows_what_came(
    connect: Connect, answer: bytes, shown: str
) -> None:
    with ScriptedServer([answer]) as server:
        with pytest.raises(APIResponseError, match=shown) as caught:
            connect(server.base_url).create()
        assert "\n" not in str(caught.value)
        assert caught.value.status in {200, 204}
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}", "http://localhost:{port}"]
)
def test_an_unreachable_server_is_one_line_that_helps(connect: Connect, base_url: str) -> None:
    listener, _ = listening()
    port = listener.getsockname()[1]
    listener.close()
    client = connect(base_url.format(port=port), max_retries=0)
    with pytest.raises(APIConnectionError) as caught:
        client.create()
    host = "localhost" if "localhost" in base_url else "127.0.0.1"
    assert str(caught.value) == (
        f"cannot connect to {host}:{port}: connection refused (`apertis serve` runs a server)"
    )


def test_a_host_that_is_not_known_is_named(connect: Connect) -> None:
    client = connect("http://nowhere.invalid", max_retries=0, timeout=5.0)
    with pytest.raises(
        APIConnectionError, match=r"cannot connect to nowhere\.invalid:80: "
    ) as caught:
        client.create()
    assert "\n" not in str(caught.value)


def test_a_server_on_ipv6_is_reached(connect: Connect, ok: bytes) -> None:
    try:
        server = ScriptedServer([ok], host="::1").start()
    except OSError as error:
        pytest.skip(f"there is no IPv6 here: {error}")
    try:
        assert connect(server.base_url).create().text == "hello"
        assert server.requests[0].headers["host"] == f"[::1]:{server.port}"
    finally:
        server.stop()
