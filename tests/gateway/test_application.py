"""How the server treats the answers of an upstream, whatever the upstream is."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.app import Application
from apertis.gateway.exchange import Answer, ConnectionCut, Request
from apertis.gateway.keys.admission import KeyRecord
from apertis.gateway.keys.secret import hash_secret
from apertis.gateway.pipeline import Pipeline
from apertis.gateway.server import Server, bind

if TYPE_CHECKING:
    from apertis.gateway.asgi import ASGIApp
    from tests.gateway.conftest import Client

JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)
KEY = {"authorization": "Bearer sk-test"}

Serve = Callable[["ASGIApp"], "Client"]


class Upstream:
    """Answers with what the test gives, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Request], Awaitable[Answer]]) -> None:
        self._answer = answer
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Answer:
        self.requests.append(request)
        return await self._answer(request)


def application(upstream: Upstream, max_body_bytes: int = 1000) -> Application:
    keys = (KeyRecord(hash_secret("sk-test"), "sk-...test", ""),)
    return Application(Pipeline(keys, upstream), max_body_bytes)


async def echo(request: Request) -> Answer:
    return Answer(200, JSON, request.body)


def test_the_upstream_gets_the_request_without_the_callers_secrets(serve: Serve) -> None:
    upstream = Upstream(echo)
    client = serve(application(upstream))
    secrets = {**KEY, "X-Api-Key": "sk-test", "Cookie": "a=b", "Proxy-Authorization": "Basic x"}
    kept = {"Anthropic-Version": "2023-06-01", "X-Anything": "1"}
    body = b'{"raw": 1.50}'
    answer = client.call("POST", "/v1/v1/messages?beta=true&x=%20", body, {**secrets, **kept})
    assert (answer.status, answer.body) == (200, body)
    [request] = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.query == "beta=true&x=%20"
    assert request.body == body
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["x-anything"] == "1"
    assert not {"authorization", "x-api-key", "cookie", "proxy-authorization"} & set(
        request.headers
    )


def test_a_refused_key_never_reaches_the_upstream(serve: Serve) -> None:
    upstream = Upstream(echo)
    client = serve(application(upstream))
    assert client.call("POST", "/v1/messages", b"{}", {"x-api-key": "sk-tesT"}).status == 401
    assert client.call("POST", "/v1/messages", b"{}", {}).status == 401
    assert upstream.requests == []


def test_a_plain_answer_has_its_length_and_a_request_id(serve: Serve) -> None:
    answer = serve(application(Upstream(echo))).call("POST", "/v1/messages", b"{}", KEY)
    assert answer.headers["content-length"] == "2"
    assert "transfer-encoding" not in answer.headers
    assert answer.headers["request-id"].startswith("req_")


def test_the_upstreams_own_request_id_is_kept(serve: Serve) -> None:
    async def answer(_: Request) -> Answer:
        return Answer(529, (*JSON, ("request-id", "req_theirs"), ("retry-after", "7")), b"{}")

    answered = serve(application(Upstream(answer))).call("POST", "/v1/messages", b"{}", KEY)
    assert answered.status == 529
    assert answered.headers["request-id"] == "req_theirs"
    assert answered.headers["retry-after"] == "7"


def test_a_chunk_leaves_before_the_next_one_exists(serve: Serve) -> None:
    proceed = threading.Event()

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"first"
        await asyncio.to_thread(proceed.wait, 10)
        yield b"second"

    async def answer(_: Request) -> Answer:
        return Answer(200, SSE, chunks())

    client = serve(application(Upstream(answer)))
    with contextlib.closing(client.connect()) as connection:
        connection.request("POST", "/v1/messages", b"{}", KEY)
        response = connection.getresponse()
        assert response.read(5) == b"first"
        proceed.set()
        assert response.read() == b"second"


def test_a_cut_answer_reaches_the_client_up_to_the_cut(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"some"
        raise ConnectionCut

    async def answer(_: Request) -> Answer:
        return Answer(200, SSE, chunks())

    client = serve(application(Upstream(answer)))
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.call("POST", "/v1/messages", b"{}", KEY)
    assert caught.value.partial == b"some"
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_connection_can_be_cut_before_the_head(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_: Request) -> Answer:
        raise ConnectionCut

    client = serve(application(Upstream(answer)))
    with pytest.raises(http.client.RemoteDisconnected):
        client.call("POST", "/v1/messages", b"{}", KEY)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("streams", [True, False])
def test_a_client_that_leaves_ends_the_work(serve: Serve, streams: bool) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def forever() -> AsyncGenerator[bytes, None]:
        try:
            yield b"first"
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def answer(_: Request) -> Answer:
        if streams:
            return Answer(200, SSE, forever())
        return Answer(200, JSON, b"".join([chunk async for chunk in forever()]))

    client = serve(application(Upstream(answer)))
    connection = client.connect()
    connection.request("POST", "/v1/messages", b"{}", KEY)
    assert begun.wait(10)
    assert not ended.is_set()
    connection.close()
    assert ended.wait(10)
    assert client.call("GET", "/healthz").status == 200


def test_a_stop_that_drops_an_answer_logs_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    async def forever() -> AsyncGenerator[bytes, None]:
        yield b"first"
        await asyncio.Event().wait()

    async def answer(_: Request) -> Answer:
        return Answer(200, SSE, forever())

    with bind("127.0.0.1", 0) as listener:
        server = Server(application(Upstream(answer)), listener)
        server.config.timeout_graceful_shutdown = 0
        ready = threading.Event()
        thread = threading.Thread(target=server.serve_until_stopped, args=(ready.set,))
        thread.start()
        assert ready.wait(10)
        client = http.client.HTTPConnection(*listener.getsockname()[:2])
        with contextlib.closing(client) as connection:
            connection.request("POST", "/v1/messages", b"{}", KEY)
            response = connection.getresponse()
            assert response.read(5) == b"first"
            server.stop()
            with pytest.raises(http.client.IncompleteRead):
                response.read()
        thread.join(10)
    assert not thread.is_alive()
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_defect_is_answered_in_the_envelope_and_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_: Request) -> Answer:
        raise ZeroDivisionError("secret detail")

    client = serve(application(Upstream(answer)))
    answered = client.call("POST", "/v1/messages", b"{}", KEY)
    # The trace is written before the server turns to the next request.
    assert client.call("GET", "/healthz").status == 200
    assert answered.status == 500
    assert json.loads(answered.body)["error"]["code"] == "internal_error"
    assert b"secret detail" not in answered.body
    assert any(record.exc_info is not None for record in caplog.records)


def test_a_body_above_the_limit_is_refused_before_it_is_read(serve: Serve) -> None:
    upstream = Upstream(echo)
    client = serve(application(upstream, max_body_bytes=1000))
    assert client.call("POST", "/v1/messages", b"x" * 1000, KEY).status == 200
    answer = client.call("POST", "/v1/messages", b"x" * 1001, KEY)
    assert answer.status == 413
    assert json.loads(answer.body)["error"]["type"] == "request_too_large"
    with contextlib.closing(client.connect()) as connection:
        connection.putrequest("POST", "/v1/messages")
        connection.putheader("content-length", str(2**40))
        connection.putheader("x-api-key", "sk-test")
        connection.endheaders()
        assert connection.getresponse().status == 413
    assert len(upstream.requests) == 1


def test_a_chunked_body_above_the_limit_is_refused(serve: Serve) -> None:
    upstream = Upstream(echo)
    client = serve(application(upstream, max_body_bytes=1000))
    with contextlib.closing(client.connect()) as connection:
        chunks = iter([b"x" * 600, b"x" * 600])
        connection.request("POST", "/v1/messages", chunks, KEY, encode_chunked=True)
        assert connection.getresponse().status == 413
    assert upstream.requests == []


def test_without_a_key_no_body_is_read(serve: Serve) -> None:
    client = serve(application(Upstream(echo)))
    with contextlib.closing(client.connect()) as connection:
        connection.putrequest("POST", "/v1/messages")
        connection.putheader("content-length", "1000")
        connection.putheader("expect", "100-continue")
        connection.endheaders()
        assert connection.getresponse().status == 401


def test_a_client_that_leaves_in_the_middle_of_its_request_is_no_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = Upstream(echo)
    client = serve(application(upstream))
    connection = client.connect()
    connection.putrequest("POST", "/v1/messages")
    connection.putheader("content-length", "100")
    connection.putheader("x-api-key", "sk-test")
    connection.endheaders()
    connection.send(b"half")
    connection.close()
    assert client.call("GET", "/healthz").status == 200
    assert upstream.requests == []
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
