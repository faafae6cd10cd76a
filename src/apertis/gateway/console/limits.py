"""Limits as pages show them: what is spent, what is reserved, and when it begins anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from apertis.gateway.admin.limits import limit_views
from apertis.gateway.budgets.limit import QUOTA
from apertis.gateway.budgets.periods import span_of
from apertis.gateway.units import usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.admin.limits import LimitView
    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.console.pages import Parts

_TENTHS = 1000
_FULL = 100.0
EACH: Final = {"day": "a day", "week": "a week", "month": "a month", "total": "in total"}


class Shown(NamedTuple):
    """A limit with what is spent of it; `resets` is in Unix seconds, None for never."""

    view: LimitView
    resets: int | None

    @property
    def is_quota(self) -> bool:
        """True of the quota of a key, which is changed with the key."""
        return self.view.id.startswith(QUOTA)

    @property
    def link(self) -> str:
        """The page on which it is changed."""
        if self.is_quota:
            return f"/console/keys/{self.view.subject_id}"
        return f"/console/budgets/limits/{self.view.id}"

    @property
    def amount(self) -> str:
        """The amount and the period: `$100.00 a month`."""
        return f"{dollars(self.view.amount_units)} {EACH[self.view.period]}"

    @property
    def reserved_units(self) -> int:
        """Handed out to gateways and held by batches."""
        return self.view.leased_units + self.view.held_units

    @property
    def percent(self) -> float | None:
        """Spent of the amount, rounded down to a tenth; None of nothing."""
        return percent_of(self.view.spent_units, self.view.amount_units)

    @property
    def reserved_percent(self) -> float:
        """Reserved of the amount, as far as it is in a bar behind what is spent."""
        reserved = percent_of(self.reserved_units, self.view.amount_units) or 0.0
        return max(0.0, min(reserved, _FULL - (self.percent or 0.0)))

    @property
    def is_used_up(self) -> bool:
        """True if nothing can be handed out of it any more."""
        return self.view.left_units == 0


async def show_limits(
    parts: Parts, limits: Iterable[Limit], names: dict[str, str] | None = None
) -> dict[str, Shown]:
    """Return limits as they are now, by their ids; `names` are those of what they limit."""
    limits, now = tuple(limits), parts.now()
    views = await limit_views(limits, parts.store.organization, names or {}, now)
    return {
        limit.id: Shown(view, span_of(limit.period, limit.zone, now).end)
        for limit, view in zip(limits, views, strict=True)
    }


def percent_of(part: int, whole: int) -> float | None:
    """Return the percents, rounded down to a tenth: nothing is full before it is."""
    return part * _TENTHS // whole / 10 if whole else None


def dollars(units: int) -> str:
    """Write an amount exactly, with cents at least: `$1,234.50`, `$0.000002`."""
    whole, _, rest = usd(abs(units)).partition(".")
    return f"{'-' if units < 0 else ''}${int(whole):,}.{rest:0<2}"
