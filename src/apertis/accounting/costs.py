"""The cost of a message: the gateway's arithmetic, for programs that use the SDK."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from apertis.accounting.counts import UsageCounts
from apertis.accounting.prices import UNITS_PER_DOLLAR, PriceTable

if TYPE_CHECKING:
    from apertis.models import Message

_LISTED = PriceTable()


def message_cost(
    message: Message, *, batch: bool = False, prices: PriceTable = _LISTED
) -> Decimal | None:
    """Return what a message cost in dollars, to the unit; None when its model has no price.

    Models that declined before the one that answered, and advisors, are part of it, each at its
    own price. `batch` tells a result of a message batch.
    """
    counts = UsageCounts()
    counts.update(message.usage.to_dict())
    use = counts.use()
    model = use.model or message.model
    units = prices.cost(use.tokens, model, others=counts.others(), batch=batch)
    return None if units is None else Decimal(units) / UNITS_PER_DOLLAR


def has_price(model: str, prices: PriceTable = _LISTED) -> bool:
    """Return whether the table knows what a model costs."""
    return prices.find(model) is not None
