"""Counts, times, sizes, rates and money, read from TOML's values and from texts."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.config.kinds import (
    MONEY,
    MONEY_STEP,
    NUMBER,
    RATE_LIMIT,
    UnfitError,
    duration,
    size,
    whole,
)
from apertis.limiting.rates import parse_rate

if TYPE_CHECKING:
    from apertis.gateway.config.kinds import Kind


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (whole(1, 9), 9, 9),
        (whole(1), 10**12, 10**12),
        (NUMBER, 0, None),
        (NUMBER, Decimal("2.5"), 2.5),
        (duration(), 90, 90.0),
        (duration(), "500ms", 0.5),
        (duration(), "1.5 h", 5400.0),
        (duration(positive=False), 0, 0.0),
        (size(), 1, 1),
        (size(), "32MB", 32_000_000),
        (size(), "1.5 kib", 1536),
        (size(), "7", 7),
        (RATE_LIMIT, 0, None),
        (RATE_LIMIT, "0", None),
        (RATE_LIMIT, "5/1m", parse_rate("5/1m")),
        (MONEY, "0.000002", MONEY_STEP),
        (MONEY, 3, Decimal(3)),
        (MONEY, "-0", Decimal(0)),
    ],
)
def test_a_quantity_is_read(kind: Kind, written: object, value: object) -> None:
    assert kind.read(written, Path()) == value


UNFIT: list[tuple[Kind, list[object]]] = [
    (whole(1, 9), [0, 10, 1.0, True, "1", None]),
    (NUMBER, [-1, float("nan"), float("inf"), True, "1"]),
    (duration(), [0, -1, True, "1 week", "-1s", float("inf"), []]),
    (size(), [0, -1, 1.5, True, "32XB", "-1MB", ""]),
    (RATE_LIMIT, [False, 5, "fast", "5/0m", None]),
    (MONEY, [True, 1.5, "x", "NaN", "-1", "1000001", "0.000001"]),
]


@pytest.mark.parametrize(
    ("kind", "wrong"), [(kind, value) for kind, values in UNFIT for value in values]
)
def test_what_is_no_such_quantity_is_unfit(kind: Kind, wrong: object) -> None:
    with pytest.raises(UnfitError):
        kind.read(wrong, Path())


@given(
    st.one_of(
        st.tuples(st.just(whole()), st.integers(0, 10**17)),
        st.tuples(st.just(size()), st.integers(1, 10**15)),
        st.tuples(st.just(duration()), st.floats(0.001, 10**6)),
        st.tuples(st.just(NUMBER), st.floats(0, 10**6).map(lambda number: number or None)),
        st.tuples(
            st.just(MONEY),
            st.integers(0, 10**6 * 500_000).map(lambda units: units * MONEY_STEP),
        ),
    )
)
def test_what_is_written_is_read_again(case: tuple[Any, Any]) -> None:
    kind, value = case
    written = kind.write(value).strip('"')
    assert kind.read(kind.parse(written), Path()) == value


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (whole(1), "a whole number, 1 or more"),
        (whole(1, 9, "a port", " (0: any)"), "a port from 1 to 9 (0: any)"),
        (NUMBER, "0 or more (0: none)"),
        (duration(), "above 0"),
        (duration(positive=False), "0 or more"),
        (size(5), "5 or more"),
        (RATE_LIMIT, '"1500/3m"'),
        (MONEY, "from 0 to 1,000,000, a multiple of 0.000002"),
    ],
)
def test_what_is_expected_is_said(kind: Kind, said: str) -> None:
    assert said in kind.expected
