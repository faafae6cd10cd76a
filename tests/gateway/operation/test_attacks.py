"""What clients try who mean harm: on raw sockets, against a whole gateway."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import TYPE_CHECKING

import pytest

from tests.kit.waiting import keep_apart

if TYPE_CHECKING:
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client

HIDDEN = b"GET /healthz HTTP/1.1\r\nhost: hidden\r\n\r\n"
MAX_BYTES = 2 * 2**20


def statuses(port: int, *pieces: bytes) -> list[bytes]:
    """Send pieces, each by itself, and give the statuses that come until the server hangs up."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
            keep_apart()
        answer = b""
        while data := client.recv(65536):
            answer += data
    return re.findall(rb"HTTP/1\.1 (\d{3})", answer)


def listing(*secrets: str) -> bytes:
    credentials = b"".join(b"authorization: Bearer %b\r\n" % s.encode() for s in secrets)
    return b"GET /admin/v1/keys HTTP/1.1\r\nhost: x\r\nconnection: close\r\n%b\r\n" % credentials


def test_a_second_credential_does_not_bring_back_an_administrators_key_that_was_disabled(
    sandbox_gateway: RunningGateway,
) -> None:
    _, plain = sandbox_gateway.make_key()
    key_id, disabled = sandbox_gateway.make_key(admin=True)
    _, elsewhere = sandbox_gateway.make_key(admin=True, addresses=["192.0.2.1"])
    assert statuses(plain.port, listing(disabled.api_key)) == [b"200"]
    sandbox_gateway.client.call("POST", f"/admin/v1/keys/{key_id}/disable")
    for secret in (disabled.api_key, elsewhere.api_key):
        assert statuses(plain.port, listing(secret, plain.api_key)) == [b"400"]
        assert statuses(plain.port, listing(plain.api_key, secret)) == [b"400"]


def test_the_admin_api_reads_no_body_of_others(sandbox_gateway: RunningGateway) -> None:
    _, plain = sandbox_gateway.make_key()
    head = (
        b"POST /admin/v1/keys HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\nconnection: close\r\n"
        b"content-length: 1000\r\n\r\n"
    )
    assert statuses(plain.port, head % plain.api_key.encode()) == [b"403"]


def offer(client: Client) -> bytes:
    return (
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\nconnection: Upgrade, close\r\n"
        b"upgrade: h2c\r\ncontent-length: %d\r\n\r\n" % (client.api_key.encode(), len(HIDDEN))
    )


def test_the_body_behind_an_offer_to_upgrade_is_never_another_request(
    sandbox_gateway: RunningGateway,
) -> None:
    client = sandbox_gateway.client
    head = offer(client)
    middle = head.index(b"upgrade:") + 3
    assert statuses(client.port, head[:middle], head[middle:], HIDDEN) == [b"400"]
    first = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    assert statuses(client.port, first + head, HIDDEN) == [b"200", b"400"]


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"0\r\n", b"x-trailer: %b\r\n" % (b"v" * 1000)),
        (b"0\r\nx-trailer: ", b"v" * 1000),
        (b"2;extension=", b"v" * 1000),
    ],
    ids=["many trailers", "one trailer", "an extension of a chunk"],
)
def test_what_frames_a_body_has_an_end(
    sandbox_gateway: RunningGateway, begin: bytes, piece: bytes
) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    address = ("127.0.0.1", sandbox_gateway.client.port)
    with contextlib.closing(socket.create_connection(address, timeout=60)) as client:
        client.sendall(head + b"2\r\n{}\r\n" + begin)
        # What the system keeps on the way is more than the server reads.
        with pytest.raises(ConnectionError):
            client.sendall(piece * (16 * MAX_BYTES // len(piece)))


def test_trailers_are_no_headers(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    body = b'{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"a"}]}'
    request = (
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\nconnection: close\r\n"
        b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nx-response-cache: perhaps\r\n\r\n"
    )
    sent = request % (client.api_key.encode(), len(body), body)
    assert statuses(client.port, sent) == [b"200"]


def test_requests_whose_answers_nobody_reads_are_not_answered_for_ever(
    sandbox_gateway: RunningGateway,
) -> None:
    port = sandbox_gateway.client.port
    with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as client:
        client.settimeout(0.5)
        requests = b"GET /v1/nowhere HTTP/1.1\r\nhost: x\r\n\r\n" * 50
        sent = 0
        # The server stops reading: the system's buffers fill up, and nothing more is taken.
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < 32 * MAX_BYTES:
                sent += client.send(requests)
        assert sent < 16 * MAX_BYTES
    assert sandbox_gateway.client.call("GET", "/healthz").status == 200
