"""Plots as SVG and as data: pieces of bars stand on each other, and nothing is lost."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.console.plots import HEIGHT, WIDTH, Line, Plot, round_above


def plot(*values: tuple[float | None, ...], kind: str = "bars", unit: str = "count") -> Plot:
    lines = tuple(Line(f"series {at}", "one", one) for at, one in enumerate(values))
    names = tuple(str(at) for at in range(len(values[0]) if values else 0))
    return Plot("p", "P", unit, kind, names, names, lines)  # type: ignore[arg-type]  # words of a test


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=5, max_size=5), min_size=1, max_size=8))
def test_pieces_of_a_bar_stand_on_each_other_within_the_plot(values: list[list[int]]) -> None:
    found = plot(*map(tuple, values))
    assert len(found.rects) == sum(value > 0 for one in values for value in one)
    for rect in found.rects:
        assert 0 <= rect.x <= rect.x + rect.width <= WIDTH
        assert 0 <= rect.y <= HEIGHT
        assert rect.height > 0
    assert max(found.totals) <= found.top
    for x in {rect.x for rect in found.rects}:
        pieces = [rect for rect in found.rects if rect.x == x]
        for lower, upper in pairwise(pieces):
            # Each piece ends where the one before begins, but for what is too thin to be seen.
            assert upper.y <= lower.y
            assert upper.y + upper.height == pytest.approx(lower.y, abs=0.45)


def test_lines_have_gaps_where_there_is_no_value() -> None:
    ((path, colour),) = plot((1, 2, None, 3), kind="lines", unit="ms").paths
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert colour == "one"


def test_the_data_have_dollars_and_percent() -> None:
    assert json.loads(plot((500_000, 1), unit="money").data)["series"][0]["values"] == [1, 0.000002]
    assert json.loads(plot((0.25, None), unit="percent").data)["series"][0]["values"] == [25, None]


def test_a_plot_of_nothing_can_be_drawn() -> None:
    empty = plot()
    assert (empty.rects, empty.marks, empty.totals, empty.top) == ((), (), (), 1)
    assert plot((None, None), kind="lines").paths == (("", "one"),)


def test_few_names_stand_below_the_axis() -> None:
    many = plot(tuple(range(365)))
    assert 2 <= len(many.marks) <= 6


@given(st.floats(1e-6, 1e15))
def test_an_axis_ends_with_a_round_value(value: float) -> None:
    found = round_above(value)
    assert value <= found <= value * 2.51
    assert f"{found:.0e}"[0] in "125"
