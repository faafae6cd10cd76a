from __future__ import annotations

import asyncio
import gzip
import ssl
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from apertis.errors import ConfigurationError
from apertis.gateway.config.settings import ANTHROPIC_URL
from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamRequest, UpstreamTimeouts
from apertis.gateway.upstreams.outcome import Fault
from apertis.testing import (
    Close,
    Exchange,
    Gate,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_head,
)

if TYPE_CHECKING:
    from tests.kit.asking import Asker

OK = json_response(200, {"ok": True}, {"request-id": "req_up"})
OK_BODY = b'{"ok":true}'


def test_a_request_goes_up_with_the_upstreams_own_key(asker: Asker) -> None:
    given = (
        (b"host", b"gateway"),
        (b"authorization", b"Bearer sk-callers"),
        (b"accept-encoding", b"gzip, br"),
        (b"anthropic-beta", b"a-1"),
        (b"x-stainless-lang", b"python"),
    )
    with ScriptedServer([OK]) as server:
        heard = asker.ask(
            asker.upstream(server.base_url),
            body=b'{"model": "m" }',
            headers=given,
            target="/v1/messages?beta=true&x=%2F",
        )
        (request,) = server.requests
    assert (heard.status, heard.body, heard.failure) == (200, OK_BODY, None)
    assert heard.header(b"request-id") == b"req_up"
    assert request.method == "POST"
    assert request.target == "/v1/messages?beta=true&x=%2F"
    assert request.body == b'{"model": "m" }'
    assert request.headers == {
        "host": server_host(request.headers["host"]),
        "accept-encoding": "identity",
        "x-api-key": "sk-ours",
        "content-length": "15",
        "anthropic-beta": "a-1",
        "x-stainless-lang": "python",
        "anthropic-version": "2023-06-01",
    }


def server_host(value: str) -> str:
    assert value.startswith("127.0.0.1:")
    return value


def test_the_key_may_go_as_a_bearer_token(asker: Asker) -> None:
    with ScriptedServer([OK]) as server:
        asker.ask(asker.upstream(server.base_url, auth="bearer"))
        headers = server.requests[0].headers
    assert headers["authorization"] == "Bearer sk-ours"
    assert "x-api-key" not in headers


def test_without_a_key_the_callers_is_not_sent_in_its_place(asker: Asker) -> None:
    with ScriptedServer([OK]) as server:
        asker.ask(
            asker.upstream(server.base_url, api_key=None), headers=((b"x-api-key", b"sk-callers"),)
        )
        assert not {"x-api-key", "authorization"} & server.requests[0].headers.keys()


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", "/v1/messages"), ("/v1", "/v1/messages"), ("/a/b c/", "/a/b%20c/v1/messages")],
)
def test_the_base_url_may_have_a_path(asker: Asker, path: str, expected: str) -> None:
    with ScriptedServer([OK]) as server:
        asker.ask(asker.upstream(server.base_url + path))
        assert server.requests[0].target == expected


def test_the_default_version_is_configured(asker: Asker) -> None:
    with ScriptedServer([OK, OK]) as server:
        upstream = asker.upstream(server.base_url, anthropic_version="2026-10-21")
        asker.ask(upstream)
        asker.ask(upstream, headers=((b"anthropic-version", b"2099-01-01"),))
        sent = [request.headers["anthropic-version"] for request in server.requests]
    assert sent == ["2026-10-21", "2099-01-01"]


def test_chunks_come_when_they_come(asker: Asker) -> None:
    gates = [Gate(), Gate()]
    pieces = [b"event: a\n\n", b": comment\n\n", b"\xff\0half"]
    end = http_chunk(pieces[2]) + http_chunk(b"")
    steps = (http_chunk(pieces[0]), gates[0], http_chunk(pieces[1]), gates[1], end)

    async def reading(upstream: AnthropicUpstream) -> list[object]:
        answer = await asker.opened(upstream)
        read: list[object] = []
        for gate in (*gates, Gate()):
            # The server stands before its gate: what came cannot have waited for more.
            read.append(await answer.read())
            gate.open()
        read.append(await answer.read())
        return read

    with ScriptedServer([Exchange(sse_head(), *steps)]) as server:
        assert asker.run(reading(asker.upstream(server.base_url))) == [*pieces, b""]


def test_one_connection_serves_request_after_request(asker: Asker) -> None:
    stream = sse_head() + http_chunk(b"x") + http_chunk(b"")
    with ScriptedServer([OK, stream, OK]) as server:
        upstream = asker.upstream(server.base_url)
        assert [asker.ask(upstream).body for _ in range(3)] == [OK_BODY, b"x", OK_BODY]
        assert server.connection_count == 1


def test_no_more_connections_are_open_than_allowed(asker: Asker) -> None:
    async def many(upstream: AnthropicUpstream) -> list[bytes]:
        return [heard.body for heard in await asyncio.gather(*map(asker.asking, [upstream] * 9))]

    with ScriptedServer(lambda _: OK) as server:
        assert asker.run(many(asker.upstream(server.base_url, max_connections=2))) == [OK_BODY] * 9
        assert server.connection_count == 2


def test_who_waits_too_long_for_a_connection_never_sent_anything(asker: Asker) -> None:
    async def two(upstream: AnthropicUpstream) -> object:
        held = await asker.opened(upstream)
        short = UpstreamTimeouts(connect=0.05, first_byte=5.0, idle=5.0)
        refused = await asker.asking(upstream, short)
        held.close()
        return refused.failure

    with ScriptedServer([Exchange(sse_head(), Gate())], require_all=False) as server:
        failure = asker.run(two(asker.upstream(server.base_url, max_connections=1)))
        assert len(server.requests) == 1
    assert isinstance(failure, UpstreamFailure)
    assert failure.kind is Fault.BUSY
    assert "all 1 connections are in use" in failure.reason


BOMB = gzip.compress(bytes(2**30 // 4), 9)


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        ("gzip", gzip.compress(OK_BODY)),
        ("GZIP", BOMB),
        ("deflate", zlib.compress(OK_BODY)),
        ("br", OK_BODY),
        ("identity, gzip", OK_BODY),
    ],
    ids=["gzip", "bomb", "deflate", "br", "two"],
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, "application/json"), (200, "text/event-stream"), (429, "application/json")],
    ids=["whole", "stream", "error"],
)
def test_a_coding_that_nobody_asked_for_is_a_broken_answer(
    asker: Asker, coding: str, encoded: bytes, status: int, kind: str
) -> None:
    head = (
        f"HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\ncontent-encoding: {coding}\r\n"
        f"content-length: {len(encoded)}\r\n\r\n"
    )
    with ScriptedServer([head.encode() + encoded]) as server:
        upstream = asker.upstream(server.base_url)
        tracemalloc.start()
        heard = asker.ask(upstream)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert heard.body == b""
    assert heard.failure is not None
    assert heard.failure.kind is Fault.BROKEN
    assert "which was not requested" in heard.failure.reason
    assert peak < 2**22


def test_identity_is_no_coding(asker: Asker) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-length: 3\r\n\r\nabc"
    with ScriptedServer([answer]) as server:
        heard = asker.ask(asker.upstream(server.base_url))
    assert (heard.body, heard.failure) == (b"abc", None)


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\na: b\r\n\r\n"]
)
def test_interim_answers_are_read_over(asker: Asker, interim: bytes) -> None:
    with ScriptedServer([interim * 2 + OK, OK]) as server:
        upstream = asker.upstream(server.base_url)
        heard = asker.ask(upstream)
        assert (heard.status, heard.body, heard.header(b"a")) == (200, OK_BODY, None)
        assert asker.ask(upstream).body == OK_BODY
        assert server.connection_count == 1


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ],
)
def test_an_answer_may_have_no_body(asker: Asker, method: str, head: bytes) -> None:
    with ScriptedServer([head, OK]) as server:
        upstream = asker.upstream(server.base_url)
        heard = asker.ask(upstream, method=method, body=b"")
        assert (heard.status, heard.body, heard.failure) == (int(head[9:12]), b"", None)
        assert asker.ask(upstream).body == OK_BODY


def test_an_answer_without_a_length_ends_with_its_connection(asker: Asker) -> None:
    with ScriptedServer([Exchange(b"HTTP/1.1 200 OK\r\n\r\nabc", Close)]) as server:
        heard = asker.ask(asker.upstream(server.base_url))
    assert (heard.body, heard.failure) == (b"abc", None)


@pytest.mark.parametrize("status", [307, 400, 401, 429, 500, 529])
def test_every_status_is_an_answer_and_its_body_passes(asker: Asker, status: int) -> None:
    answer = json_response(status, {"type": "error"}, {"retry-after": "7", "location": "/x"})
    with ScriptedServer([answer]) as server:
        heard = asker.ask(asker.upstream(server.base_url))
    assert (heard.status, heard.body) == (status, b'{"type":"error"}')
    assert heard.header(b"retry-after") == b"7"


LARGE = bytes(range(256)) * 40_000


@pytest.mark.parametrize("stays", [True, False])
def test_a_refusal_that_comes_before_a_large_request_is_sent_whole_is_read(
    asker: Asker, stays: bool
) -> None:
    gate = Gate()
    if not stays:
        gate.open()
    refusal = json_response(413, {"too": "large"})
    with ScriptedServer([Exchange(refusal, gate, Close, read="head"), OK]) as server:
        upstream = asker.upstream(server.base_url)
        heard = asker.ask(upstream, body=LARGE)
        assert (heard.status, heard.body) == (413, b'{"too":"large"}')
        # What was left of that request does not stand before the next one.
        assert asker.ask(upstream).body == OK_BODY
        gate.open()


def test_a_large_request_arrives_whole(asker: Asker) -> None:
    with ScriptedServer([OK, OK]) as server:
        upstream = asker.upstream(server.base_url)
        for _ in range(2):
            assert asker.ask(upstream, body=LARGE).body == OK_BODY
        assert [request.body == LARGE for request in server.requests] == [True, True]
        assert server.connection_count == 1


def test_a_closed_upstream_hangs_up_and_lets_answers_come_to_their_end(asker: Asker) -> None:
    gate = Gate()

    async def closing(upstream: AnthropicUpstream) -> bytes | UpstreamFailure:
        await asker.asking(upstream)
        answer = await asker.opened(upstream)
        await upstream.close()
        gate.open()
        return await answer.read()

    late = Exchange(sse_head(), gate, http_chunk(b"late") + http_chunk(b""))
    with ScriptedServer([OK, late]) as server:
        assert asker.run(closing(asker.upstream(server.base_url))) == b"late"
        asker.run(asyncio.sleep(0))
        server.wait_until_disconnected()


def test_an_upstream_serves_one_event_loop_after_another() -> None:
    request = UpstreamRequest("POST", "/v1/messages", [], b"{}")

    async def once(upstream: AnthropicUpstream) -> bytes | UpstreamFailure:
        answer = await upstream.open(request, UpstreamTimeouts(5, 5, 5))
        assert not isinstance(answer, UpstreamFailure)
        data = await answer.read()
        await upstream.close()
        return data

    with ScriptedServer([OK, OK]) as server:
        upstream = AnthropicUpstream("a", server.base_url)
        assert [asyncio.run(once(upstream)) for _ in range(2)] == [OK_BODY] * 2


def test_the_environments_proxy_is_used(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    tunnel = Exchange(b"HTTP/1.1 200 OK\r\n\r\n")
    with ScriptedServer([tunnel, OK]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url)
        heard = asker.ask(asker.upstream("http://upstream.invalid:81/p"))
        assert heard.body == OK_BODY
        connect, request = proxy.requests
    assert (connect.method, connect.target) == ("CONNECT", "upstream.invalid:81")
    assert "x-api-key" not in connect.headers
    assert (request.target, request.headers["host"]) == ("/p/v1/messages", "upstream.invalid:81")


def test_no_proxy_is_heeded(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ScriptedServer([OK]) as server:
        assert asker.ask(asker.upstream(server.base_url)).body == OK_BODY


def test_a_forwarding_proxy_gets_a_large_body_whole(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([json_response(405, {}), OK]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url)
        assert asker.ask(asker.upstream("http://upstream.invalid"), body=LARGE).body == OK_BODY
        request = proxy.requests[1]
    assert request.target == "http://upstream.invalid/v1/messages"
    assert request.body == LARGE


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_tls_is_spoken(asker: Asker, authority: trustme.CA, certificate: ssl.SSLContext) -> None:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    refusal = Exchange(json_response(413, {}), Close, read="head")
    with ScriptedServer([OK, OK, refusal], ssl_context=certificate) as server:
        upstream = asker.upstream(server.base_url, tls=trust)
        assert asker.ask(upstream).body == OK_BODY
        assert asker.ask(upstream, body=LARGE).body == OK_BODY
        assert server.requests[1].body == LARGE
        assert server.connection_count == 1
        assert asker.ask(upstream, body=LARGE).status == 413


def test_who_is_not_trusted_gets_nothing(asker: Asker, certificate: ssl.SSLContext) -> None:
    with ScriptedServer([], ssl_context=certificate) as server:
        failure = asker.ask(asker.upstream(server.base_url)).failure
        assert server.requests == []
    assert failure is not None
    assert failure.kind is Fault.CONNECT
    assert "is not trusted" in failure.reason


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "ftp://host"},
        {"base_url": "https://user:password@host"},
        {"base_url": "https://host/v1/messages"},
        {"api_key": ""},
        {"api_key": "sk-a\r\nx: y"},
        {"api_key": "sk-\u4e16"},
        {"api_key": "k", "auth": "basic"},
        {"anthropic_version": "1\r\nx: y"},
        {"max_connections": 0},
    ],
)
def test_what_cannot_be_is_said_at_once_and_without_the_key(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AnthropicUpstream("here", **options)
    assert "password" not in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_it_shows_its_name_and_not_its_key() -> None:
    upstream = AnthropicUpstream("here", api_key="sk-ours")
    assert repr(upstream) == "AnthropicUpstream('here')"
    assert ANTHROPIC_URL == "https://api.anthropic.com"
