"""Raw requests to a real gateway: what is HTTP/1.1 as RFC 9112 has it, and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.serving.protocol import HttpProtocol
from apertis.testing import ScriptedServer, json_response
from tests.kit.gateways import serving
from tests.kit.waiting import keep_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.gateway.serving.protocol import ClientExchange
    from tests.kit.gateways import RunningGateway

    Start = Callable[..., RunningGateway]

ASK = json.dumps(
    {
        "model": "claude-sonnet-4-5",
        "max_tokens": 20,
        "messages": [{"role": "user", "content": "\nupgrade: h2c\r\n\r\nHi"}],
    }
).encode()
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def talk(port: int, *pieces: bytes) -> bytes:
    """Send pieces one after the other, each seen alone; all that comes until the end."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
            if len(pieces) > 1:
                keep_apart()
        answer = b""
        with contextlib.suppress(ConnectionError):
            while data := client.recv(65536):
                answer += data
    return answer


def head(key: str, *lines: str, version: str = "1.1", host: str | None = "host: gateway") -> bytes:
    fields = [f"POST /v1/messages HTTP/{version}", *([host] if host is not None else [])]
    fields += [f"x-api-key: {key}", "connection: close", *lines, "", ""]
    return "\r\n".join(fields).encode("latin-1")


def with_length(body: bytes = ASK) -> str:
    return f"content-length: {len(body)}"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error(answer: bytes) -> tuple[int, str]:
    document = json.loads(answer.partition(b"\r\n\r\n")[2])
    return status(answer), document["error"]["message"]


@pytest.mark.parametrize(
    "host",
    [
        "host: gateway",
        "host: gateway:8000",
        "host: 127.0.0.1:8000",
        "host: [::1]:8000",
        "host: my_service.local",
        "Host: EXAMPLE.com:",
    ],
)
def test_a_sound_host_is_served(sandbox_gateway: RunningGateway, host: str) -> None:
    client = sandbox_gateway.client
    assert status(talk(client.port, head(client.api_key, with_length(), host=host) + ASK)) == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        "host:",
        "host: a b",
        "host: a/b",
        "host: user@a",
        "host: a,b",
        "host: a:80:80",
        "host: a:http",
        "host: [::1",
        "host: ::1",
        "host: a?b",
        "host: a#b",
        "host: a\\b",
        "host: \xe4",
        "host: a\r\nhost: a",
        "host: a\r\nHost: b",
    ],
)
def test_a_request_names_one_host(sandbox_gateway: RunningGateway, host: str | None) -> None:
    client = sandbox_gateway.client
    answer = talk(client.port, head(client.api_key, with_length(), host=host) + ASK)
    assert status(answer) == 400
    assert "'host'" in error(answer)[1]
    assert b"x-should-retry: false\r\n" in answer


def test_http_1_0_needs_no_host(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    for host, expected in ((None, 200), ("host: a", 200), ("host: a b", 400)):
        sent = head(client.api_key, with_length(), version="1.0", host=host) + ASK
        assert status(talk(client.port, sent)) == expected


CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ASK), ASK)


@pytest.mark.parametrize(
    ("coding", "expected"),
    [
        ("transfer-encoding: chunked", 200),
        ("Transfer-Encoding: CHUNKED", 200),
        ("transfer-encoding: gzip, chunked", 501),
        ("transfer-encoding: chunked, chunked", 501),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", 400),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked", 501),
        ("transfer-encoding: gzip", 400),
        ("transfer-encoding: identity", 400),
        ("transfer-encoding: chunked\r\ncontent-length: 5", 400),
        ("content-length: 5\r\ntransfer-encoding: chunked", 400),
        ("content-length: 5\r\ncontent-length: 6", 400),
        ("content-length: 5, 5", 400),
        ("content-length: +5", 400),
        ("content-length: -5", 400),
    ],
)
def test_a_body_is_framed_in_one_way(
    sandbox_gateway: RunningGateway, coding: str, expected: int
) -> None:
    client = sandbox_gateway.client
    got = status(talk(client.port, head(client.api_key, coding) + CHUNKED))
    assert got == expected or (expected != 200 and got in {400, 501})


def test_http_1_0_has_no_transfer_encoding(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    sent = head(client.api_key, "transfer-encoding: chunked", version="1.0") + CHUNKED
    assert status(talk(client.port, sent)) == 400


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0"])
def test_other_versions_of_http_are_refused(sandbox_gateway: RunningGateway, version: str) -> None:
    client = sandbox_gateway.client
    sent = head(client.api_key, with_length(), version=version) + ASK
    assert status(talk(client.port, sent)) in {400, 501}


OFFER = "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_offer_to_upgrade_is_ignored_however_it_is_cut(
    start_gateway: Start, framing: str
) -> None:
    lines, sent = with_length(), ASK
    if framing == "chunked":
        lines, sent = "transfer-encoding: chunked", CHUNKED
    cuts = [1, 60, 100, -20, -4, -3, -2, -1]
    answers = [json_response(200, ANSWER)] * (len(cuts) + 2)
    with ScriptedServer(answers) as upstream:
        gateway = start_gateway(
            f'[[upstreams]]\nname = "a"\nbase_url = "{upstream.base_url}"\n'
        ).client
        begin = head(gateway.api_key, OFFER, lines).replace(b"connection: close\r\n", b"")
        for pieces in (
            [begin + sent],
            [begin, sent],
            *[[begin[:cut], begin[cut:] + sent] for cut in cuts],
        ):
            assert status(talk(gateway.port, *pieces)) == 200
            assert upstream.requests[-1].body == ASK
            assert "upgrade" not in str(upstream.requests[-1].headers).lower()


def test_offers_of_requests_in_a_row_are_ignored(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    kept = head(client.api_key, OFFER.replace(", close", ""), with_length())
    kept = kept.replace(b"connection: close\r\n", b"") + ASK
    last = head(client.api_key, OFFER, with_length()).replace(b"connection: close\r\n", b"") + ASK
    assert talk(client.port, kept + kept + last).count(b"HTTP/1.1 200 OK") == 3


def test_connect_is_no_method_of_a_gateway(sandbox_gateway: RunningGateway) -> None:
    sent = b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n"
    assert status(talk(sandbox_gateway.client.port, sent)) == 501


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize(("size", "expected"), [(60_000, 200), (70_000, 431), (200_000, 431)])
def test_trailers_are_limited_like_a_head(
    sandbox_gateway: RunningGateway, size: int, expected: int, cut: bool
) -> None:
    client = sandbox_gateway.client
    trailers = b"x-trailer: %b\r\n" % (b"v" * 985) * (size // 1000)
    body = b"%x\r\n%b\r\n" % (len(ASK), ASK)
    begin = head(client.api_key, "transfer-encoding: chunked") + body
    rest = b"0\r\n" + trailers + b"\r\n"
    answer = talk(client.port, *([begin, rest] if cut else [begin + rest]))
    assert status(answer) == expected


@pytest.mark.parametrize(
    "twice",
    [
        "x-api-key: {key}",
        "x-api-key: other",
        "X-API-Key: {key}",
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/admin/v1/keys", "/metrics"])
def test_a_key_is_sent_once(sandbox_gateway: RunningGateway, twice: str, path: str) -> None:
    client = sandbox_gateway.client
    lines = twice.format(key=client.api_key), "x-forwarded-for: 192.0.2.1", with_length()
    sent = head(client.api_key, *lines).replace(b"/v1/messages", path.encode())
    method = b"POST" if path == "/v1/messages" else b"GET"
    answer = talk(client.port, sent.replace(b"POST", method, 1) + ASK)
    assert error(answer) == (400, "The header 'x-api-key' is there more than once")


def test_a_bearer_token_is_sent_once_too(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    bearer = f"authorization: Bearer {client.api_key}"
    answer = talk(client.port, head("", bearer, bearer, with_length()) + ASK)
    assert error(answer) == (400, "The header 'authorization' is there more than once")
    # One of each was always allowed: clients send both.
    both = head(client.api_key, bearer, with_length()) + ASK
    assert status(talk(client.port, both)) == 200


def gzipped(body: bytes) -> bytes:
    return gzip.compress(body)


@pytest.mark.parametrize(
    ("name", "compress"),
    [("gzip", gzipped), ("GZIP", gzipped), ("x-gzip", gzipped), ("deflate", zlib.compress)],
)
@pytest.mark.parametrize("size", [0, 100_000])
def test_a_compressed_body_is_read_and_sent_on_plain(
    start_gateway: Start, name: str, compress: Callable[[bytes], bytes], size: int
) -> None:
    plain = json.dumps({**json.loads(ASK), "system": "".join(map(str, range(size)))}).encode()
    body = compress(plain)
    with ScriptedServer([json_response(200, ANSWER)]) as upstream:
        gateway = start_gateway(
            f'[[upstreams]]\nname = "a"\nbase_url = "{upstream.base_url}"\n'
        ).client
        lines = f"content-encoding: {name}", with_length(body)
        assert status(talk(gateway.port, head(gateway.api_key, *lines) + body)) == 200
        (seen,) = upstream.requests
        assert seen.body == plain
        assert "content-encoding" not in {field[0].lower() for field in seen.headers}


def test_a_compressed_body_may_come_in_pieces(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    body = gzip.compress(ASK)
    begin = head(client.api_key, "content-encoding: gzip", with_length(body))
    assert status(talk(client.port, begin, body[:9], body[9:])) == 200


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/admin/v1/keys"])
@pytest.mark.parametrize("coding", ["br", "compress", "gzip, gzip", "gzip, br", "\xfc"])
def test_a_coding_that_is_not_understood_is_named(
    sandbox_gateway: RunningGateway, coding: str, path: str
) -> None:
    client = sandbox_gateway.client
    begin = head(client.api_key, f"content-encoding: {coding}", with_length(b"\0\1nothing"))
    answer = talk(client.port, begin.replace(b"/v1/messages", path.encode()) + b"\0\1nothing")
    assert status(answer) == 415
    assert "content-encoding" in error(answer)[1]
    assert b"\r\naccept-encoding: gzip, x-gzip, deflate" in answer
    assert b"\r\nx-should-retry: false\r\n" in answer


@pytest.mark.parametrize("coding", ["identity", "", "identity, gzip"])
def test_identity_is_no_coding(sandbox_gateway: RunningGateway, coding: str) -> None:
    client = sandbox_gateway.client
    body = gzip.compress(ASK) if "gzip" in coding else ASK
    begin = head(client.api_key, f"content-encoding: {coding}", with_length(body))
    assert status(talk(client.port, begin + body)) == 200


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(ASK)[:-1], b"", b"\x1f"])
def test_a_damaged_body_is_refused(sandbox_gateway: RunningGateway, body: bytes) -> None:
    client = sandbox_gateway.client
    begin = head(client.api_key, "content-encoding: gzip", with_length(body))
    got, said = error(talk(client.port, begin + body))
    assert got == 400
    assert "content-encoding" in said or "format" in said


@pytest.mark.parametrize("size", [10_000_000, 400_000_000])
def test_a_body_that_grows_past_the_limit_is_too_large(start_gateway: Start, size: int) -> None:
    client = start_gateway("[server]\nmax_body_bytes = '2MB'\n").client
    bomb = gzip.compress(b'{"system": "' + b" " * size, compresslevel=1)
    assert len(bomb) < 2 * 2**20
    begin = head(client.api_key, "content-encoding: gzip", with_length(bomb))
    assert status(talk(client.port, begin + bomb)) == 413


def test_a_body_that_comes_in_drips_is_cut_when_its_time_is_over(start_gateway: Start) -> None:
    client = start_gateway("[server]\nbody_total_timeout_seconds = 0.3\n").client
    stop = threading.Event()
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as sock:
        sock.sendall(head(client.api_key, "content-length: 100000"))

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.02):
                    sock.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        answer = b""
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(65536):
                answer += data
        stop.set()
        thread.join()
    got, said = error(answer)
    assert (got, said) == (408, "The request's body did not come as a whole within 0.3 seconds")
    assert b"connection: close" in answer
    assert b"x-should-retry: true" in answer


class Impatient(HttpProtocol):
    """The server's protocol, with less patience for the rest of an answered request."""

    rest_seconds = 0.2


async def answering_at_once(exchange: ClientExchange) -> None:
    exchange.answer(401, [], b"no")


@pytest.fixture
def impatient() -> Iterator[int]:
    with serving(answering_at_once, Impatient) as port:
        yield port


def test_the_rest_of_an_answered_request_does_not_come_for_ever(impatient: int) -> None:
    begin = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", impatient), timeout=60) as sock:
        sock.sendall(begin)
        assert sock.recv(1000).startswith(b"HTTP/1.1 401")
        with pytest.raises(OSError):  # noqa: PT012 - who sees the end is chance.
            for _ in range(500):
                sock.sendall(b" ")
                sock.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    if sock.recv(100) == b"":
                        raise ConnectionError
    with socket.create_connection(("127.0.0.1", impatient), timeout=60) as sock:
        # One that comes in time leaves the connection as it was.
        sock.sendall(begin)
        assert sock.recv(1000).startswith(b"HTTP/1.1 401")
        sock.sendall(b" " * 1000 + begin)
        assert sock.recv(1000).startswith(b"HTTP/1.1 401")
