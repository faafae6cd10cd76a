"""Spans, moments and money, read and written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.units import UNITS_PER_DOLLAR, iso, read_moment, read_span, read_usd, usd

LATEST = 253_402_300_799


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000), ("2w", 1_209_600)],
)
def test_a_span_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert read_span(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5", "5y", "-5s", "+5s", "1.5h", "٣s", "5 s", "9" * 20])
def test_what_is_not_a_span_is_none(text: str) -> None:
    assert read_span(text) is None


@given(st.integers(0, LATEST))
def test_a_moment_is_read_as_it_is_written(seconds: int) -> None:
    assert read_moment(iso(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-31", "2026-12-31T00:00:00Z"),
        (" 2026-12-31 ", "2026-12-31T00:00:00Z"),
        ("2026-12-31T18:00", "2026-12-31T18:00:00Z"),
        ("2026-12-31T18:00:00+02:00", "2026-12-31T16:00:00Z"),
    ],
)
def test_without_a_zone_it_is_utc(text: str, moment: str) -> None:
    seconds = read_moment(text)
    assert seconds is not None
    assert iso(seconds) == moment


def test_a_whole_day_is_at_its_end() -> None:
    assert read_moment("2026-12-31", whole_day=True) == read_moment("2027-01-01")
    hour = "2026-12-31T18:00"
    assert read_moment(hour, whole_day=True) == read_moment(hour)


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "1969-12-31", "9999-12-31T23:59-23:00"])
def test_what_is_not_a_moment_is_none(text: str) -> None:
    assert read_moment(text) is None


def test_the_day_after_the_last_one_is_none() -> None:
    assert read_moment("9999-12-31", whole_day=True) is None


@pytest.mark.parametrize(
    ("units", "text"), [(0, "0"), (6_250_000, "12.5"), (1, "0.000002"), (-1_500_000, "-3")]
)
def test_money_is_written_without_zeros(units: int, text: str) -> None:
    assert usd(units) == text


@given(st.integers(-(10**15), 10**15))
def test_money_is_written_exactly(units: int) -> None:
    assert Decimal(usd(units)) * UNITS_PER_DOLLAR == units


@given(st.integers(0, 10**15))
def test_dollars_are_read_as_they_are_written(units: int) -> None:
    read = read_usd(usd(units))
    assert read is not None
    assert read * UNITS_PER_DOLLAR == units


@given(st.integers(0, 10**12), st.integers(0, 10**6 - 1), st.sampled_from(["", "$", "$ "]))
def test_dollars_with_signs_and_separators_are_exact(whole: int, rest: int, sign: str) -> None:
    fraction = f".{rest:06}"
    exact = Decimal(f"{whole}{fraction}")
    assert read_usd(f" {sign}{whole:,}{fraction} ") == exact
    assert read_usd(f"{sign}{whole}{fraction.rstrip('0')}") == exact


@pytest.mark.parametrize(
    "text",
    [
        *("", "$", ".", "1,5", "1.5.0", "1e3", "-1", "+1", "NaN", "Infinity", "0x10", "1 000"),
        *("1.0000001", "\u0661", "12,34", "1,234,5", "\N{EURO SIGN}5", "5 $", "1_000"),
    ],
)
def test_what_is_no_amount_of_dollars_is_none(text: str) -> None:
    assert read_usd(text) is None
