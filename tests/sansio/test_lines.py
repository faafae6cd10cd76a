"""JSON lines, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sansio.lines import LineDecoder, LineTooLargeError

lines = st.lists(
    st.text("ab {}\u2028\u0085\u000b", min_size=1).map(lambda t: t.strip().encode()).filter(bool),
    max_size=5,
)


def decoded(chunks: list[bytes]) -> list[bytes]:
    decoder = LineDecoder()
    return [*(line for chunk in chunks for line in decoder.feed(chunk)), *decoder.finish()]


@given(lines, st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.booleans(), st.data())
def test_lines_come_back_however_they_are_cut(
    expected: list[bytes], end: bytes, closed: bool, data: st.DataObject
) -> None:
    expected = [line.strip() for line in expected if line.strip()]
    body = end.join(expected) + (end if closed else b"")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert decoded(chunks) == expected


def test_a_line_leaves_with_the_byte_that_ends_it() -> None:
    decoder = LineDecoder()
    assert decoder.feed(b"one") == []
    assert decoder.feed(b"\ntwo") == [b"one"]
    assert decoder.finish() == [b"two"]
    assert decoder.finish() == []


def test_a_line_without_an_end_is_given_up() -> None:
    decoder = LineDecoder()
    piece = b" " * 2**20
    assert decoder.feed(b"{}\n" + piece) == [b"{}"]
    for _ in range(63):
        decoder.feed(piece)
    with pytest.raises(LineTooLargeError):
        decoder.feed(b" ")
