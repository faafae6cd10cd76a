"""Progress: a function that is told, a bar, or nothing."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from apertis import ParameterError
from apertis.progress import reporter


def draw(bar: Any, state: int) -> None:
    bar.n = state


@pytest.mark.parametrize("wish", [None, False])
def test_nothing_is_told_where_nobody_wants_to_know(wish: Any) -> None:
    assert reporter(wish, "state", "steps", draw) is None


def test_a_function_is_told() -> None:
    told: list[int] = []
    report = reporter(told.append, "state", "steps", draw)
    assert report is not None
    report(5)
    assert told == [5]


@pytest.mark.parametrize("wish", [1, "bar", object()])
def test_what_is_no_function_is_named(wish: Any) -> None:
    with pytest.raises(ParameterError, match="progress: expected a function of a state"):
        reporter(wish, "state", "steps", draw)


def test_a_bar_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ParameterError, match="the extra 'progress' installs"):
        reporter(True, "state", "steps", draw)
