"""The event stream format: HTML standard, section 9.2."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.sansio import sse
from apertis.sansio.sse import (
    EventDecoder,
    EventFraming,
    EventTooLargeError,
    begins_events,
    split_events,
    start_of_event,
)


def decode(*chunks: bytes) -> list[tuple[bytes, bytes]]:
    decoder = EventDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*events, *decoder.finish()]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


CASES = [
    pytest.param(b"event: ping\ndata: {}\n\n", [(b"ping", b"{}")], id="the API's own shape"),
    pytest.param(b"data: 1\n\ndata: 2\n\n", [(b"", b"1"), (b"", b"2")], id="no event line"),
    pytest.param(b"data:1\n\n", [(b"", b"1")], id="no space after the colon"),
    pytest.param(b"data:  1\n\n", [(b"", b" 1")], id="only one space is taken off"),
    pytest.param(b"data: 1\ndata: 2\n\n", [(b"", b"1\n2")], id="several data lines"),
    pytest.param(b"event: a\r\ndata: 1\r\n\r\n", [(b"a", b"1")], id="CR LF"),
    pytest.param(b"event: a\rdata: 1\r\r", [(b"a", b"1")], id="CR"),
    pytest.param(b"data: 1\r\n\ndata: 2\r\r\n", [(b"", b"1"), (b"", b"2")], id="mixed ends"),
    pytest.param(b": hello\n\ndata: 1\n\n", [(b"", b"1")], id="a comment"),
    pytest.param(b"id: 7\nretry: 5\ndata: 1\nfoo\n\n", [(b"", b"1")], id="other fields"),
    pytest.param(b"event: a\n\ndata: 1\n\n", [(b"", b"1")], id="a name without data"),
    pytest.param(b"\xef\xbb\xbfdata: 1\n\n", [(b"", b"1")], id="a byte order mark"),
    pytest.param(b"\n\n\n\ndata: 1\n\n\n\n", [(b"", b"1")], id="many blank lines"),
    pytest.param(b"data: 1\n\ndata: 2", [(b"", b"1"), (b"", b"2")], id="no blank line at the end"),
    pytest.param(
        "data: a\u2028b\u0085c\x0bd\n\n".encode(),
        [(b"", "a\u2028b\u0085c\x0bd".encode())],
        id="separators of Unicode are text",
    ),
    pytest.param(b"data: event: x\ndata: y\n\n", [(b"", b"event: x\ny")], id="a colon in the data"),
    pytest.param(b"event: a\ndata: 1\nevent: b\n\n", [(b"b", b"1")], id="the last name counts"),
    pytest.param(b"data\n\n", [(b"", b"")], id="a field without a colon is empty"),
]


@pytest.mark.parametrize(("stream", "events"), CASES)
def test_a_stream_gives_its_events_however_it_is_cut(
    stream: bytes, events: list[tuple[bytes, bytes]]
) -> None:
    for size in (len(stream), 1, 2, 3, 7):
        assert decode(*pieces(stream, size)) == events, size
    for cut in range(len(stream)):
        assert decode(stream[:cut], stream[cut:]) == events, cut


@given(
    st.binary(max_size=200) | st.text("dat:event \r\n{}é", max_size=200).map(str.encode),
    st.data(),
)
def test_cut_points_do_not_matter(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*chunks) == decode(stream)


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=1, max_size=5
    )
)
def test_what_is_written_is_read(texts: list[str]) -> None:
    stream = "".join(f"event: e\ndata: {text}\n\n" for text in texts).encode()
    assert decode(stream) == [(b"e", text.encode()) for text in texts]


def test_an_event_leaves_with_the_byte_that_completes_it() -> None:
    """Nothing is held back until more comes."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: 1\r") == []
    assert decoder.feed(b"\r") == [(b"", b"1")]


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


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    chunks, position = list[bytes](), 0
    for size in sizes:
        chunks.append(stream[position : position + size])
        position += size
    chunks.append(stream[position:])
    return [chunk for chunk in chunks if chunk]


def by_the_standard(stream: bytes) -> list[tuple[bytes, bytes]]:
    """The steps of the HTML standard, line by line, and the event that the end left open."""
    events, name, data = list[tuple[bytes, bytes]](), b"", list[bytes]()
    text = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in [*text.split(b"\n"), b""]:
        field, _, value = line.partition(b":")
        if not line:
            events += [(name, b"\n".join(data))] if data else []
            name, data = b"", []
        elif field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return events


CUTS = st.lists(st.integers(1, 9), max_size=30)


@given(streams(), CUTS)
@settings(max_examples=300)
def test_events_are_those_of_the_standard(stream: bytes, cuts: list[int]) -> None:
    assert decode(*cut(stream, cuts)) == by_the_standard(stream)


@given(streams(), CUTS)
@settings(max_examples=300)
def test_bytes_come_out_as_they_went_in(stream: bytes, cuts: list[int]) -> None:
    framing = EventFraming()
    blocks = [framing.feed(chunk) for chunk in cut(stream, cuts)]
    assert b"".join(blocks) + framing.drain() == stream


@given(streams(), CUTS)
@settings(max_examples=300)
def test_every_block_holds_whole_events(stream: bytes, cuts: list[int]) -> None:
    framing = EventFraming()
    events = list[tuple[bytes, bytes]]()
    for chunk in cut(stream, cuts):
        block = framing.feed(chunk)
        assert not block or split_events(block)[-1].strip(b"\n") == b""
        events += by_the_standard(block)
    assert events + by_the_standard(framing.drain()) == by_the_standard(stream)


@given(streams())
def test_the_places_of_events_are_those_in_the_bytes(stream: bytes) -> None:
    events = split_events(stream)
    for place in range(len(events)):
        assert split_events(stream[start_of_event(stream, place) :]) == events[place:]


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


def test_an_event_of_many_lines_is_joined_once() -> None:
    framing = EventFraming()
    for _ in range(20_000):
        assert framing.feed(b"data: " + b"x" * 50 + b"\n") == b""
    assert len(framing.feed(b"\n")) == 20_000 * 57 + 1


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    decoder = EventDecoder()
    decoder.feed(b"data: " + b"x" * 90)
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"x" * 90)


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
