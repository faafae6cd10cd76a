"""The cost of a message: the gateway's arithmetic, for programs that use the SDK."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from apertis.accounting.counts import UsageCounts
from apertis.accounting.prices import UNITS_PER_DOLLAR, Price, PriceTable, cost_units

if TYPE_CHECKING:
    from apertis.accounting.tokens import Tokens
    from apertis.models import Message, Usage

_LISTED = PriceTable()
# Tiers that have list prices; what "priority" costs is in a contract.
_TIERS = frozenset({None, "standard", "batch"})
_SPEEDS = frozenset({None, "standard", "fast"})
_PLACES = frozenset({None, "global", "not_available", "us"})


def message_cost(
    message: Message, *, batch: bool | None = None, prices: PriceTable | None = None
) -> Decimal | None:
    """Return what a message cost in dollars, to the unit; None where that is not known.

    Models that declined before the one that answered, and advisors, are part of it, each at its
    own price. `batch` tells a result of a message batch; by default the message says so itself.
    `prices` are by default those of the client that it came from. Not known is the price of a
    model that is not in the table, of a tier, speed or place without list prices, and of cache
    writes that a redeemed fallback credit made cheaper.
    """
    usage = message.usage
    if batch is None:
        batch = "_batch" in message.__dict__ or usage.service_tier == "batch"
    table = prices or table_of(message)
    if not _is_listed(usage):
        return None
    counts = UsageCounts()
    counts.update(usage.to_dict())
    use = counts.use()
    credit = usage.fallback_credit
    written = use.tokens.cache_write_5m or use.tokens.cache_write_1h
    if credit and credit.get("type") != "not_applied" and written:
        # How much of what was written is billed as read is not told.
        return None
    units = _units(use.tokens, table.find(use.model or message.model), batch=batch)
    for other in counts.others():
        more = _units(other.tokens, table.find(other.model or ""), batch=batch)
        units = None if units is None or more is None else units + more
    return None if units is None else Decimal(units) / UNITS_PER_DOLLAR


def table_of(message: Message) -> PriceTable:
    """Return the prices of the client that a message came from; else the list prices."""
    info = message.__dict__.get("_response")
    given = message.__dict__.get("_prices") or (info and info.prices)
    return given or _LISTED


def _is_listed(usage: Usage) -> bool:
    return (
        usage.service_tier in _TIERS and usage.speed in _SPEEDS and usage.inference_geo in _PLACES
    )


def _units(tokens: Tokens, price: Price | None, *, batch: bool) -> int | None:
    # A model that has no fast mode has no price for it either.
    if price is None or (tokens.fast and price.fast_percent == 100):
        return None
    return cost_units(tokens, price, batch)


def has_price(model: str, prices: PriceTable | None = None) -> bool:
    """Return whether the table, by default that of list prices, knows what a model costs."""
    return (prices or _LISTED).find(model) is not None
