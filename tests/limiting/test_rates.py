from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.config import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1500/3m", Rate(1500, 180)),
        ("3000/1m", Rate(3000, 60)),
        ("3000/m", Rate(3000, 60)),
        ("5/90s", Rate(5, 90)),
        ("1/2h", Rate(1, 7200)),
        (" 7/1d ", Rate(7, 86400)),
        ("0", None),
    ],
)
def test_a_rate_is_so_many_in_so_long_and_zero_is_none(text: str, rate: Rate | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "1500", "1500/3", "1500/3w", "-1/1m", "1.5/1m", "0/1m", "5/0s", "5/8d", "5 / 1m", "٣/1m"],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)


@given(st.integers(1, 10**12 - 1), st.integers(1, 7 * 86400))
@settings(max_examples=200)
def test_a_rate_is_read_as_it_is_written(count: int, seconds: int) -> None:
    rate = Rate(count, seconds)
    assert parse_rate(str(rate)) == rate
