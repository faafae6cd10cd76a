"""Chunks are cut where events end, and no byte is lost, added or reordered."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.framing import MAX_EVENT_BYTES, EventFraming, begins_events
from apertis.sansio.sse import EventDecoder

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.sampled_from(
    [b"data: {}", b"event: ping", b": a comment", b"", "data: \u2028\x85é".encode()]
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Lines with any line ends: whole events, comments, and perhaps the start of another one."""
    end = draw(LINE_ENDS)
    mixed = draw(st.booleans())
    lines = draw(st.lists(LINES, max_size=12))
    return b"".join(line + (draw(LINE_ENDS) if mixed else end) for line in lines)


@given(streams(), st.lists(st.integers(1, 9), max_size=30))
@settings(max_examples=300)
def test_bytes_come_out_as_they_went_in(stream: bytes, cuts: list[int]) -> None:
    framing = EventFraming()
    blocks = [framing.feed(chunk) for chunk in cut(stream, cuts)]
    assert b"".join(blocks) + framing.drain() == stream


@given(streams(), st.lists(st.integers(1, 9), max_size=30))
@settings(max_examples=300)
def test_every_block_holds_whole_events(stream: bytes, cuts: list[int]) -> None:
    framing = EventFraming()
    decoder = EventDecoder()
    for chunk in cut(stream, cuts):
        block = framing.feed(chunk)
        if block:
            decoder.feed(block)
            assert not decoder.left.strip(b"\n")


def test_an_event_leaves_with_the_chunk_that_completes_it() -> None:
    framing = EventFraming()
    assert framing.feed(b"event: a\nda") == b""
    assert framing.feed(b"ta: 1\n") == b""
    assert framing.feed(b"\nevent: b\n") == b"event: a\ndata: 1\n\n"
    assert framing.drain() == b"event: b\n"
    assert framing.drain() == b""


def test_a_whole_chunk_passes_without_a_copy() -> None:
    chunk = b"event: a\ndata: 1\n\n"
    assert EventFraming().feed(chunk) is chunk


def test_an_event_without_an_end_is_noticed() -> None:
    framing = EventFraming()
    piece = b"x" * (MAX_EVENT_BYTES // 4)
    for _ in range(4):
        assert framing.feed(piece) == b""
        assert not framing.overflowed
    framing.feed(b"x")
    assert framing.overflowed


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    chunks, position = list[bytes](), 0
    for size in sizes:
        chunks.append(stream[position : position + size])
        position += size
    chunks.append(stream[position:])
    return [chunk for chunk in chunks if chunk]


@given(
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([b"", b"\n", b" \r\n"]),
    st.sampled_from([b"event: a", b"data: 1", b": hi", b"retry: 1", b"<html>", b"{}", b"\xff"]),
)
def test_what_begins_a_body_is_told_alike_however_it_is_cut(
    mark: bytes, blank: bytes, first: bytes
) -> None:
    body = mark + blank + first
    whole = begins_events(body)
    assert whole is not None
    told = [begins_events(body[:end]) for end in range(len(body) + 1)]
    assert set(told) <= {None, whole}
