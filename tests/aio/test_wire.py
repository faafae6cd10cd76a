"""The asyncio wire by itself: bytes of a request in, a response out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apertis.aio.wire import GIVEN_UP, MAX_COPIED_BYTES, ArrivedAnswer, Wire, WireAnswer
from apertis.sansio.outcome import Failure
from apertis.sansio.request import Origin, parse_base_url
from apertis.sansio.timeouts import Limits
from apertis.testing import Close, Exchange, Gate, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS = Limits(5.0, 5.0, 5.0)
OK = b"HTTP/1.1 200 OK\r\nX-One: 1\r\ncontent-length: 5\r\n\r\nhello"
LARGE = b"x" * (MAX_COPIED_BYTES + 1)


def wire(codings: Iterable[str] = ()) -> Wire:
    return Wire(proxy="", tls=None, max_connections=2, codings=frozenset(codings))


async def opened(wire: Wire, origin: Origin, body: bytes = b"{}") -> WireAnswer | ArrivedAnswer:
    head = b"POST /x HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n" % len(body)
    answer = await wire.open(origin, "POST", head, body, LIMITS)
    assert not isinstance(answer, Failure), answer
    return answer


async def read(answer: WireAnswer | ArrivedAnswer) -> bytes:
    body = answer.whole()
    if body is not None:
        return body
    parts = b""
    while data := await answer.read():
        assert isinstance(data, bytes)
        parts += data
    return parts


def test_head_and_body_arrive_as_they_were_given_whatever_their_size() -> None:
    async def asked(origin: Origin) -> None:
        for body in (b"", b"{}", LARGE):
            answer = await opened(wire(), origin, body)
            assert (answer.status, await read(answer)) == (200, b"hello")
            assert answer.headers == [(b"X-One", b"1"), (b"content-length", b"5")]

    with ScriptedServer([OK] * 3) as server:
        asyncio.run(asked(parse_base_url(server.base_url)))
        assert [request.body for request in server.requests] == [b"", b"{}", LARGE]


def test_a_body_that_must_be_read_is_not_whole() -> None:
    gate = Gate()

    async def asked(origin: Origin) -> None:
        answer = await opened(wire(), origin)
        assert answer.whole() is None
        gate.open()
        assert await read(answer) == b"hello"
        assert answer.whole() is None

    with ScriptedServer([Exchange(OK[:-5], gate, OK[-5:])]) as server:
        asyncio.run(asked(parse_base_url(server.base_url)))


def test_what_was_given_up_does_not_pass_for_the_end() -> None:
    gate = Gate()

    async def asked(origin: Origin) -> None:
        answer = await opened(wire(), origin)
        reading = asyncio.create_task(answer.read())  # noqa: TID251 - it is awaited below.
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert await answer.read() is GIVEN_UP
        gate.open()

    with ScriptedServer([Exchange(OK[:-5], gate, Close)]) as server:
        asyncio.run(asked(parse_base_url(server.base_url)))


def test_a_coding_that_was_not_asked_for_is_a_failure() -> None:
    squeezed = OK.replace(b"X-One: 1", b"content-encoding: gzip")

    async def asked(origin: Origin) -> None:
        head = b"GET /x HTTP/1.1\r\nhost: here\r\n\r\n"
        failed = await wire().open(origin, "GET", head, b"", LIMITS)
        assert isinstance(failed, Failure)
        assert failed.malformed

    with ScriptedServer([squeezed]) as server:
        asyncio.run(asked(parse_base_url(server.base_url)))


def test_after_a_close_connections_are_kept_again_unless_it_is_for_good() -> None:
    async def asked(origin: Origin, *, for_good: bool) -> None:
        ours = wire()
        for _ in range(2):
            assert await read(await opened(ours, origin)) == b"hello"
        await ours.close(for_good=for_good)
        for _ in range(2):
            assert await read(await opened(ours, origin)) == b"hello"

    for for_good, connections in ((False, 2), (True, 3)):
        with ScriptedServer([OK] * 4) as server:
            asyncio.run(asked(parse_base_url(server.base_url), for_good=for_good))
            assert server.connection_count == connections


def test_a_response_that_came_whole_leaves_its_connection_to_the_next_request() -> None:
    async def asked(origin: Origin) -> None:
        one = Wire(proxy="", tls=None, max_connections=1, codings=frozenset())
        first = await opened(one, origin)
        second = await opened(one, origin)
        assert [await read(first), await read(second)] == [b"hello", b"hello"]
        assert await first.read() == b""
        assert first.headers == [(b"X-One", b"1"), (b"content-length", b"5")]

    with ScriptedServer([OK] * 2) as server:
        asyncio.run(asked(parse_base_url(server.base_url)))
        assert server.connection_count == 1
