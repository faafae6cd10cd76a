"""Costs are exact integers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.usage.price import Price, cost_units, price_of_dollars
from apertis.gateway.usage.tokens import Tokens

COUNT = st.integers(0, 3_000_000)
TOKENS = st.builds(
    Tokens,
    input=COUNT,
    output=COUNT,
    cache_read=COUNT,
    cache_write_5m=COUNT,
    cache_write_1h=COUNT,
    web_search_requests=st.integers(0, 50),
    fast=st.booleans(),
    us_only=st.booleans(),
)
RATE = st.integers(0, 100 * 500_000)
PERCENT = st.integers(0, 700)
PRICES = st.builds(
    Price,
    input=RATE,
    output=RATE,
    cache_read=RATE,
    cache_write_5m=RATE,
    cache_write_1h=RATE,
    web_search=RATE,
    batch_percent=st.integers(0, 100),
    fast_percent=PERCENT,
    us_percent=PERCENT,
    long_prompt=st.sampled_from([0, 1, 100_000]),
    long_percent=st.integers(100, 700),
)
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
OPUS = price_of_dollars(Decimal(5), Decimal(25))


def exact(tokens: Tokens, price: Price, batch: bool) -> Fraction:
    """The cost in units without any rounding, from the definition of each field."""
    units = sum((Fraction(getattr(tokens, n) * getattr(price, n)) for n in CLASSES), Fraction())
    if batch:
        units *= Fraction(price.batch_percent, 100)
    if tokens.fast:
        units *= Fraction(price.fast_percent, 100)
    if tokens.us_only:
        units *= Fraction(price.us_percent, 100)
    if price.long_prompt and tokens.prompt > price.long_prompt:
        units *= Fraction(price.long_percent, 100)
    return (units + tokens.web_search_requests * price.web_search) / 1_000_000


@given(TOKENS, PRICES, st.booleans())
@settings(max_examples=200)
def test_a_cost_is_the_exact_one_rounded_up_once(tokens: Tokens, price: Price, batch: bool) -> None:
    assert cost_units(tokens, price, batch) == -(-exact(tokens, price, batch) // 1)


@given(TOKENS, PRICES, st.booleans(), st.sampled_from((*CLASSES, "web_search_requests")), COUNT)
@settings(max_examples=150)
def test_more_of_anything_never_costs_less(
    tokens: Tokens, price: Price, batch: bool, name: str, more: int
) -> None:
    larger = msgspec.structs.replace(tokens, **{name: getattr(tokens, name) + more})
    assert cost_units(larger, price, batch) >= cost_units(tokens, price, batch)


@given(st.lists(TOKENS, min_size=1, max_size=4), PRICES, st.booleans())
@settings(max_examples=150)
def test_parts_cost_as_much_as_the_whole_but_for_the_rounding_of_each(
    parts: list[Tokens], price: Price, batch: bool
) -> None:
    price = msgspec.structs.replace(price, long_prompt=0)
    parts = [msgspec.structs.replace(part, fast=False, us_only=False) for part in parts]
    names = (*CLASSES, "web_search_requests")
    whole = Tokens(**{name: sum(getattr(part, name) for part in parts) for name in names})
    together = cost_units(whole, price, batch)
    apart = sum(cost_units(part, price, batch) for part in parts)
    assert together <= apart < together + len(parts)


@pytest.mark.parametrize(
    ("tokens", "units"),
    [
        (Tokens(), 0),
        (Tokens(input=1_000_000), 2_500_000),
        (Tokens(output=1_000_000), 12_500_000),
        (Tokens(cache_read=1_000_000), 250_000),
        (Tokens(cache_write_5m=1_000_000), 3_125_000),
        (Tokens(cache_write_1h=1_000_000), 5_000_000),
        (Tokens(web_search_requests=1), 5_000),
        # Two tokens and a half of a unit: rounded up, once.
        (Tokens(input=1), 3),
        (Tokens(input=1, output=1), 15),
        (Tokens(cache_read=1), 1),
    ],
)
def test_five_dollars_a_million_are_two_and_a_half_units_a_token(
    tokens: Tokens, units: int
) -> None:
    assert cost_units(tokens, OPUS) == units


def test_a_batch_costs_half_but_its_searches_do_not() -> None:
    tokens = Tokens(input=1_000_000, web_search_requests=2)
    assert cost_units(tokens, OPUS, batch=True) == 1_250_000 + 10_000


def test_a_price_finer_than_a_unit_is_rounded_up() -> None:
    price = price_of_dollars(Decimal("0.0000001"), Decimal(1), cache_read=Decimal(0))
    assert (price.input, price.output, price.cache_read) == (1, 500_000, 0)
