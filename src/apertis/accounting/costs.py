"""The cost of a message: the gateway's arithmetic, for programs that use the SDK."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from apertis.accounting.counts import UsageCounts
from apertis.accounting.prices import UNITS_PER_DOLLAR, Price, PriceTable, cost_units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.accounting.tokens import Use
    from apertis.models import Message

LISTED = PriceTable()
# Tiers that have list prices; what "priority" costs is in a contract.
_TIERS = frozenset({"standard", "batch"})
_SPEEDS = frozenset({"standard", "fast"})
_PLACES = frozenset({"global", "not_available", "us"})


def message_cost(
    message: Message, *, batch: bool | None = None, prices: PriceTable | None = None
) -> Decimal | None:
    """Return what a message cost in dollars, to the unit; None where that is not known.

    Models that declined before the one that answered, and advisors, are part of it, each at its
    own price. One from a gateway's response cache is free. `batch` tells a result of a message
    batch; by default the message says so itself. `prices` are by default those of the client that
    it came from. Not known is the price of a model that is not in the table, of a tier, speed or
    place without list prices, of cache writes that a redeemed fallback credit made cheaper, and of
    counts that are missing.
    """
    info = message.__dict__.get("_response")
    if info is not None and info.headers.get("x-response-cache") == "hit":
        # A gateway had kept it: what its usage says was paid for before.
        return Decimal(0)
    usage = message.usage
    if batch is None:
        batch = "_batch" in message.__dict__
    table = prices or table_of(message)
    units = listed_units(usage.to_dict(), message.model, table, batch=batch)
    return None if units is None else Decimal(units) / UNITS_PER_DOLLAR


def listed_units(
    usage: Mapping[str, Any], model: str, table: PriceTable, *, batch: bool = False
) -> int | None:
    """Return what a response's `usage` says that it cost, in units; None where that is not known.

    `model` is that of the response. Not known is what `message_cost` says.
    """
    tier = usage.get("service_tier")
    if not (
        _is_one(tier, _TIERS)
        and _is_one(usage.get("speed"), _SPEEDS)
        and _is_one(usage.get("inference_geo"), _PLACES)
    ):
        return None
    counts = UsageCounts()
    counts.update(usage)
    use = counts.use()
    credit = usage.get("fallback_credit")
    written = use.tokens.cache_write_5m or use.tokens.cache_write_1h
    if use.unknown:
        return None
    if credit and written and not _is_spared(credit):
        # How much of what was written is billed as read is not told.
        return None
    total = 0
    for one in (use, *counts.others()):
        units = _units(one, table.find(one.model or (model if one is use else "")), tier, batch)
        if units is None:
            return None
        total += units
    return total


def table_of(message: Message) -> PriceTable:
    """Return the prices of the client that a message came from; else the list prices."""
    info = message.__dict__.get("_response")
    given = message.__dict__.get("_prices") or (info and info.prices)
    return given or LISTED


def _is_one(value: object, names: frozenset[str]) -> bool:
    return value is None or (isinstance(value, str) and value in names)


def _is_spared(credit: object) -> bool:
    return isinstance(credit, dict) and cast("Any", credit).get("type") == "not_applied"


def _units(use: Use, price: Price | None, tier: object, batch: bool) -> int | None:
    # A model that has no fast mode has no price for it either.
    if price is None or (use.tokens.fast and price.fast_percent == 100):
        return None
    return cost_units(use.tokens, price, batch or tier == "batch")


def has_price(model: str, prices: PriceTable | None = None) -> bool:
    """Return whether the table, by default that of list prices, knows what a model costs."""
    return (prices or LISTED).find(model) is not None
