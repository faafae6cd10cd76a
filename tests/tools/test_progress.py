"""The progress of a run: numbers for a function, or a bar."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import pytest

from apertis import ParameterError
from apertis.tools.loop import CallState, Run
from apertis.tools.progress import progress_of, progress_reporter


def test_calls_that_have_finished_are_counted_in_the_open_turn_too() -> None:
    calls = tuple(
        CallState(id="x", name="x", input={}, status=status) for status in ("finished", "begun")
    )
    progress = progress_of(Run(messages=(), calls=calls, turns=3, cost=Decimal(1)), 2.5)
    assert (progress.turns, progress.calls, progress.calls_finished) == (3, 2, 1)
    assert (progress.cost, progress.seconds) == (Decimal(1), 2.5)


@pytest.mark.parametrize("wish", [None, False])
def test_nothing_is_told_where_nobody_wants_to_know(wish: Any) -> None:
    assert progress_reporter(wish) is None


def test_a_bar_without_its_package_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ParameterError, match="a bar needs the package tqdm"):
        progress_reporter(True)


def test_a_bar_shows_calls_turns_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    report = progress_reporter(True)
    assert report is not None
    calls = (CallState(id="x", name="x", input={}, status="finished"),)
    report(progress_of(Run(messages=(), calls=calls, turns=3, cost=Decimal(1)), 2.5))
    shown = capsys.readouterr().err
    assert "1/1" in shown
    assert "turns=3" in shown
    assert "cost=$1.0000" in shown
