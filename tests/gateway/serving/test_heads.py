"""Heads that came before: a request means the same whether its head is parsed or known."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.serving.heads import framed
from apertis.gateway.serving.protocol import Connections, HttpProtocol

if TYPE_CHECKING:
    from apertis.gateway.serving.protocol import ClientExchange

Seen = tuple[str, str, list[tuple[bytes, bytes]], dict[str, str], int | None, bytes | None]

NAMES = st.sampled_from(
    ["x-a", "X-B", "accept", "Expect", "connection", "transfer-encoding", "via"]
)
VALUES = st.sampled_from(["1", "a b", "100-continue", "close", "keep-alive", "chunked", "", "\xe9"])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
LENGTHS = st.sampled_from(["content-length", "Content-Length", "CONTENT-LENGTH"])


class Client(asyncio.Transport):
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 5) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Desk:
    """A server's connections, of which each request is answered as soon as its body is there."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = Connections(self.answer)

    async def answer(self, exchange: ClientExchange) -> None:
        while not exchange.is_whole:
            await exchange.more_body(10**6)
        head = exchange.head
        self.seen.append(
            (head.method, head.path, [*head.headers], head.values, exchange.length,
             exchange.take_body())
        )  # fmt: skip
        exchange.answer(200, [], b"{}")

    async def receive(self, *pieces: bytes) -> tuple[list[Seen], bytes]:
        """What one connection's requests say, and what it is answered."""
        client = Client()
        protocol = HttpProtocol(self.connections, asyncio.get_running_loop())
        protocol.connection_made(client)
        before = len(self.seen)
        for piece in pieces:
            protocol.data_received(piece)
            for _ in range(6):
                await asyncio.sleep(0)
        protocol.connection_lost(None)
        return self.seen[before:], client.written


def request(fields: list[tuple[str, str]], length_name: str, body: bytes) -> bytes:
    lines = ["POST /v1/messages?beta=true HTTP/1.1", "host: here"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines += [f"{length_name}: {len(body)}", "x-last: z", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@given(
    FIELDS,
    LENGTHS,
    st.lists(st.binary(max_size=30), min_size=2, max_size=4),
    st.lists(st.integers(0, 400), max_size=4),
)
def test_a_known_head_means_what_the_parser_makes_of_it(
    fields: list[tuple[str, str]], length_name: str, bodies: list[bytes], cuts: list[int]
) -> None:
    async def run() -> None:
        known = Desk()
        for body in bodies:
            data = request(fields, length_name, body)
            places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
            pieces = [data[a:b] for a, b in itertools.pairwise(places)]
            parsed = await Desk().receive(*pieces)
            date = await known.receive(*pieces)
            assert date[0] == parsed[0]
            assert date[1].split(b"\r\n")[0] == parsed[1].split(b"\r\n")[0]

    asyncio.run(run())


@given(cuts=st.lists(st.integers(1, 60_000), min_size=1, max_size=3), another_follows=st.booleans())
def test_a_large_body_behind_a_known_head_is_whole_wherever_it_was_cut(
    cuts: list[int], *, another_follows: bool
) -> None:
    body = bytes(range(256)) * 200
    data = request([], "content-length", body)
    if another_follows:
        data += request([], "content-length", b"two")

    async def run() -> list[Seen]:
        desk = Desk()
        await desk.receive(request([], "content-length", b"one"))
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        seen, _ = await desk.receive(*(data[a:b] for a, b in itertools.pairwise(places)))
        return seen

    came = [seen[-1] for seen in asyncio.run(run())]
    assert came == [body, b"two"][: 1 + another_follows]
    assert all(type(each) is bytes for each in came)


def test_a_request_behind_one_with_a_known_head_is_answered_in_its_turn() -> None:
    async def run() -> tuple[list[Seen], bytes]:
        desk = Desk()
        data = request([], "content-length", b"one")
        await desk.receive(data)
        return await desk.receive(data + request([("x-a", "2")], "content-length", b"two"))

    seen, written = asyncio.run(run())
    assert [each[-1] for each in seen] == [b"one", b"two"]
    assert written.count(b"HTTP/1.1 200 OK") == 2


def test_requests_that_come_while_a_response_waits_to_leave_are_answered_in_their_order() -> None:
    async def run() -> bytes:
        client = Client()
        following = [request([], "content-length", body) for body in (b"two", b"three")]

        async def answer(exchange: ClientExchange) -> None:
            body = exchange.take_body() or b""
            if body == b"two":
                for _ in range(9):
                    await asyncio.sleep(0)
            exchange.answer(200, [], body)
            if body == b"one":
                protocol.data_received(b"".join(following))

        protocol = HttpProtocol(Connections(answer), asyncio.get_running_loop())
        protocol.connection_made(client)
        protocol.data_received(request([], "content-length", b"one"))
        for _ in range(30):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        return client.written

    written = asyncio.run(run())
    assert re.findall(rb"\r\n\r\n(one|two|three)", written) == [b"one", b"two", b"three"]


def test_only_the_digits_of_the_length_may_differ() -> None:
    one, other = (
        framed(request([], "content-length", b"a")),
        framed(request([], "content-length", b"b" * 12)),
    )
    assert one is not None
    assert other is not None
    assert (one.key, one.length, other.length) == (other.key, 1, 12)
    changed = framed(request([("x-a", "1")], "content-length", b"a"))
    assert changed is not None
    assert changed.key != one.key


@pytest.mark.parametrize("length", ["+1", "01", "1 ", "0x1", "", "1,1", "1" * 10, "-1", "\xb2"])
def test_a_length_that_is_not_plain_digits_is_for_the_parser(length: str) -> None:
    data = f"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n"
    assert framed(data.encode("latin-1")) is None


def test_a_head_that_did_not_come_whole_is_for_the_parser() -> None:
    assert framed(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n") is None
