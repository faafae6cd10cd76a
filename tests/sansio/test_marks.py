"""Marks for no value: ours, and those of the `anthropic` package."""

from __future__ import annotations

import copy
import pickle

import anthropic
import pytest

from apertis.sansio.marks import NOT_GIVEN, NotGiven, is_absent, is_omit, omit, without_absent


class Omit:
    """A class of a program's own."""


@pytest.mark.parametrize("mark", [NOT_GIVEN, omit])
def test_a_mark_is_false_and_the_same_everywhere(mark: NotGiven) -> None:
    assert not mark
    assert mark is not None
    assert copy.copy(mark) is copy.deepcopy(mark) is pickle.loads(pickle.dumps(mark)) is mark
    assert repr(mark) in {"NOT_GIVEN", "omit"}


@pytest.mark.parametrize(
    "mark", [NOT_GIVEN, omit, anthropic.NOT_GIVEN, anthropic.not_given, anthropic.omit]
)
def test_ours_and_theirs_are_absent(mark: object) -> None:
    assert is_absent(mark)
    assert without_absent({"a": 1, "b": mark, "c": None}) == {"a": 1, "c": None}


@pytest.mark.parametrize("value", [None, "", 0, False, [], Omit(), NotGiven])
def test_other_values_are_there(value: object) -> None:
    assert not is_absent(value)


def test_what_is_to_be_left_out_is_told_from_what_was_not_given() -> None:
    assert is_omit(omit)
    assert is_omit(anthropic.omit)
    assert not is_omit(NOT_GIVEN)
    assert not is_omit(anthropic.NOT_GIVEN)
    assert not is_omit(Omit())
