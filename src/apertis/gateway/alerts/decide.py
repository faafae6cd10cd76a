"""Decisions what is to be told now, made from values alone.

Each alert has an id that says of what it is and of which period: the store keeps each id once, so
that whoever decides the same again, at another time or in another process, tells nothing twice.
"""

from __future__ import annotations

import statistics
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from apertis.gateway.budgets.periods import time_zone
from apertis.gateway.store.alerts import Alert, budget_alert_id
from apertis.gateway.units import iso, usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.store.alerts import BudgetState, ExpiringKey, HourlySpending, Severity

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
# How long ids are remembered after the time at which they could be told again.
_KEPT_MS: Final = 90 * DAY_MS
# With fewer days to compare with, nothing is a spike.
MIN_SPIKE_DAYS: Final = 3
SPIKE_DAYS: Final = 7
# The same trouble of an upstream or a journal is told once in so long.
QUIET_MS: Final = HOUR_MS
_WARNING_PERCENT: Final = 75


class OpenBreaker(msgspec.Struct, frozen=True):
    """An upstream that is left alone: why, and after how many failures in a row."""

    upstream: str
    cause: str
    failures: int


class JournalLag(msgspec.Struct, frozen=True):
    """Records of a gateway's journal that are not in the store, and the age of the oldest."""

    records: int
    seconds: float


def passed_budgets(budgets: Iterable[BudgetState]) -> Iterator[Alert]:
    """Tell of each budget that is past thresholds: of the highest one, which stands for all.

    A limit whose amount was changed is told of anew: the money that it is about is another.
    """
    for state in budgets:
        limit = state.limit
        if limit.amount_units <= 0:
            continue
        passed = [
            percent
            for percent in sorted(set(limit.thresholds))
            if percent > 0 and state.spent * 100 >= limit.amount_units * percent
        ]
        if passed:
            yield _budget_alert(state, passed)


def _budget_alert(state: BudgetState, passed: Sequence[int]) -> Alert:
    limit, percent = state.limit, passed[-1]
    end = state.period_end
    resets = "" if end is None else f"; it resets at {moment_in(end, limit.zone)}"
    contact = "" if limit.contact is None else f"; for more, ask {limit.contact}"
    models = "" if limit.models is None else f" for {', '.join(limit.models)}"
    spent, amount = dollars(state.spent), dollars(limit.amount_units)
    used = state.spent * 100 // limit.amount_units
    text = (
        f"{subject_of(limit, state.name)} has spent {used} % of the {_PERIODS[limit.period]} "
        f"limit{models}: {spent} of {amount}{resets}{contact}."
    )
    level: Severity = "info"
    if percent >= _WARNING_PERCENT:
        level = "warning" if percent < 100 else "error"
    return Alert(
        id=budget_alert_id(state.account_id, limit.amount_units, percent),
        kind="budget",
        level=level,
        text=text,
        subject_id=limit.subject_id,
        # The account of a total is the same for good.
        forget_ms=None if end is None else end * 1000 + _KEPT_MS,
        data={
            "limit_id": limit.id,
            "account_id": state.account_id,
            "subject": {"level": limit.level, "id": limit.subject_id, "name": state.name},
            "threshold_percent": percent,
            "thresholds_passed": list(passed),
            "spent_usd": usd(state.spent),
            "limit_usd": usd(limit.amount_units),
            "period": limit.period,
            "time_zone": limit.zone,
            "models": limit.models,
            "resets_at": None if end is None else iso(end),
            "contact": limit.contact,
        },
    )


_PERIODS = {"day": "daily", "week": "weekly", "month": "monthly", "total": "total"}


def subject_of(limit: Limit, name: str | None) -> str:
    """Name whom a limit is about, as a sentence begins with it."""
    if limit.level == "gateway":
        return "The whole gateway"
    return f"The {limit.level} {name or limit.subject_id}"


def dollars(units: int) -> str:
    """Write units as people read money: `$38.12`; what is not a whole cent is rounded down."""
    cents = abs(units) // 5000
    return f"{'-' if units < 0 else ''}${cents // 100:,}.{cents % 100:02}"


def moment_in(seconds: int, zone: str) -> str:
    """Write a moment in a limit's time zone, with the zone's name."""
    local = datetime.fromtimestamp(seconds, time_zone(zone))
    return f"{local:%Y-%m-%d %H:%M} ({zone})"


def ending_keys(keys: Iterable[ExpiringKey], days: Sequence[int], now_ms: int) -> Iterator[Alert]:
    """Tell of each key that ends within some of so many days: of the nearest notice alone.

    A key that was made for a shorter time than that has no notice of it.
    """
    for key in keys:
        left_ms = key.expires_at * 1000 - now_ms
        life_ms = (key.expires_at - key.created_at) * 1000
        due = [day for day in days if 0 < left_ms <= day * DAY_MS < life_ms]
        if due:
            yield _key_alert(key, min(due), left_ms, is_last=min(due) == min(days))


def _key_alert(key: ExpiringKey, days: int, left_ms: int, *, is_last: bool) -> Alert:
    hours = max(1, left_ms // HOUR_MS)
    left = f"{hours} hour{'s' if hours > 1 else ''}" if hours < 48 else f"{hours // 24} days"
    owner = "" if key.owner is None else f" of {key.owner}"
    return Alert(
        id=f"key:{key.id}:{key.expires_at}:{days}",
        kind="key",
        level="warning" if is_last else "info",
        text=f"The key {key.name}{owner} ends in {left}, at {iso(key.expires_at)}.",
        subject_id=key.id,
        forget_ms=key.expires_at * 1000 + _KEPT_MS,
        data={
            "subject": {"level": "key", "id": key.id, "name": key.name},
            "days": days,
            "expires_at": iso(key.expires_at),
        },
    )


def spike(spending: HourlySpending, factor: float, floor_units: int) -> Alert | None:
    """Tell of an hour that costs far more than the same hour of the last days, once a day in UTC.

    It is compared with their median, which one day that was unlike the others does not move: more
    than `factor` times that, and more than `floor_units`. With fewer than three days to compare
    with there is no spike.
    """
    if len(spending.before) < MIN_SPIKE_DAYS:
        return None
    usual = int(statistics.median(spending.before))
    if spending.spent <= floor_units or spending.spent <= factor * usual:
        return None
    hour, day = spending.hour_start, datetime.fromtimestamp(spending.hour_start, UTC)
    return Alert(
        id=f"spike:{day:%Y-%m-%d}",
        kind="spike",
        level="warning",
        text=(
            f"The gateway has spent {dollars(spending.spent)} since {iso(hour)}, where this hour "
            f"of the last {len(spending.before)} days cost {dollars(usual)} (median)."
        ),
        forget_ms=hour * 1000 + _KEPT_MS,
        data={
            "hour": iso(hour),
            "spent_usd": usd(spending.spent),
            "usual_usd": usd(usual),
            "days_compared": len(spending.before),
        },
    )


def open_breakers(
    breakers: Iterable[OpenBreaker], told: frozenset[str], now_ms: int
) -> Iterator[Alert]:
    """Tell of each breaker that opened; those of the upstreams in `told` were open already."""
    for breaker in breakers:
        if breaker.upstream in told:
            continue
        why = breaker.cause
        if breaker.failures:
            why += (
                f" after {breaker.failures} failure{'s' if breaker.failures > 1 else ''} in a row"
            )
        yield Alert(
            id=f"breaker:{breaker.upstream}:{now_ms // QUIET_MS}",
            kind="breaker",
            level="error",
            text=f"The upstream {breaker.upstream} is left alone: its breaker opened ({why}).",
            forget_ms=now_ms + _KEPT_MS,
            data={
                "upstream": breaker.upstream,
                "cause": breaker.cause,
                "failures": breaker.failures,
            },
        )


def lagging_journal(
    lag: JournalLag, replica: str, max_records: int, max_seconds: float, now_ms: int
) -> Alert | None:
    """Tell of a journal that the store does not keep up with; a bound of 0 is none."""
    behind = max_records and lag.records > max_records
    late = max_seconds and lag.seconds > max_seconds
    if not (behind or late):
        return None
    return Alert(
        id=f"journal:{replica}:{now_ms // QUIET_MS}",
        kind="journal",
        level="error",
        text=(
            f"The gateway {replica} has {lag.records:,} usage records that are not in the store "
            f"yet, the oldest for {lag.seconds:.0f} seconds."
        ),
        forget_ms=now_ms + _KEPT_MS,
        data={"replica": replica, "records": lag.records, "seconds": round(lag.seconds)},
    )


def linked(alert: Alert, public_url: str | None) -> Alert:
    """Return the alert with the page of the console that shows more, where there is a console."""
    if public_url is None:
        return alert
    page = _PAGES[alert.kind]
    if alert.kind == "key":
        page = f"keys/{alert.subject_id}"
    elif alert.kind == "breaker":
        page = f"upstreams/{quote(str(alert.data['upstream']), safe='')}"
    url = f"{public_url}/console/{page}"
    return msgspec.structs.replace(
        alert, text=f"{alert.text} {url}", data={**alert.data, "console_url": url}
    )


_PAGES: Final = {
    "budget": "budgets",
    "breaker": "upstreams",
    "key": "keys",
    "spike": "overview",
    "journal": "doctor",
    "test": "alerts",
}


def event_of(alert: Alert, at_ms: int) -> dict[str, Any]:
    """Return the JSON object that a webhook gets: type, timestamp and data."""
    return {
        "type": EVENT_TYPES[alert.kind],
        "timestamp": iso(at_ms / 1000),
        "data": {"id": alert.id, "level": alert.level, "text": alert.text, **alert.data},
    }


EVENT_TYPES: Final = {
    "budget": "budget.threshold_passed",
    "breaker": "breaker.opened",
    "key": "key.ends_soon",
    "spike": "spending.spike",
    "journal": "journal.lag",
    "test": "alert.test",
}

LEVELS: Final[tuple[Severity, ...]] = ("info", "warning", "error")


def retry_seconds(attempts: int) -> float | None:
    """Return how long to wait after so many failed attempts; None to give up, after 8 hours."""
    return None if attempts > len(_RETRIES) else _RETRIES[attempts - 1]


_RETRIES = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0)
