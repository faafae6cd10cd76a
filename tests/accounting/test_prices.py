"""Prices are found by every name that a model goes by."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.prices import LIST_PRICES, Price, PriceTable, cost_units, price_of_dollars
from apertis.accounting.tokens import Tokens, Use
from apertis.gateway.config.settings import PriceSettings
from apertis.sandbox.catalogue import ALIASES, MODELS, Model

TABLE = PriceTable()


def dollars(amount: str) -> int:
    """Units per million tokens."""
    return int(Decimal(amount) * 500_000)


def configured(input: str, output: str) -> PriceSettings:
    one = Decimal(input)
    return PriceSettings(
        input=one,
        output=Decimal(output),
        cache_read=one / 10,
        cache_write_5m=one * 5 / 4,
        cache_write_1h=one * 2,
    )


@pytest.mark.parametrize(
    ("model", "input", "output", "read", "write_5m", "write_1h"),
    [
        ("claude-opus-4-5", "5", "25", "0.5", "6.25", "10"),
        ("claude-opus-4-1", "15", "75", "1.5", "18.75", "30"),
        ("claude-sonnet-4-6", "3", "15", "0.3", "3.75", "6"),
        ("claude-haiku-4-5", "1", "5", "0.1", "1.25", "2"),
        ("claude-3-5-haiku", "0.8", "4", "0.08", "1", "1.6"),
        ("claude-3-haiku", "0.25", "1.25", "0.03", "0.3", "0.5"),
        ("claude-opus-5-5", "4", "20", "0.2", "5", "8"),
        ("claude-sonnet-5-5", "2", "10", "0.1", "2.5", "4"),
        ("claude-fable-5-1", "10", "50", "0.25", "12.5", "20"),
        ("claude-fable-5-2", "8", "40", "0.2", "10", "16"),
    ],
)
def test_list_prices_are_the_published_ones(
    model: str, input: str, output: str, read: str, write_5m: str, write_1h: str
) -> None:
    price = TABLE.find(model)
    assert price is not None
    assert (
        price.input,
        price.output,
        price.cache_read,
        price.cache_write_5m,
        price.cache_write_1h,
    ) == tuple(map(dollars, (input, output, read, write_5m, write_1h)))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-latest", "claude-sonnet-4-5"),
        ("code:claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("claude-sonnet-4-0", "claude-sonnet-4"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("claude-3.5-haiku", "claude-3-5-haiku"),
    ],
)
def test_a_model_is_found_by_its_other_names(name: str, model: str) -> None:
    assert TABLE.find(name) is LIST_PRICES[model]


@pytest.mark.parametrize(
    "name",
    ["", "gpt-9", "claude", "claude-opus", "Claude-Opus-4-5", "claude-opus-4-5-2025", "-latest"],
)
def test_other_names_have_no_price(name: str) -> None:
    assert TABLE.find(name) is None


def test_every_model_of_the_sandbox_has_a_price() -> None:
    assert [model.id for model in MODELS if TABLE.find(model.id) is None] == []
    assert [name for name in ALIASES if TABLE.find(name) is None] == []


def test_every_list_price_is_that_of_a_model_of_the_sandbox() -> None:
    undated = {re.sub(r"-20\d{6}$", "", model.id).replace(".", "-") for model in MODELS}
    assert undated == set(LIST_PRICES)
    for price in LIST_PRICES.values():
        assert price.cache_read < price.input < price.cache_write_5m < price.cache_write_1h
        assert price.output == 5 * price.input


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_the_sandbox_takes_no_more_than_the_list_prices_know(model: Model) -> None:
    price = TABLE.find(model.id)
    assert price is not None
    if model.lifecycle == "active":
        limits = (price.window, price.max_output)
        assert (model.max_input_tokens, model.max_tokens) == limits
    # Betas have given some older models more than the sandbox takes.
    assert model.max_input_tokens <= price.window
    assert model.max_tokens <= price.max_output


def test_a_configured_price_goes_first_and_is_found_by_other_names_too() -> None:
    table = PriceTable({"claude-opus-4-5": configured("1", "2"), "mine": configured("7", "8")})
    for name in ("claude-opus-4-5", "claude-opus-4-5-20251101", "claude-opus-4.5"):
        price = table.find(name)
        assert price is not None
        assert price.input == dollars("1")
    assert table.find("claude-opus-4-1") is LIST_PRICES["claude-opus-4-1"]
    mine = table.find("mine")
    assert mine is not None
    assert (mine.input, mine.output, mine.web_search) == (dollars("7"), dollars("8"), 5_000 * 10**6)


def test_the_price_of_an_exact_id_beats_that_of_its_undated_name() -> None:
    table = PriceTable(
        {"claude-opus-4-5": configured("1", "2"), "claude-opus-4-5-20251101": configured("3", "4")}
    )
    price = table.find("claude-opus-4-5-20251101")
    assert price is not None
    assert price.input == dollars("3")


def test_a_configured_price_keeps_the_factors_of_the_model() -> None:
    table = PriceTable({"claude-opus-5": configured("1", "2")})
    used = Tokens(input=1_000_000, fast=True, us_only=True)
    assert table.cost(used, "claude-opus-5") == dollars("1") * 2 * 110 // 100


@pytest.mark.parametrize(("prompt", "cost"), [(100_000, "0.01"), (100_001, "0.05")])
def test_a_long_prompt_raises_the_price_of_the_whole_request(prompt: int, cost: str) -> None:
    units = TABLE.cost(Tokens(input=prompt), "claude-haiku-5-5")
    assert units is not None
    assert abs(units - dollars(cost)) <= 1
    # Cached parts count towards the length, and the answer costs more too.
    units = TABLE.cost(Tokens(cache_read=prompt, output=1_000_000), "claude-haiku-5-5")
    assert units is not None
    assert abs(units - (dollars(cost) // 10 + dollars(cost) * 50)) <= 1


def test_an_advisor_is_charged_at_its_own_price() -> None:
    used, advice = Tokens(input=1_000_000), Tokens(output=1_000_000)
    cost = TABLE.cost(used, "claude-haiku-4-5", others=[Use(advice, "claude-opus-4-7")])
    assert cost == dollars("1") + dollars("25")
    unknown = TABLE.cost(used, "claude-haiku-4-5", others=[Use(advice, "nobody")])
    assert unknown == dollars("1") + dollars("5")


def test_without_a_price_there_is_no_cost() -> None:
    assert TABLE.cost(Tokens(input=1), "gpt-9") is None


def test_every_list_price_is_sane() -> None:
    for model, price in LIST_PRICES.items():
        assert isinstance(price, Price)
        assert 0 < price.cache_read < price.input < price.cache_write_5m < price.cache_write_1h
        assert price.input < price.output, model
        assert cost_units(Tokens(input=1_000_000), price) >= dollars("0.1")


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
