"""Reads the prices of models."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from apertis.gateway.config.quantities import MONEY_STEP
from apertis.gateway.config.settings import PriceSettings, kinds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.config.given import Given
    from apertis.gateway.config.reader import Reader

__all__ = ["read_prices"]

# What the prompt cache costs in terms of the input's price, where the table does not say.
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching
_OF_INPUT = {
    "cache_read": Decimal("0.1"),
    "cache_write_5m": Decimal("1.25"),
    "cache_write_1h": Decimal(2),
}


def read_prices(given: Given, reader: Reader) -> Mapping[str, PriceSettings]:
    """The price of each model; those that cannot be are left out."""
    tables = reader.table(given, (given.table or {}).keys()) or {}
    found = {model: _price(table, reader) for model, table in tables.items()}
    return MappingProxyType({model: price for model, price in found.items() if price is not None})


def _price(given: Given, reader: Reader) -> PriceSettings | None:
    kinds = kinds_of(PriceSettings)
    fields = reader.table(given, kinds)
    if fields is None:
        return None
    missing = [name for name in ("input", "output") if name not in fields]
    if missing:
        reader.problem(given.place, f"needs {' and '.join(missing)}")
    values = reader.values(fields, kinds)
    if not {"input", "output"} <= values.keys():
        return None
    for name, part in _OF_INPUT.items():
        values.setdefault(name, _stepped(values["input"] * part))
    return PriceSettings(**values)


def _stepped(amount: Decimal) -> Decimal:
    """The amount in whole units of money, rounded up."""
    return (amount / MONEY_STEP).to_integral_value(ROUND_UP) * MONEY_STEP
