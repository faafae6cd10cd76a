from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox.vocabulary import Words, stems, words_in


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What's the weather like in Tokyo?", ["Tokyo"]),
        ("Is Paris bigger than New York?", ["Paris", "New York"]),
        ("Book a table at the Bank of England in London.", ["Bank of England", "London"]),
        ("Ann and Bob met Ann", ["Ann", "Bob"]),
        ("nothing here", []),
    ],
)
def test_names_are_words_in_capitals(text: str, names: list[str]) -> None:
    assert Words(text).names == names


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Fly from Oslo to Rome", ["Oslo", "Rome"]),
        ("Weather in Oslo, Rome and New York, said Kim", ["Oslo", "Rome", "New York"]),
        ("the weather in los angeles today", ["los angeles"]),
        ("Tokyo weather", ["Tokyo"]),
    ],
)
def test_places_follow_their_prepositions(text: str, places: list[str]) -> None:
    assert Words(text).places == places


def test_numbers_arithmetic_quotes_and_formats_are_found() -> None:
    words = Words(
        "Mail ann@example.com on 2026-03-04: “1,234.5 plus 7” is 2 * (3+4). See https://a.b/c."
    )
    assert words.quoted == ["1,234.5 plus 7"]
    assert 1234.5 in words.numbers
    assert 7 in words.numbers
    assert words.maths == ["2 * (3+4)"]
    assert words.of_format("email") == ["ann@example.com"]
    assert words.of_format("date") == ["2026-03-04"]
    assert words.of_format("uri") == ["https://a.b/c"]


def test_origins_and_targets_follow_their_prepositions() -> None:
    words = Words("Fly from Oslo to New York tomorrow")
    assert words.after("from") == ["Oslo"]
    assert words.after("to") == ["New York"]


def test_names_of_tools_are_split_and_forms_are_one() -> None:
    assert words_in("getWeather_report") == ["get", "weather", "report"]
    assert stems("search books") == stems("Book searching")
    assert not stems("the of and")


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    words = Words(text)
    assert all(name.strip() for name in (*words.names, *words.places, *words.after("to")))
    assert all(isinstance(number, (int, float)) for number in words.numbers)
