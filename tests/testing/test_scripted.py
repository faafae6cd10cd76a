from __future__ import annotations

import socket
import ssl
from http.client import BadStatusLine, HTTPConnection, IncompleteRead, RemoteDisconnected

import pytest
import trustme

from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Gate,
    Reset,
    ScriptedServer,
    ScriptError,
    StartTLS,
    json_response,
    sse_event,
    sse_head,
    sse_response,
)

OK = json_response(200, {"ok": True})


def call(server: ScriptedServer, body: bytes = b"") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", "/v1/messages?beta=true", body, {"X-One": "1"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def connect(server: ScriptedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def test_calls_are_answered_in_order_and_recorded() -> None:
    with ScriptedServer([OK, json_response(529, {"error": 1}, {"retry-after": "1"})]) as server:
        assert call(server, b'{"a": 1}') == (200, b'{"ok":true}')
        assert call(server)[0] == 529
    first = server.requests[0]
    assert (first.method, first.path, first.query) == ("POST", "/v1/messages", "beta=true")
    assert first.headers["x-one"] == "1"
    assert ("X-One", "1") in first.raw_headers
    assert first.json() == {"a": 1}
    assert [request.connection for request in server.requests] == [0, 1]


def test_a_connection_serves_several_calls() -> None:
    with ScriptedServer([OK, OK]) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        for _ in range(2):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b'{"ok":true}'
        assert server.connection_count == 1
        connection.close()
        server.wait_until_disconnected()


def test_a_chunked_request_body_is_put_together() -> None:
    with ScriptedServer([OK]) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/", iter([b"abc", b"def"]), encode_chunked=True)
        assert connection.getresponse().read() == b'{"ok":true}'
        connection.close()
    assert server.requests[0].body == b"abcdef"


def test_a_call_that_the_script_does_not_have_fails_the_test() -> None:
    missing = pytest.raises(ScriptError, match="call 2 is not in the script: POST /v1/messages")
    with missing, ScriptedServer([OK]) as server:
        call(server)
        assert call(server)[0] == 500


def test_an_exchange_that_was_never_played_fails_the_test() -> None:
    with pytest.raises(ScriptError, match="never played"), ScriptedServer([OK, OK]) as server:
        call(server)
    with ScriptedServer([OK], require_all=False):
        pass


def test_an_error_in_the_block_is_not_covered_by_the_script() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedServer([OK]):
        raise ZeroDivisionError


def test_an_event_stream_arrives_event_by_event_through_a_gate() -> None:
    gate = Gate()
    event = {"type": "ping"}
    whole = sse_response([event])
    first, rest = whole[: len(sse_head())], whole[len(sse_head()) :]
    with ScriptedServer([Exchange(first, gate, rest)]) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert gate.reached.wait(60)
        gate.open()
        assert response.read() == sse_event(event)
        connection.close()


def test_a_gate_that_nobody_opens_fails_the_test() -> None:
    unopened = pytest.raises(ScriptError, match="nobody opened a gate")
    with unopened, ScriptedServer([Exchange(Gate(timeout_seconds=0.01))]) as server:
        with pytest.raises(RemoteDisconnected):
            call(server)
        server.wait_until_disconnected()


def test_a_cut_stream_is_incomplete() -> None:
    cut = Exchange(sse_response([{"type": "ping"}], complete=False), Close)
    with ScriptedServer([cut]) as server, pytest.raises(IncompleteRead):
        call(server)


def test_a_reset_is_a_reset() -> None:
    with ScriptedServer([Exchange(Reset)]) as server, pytest.raises(ConnectionResetError):
        call(server)


def test_a_connection_can_be_closed_before_a_request_is_read() -> None:
    with ScriptedServer([Exchange(Close, read="nothing"), OK]) as server:
        with connect(server) as sock:
            assert sock.recv(1) == b""
        assert call(server)[0] == 200
    assert len(server.requests) == 1


def test_an_answer_can_come_before_the_body_was_sent() -> None:
    with ScriptedServer([Exchange(OK, read="head")]) as server, connect(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\n")
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
    assert server.requests[0].headers["content-length"] == "100"


def test_garbage_is_sent_as_it_is() -> None:
    garbage = Exchange(b"\x00\x01 nonsense\r\n\r\n", Close)
    with ScriptedServer([garbage]) as server, pytest.raises(BadStatusLine):
        call(server)


def test_a_client_that_leaves_is_noticed() -> None:
    with ScriptedServer([Exchange(b"HTTP/1.1 200 OK\r\n\r\n", AwaitDisconnect())]) as server:
        with connect(server) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(8) == b"HTTP/1.1"
            assert server.open_connection_count == 1
        server.wait_until_disconnected()


def test_a_function_can_answer() -> None:
    with ScriptedServer(lambda request: json_response(200, request.method)) as server:
        assert [call(server)[1] for _ in range(3)] == [b'"POST"'] * 3


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_it_speaks_tls(authority: trustme.CA) -> None:
    with ScriptedServer([OK], ssl_context=server_context(authority)) as server:
        assert server.base_url.startswith("https://127.0.0.1:")
        trusting = client_context(authority)
        with trusting.wrap_socket(connect(server), server_hostname="127.0.0.1") as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(15) == b"HTTP/1.1 200 OK"


def test_tls_can_start_behind_a_connect(authority: trustme.CA) -> None:
    tunnel = Exchange(b"HTTP/1.1 200 OK\r\n\r\n", StartTLS(server_context(authority)))
    with ScriptedServer([tunnel, OK]) as server, connect(server) as plain:
        plain.sendall(b"CONNECT localhost:443 HTTP/1.1\r\n\r\n")
        assert plain.recv(100) == b"HTTP/1.1 200 OK\r\n\r\n"
        with client_context(authority).wrap_socket(plain, server_hostname="localhost") as sock:
            sock.sendall(b"GET /inner HTTP/1.1\r\n\r\n")
            assert sock.recv(15) == b"HTTP/1.1 200 OK"
    assert [request.target for request in server.requests] == ["localhost:443", "/inner"]


def test_ipv6_is_served() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        server = ScriptedServer([OK], host="::1").start()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    try:
        assert server.base_url == f"http://[::1]:{server.port}"
    finally:
        server.stop()
