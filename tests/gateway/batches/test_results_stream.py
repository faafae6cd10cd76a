"""Lines of results between an upstream that may break off and a client that may not want them."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.batches.results_stream import BookedLines, PassedLines
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.serving.answers import CutAnswer
from apertis.gateway.store.records import UnknownBatchError
from apertis.gateway.upstreams.contract import UpstreamFailure
from apertis.gateway.upstreams.outcome import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apertis.gateway.batches.results_stream import LineResult
    from apertis.gateway.errors import Refusal

LINES = b"".join(b'{"custom_id":"%d","result":{"type":"canceled"}}\n' % n for n in range(8))
BROKEN = UpstreamFailure(Fault.BROKEN, "the connection was closed")


class Answer:
    """An upstream's answer that comes in these pieces."""

    status = 200
    headers = ()

    def __init__(self, *pieces: bytes | UpstreamFailure) -> None:
        self.pieces = list(pieces)
        self.closed = False

    async def read(self) -> bytes | UpstreamFailure:
        if not self.pieces:
            return b""
        await asyncio.sleep(0)
        if isinstance(self.pieces[0], UpstreamFailure):
            return self.pieces[0]
        return self.pieces.pop(0)

    async def pour(
        self, take: Callable[[bytes], bool], seconds: float | None = None
    ) -> bool | UpstreamFailure:
        raise NotImplementedError

    def whole(self) -> bytes | None:
        return None

    def close(self) -> None:
        self.closed = True


class Silent(Answer):
    async def read(self) -> bytes | UpstreamFailure:
        if self.pieces:
            return self.pieces.pop(0)
        await asyncio.Event().wait()
        raise AssertionError


class Books:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.ids: list[str] = []
        self.ends = 0

    async def settle(self, results: Iterable[LineResult]) -> None:
        if self.error is not None:
            raise self.error
        self.ids += [result.custom_id for result in results]

    async def end(self) -> None:
        self.ends += 1


async def read_all(lines: BookedLines, books: Books) -> tuple[bytes, Refusal | None]:
    """What is handed out, each block of it booked before."""
    got = b""
    refusal = await lines.begin()
    if refusal is not None:
        return got, refusal
    try:
        while block := await lines.next():
            got += block
            assert len(books.ids) >= got.count(b"\n")
    except CutAnswer as cut:
        return got, cut.refusal
    return got, None


def cut_at(data: bytes, places: set[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if b > a]


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(1, len(LINES) - 1), max_size=12), st.booleans())
def test_lines_arrive_whole_however_they_are_cut(places: set[int], ended: bool) -> None:
    data = LINES if ended else LINES[:-1]

    async def run() -> None:
        books = Books()
        answer = Answer(*cut_at(data, {place for place in places if place < len(data)}))
        lines = BookedLines(answer, books.settle, books.end)
        assert await read_all(lines, books) == (data, None)
        assert books.ids == [str(number) for number in range(8)]
        assert await lines.next() == b""
        assert books.ends == 1
        lines.close()
        assert answer.closed

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(LINES)), st.sets(st.integers(1, len(LINES) - 1), max_size=6))
def test_what_breaks_off_ends_with_its_last_whole_line(end: int, places: set[int]) -> None:
    async def run() -> None:
        books = Books()
        pieces = cut_at(LINES[:end], {place for place in places if place < end})
        lines = BookedLines(Answer(*pieces, BROKEN), books.settle, books.end)
        got, refusal = await read_all(lines, books)
        assert got == LINES[: LINES.rfind(b"\n", 0, end) + 1]
        assert refusal is not None
        assert (refusal.status, refusal.code) == (502, "upstream_error")
        assert len(books.ids) == got.count(b"\n")
        assert books.ends == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailableError("gone"), 503), (UnknownBatchError("gone"), 502)]
)
def test_what_is_not_booked_is_not_handed_out(error: Exception, status: int) -> None:
    async def run() -> None:
        books = Books(error)
        got, refusal = await read_all(BookedLines(Answer(LINES), books.settle, books.end), books)
        assert got == b""
        assert refusal is not None
        assert refusal.status == status

    asyncio.run(run())


def test_lines_do_not_wait_for_those_that_come_later() -> None:
    async def run() -> None:
        books = Books()
        answer = Silent(LINES + b'{"custom_id"')
        lines = BookedLines(answer, books.settle, books.end)
        assert await lines.begin() is None
        assert await lines.next() == LINES
        waiting = asyncio.get_running_loop().create_task(lines.next())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        lines.close()
        assert answer.closed

    asyncio.run(run())


def test_no_results_at_all_are_an_empty_answer() -> None:
    async def run() -> None:
        books = Books()
        assert await read_all(BookedLines(Answer(), books.settle, books.end), books) == (b"", None)
        assert books.ends == 1

    asyncio.run(run())


def test_lines_that_were_booked_before_pass_as_they_come() -> None:
    async def run() -> None:
        answer = Answer(b"any", b"thing", BROKEN)
        lines = PassedLines(answer)
        assert [await lines.next(), await lines.next()] == [b"any", b"thing"]
        with pytest.raises(CutAnswer):
            await lines.next()
        lines.close()
        assert answer.closed

    asyncio.run(run())
