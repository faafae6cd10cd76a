"""Tables and sheets hold whatever names say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.cli.tables import show_sheet, show_table

if TYPE_CHECKING:
    import pytest


def test_cells_are_cleaned_and_lines_have_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("A", "B"), [("a\tb", "\x1b[2J"), ("c\nd", "e")], empty="nothing")
    assert capsys.readouterr().out == "a?b\t?[2J\nc?d\te\n"
    show_table(("A",), [], empty="nothing")
    assert capsys.readouterr().out == ""


def test_a_sheet_has_its_values_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    show_sheet([("A", "x\ny"), ("Longer", "z")])
    assert capsys.readouterr().out == "A       x?y\nLonger  z\n"
