"""Docstrings in the usual styles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.tools.docstrings import parse

GOOGLE = """Get the weather.

    Of a place: now.

    Args:
        place (str): The city,
            and the country.
        unit: Celsius or
            note: fahrenheit.

    Returns:
        A text.
    """
NUMPY = """Get the weather.

    Of a place: now.

    Parameters
    ----------
    place : str
        The city,
        and the country.
    unit : {"c", "f"}, optional
        Celsius or
        note: fahrenheit.

    Returns
    -------
    str
        A text.
    """
REST = """Get the weather.

    Of a place: now.

    :param str place: The city,
        and the country.
    :param unit: Celsius or
        note: fahrenheit.
    :type unit: str
    :returns: A text.
    """
EPYDOC = REST.replace("    :", "    @").replace("str place", "place")


@pytest.mark.parametrize(
    "text", [GOOGLE, NUMPY, REST, EPYDOC], ids=["google", "numpy", "rest", "epydoc"]
)
def test_each_style_says_the_same(text: str) -> None:
    described, parameters = parse(text)
    assert described == "Get the weather.\n\nOf a place: now."
    assert parameters == {
        "place": "The city, and the country.",
        "unit": "Celsius or note: fahrenheit.",
    }


def test_names_that_share_a_text_in_numpy_style_each_have_it() -> None:
    assert parse("Add.\n\nParameters\n----------\na, b : int\n    A number.\n")[1] == {
        "a": "A number.",
        "b": "A number.",
    }


def test_stars_are_no_part_of_a_name() -> None:
    assert parse("Do.\n\nArgs:\n    **more: Others.\n")[1] == {"more": "Others."}


@pytest.mark.parametrize("text", [None, "", "   "])
def test_no_docstring_says_nothing(text: str | None) -> None:
    assert parse(text) == ("", {})


@given(st.text(alphabet="aA:@-() \n\t*,Args:Parameters", max_size=200))
def test_any_text_is_read(text: str) -> None:
    described, parameters = parse(text)
    assert all(parameters.values())
    assert described == described.strip()
