"""Strings for a schema: from the prompt first, then made up, without end."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox.schemas.strings import inert_candidates, is_said, string_candidates
from apertis.sandbox.vocabulary import Words


def first(schema: dict[str, Any], name: str, said: str) -> str:
    return next(string_candidates(schema, name, Words(said)))


@pytest.mark.parametrize(
    ("value", "said"),
    [("red", True), ("RED", True), ("dark_red", True), (5, True), ("re", False), (" ", False),
     (True, False), (None, False)],
)  # fmt: skip
def test_a_value_is_said_when_it_stands_as_words_of_its_own(value: object, said: bool) -> None:
    assert is_said(value, Words("A dark red car with 5 doors")) is said


@pytest.mark.parametrize(
    ("schema", "name", "said", "found"),
    [
        ({}, "city", "The weather in Oslo, please", "Oslo"),
        ({"format": "email"}, "x", "Write to ann@example.org", "ann@example.org"),
        ({}, "email", "Write to ann@example.org", "ann@example.org"),
        ({"format": "email"}, "x", "Write", "someone@example.com"),
        ({"default": "blue"}, "x", "hi", "blue"),
        ({"examples": [5, "green"]}, "x", "hi", "green"),
        ({}, "query", 'Search for "cheap boats"', "cheap boats"),
    ],
)
def test_the_likeliest_string_comes_first(
    schema: dict[str, Any], name: str, said: str, found: str
) -> None:
    assert first(schema, name, said) == found


def test_what_was_not_said_is_not_made_up_on_demand() -> None:
    assert [*string_candidates({"default": "x"}, "city", Words("hi"), said_only=True)] == []


@given(st.integers(0, 60), st.integers(0, 60), st.text(max_size=20))
def test_there_is_always_a_string_of_the_length_that_is_asked_for(
    least: int, more: int, said: str
) -> None:
    schema = {"minLength": least, "maxLength": least + more}
    made = islice(string_candidates(schema, "field", Words(said)), 20)
    assert any(least <= len(text) <= least + more for text in made)


@given(st.integers(0, 40))
def test_inert_strings_do_not_come_from_the_prompt(least: int) -> None:
    made = [*islice(inert_candidates({"minLength": least}, "command", Words("rm -rf /")), 20)]
    assert any(len(text) >= least for text in made)
    assert not any("rm -rf" in text for text in made)
