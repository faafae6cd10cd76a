"""One connection as a state machine: RFC 9112."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sansio import http1
from apertis.sansio.http1 import Http1Connection


def run(chunks: list[bytes], *, end: bool = False, method: str = "POST") -> Http1Connection:
    connection = Http1Connection()
    connection.begin(method)
    for chunk in chunks:
        connection.receive(chunk)
    if end:
        connection.end_of_input()
    return connection


def every_cut(stream: bytes) -> list[list[bytes]]:
    whole = [[stream], [stream[i : i + 1] for i in range(len(stream))]]
    return whole + [[stream[:i], stream[i:]] for i in range(1, len(stream))]


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

WHOLE = [
    pytest.param(answer(b"hello"), b"hello", True, id="by length"),
    pytest.param(answer(b""), b"", True, id="empty"),
    pytest.param(
        CHUNKED + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
        b"hello",
        True,
        id="chunked",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
        b"hello",
        True,
        id="with a trailer",
    ),
    pytest.param(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + answer(b"hello"),
        b"hello",
        True,
        id="after interim answers",
    ),
    pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", True, id="204"),
    pytest.param(answer(b"hello", "Connection: close"), b"hello", False, id="to be closed"),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False, id="HTTP/1.0"
    ),
    pytest.param(
        answer(gzip.compress(b"hello"), "Content-Encoding: gzip"), b"hello", True, id="gzip"
    ),
    pytest.param(
        answer(gzip.compress(b"hel") + gzip.compress(b"lo"), "Content-Encoding: GZIP"),
        b"hello",
        True,
        id="gzip of two members",
    ),
    pytest.param(
        answer(zlib.compress(b"hello"), "Content-Encoding: deflate"), b"hello", True, id="deflate"
    ),
    pytest.param(
        answer(deflated(b"hello"), "Content-Encoding: deflate"), b"hello", True, id="bare deflate"
    ),
    pytest.param(answer(b"", "Content-Encoding: gzip"), b"", True, id="nothing, compressed"),
    pytest.param(
        answer(b"hello", "Content-Encoding: identity"), b"hello", True, id="an encoding not ours"
    ),
]


@pytest.mark.parametrize(("stream", "body", "reusable"), WHOLE)
def test_an_answer_is_whole_however_it_is_cut(stream: bytes, body: bytes, reusable: bool) -> None:
    for chunks in every_cut(stream):
        connection = run(chunks)
        assert connection.failure is None
        assert connection.complete
        assert connection.take_body() == body
        assert connection.reusable is reusable


BROKEN = [
    pytest.param(b"", "without a response", id="nothing"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", "inside the head", id="half a head"),
    pytest.param(answer(b"hello")[:-1], "inside its response", id="a byte too few"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "inside its response",
        id="no last chunk",
    ),
    pytest.param(b"<html>sorry</html>", "does not speak HTTP", id="HTML"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP", id="another protocol"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "transfer coding",
        id="a coding that nobody asked for",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "does not speak HTTP",
        id="two lengths",
    ),
    pytest.param(
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "switched protocols",
        id="another protocol by upgrade",
    ),
    pytest.param(
        answer(gzip.compress(b"hello" * 100)[:-4], "Content-Encoding: gzip"),
        "damaged or incomplete",
        id="half a gzip",
    ),
    pytest.param(
        answer(b"no gzip at all", "Content-Encoding: gzip"), "damaged or incomplete", id="no gzip"
    ),
]


@pytest.mark.parametrize(("stream", "reason"), BROKEN)
def test_an_answer_that_cannot_be_whole_is_a_failure_that_says_why(
    stream: bytes, reason: str
) -> None:
    for chunks in every_cut(stream):
        connection = run(chunks, end=True)
        assert connection.failure is not None, chunks
        assert reason in connection.failure
        assert not connection.complete
        assert not connection.reusable


def test_without_a_length_the_body_ends_with_the_connection() -> None:
    for chunks in every_cut(b"HTTP/1.1 200 OK\r\n\r\nhello"):
        connection = run(chunks)
        assert not connection.complete
        connection.end_of_input()
        assert connection.complete
        assert connection.take_body() == b"hello"
        assert not connection.reusable


def test_headers_come_in_order_with_their_repetitions() -> None:
    connection = run([answer(b"", "A: 1", "a:2 ", "B:   x y\t")])
    assert connection.headers[:3] == [(b"A", b"1"), (b"a", b"2"), (b"B", b"x y")]


def test_a_trailer_does_not_become_a_header() -> None:
    stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Late: 1\r\n\r\n"
    assert [name for name, _ in run([stream]).headers] == [b"Transfer-Encoding"]


def test_the_answer_to_head_has_no_body() -> None:
    connection = run([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], method="HEAD")
    assert connection.complete
    assert not connection.reusable


def test_a_connection_serves_one_answer_after_the_other() -> None:
    connection = Http1Connection()
    for body in (b"one", b"two", b""):
        connection.begin("POST")
        connection.receive(answer(body))
        assert (connection.take_body(), connection.reusable) == (body, True)


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\n", b"\r\n", b"x"])
def test_bytes_that_nobody_asked_for_end_the_reuse(surplus: bytes) -> None:
    together = run([answer(b"hello") + surplus])
    assert together.complete
    assert together.take_body() == b"hello"
    later = run([answer(b"hello")])
    later.receive(surplus)
    assert not later.reusable


def test_a_head_without_end_is_refused() -> None:
    connection = run([b"HTTP/1.1 200 OK\r\n"])
    line = b"X-Padding: " + b"x" * 1000 + b"\r\n"
    for _ in range(http1.MAX_HEAD_BYTES // len(line) + 1):
        connection.receive(line)
    assert "larger than" in (connection.failure or "")


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_no_input_makes_it_raise(chunks: list[bytes], end: bool) -> None:
    connection = run([b"HTTP/1.1 ", *chunks], end=end)
    connection.take_body()
    assert not (connection.complete and connection.failure)


@given(
    body=st.binary(max_size=300),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    cuts=st.lists(st.integers(0, 600), max_size=5),
)
def test_chunked_bodies_come_back_as_they_were(
    body: bytes, sizes: list[int], cuts: list[int]
) -> None:
    stream, rest = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", body
    for size in sizes:
        if part := rest[:size]:
            stream += b"%x\r\n%s\r\n" % (len(part), part)
        rest = rest[size:]
    stream += (b"%x\r\n%s\r\n" % (len(rest), rest) if rest else b"") + b"0\r\n\r\n"
    places = sorted({min(cut, len(stream)) for cut in cuts})
    chunks = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    connection = run(chunks)
    assert connection.take_body() == body
    assert connection.reusable
