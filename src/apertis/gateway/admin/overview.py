"""Usage over time at a glance: sums of each period, of those that used most, and a forecast."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from apertis.gateway.admin.cache_report import saved_by_reads
from apertis.gateway.budgets.periods import following, name_of, span_of, start_of, time_zone
from apertis.gateway.store.histogram import percentile
from apertis.gateway.store.records import UsageQuery, UsageRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from apertis.accounting.prices import Price
    from apertis.gateway.budgets.periods import CalendarPeriod
    from apertis.gateway.store.usage import StoredUsage

Of = Literal["model", "group", "person"]
Metric = Literal["cost_units", "requests", "tokens", "failed"]
METRICS: Final[tuple[Metric, ...]] = ("cost_units", "requests", "tokens", "failed")
MAX_PERIODS = 400
"""Periods of one overview: a year of days, or two weeks of hours."""
MAX_SERIES = 7
"""Those that used most are told apart, and the others are one."""

_MILLION = 1_000_000
_DAY_SECONDS = 86_400
# Of how many whole days a forecast takes the mean, and how far back the first day with usage is
# looked for.
_FORECAST_DAYS, _FORECAST_LOOK_BACK = 7, 28


class OverviewQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A range to add up, in Unix seconds, and its periods; `until` may be later than now.

    `before` is the range that it is compared with. `groups` are the only ones that count; None:
    all.
    """

    since: int
    until: int
    before: tuple[int, int]
    by: CalendarPeriod
    zone: str
    of: Of = "model"
    groups: tuple[str, ...] | None = None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one period, or of all."""

    requests: int = 0
    failed: int = 0
    cost_units: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    # What reads from prompt caches cost less than plain input, at today's prices.
    saved_units: int = 0
    first_byte_p50_ms: int | None = None
    first_byte_p95_ms: int | None = None
    total_p50_ms: int | None = None
    total_p95_ms: int | None = None

    @property
    def tokens(self) -> int:
        """All tokens, of prompts and answers."""
        return self.prompt_tokens + self.output_tokens

    @property
    def failed_share(self) -> float | None:
        """The share of requests that ended with status 400 or above."""
        return self.failed / self.requests if self.requests else None

    @property
    def read_share(self) -> float | None:
        """The share of the prompts that was read from a cache."""
        return self.cache_read_tokens / self.prompt_tokens if self.prompt_tokens else None


@dataclass(frozen=True, slots=True)
class Series:
    """Usage of one model, group or person in each period, by metric; or of all others."""

    id: str | None
    values: Mapping[Metric, tuple[int, ...]]
    is_rest: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """Spend of a month by its end: what is spent, and the mean of some days for what is left."""

    spent_units: int
    expected_units: int
    days: int
    """The number of whole days that the mean is of."""
    until: int
    """The end of the month in Unix seconds."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Sums of a range, of each period in it, of the range before, and of those that used most."""

    periods: tuple[str, ...]
    sums: tuple[Sums, ...]
    totals: Sums
    before: Sums
    series: tuple[Series, ...]
    forecast: Forecast | None


async def overview(
    query: OverviewQuery,
    usage: StoredUsage,
    prices: Callable[[str], Price | None],
    now: float,
) -> Overview:
    """Add up a range, from sums by hour; of days that share one also from those of its quarters."""
    if query.groups == ():
        return Overview((), (), Sums(), Sums(), (), None)
    zone = time_zone(query.zone)
    asked = UsageQuery(
        since_ms=query.since * 1000,
        until_ms=query.until * 1000,
        zone=query.zone,
        groups=query.groups or (),
        group_by=(query.by, "model"),
        with_times=True,
    )
    rows = await usage.report(asked)
    before = await usage.report(
        msgspec.structs.replace(
            asked,
            since_ms=query.before[0] * 1000,
            until_ms=query.before[1] * 1000,
            group_by=("model",),
        )
    )
    periods = _periods(query, now)
    by_period: dict[str | None, list[UsageRow]] = {name: [] for name in periods}
    for row in rows:
        # A clock that was set back leaves usage of times to come.
        by_period.setdefault(getattr(row, query.by), []).append(row)
    names = tuple(name for name in by_period if name is not None)
    sums = tuple(_add_up(by_period[name], prices) for name in names)
    plain = msgspec.structs.replace(asked, with_times=False, group_by=(query.by, query.of))
    if query.of != "model":
        rows = await _of_most(query, plain, usage)
    month = span_of("month", query.zone, now)
    today = start_of("day", zone, int(now))
    since = min(month.start, today - _FORECAST_LOOK_BACK * _DAY_SECONDS)
    days = await usage.costs(
        msgspec.structs.replace(
            asked,
            since_ms=start_of("day", zone, since) * 1000,
            until_ms=(month.end or today) * 1000,
            group_by=("day",),
            with_times=False,
        )
    )
    return Overview(
        periods=names,
        sums=sums,
        totals=_add_up(rows if query.of == "model" else _flat(by_period.values()), prices),
        before=_add_up(before, prices),
        series=_series(rows, query, names, sums),
        forecast=forecast({day or "": cost for (day,), cost in days}, query.zone, now),
    )


def _flat(rows: Iterable[list[UsageRow]]) -> list[UsageRow]:
    return [row for found in rows for row in found]


async def _of_most(query: OverviewQuery, asked: UsageQuery, usage: StoredUsage) -> list[UsageRow]:
    """Return the rows of those that spent most: of thousands of people, most are not shown."""
    ranked = msgspec.structs.replace(asked, group_by=(query.of,), order="cost", limit=MAX_SERIES)
    # Those who belong nowhere are kept as an empty text.
    kept = tuple(one or "" for (one,), _ in await usage.costs(ranked))
    if not kept:
        return []
    of_kept = {"people": kept} if query.of == "person" else {"groups": kept}
    return await usage.report(msgspec.structs.replace(asked, **of_kept))


def _periods(query: OverviewQuery, now: float) -> list[str]:
    zone = time_zone(query.zone)
    names: list[str] = []
    start = start_of(query.by, zone, query.since)
    while start < query.until and start <= now and len(names) < MAX_PERIODS:
        names.append(name_of(query.by, zone, start))
        start = following(query.by, zone, start)
    return names


def _add_up(rows: Iterable[UsageRow], prices: Callable[[str], Price | None]) -> Sums:
    found = list(rows)
    saved = 0
    for row in found:
        price = prices(row.model or "")
        saved += 0 if price is None else saved_by_reads(row.cache_read_tokens, price)

    def total(name: str) -> int:
        return sum(getattr(row, name) for row in found)

    read = total("cache_read_tokens")
    written = total("cache_write_5m_tokens") + total("cache_write_1h_tokens")
    times = {
        f"{name}_p{percent}_ms": percentile(counts, percent)
        for name, counts in (
            ("first_byte", _counts(row.first_byte_times for row in found)),
            ("total", _counts(row.total_times for row in found)),
        )
        for percent in (50, 95)
    }
    return Sums(
        requests=total("requests"),
        failed=total("failed"),
        cost_units=total("cost_units"),
        prompt_tokens=total("input_tokens") + read + written,
        output_tokens=total("output_tokens"),
        cache_read_tokens=read,
        saved_units=round(saved / _MILLION),
        **times,
    )


def _counts(histograms: Iterable[Sequence[int]]) -> Sequence[int]:
    return reduce(lambda one, other: tuple(map(operator.add, one, other)) or other, histograms, ())


def _series(
    rows: Iterable[UsageRow], query: OverviewQuery, names: Sequence[str], sums: Sequence[Sums]
) -> tuple[Series, ...]:
    place = {name: at for at, name in enumerate(names)}
    found: dict[str | None, dict[Metric, list[int]]] = {}
    for row in rows:
        values = found.setdefault(
            getattr(row, query.of), {metric: [0] * len(names) for metric in METRICS}
        )
        at = place[getattr(row, query.by)]
        for metric in METRICS:
            values[metric][at] += _tokens(row) if metric == "tokens" else getattr(row, metric)
    most = sorted(
        found.items(),
        key=lambda item: (-sum(item[1]["cost_units"]), -sum(item[1]["requests"]), str(item[0])),
    )[:MAX_SERIES]
    shown = [
        Series(one, {metric: tuple(values[metric]) for metric in METRICS}) for one, values in most
    ]
    rest: dict[Metric, tuple[int, ...]] = {
        metric: tuple(
            # What was booked between the two questions is in one of them.
            max(getattr(of_all, metric) - sum(one.values[metric][at] for one in shown), 0)
            for at, of_all in enumerate(sums)
        )
        for metric in METRICS
    }
    if any(map(any, rest.values())):
        shown.append(Series(None, rest, is_rest=True))
    return tuple(shown)


def _tokens(row: UsageRow) -> int:
    return (
        row.input_tokens
        + row.output_tokens
        + row.cache_read_tokens
        + row.cache_write_5m_tokens
        + row.cache_write_1h_tokens
    )


def forecast(spent: Mapping[str, int], zone: str, now: float) -> Forecast | None:
    """Expect each day that is left of the month to cost what the last whole days did, on average.

    `spent` is by day, and has the last weeks and this month. The mean is of the last seven days,
    or of those since the first one with usage; without a whole day there is no forecast.
    """
    place = time_zone(zone)
    month, today = span_of("month", zone, now), span_of("day", zone, now)
    whole: list[int] = []
    start = start_of("day", place, today.start - _FORECAST_LOOK_BACK * _DAY_SECONDS)
    while start < today.start:
        cost = spent.get(name_of("day", place, start))
        if whole or cost is not None:
            whole.append(cost or 0)
        start = following("day", place, start)
    if not whole or month.end is None:
        return None
    last = whole[-_FORECAST_DAYS:]
    first_day = name_of("day", place, month.start)
    last_day = name_of("day", place, today.start)
    so_far = sum(cost for day, cost in spent.items() if first_day <= day <= last_day)
    left = max(month.end - int(now), 0)
    return Forecast(
        spent_units=so_far,
        expected_units=so_far + sum(last) * left // (len(last) * _DAY_SECONDS),
        days=len(last),
        until=month.end,
    )
