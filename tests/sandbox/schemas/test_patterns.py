from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox.schemas.patterns import example

PATTERNS = [
    "^abc$",
    r"^\d{3}-\d{4}$",
    "^[A-Z]{2,}$",
    "^(cat|dog)+$",
    r"^[^a-z]\w\s\S\D\W$",
    r"^\+?[1-9]\d{1,14}$",
    r"^[\w.+-]+@[\w-]+\.[\w.]+$",
    "^#(?:[0-9a-fA-F]{3}){1,2}$",
    "^(?P<year>[0-9]{4})(?<month>a)?$",
    r"^a*b+?c{0,3}d{2}$",
    r"\bword\b",
    r"^\u0041\x42$",
    r"^[\]\-a]$",
    r"^.{5,}$",
    "^$",
    "",
    "a|b",
    "^((a|b){2}(c|d))*$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_example_is_described_by_its_pattern(pattern: str) -> None:
    text = example(pattern)
    assert text is not None
    assert re.search(re.sub(r"\(\?<(?=\w)", "(?P<", pattern), text)


@pytest.mark.parametrize(
    ("pattern", "least", "text"),
    [("^a+$", 4, "aaaa"), ("^[a-z]{2,}$", 5, "aaaaa"), (r"^ab*c$", 5, "abbbc")],
)
def test_an_open_repetition_grows_to_the_length(pattern: str, least: int, text: str) -> None:
    assert example(pattern, least) == text


@pytest.mark.parametrize(
    "pattern",
    [r"^(?=a)b", r"(a)\1", "(?!x)", "(", ")", "a)", "[a", "*a", "a{x}", "\\", r"[^\s\S]", r"\p{L}"],
)
def test_what_cannot_be_read_has_no_example(pattern: str) -> None:
    assert example(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "[a-z]{1000000000}",
        "(a{9999}){9999}",
        "(){99999999999}a",
        "(((a{999})+){999})+",
        "a{9999}" * 9,
    ],
)
def test_a_pattern_that_asks_for_too_much_ends_soon(pattern: str) -> None:
    text = example(pattern)
    assert text is None or len(text) <= 20_000


def test_a_text_that_would_be_too_long_is_none() -> None:
    assert example("^a{9}$", 0, 5) is None


@given(st.text("ab01[](){}^$|?*+-,.\\dws:P<>=", max_size=12))
def test_any_pattern_is_read_or_left(pattern: str) -> None:
    text = example(pattern, 3)
    assert text is None or isinstance(text, str)
