"""A response that is poured: each piece in the turn in which it comes, whatever happens then."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.aio.connection import HIGH_WATER_BYTES, Connection
from apertis.aio.pool import Pool
from apertis.aio.wire import GIVEN_UP, WireAnswer
from apertis.sansio.outcome import Failure
from apertis.sansio.timeouts import Limits
from apertis.testing import http_chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
PIECES = [b"one", b"", b"two\n\n", b"x" * 300, b"four"]
IDLE = 5.0


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes when a test says so."""

    now = 100.0

    def time(self) -> float:
        return self.now


class Peer(asyncio.Transport):
    """The other end: what is sent to it is nobody's concern."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:  # noqa: ARG002
        return None

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def abort(self) -> None:
        self.aborted = True


class Pouring:
    """A response whose head came, and what was poured of its body."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.peer = Peer()
        self.connection = Connection("here", loop)
        self.connection.connection_made(self.peer)
        self.connection.http.begin("POST")
        self.connection.data_received(HEAD)
        pool = Pool(lambda _: pytest.fail("a second connection"), 1, loop)
        self.answer = WireAnswer(self.connection, pool, Limits(IDLE, IDLE, IDLE))
        self.taken: list[bytes] = []
        self.wants_more = True

    def take(self, piece: bytes) -> bool:
        self.taken.append(piece)
        return self.wants_more

    async def begun(self) -> asyncio.Task[bool | Failure]:
        task = self.loop.create_task(self.answer.pour(self.take))
        await asyncio.sleep(0)
        return task


def run(test: Callable[[Pouring], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Loop)
        runner.run(test(Pouring(loop)))


def test_a_piece_is_given_in_the_turn_in_which_it_comes() -> None:
    async def test(pouring: Pouring) -> None:
        task = await pouring.begun()
        for count in (1, 2, 3):
            pouring.connection.data_received(http_chunk(b"piece"))
            assert pouring.taken == [b"piece"] * count
        pouring.connection.data_received(END)
        assert await task is True
        assert not pouring.peer.aborted
        assert pouring.connection.http.reusable

    run(test)


@given(
    st.lists(st.integers(0, 400), max_size=8), st.lists(st.booleans(), max_size=8), st.booleans()
)
@settings(max_examples=200, deadline=None)
def test_a_body_is_poured_whole_however_it_is_cut_and_whenever_it_is_not_wanted(
    places: list[int], wanted: list[bool], closes: bool
) -> None:
    sent = b"".join(http_chunk(piece) for piece in PIECES if piece)
    sent += b"" if closes else END
    cuts = [0, *sorted(places), len(sent)]
    wishes = iter(wanted)

    async def test(pouring: Pouring) -> None:
        def take(piece: bytes) -> bool:
            pouring.taken.append(piece)
            return next(wishes, True)

        async def pour() -> bool | Failure:
            while (ended := await pouring.answer.pour(take)) is False:
                pass
            return ended

        task = pouring.loop.create_task(pour())
        for start, end in itertools.pairwise(cuts):
            if next(wishes, True):
                await asyncio.sleep(0)
            pouring.connection.data_received(sent[start:end])
        if closes:
            pouring.connection.eof_received()
        ended = await task
        assert b"".join(pouring.taken) == b"".join(PIECES)
        assert isinstance(ended, Failure) if closes else ended is True
        assert pouring.peer.aborted is closes

    run(test)


def test_who_wants_no_more_stops_the_peer_until_more_is_wanted() -> None:
    async def test(pouring: Pouring) -> None:
        task = await pouring.begun()
        pouring.wants_more = False
        pouring.connection.data_received(http_chunk(b"first"))
        late = b"x" * HIGH_WATER_BYTES
        pouring.connection.data_received(http_chunk(late))
        assert await task is False
        assert pouring.taken == [b"first"]
        assert not pouring.peer.reads
        pouring.wants_more = True
        task = await pouring.begun()
        assert b"".join(pouring.taken) == b"first" + late
        assert pouring.peer.reads
        pouring.connection.data_received(END)
        assert await task is True

    run(test)


def test_a_long_stream_that_is_taken_never_stops_the_peer() -> None:
    async def test(pouring: Pouring) -> None:
        task = await pouring.begun()
        for _ in range(20):
            pouring.connection.data_received(http_chunk(b"x" * (HIGH_WATER_BYTES // 8)))
            assert pouring.peer.reads
        pouring.connection.data_received(END)
        assert await task is True

    run(test)


def test_each_piece_begins_the_time_anew_in_which_the_next_must_come() -> None:
    async def test(pouring: Pouring) -> None:
        task = await pouring.begun()
        for _ in range(4):
            pouring.loop.now += IDLE - 1
            await asyncio.sleep(0)
            pouring.connection.data_received(http_chunk(b"piece"))
            await asyncio.sleep(0)
            assert not task.done()
        pouring.loop.now += IDLE + 1
        ended = await task
        assert isinstance(ended, Failure)
        assert ended.deadline == "idle"
        assert pouring.peer.aborted

    run(test)


def test_a_time_that_is_over_leaves_what_comes_to_the_next_who_pours() -> None:
    async def test(pouring: Pouring) -> None:
        task = pouring.loop.create_task(pouring.answer.pour(pouring.take, 2.0))
        await asyncio.sleep(0)
        pouring.connection.data_received(http_chunk(b"in time"))
        pouring.loop.now += 2.1
        assert await task is False
        pouring.connection.data_received(http_chunk(b"late"))
        assert pouring.taken == [b"in time"]
        task = pouring.loop.create_task(pouring.answer.pour(pouring.take, 2.0))
        await asyncio.sleep(0)
        assert pouring.taken == [b"in time", b"late"]
        pouring.connection.data_received(END)
        pouring.loop.now += 2.1
        assert await task is True

    run(test)


def test_a_fault_of_who_takes_ends_the_pouring_and_the_connection() -> None:
    async def test(pouring: Pouring) -> None:
        def take(piece: bytes) -> bool:
            raise ValueError(piece)

        task = pouring.loop.create_task(pouring.answer.pour(take))
        await asyncio.sleep(0)
        pouring.connection.data_received(http_chunk(b"piece"))
        with pytest.raises(ValueError, match="piece"):
            await task
        assert pouring.peer.aborted
        assert await pouring.answer.pour(take) is GIVEN_UP

    run(test)


def test_a_task_that_is_canceled_while_it_pours_hangs_up() -> None:
    async def test(pouring: Pouring) -> None:
        task = await pouring.begun()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pouring.peer.aborted
        pouring.connection.data_received(http_chunk(b"late"))
        assert not pouring.taken
        assert await pouring.answer.pour(pouring.take) is GIVEN_UP

    run(test)
