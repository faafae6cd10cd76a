"""What a spreadsheet would run, in tables of CSV."""

from __future__ import annotations

import ast
import csv
import io
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import apertis
from apertis.gateway.admin.csv_text import harmless, to_csv

SOURCE = Path(apertis.__file__).parent
RUN = "=+-@\uff1d\uff0b\uff0d\uff20"
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
# Much of what is dangerous, so that it meets itself.
texts = st.text(
    st.sampled_from("=+-@\t\r\n ;,\"'a1.\uff1d \u200b\u00a0") | st.characters(codec="utf-8")
)
numbers = st.integers(-(10**18), 10**18) | st.decimals(-(10**9), 10**9, places=6).map(
    lambda value: f"{value:f}"
)


def is_run(cell: str) -> bool:
    """Whether a spreadsheet may take the cell for a formula, read as suspiciously as can be."""
    if cell[:1] in ("\t", "\r", "\n"):
        return True
    for character in cell:
        if character == "'":
            # What the escape is made of: the cell is text.
            return False
        if not (
            character in '"`\u2018\u2019\u201c\u201d'
            or character.isspace()
            or not character.isprintable()
        ):
            return character in RUN and not NUMBER.fullmatch(cell)
    return False


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-1+cmd",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "  =1",
        '"=1',
        "\" '=1",
        "\u200b=1",
        "\u00a0=1",
        "\uff1d1",
        "-",
        "+49 170 1234567",
        "-1e5",
        "-\u0661",
    ],
)
def test_a_text_that_would_be_run_gets_an_apostrophe(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("ann;=1", "ann;'=1"),
        ("ann\n=1", "ann\n'=1"),
        ("ann\t -x", "ann\t' -x"),
        ("\n=1", "'\n'=1"),
    ],
)
def test_what_may_begin_a_cell_counts_as_a_beginning(text: str, written: str) -> None:
    assert harmless(text) == written


@pytest.mark.parametrize(
    "value",
    [
        *(0, -5, 7, None, True, Decimal("-0.5"), "-5", "-0.000002", "12.5", "0"),
        *("", "ann", "a=b", "ann-maria", "ann@example.com", "ann, -bob", "1+1", "'ann"),
    ],
)
def test_numbers_and_plain_texts_stay_what_they_are(value: object) -> None:
    assert harmless(value) == value


@given(st.lists(st.lists(texts | numbers, min_size=3, max_size=3), max_size=4))
@example([["a\r=1", '";=1', "x\n\t@1"]])
def test_no_cell_is_run_and_no_number_is_changed(rows: list[list[str | int]]) -> None:
    text = to_csv(["=name", "b", "c"], rows)
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert len(read) == len(rows) + 1
    for row, cells in zip(rows, read[1:], strict=True):
        for value, cell in zip(row, cells, strict=True):
            assert not is_run(cell)
            if not isinstance(value, str) or NUMBER.fullmatch(value):
                assert cell == str(value)
            else:
                # Apostrophes were added, and nothing else was.
                assert cell.replace("'", "") == value.replace("'", "")


@given(st.lists(texts, max_size=4), st.sampled_from(";\t"))
@example(['x";=1', "a\n-b"], ";")
@example(["\r\t", "a;\tb"], ";")
def test_no_cell_is_run_where_the_sheet_is_read_with_another_separator(
    names: list[str], separator: str
) -> None:
    text = to_csv(["id", "name", "model"], [["key", name, "model"] for name in names])
    # A quote in the middle of a cell means nothing there, so that texts are cut within quotes.
    for line in re.split(r"\r\n|[\r\n]", text):
        assert not any(map(is_run, line.split(separator)))


def test_there_is_one_writer_of_tables() -> None:
    using = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("csv.writer", "csv.DictWriter")
    }
    assert using == {"gateway/admin/csv_text.py"}
