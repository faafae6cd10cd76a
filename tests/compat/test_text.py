"""Text and lines from pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apertis.compat.text import TextLines, text_decoder


def lines_of(pieces: list[str]) -> list[str]:
    lines = TextLines()
    return [line for piece in pieces for line in lines.feed(piece)] + lines.finish()


@given(st.lists(st.text(alphabet="ab\r\n\u2028", max_size=5)))
def test_lines_do_not_depend_on_how_the_text_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert lines_of(pieces) == lines_of(list(text))
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    wanted = unified.split("\n")
    assert lines_of(pieces) == (wanted if wanted[-1] else wanted[:-1])


@given(st.text(), st.integers(1, 3))
def test_no_character_is_cut(text: str, size: int) -> None:
    data = text.encode("utf-8", "replace")
    decoder = text_decoder()
    pieces = [decoder.decode(data[i : i + size]) for i in range(0, len(data), size)]
    assert "".join(pieces) + decoder.decode(b"", final=True) == data.decode("utf-8", "replace")
