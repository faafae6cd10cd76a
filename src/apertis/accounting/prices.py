"""Prices of models, found by any of their names."""

from __future__ import annotations

import operator
import re
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
from msgspec import Struct

from apertis.accounting.tokens import CLASSES, classes_of
from apertis.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from apertis.accounting.tokens import Tokens, Use

UNITS_PER_DOLLAR = 500_000
_MILLION = 1_000_000
# Four percentages may apply to one request, and stay exact as a product over this.
_PERCENTS = 100**4


class Price(Struct, frozen=True, kw_only=True):
    """The price of one model, in units per million tokens of each class.

    `web_search` is in units per million searches. The percentages apply to all tokens of a
    request, and to nothing else: in a batch; in fast mode; computed in the US alone; with a
    prompt of more than `long_prompt` tokens, cached ones included (0: no such step). `window` and
    `max_output` are the most tokens that a prompt and a response of the model can have (0: nobody
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


_prices_of: Callable[[Price], tuple[int, ...]] = operator.attrgetter(*CLASSES)

# What a token costs that is read from or written to the prompt cache, in terms of one of input,
# where nobody says.
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching
OF_INPUT = {
    "cache_read": Decimal("0.1"),
    "cache_write_5m": Decimal("1.25"),
    "cache_write_1h": Decimal(2),
}


def price_of_dollars(
    input: Decimal,
    output: Decimal,
    *,
    web_search: Decimal = Decimal(10),
    **others: Decimal | None,
) -> Price:
    """Make a price of dollars per million tokens (searches: per thousand).

    Prices of other classes that are not given follow from `input`. What is finer than a unit per
    million tokens is rounded up.
    """

    def units(dollars: Decimal) -> int:
        return int((dollars * UNITS_PER_DOLLAR).to_integral_value(ROUND_CEILING))

    return Price(
        input=units(input),
        output=units(output),
        web_search=units(web_search * 1000),
        **{
            name: units(input * part if (said := others.get(name)) is None else said)
            for name, part in OF_INPUT.items()
        },
    )


def batch_price(price: Price) -> Price:
    """Return what a model costs in a batch.

    Each price is rounded up by itself, so that a bound by their sum is still one.
    """
    shares = {name: -(-getattr(price, name) * price.batch_percent // 100) for name in CLASSES}
    return msgspec.structs.replace(price, **shares)


def cost_units(tokens: Tokens, price: Price, batch: bool = False) -> int:
    """Return the cost of a response: one exact sum, rounded up once."""
    sum_: int = sum(map(operator.mul, classes_of(tokens), _prices_of(price)))
    searches = tokens.web_search_requests * price.web_search
    long = 0 < price.long_prompt < tokens.prompt
    if not (batch or long or tokens.fast or tokens.us_only):
        return -(-(sum_ + searches) // _MILLION)
    sum_ *= price.batch_percent if batch else 100
    sum_ *= price.fast_percent if tokens.fast else 100
    sum_ *= price.us_percent if tokens.us_only else 100
    sum_ *= price.long_percent if long else 100
    return -(-(sum_ + searches * _PERCENTS) // (_MILLION * _PERCENTS))


def _price(
    input: str,
    output: str,
    *,
    read: str | None = None,
    writes: tuple[str, str] | None = None,
    fast_percent: int = 100,
    us_percent: int = 100,
    long: tuple[int, int] = (0, 100),
    window: int = 1_000_000,
    max_output: int = 128_000,
) -> Price:
    price = price_of_dollars(
        Decimal(input),
        Decimal(output),
        cache_read=None if read is None else Decimal(read),
        cache_write_5m=None if writes is None else Decimal(writes[0]),
        cache_write_1h=None if writes is None else Decimal(writes[1]),
    )
    return msgspec.structs.replace(
        price,
        fast_percent=fast_percent,
        us_percent=us_percent,
        long_prompt=long[0],
        long_percent=long[1],
        window=window,
        max_output=max_output,
    )


_OPUS_4_TO_4_1 = _price("15", "75", window=200_000, max_output=32_000)
# Two of them take a million tokens where a beta header asks for it.
_SONNET_4_TO_4_5 = _price("3", "15", max_output=64_000)
_SONNET_3_7 = _price("3", "15", window=200_000)
_SONNET_3_5 = _price("3", "15", window=200_000, max_output=8_192)
_FABLE_5 = _price("10", "50", us_percent=110)
_FABLE_5_1 = _price("10", "50", read="0.25", us_percent=110)
_FABLE_5_2 = _price("8", "40", read="0.20", us_percent=110)

# The day of the list below.
PRICES_AS_OF = "2026-11-28"
# By undated id. Models since Opus 4.6 can be asked to stay in the US, for a tenth more.
LIST_PRICES: dict[str, Price] = {
    "claude-fable-5-2": _FABLE_5_2,
    "claude-mythos-5-2": _FABLE_5_2,
    "claude-fable-5-1": _FABLE_5_1,
    "claude-mythos-5-1": _FABLE_5_1,
    "claude-fable-5": _FABLE_5,
    "claude-mythos-5": _FABLE_5,
    "claude-opus-5-5": _price("4", "20", read="0.20", fast_percent=200, us_percent=110),
    "claude-opus-5": _price("5", "25", fast_percent=200, us_percent=110),
    "claude-opus-4-8": _price("5", "25", fast_percent=200, us_percent=110),
    "claude-opus-4-7": _price("5", "25", fast_percent=600, us_percent=110),
    "claude-opus-4-6": _price("5", "25", fast_percent=600, us_percent=110),
    "claude-opus-4-5": _price("5", "25", window=200_000, max_output=64_000),
    "claude-opus-4-1": _OPUS_4_TO_4_1,
    "claude-opus-4": _OPUS_4_TO_4_1,
    "claude-3-opus": _price("15", "75", window=200_000, max_output=4_096),
    "claude-sonnet-5-5": _price("2", "10", read="0.10", us_percent=110),
    "claude-sonnet-5": _price("2", "10", us_percent=110),
    "claude-sonnet-4-6": _price("3", "15", us_percent=110),
    "claude-sonnet-4-5": _SONNET_4_TO_4_5,
    "claude-sonnet-4": _SONNET_4_TO_4_5,
    "claude-3-7-sonnet": _SONNET_3_7,
    "claude-3-5-sonnet": _SONNET_3_5,
    # Prompts of more than 100,000 tokens cost five times as much, in every class.
    "claude-haiku-5-5": _price("0.10", "0.50", us_percent=110, long=(100_000, 500)),
    "claude-haiku-4-5": _price("1", "5", window=200_000, max_output=64_000),
    "claude-3-5-haiku": _price("0.80", "4", window=200_000, max_output=8_192),
    # Its cache prices were rounded when they were set.
    "claude-3-haiku": _price(
        "0.25",
        "1.25",
        read="0.03",
        writes=("0.30", "0.50"),
        window=200_000,
        max_output=4_096,
    ),
}


# `-20250929` and `@20250929` (another cloud's spelling), and the names of "the newest of these".
_VERSION = re.compile(r"(?:[-@]20\d{6}|-latest|-0)\Z")


class _DollarPrices(Protocol):
    """A model's prices, in dollars per million tokens unless it says otherwise.

    Those of the classes in `OF_INPUT` are among them.
    """

    @property
    def input(self) -> Decimal: ...
    @property
    def output(self) -> Decimal: ...
    @property
    def web_search(self) -> Decimal:
        """A thousand of them."""
        ...

    @property
    def batch_percent(self) -> int: ...


class PriceTable:
    """The list prices, and the configured ones in front of them.

    A model is found by its id, also dated (`claude-sonnet-4-5-20250929`), dotted
    (`claude-sonnet-4.5`), as `-latest`, or with the service's `code:` in front. A configured price
    replaces a list price as a whole; what a configuration does not know (fast mode, the US alone,
    long prompts, limits) stays as it is for the model's list price.
    """

    __slots__ = ("_configured",)

    def __init__(self, configured: Mapping[str, _DollarPrices] | None = None) -> None:
        self._configured: dict[str, Price] = {}
        for model, dollars in (configured or {}).items():
            self._configured[model] = _configured_price(dollars, _look_up(LIST_PRICES, model))

    @property
    def models(self) -> tuple[str, ...]:
        """The models that have a price."""
        return tuple(dict.fromkeys((*LIST_PRICES, *self._configured)))

    def find(self, model: str) -> Price | None:
        """Give the model's price, or None when nobody said one. Names are case sensitive."""
        return _look_up(self._configured, model) or _look_up(LIST_PRICES, model)

    def cost(
        self,
        tokens: Tokens,
        model: str,
        *,
        others: Iterable[Use] = (),
        batch: bool = False,
    ) -> int | None:
        """Return the cost with all models that took part; None when its own has no price.

        Another model without a price is charged as the one that answered.
        """
        price = self.find(model)
        if price is None:
            return None
        units = cost_units(tokens, price, batch)
        for use in others:
            units += cost_units(use.tokens, self.find(use.model or model) or price, batch)
        return units


class _GivenPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """A caller's price of one model, in dollars as `_DollarPrices` says."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    web_search: Decimal = Decimal(10)
    batch_percent: int = 50

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            # A comparison with a NaN is an error of its own.
            if value is not None and not (Decimal(value).is_finite() and 0 <= value < 10**9):
                raise ValueError(f"{name} must be from 0 to less than a billion; it is {value}")


def price_table(prices: object) -> PriceTable:
    """Return the table of prices that a caller gave: dollars per million tokens, by model.

    Raises:
        ConfigurationError: They are none; it names the place.
    """
    if isinstance(prices, PriceTable):
        return prices
    if not isinstance(prices, dict):
        raise ConfigurationError(
            "prices: expected {'model': {'input': 3, 'output': 15}} in dollars per million "
            f"tokens, got {type(prices).__name__}"
        )
    given: dict[str, Any] = {}
    for model, price in cast("dict[object, object]", prices).items():
        if not isinstance(model, str) or not model:
            raise ConfigurationError(f"prices: a model is named by text, not by {model!r}")
        try:
            given[model] = msgspec.convert(_exact(price), _GivenPrice)
        except (msgspec.ValidationError, ArithmeticError, ValueError) as error:
            raise ConfigurationError(
                f"prices[{model!r}]: {error}; expected {{'input': ..., 'output': ...}} in dollars "
                "per million tokens"
            ) from None
    return PriceTable(given)


def _exact(price: object) -> object:
    """Take a float as it is written: 0.1 is a tenth."""
    if not isinstance(price, dict):
        return price
    given = cast("dict[object, object]", price)
    return {k: Decimal(str(v)) if isinstance(v, float) else v for k, v in given.items()}


def _look_up(prices: Mapping[str, Price], model: str) -> Price | None:
    price = prices.get(model)
    if price is not None or not prices:
        return price
    plain = model.removeprefix("code:").replace(".", "-")
    return prices.get(plain) or prices.get(_VERSION.sub("", plain))


def _configured_price(dollars: _DollarPrices, listed: Price | None) -> Price:
    price = price_of_dollars(
        dollars.input,
        dollars.output,
        web_search=dollars.web_search,
        **{name: getattr(dollars, name) for name in OF_INPUT},
    )
    price = msgspec.structs.replace(price, batch_percent=dollars.batch_percent)
    if listed is None:
        return price
    return msgspec.structs.replace(
        price,
        fast_percent=listed.fast_percent,
        us_percent=listed.us_percent,
        long_prompt=listed.long_prompt,
        long_percent=listed.long_percent,
        window=listed.window,
        max_output=listed.max_output,
    )
