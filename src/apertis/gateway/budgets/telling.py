"""Words to callers about their budgets: headers while requests are allowed, and refusals.

Claude Code shows a person how much is used, and prints why a request was rejected, where a gateway
sends the headers that the API sends to its subscribers. All other programs get the service's own
error. A `Refusal` has both forms, and whoever answers chooses.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from apertis.accounting.prices import UNITS_PER_DOLLAR
from apertis.gateway.budgets.periods import time_zone
from apertis.gateway.errors import (
    Refusal,
    quota_exceeded,
    service_unavailable,
    thread_unsupported_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apertis.gateway.budgets.lease import Chain, Lease
    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Organization

_PREFIX: Final = "anthropic-ratelimit-unified-"
# Percents that Claude Code tells a person of.
NOTICES: Final = (95, 75)
GROUP_OF: Final = {"day": "daily", "week": "weekly", "month": "monthly", "total": "total"}
"""A period as clients of the API name it."""
_STORE_AWAY = "The gateway's store does not answer, and what can be spent without it is used up"


def percent_used(spent: int, amount: int, *, allowed: bool = True) -> int:
    """Return how much of an amount is spent, in whole percents.

    It is below 100 as long as requests are `allowed`: what is spent is not all that counts.
    """
    percent = spent * 100 // amount if amount > 0 else 100
    return min(percent, 99) if allowed else percent


def notice_at(percent: int) -> int | None:
    """Return the threshold of a notice that was passed."""
    return next((notice for notice in NOTICES if percent >= notice), None)


def fullest(leases: Iterable[Lease]) -> Lease | None:
    """Return the lease whose budget is used up most; of equals the one that resets last."""
    return max(leases, key=_fullness, default=None)


def _fullness(lease: Lease) -> tuple[float, float]:
    amount, spent = lease.limit.amount_units, lease.total_spent
    return (spent / amount if amount > 0 else float("inf"), _reset(lease))


def _reset(lease: Lease) -> float:
    end = lease.span.end
    return float("inf") if end is None else end


def usage_headers(leases: Sequence[Lease]) -> list[tuple[bytes, bytes]]:
    """Return what a response says of the fullest budget; nothing where there is none.

    They say what is spent, not what is reserved.
    """
    lease = fullest(leases)
    if lease is None:
        return []
    percent = percent_used(lease.total_spent, lease.limit.amount_units)
    notice = notice_at(percent)
    status = "allowed" if notice is None else "allowed_warning"
    said = {
        "status": status,
        "representative-claim": "overage",
        "overage-status": status,
        "overage-utilization": f"{percent / 100:.2f}",
    }
    if notice is not None:
        said["overage-surpassed-threshold"] = f"{notice / 100:.2f}"
    if lease.span.end is not None:
        said["reset"] = said["overage-reset"] = str(lease.span.end)
    return [(f"{_PREFIX}{name}".encode(), value.encode()) for name, value in said.items()]


def shortage_refusal(
    lease: Lease, units: int, who: str, *, now: float, fits_alone: bool = False
) -> Refusal:
    """Reject what a budget lacks the money for; `who` is its `subject`.

    `fits_alone`: with its whole conversation in the body, which is counted then and not assumed, it
    could be paid for.
    """
    message = shortage_text(lease, units, who)
    if fits_alone:
        return thread_unsupported_request(message)
    refusal = quota_exceeded(message)
    return replace(refusal, unified=_rejected(refusal, lease, now))


def last_to_reset(chain: Chain, lacking: Lease, units: int) -> Lease:
    """Return the one of the leases without so much that resets last; `lacking` is one of them."""
    short = [lease for lease in chain.leases if lease.is_open and _left(lease) < units]
    return max((lacking, *short), key=_reset)


def _rejected(refusal: Refusal, lease: Lease, now: float) -> Refusal:
    said = {
        "status": "rejected",
        "overage-utilization": "1",
        "overage-surpassed-threshold": "1",
        "overage-disabled-reason": "org_spend_cap_reached",
    }
    headers: tuple[tuple[str, str], ...] = ()
    end = lease.span.end
    if end is not None:
        said["reset"] = said["overage-reset"] = str(end)
        said["overage-period"] = GROUP_OF[lease.limit.period]
        headers = (("retry-after", str(max(1, -int((now - end) // 1)))),)
    if lease.limit.level in {"group", "gateway"}:
        said["overage-scope"] = "group_pool"
    own = tuple((_PREFIX + name, value) for name, value in said.items())
    return replace(refusal, status=429, headers=headers + own, lasting=True)


def store_away_refusal(lent: Limit | None = None, who: str = "") -> Refusal:
    """Reject what nobody can pay for while the store is away.

    `lent`: the limit that lets something be spent all the same, of which that is used up.
    """
    message = _STORE_AWAY
    if lent is not None and lent.store_loss_units is not None:
        most = short_dollars(lent.store_loss_units)
        message += f": {limit_text(lent, who)} allows {most} for that case"
    if lent is not None and lent.contact:
        message += f"; ask {lent.contact}"
    refusal = service_unavailable(message)
    unified = Refusal(
        429,
        "billing_error",
        refusal.code,
        message,
        headers=((f"{_PREFIX}overage-disabled-reason", "fetch_error"),),
        lasting=True,
    )
    return replace(refusal, unified=unified)


def shortage_text(lease: Lease, units: int, who: str) -> str:
    """Say in one sentence what is left of which budget, what is needed, and what can be done."""
    limit, end = lease.limit, lease.span.end
    message = (
        f"You have exceeded your quota: {dollars(max(_left(lease), 0))} are left of "
        f"{limit_text(limit, who)} ({short_dollars(limit.amount_units)}), and this request may "
        f"cost up to {dollars(units)}"
    )
    if end is not None:
        message += f"; it resets at {_moment(end, limit.zone)}"
    if limit.contact:
        message += f"; ask {limit.contact} for more"
    return message


def limit_text(limit: Limit, who: str) -> str:
    """Name a limit: of which period it is, whose, and what counts in it."""
    if limit.id == f"quota-{limit.subject_id}":
        return f"the quota of {who}"
    what = f"the {GROUP_OF[limit.period]} limit of {who}"
    if limit.models is not None:
        what += f" for {', '.join(limit.models)}"
    return what + " for each session" if limit.per_session else what


def subject(limit: Limit, record: KeyRecord | None, organization: Organization) -> str:
    """Name whose limit it is, as callers know them."""
    name = limit.subject_id
    if limit.level == "gateway":
        return "the whole gateway"
    if limit.level == "key":
        if record is not None and record.id == name:
            name = record.name
        return f"the API key '{name}'"
    known = organization.people if limit.level == "person" else organization.groups
    found = known.get(name)
    return f"the {limit.level} '{name if found is None else found.name}'"


def dollars(units: int) -> str:
    """Write an amount exactly."""
    return f"${units // UNITS_PER_DOLLAR}.{units % UNITS_PER_DOLLAR * 2:06d}"


def short_dollars(units: int) -> str:
    """Write an amount without the zeros at its end, in cents at least."""
    return dollars(units).removesuffix("0000")


def _left(lease: Lease) -> int:
    """Return what can still be spent of a budget, as far as this process knows."""
    return lease.free + max(lease.left, 0)


def _moment(seconds: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(seconds, time_zone(zone)):%Y-%m-%d %H:%M} {zone}"
