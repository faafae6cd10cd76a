"""Requests as a scripted server reads them, however their bytes are cut."""

from __future__ import annotations

import itertools
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.testing.connection import ClientGoneError, RecordedRequest, ServerConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    Pair = tuple[socket.socket, ServerConnection]

CHUNKED = (
    b"POST /v1/messages?beta=true HTTP/1.1\r\nX-One:  1 \r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"3;note=x\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: y\r\n\r\n"
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    client, server = socket.socketpair()
    connection = ServerConnection(server, 7)
    with client:
        yield client, connection
        connection.close()


def read_cut(raw: bytes, cuts: list[int]) -> list[RecordedRequest]:
    """Both requests of `raw`, which comes in pieces."""
    client, server = socket.socketpair()
    connection = ServerConnection(server, 1)
    places = [0, *sorted(cuts), len(raw)]
    pieces = [raw[a:b] for a, b in itertools.pairwise(places)]

    def send() -> None:
        for piece in pieces:
            client.sendall(piece)

    sender = threading.Thread(target=send)
    sender.start()
    with client:
        requests = [connection.read_body(connection.read_head()) for _ in range(2)]
        sender.join()
        connection.close()
    return requests


@given(st.lists(st.integers(0, 2 * len(CHUNKED)), max_size=6))
def test_requests_are_read_alike_however_they_are_cut(cuts: list[int]) -> None:
    first, second = read_cut(CHUNKED * 2, cuts)
    assert first == second
    assert (first.method, first.path, first.query) == ("POST", "/v1/messages", "beta=true")
    assert first.headers == {"x-one": "1", "transfer-encoding": "Chunked"}
    assert first.raw_headers == (("X-One", "1"), ("Transfer-Encoding", "Chunked"))
    assert first.body == b"abcde"


def test_a_body_of_a_known_length_is_read_as_json(pair: Pair) -> None:
    client, connection = pair
    client.sendall(b'POST / HTTP/1.1\r\ncontent-length: 8\r\n\r\n{"a": 1}')
    request = connection.read_body(connection.read_head())
    assert (request.json(), request.connection, request.query) == ({"a": 1}, 7, "")


def test_a_client_that_leaves_in_the_middle_is_told_from_one_that_is_slow(pair: Pair) -> None:
    client, connection = pair
    assert not connection.await_disconnect(0.001)
    client.sendall(b"POST / HTTP/1.1\r\n")
    client.close()
    connection.interrupt()
    with pytest.raises(ClientGoneError):
        connection.read_head()
    assert connection.await_disconnect(30)


def test_a_connection_may_be_closed_twice(pair: Pair) -> None:
    client, connection = pair
    connection.close()
    connection.close(reset=True)
    assert client.recv(1) == b""
