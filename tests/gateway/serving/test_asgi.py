"""An ASGI application behind the gateway's own protocol: whole answers, streams, and departures."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.serving.asgi import serve
from tests.kit.gateways import serving

if TYPE_CHECKING:
    from apertis.gateway.serving.asgi import ASGIApp, Receive, Scope, Send
    from apertis.gateway.serving.protocol import ClientExchange
    from apertis.gateway.upstreams.contract import RawHeaders

Seen = dict[str, Any]


def said(app: ASGIApp, request: bytes, *, body: bytes = b"") -> tuple[bytes, list[int]]:
    """What a client gets of an application that it asks once; the statuses that were told."""
    statuses: list[int] = []

    def started(status: int, headers: RawHeaders) -> RawHeaders:
        statuses.append(status)
        return [*headers, (b"x-own", b"added")]

    async def handler(exchange: ClientExchange) -> None:
        exchange.take_body()
        await serve(app, exchange, "/inner", body, {"apertis.fact": 7}, started)

    with serving(handler) as port, socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(request)
        answer = b""
        while data := client.recv(65536):
            answer += data
    return answer, statuses


def request(method: bytes = b"GET") -> bytes:
    return (
        b"%b /outer?a=%%20b HTTP/1.1\r\nhost: a\r\nX-Name: v\r\nconnection: close\r\n\r\n" % method
    )


@pytest.mark.parametrize(("method", "sent"), [(b"GET", b"\r\n\r\nwhole"), (b"HEAD", b"\r\n\r\n")])
def test_a_whole_answer_has_its_length_once(method: bytes, sent: bytes) -> None:
    seen: Seen = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update(scope)
        seen["message"] = await receive()
        headers = [(b"content-length", b"5"), (b"x-kind", b"k")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"whole"})

    answer, statuses = said(app, request(method), body=b"posted")
    assert statuses == [201]
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
    assert answer.endswith(sent)
    assert answer.count(b"content-length: 5\r\n") == 1
    assert b"x-kind: k\r\n" in answer
    assert b"x-own: added\r\n" in answer
    assert seen["message"] == {"type": "http.request", "body": b"posted"}
    assert (seen["path"], seen["query_string"], seen["apertis.fact"]) == ("/inner", b"a=%20b", 7)
    assert (b"x-name", b"v") in seen["headers"]
    assert seen["client"][0] == "127.0.0.1"


def test_a_body_in_pieces_is_chunked() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"a", b"bc"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    answer, _ = said(app, request())
    assert answer.endswith(b"\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")
    assert b"transfer-encoding: chunked\r\n" in answer
    assert b"content-length" not in answer


def test_an_application_hears_that_its_client_left() -> None:
    heard: list[str] = []
    asked, over = threading.Event(), threading.Event()

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        asked.set()
        heard.append((await receive())["type"])
        over.set()

    async def handler(exchange: ClientExchange) -> None:
        await serve(app, exchange, "/", b"", {}, lambda _status, headers: headers)

    with serving(handler) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(request())
            assert asked.wait(10)
        assert over.wait(10)
    assert heard == ["http.disconnect"]
