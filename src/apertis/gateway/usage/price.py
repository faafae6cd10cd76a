"""What tokens cost, in exact integers: 500,000 units are one US dollar."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from apertis.gateway.usage.tokens import Tokens

__all__ = ["UNITS_PER_DOLLAR", "Price", "cost_units", "price_of_dollars"]

UNITS_PER_DOLLAR = 500_000
_MILLION = 1_000_000
# Four percentages may apply to one request, and stay exact as a product over this.
_PERCENTS = 100**4


class Price(Struct, frozen=True, kw_only=True):
    """The price of one model, in units per million tokens of each class.

    `web_search` is in units per million searches. The percentages apply to all tokens of a
    request, and to nothing else: in a batch; in fast mode; computed in the US alone; with a
    prompt of more than `long_prompt` tokens, cached ones included (0: no such step). `window` and
    `max_output` are the most tokens that a prompt and an answer of the model can have (0: nobody
    said).
    """

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    web_search: int = 10 * 1000 * UNITS_PER_DOLLAR
    batch_percent: int = 50
    fast_percent: int = 100
    us_percent: int = 100
    long_prompt: int = 0
    long_percent: int = 100
    window: int = 0
    max_output: int = 0


def price_of_dollars(
    input: Decimal,
    output: Decimal,
    *,
    cache_read: Decimal | None = None,
    cache_write_5m: Decimal | None = None,
    cache_write_1h: Decimal | None = None,
    web_search: Decimal = Decimal(10),
) -> Price:
    """Make a price of dollars per million tokens (searches: per thousand).

    Cache prices that are not given follow from `input` as the API's do: a tenth to read, 1.25
    times to write for five minutes, twice for an hour. What is finer than a unit per million
    tokens is rounded up.
    """

    def units(dollars: Decimal) -> int:
        return int((dollars * UNITS_PER_DOLLAR).to_integral_value(ROUND_CEILING))

    return Price(
        input=units(input),
        output=units(output),
        cache_read=units(input / 10 if cache_read is None else cache_read),
        cache_write_5m=units(input * 5 / 4 if cache_write_5m is None else cache_write_5m),
        cache_write_1h=units(input * 2 if cache_write_1h is None else cache_write_1h),
        web_search=units(web_search * 1000),
    )


def cost_units(tokens: Tokens, price: Price, batch: bool = False) -> int:
    """What an answer costs: one exact sum, rounded up once."""
    sum_ = (
        tokens.input * price.input
        + tokens.output * price.output
        + tokens.cache_read * price.cache_read
        + tokens.cache_write_5m * price.cache_write_5m
        + tokens.cache_write_1h * price.cache_write_1h
    )
    searches = tokens.web_search_requests * price.web_search
    long = 0 < price.long_prompt < tokens.prompt
    if not (batch or long or tokens.fast or tokens.us_only):
        return -(-(sum_ + searches) // _MILLION)
    sum_ *= price.batch_percent if batch else 100
    sum_ *= price.fast_percent if tokens.fast else 100
    sum_ *= price.us_percent if tokens.us_only else 100
    sum_ *= price.long_percent if long else 100
    return -(-(sum_ + searches * _PERCENTS) // (_MILLION * _PERCENTS))
