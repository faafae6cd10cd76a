"""Finds the price of a model by any of the names that it goes by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.usage.list_prices import LIST_PRICES
from apertis.gateway.usage.price import Price, cost_units, price_of_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apertis.gateway.config.settings import PriceSettings
    from apertis.gateway.usage.tokens import Tokens, Use

__all__ = ["PriceTable"]

# `-20250929` and `@20250929` (another cloud's spelling), and the names of "the newest of these".
_VERSION = re.compile(r"(?:[-@]20\d{6}|-latest|-0)\Z")


class PriceTable:
    """The list prices, and the configured ones in front of them.

    A model is found by its id, also dated (`claude-sonnet-4-5-20250929`), dotted
    (`claude-sonnet-4.5`), as `-latest`, or with the service's `code:` in front. A configured price
    replaces a list price as a whole; what a configuration does not know (fast mode, the US alone,
    long prompts, limits) stays as it is for the model's list price.
    """

    __slots__ = ("_configured",)

    def __init__(self, configured: Mapping[str, PriceSettings] | None = None) -> None:
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
        """What an answer costs with all models that took part; None when its own has no price.

        Another model without a price is charged as the one that answered.
        """
        price = self.find(model)
        if price is None:
            return None
        units = cost_units(tokens, price, batch)
        for use in others:
            units += cost_units(use.tokens, self.find(use.model or model) or price, batch)
        return units


def _look_up(prices: Mapping[str, Price], model: str) -> Price | None:
    price = prices.get(model)
    if price is not None or not prices:
        return price
    plain = model.removeprefix("code:").replace(".", "-")
    return prices.get(plain) or prices.get(_VERSION.sub("", plain))


def _configured_price(dollars: PriceSettings, listed: Price | None) -> Price:
    price = price_of_dollars(
        dollars.input,
        dollars.output,
        cache_read=dollars.cache_read,
        cache_write_5m=dollars.cache_write_5m,
        cache_write_1h=dollars.cache_write_1h,
        web_search=dollars.web_search,
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
