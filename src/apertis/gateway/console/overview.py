"""The overview: what was spent and used, over time."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast
from urllib.parse import urlencode

from apertis.gateway.admin.csv_text import to_csv
from apertis.gateway.admin.overview import MAX_PERIODS, OverviewQuery
from apertis.gateway.admin.overview import overview as add_up
from apertis.gateway.budgets.periods import first_second, following, start_of, time_zone
from apertis.gateway.console.pages import Download, Page, Place
from apertis.gateway.console.plots import COLORS, Line, Plot
from apertis.gateway.errors import not_found
from apertis.gateway.units import usd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from zoneinfo import ZoneInfo

    from apertis.gateway.admin.overview import Metric, Of, Overview, Sums
    from apertis.gateway.budgets.periods import CalendarPeriod
    from apertis.gateway.console.pages import Asked, Parts
    from apertis.gateway.errors import Refusal
    from apertis.gateway.people.record import Group, Person

_DAY_SECONDS, _QUARTER_SECONDS = 86_400, 900
SPANS: Final[Mapping[str, tuple[str, CalendarPeriod]]] = {
    "24h": ("24 hours", "hour"),
    "7d": ("7 days", "day"),
    "30d": ("30 days", "day"),
    "month": ("This month", "day"),
    "12months": ("12 months", "month"),
}
"""The ranges to choose from, in words, and the periods that each is shown by at first."""
_DEFAULT = "30d"
_BY: Final[tuple[CalendarPeriod, ...]] = ("hour", "day", "week", "month")
_NAMED: Final[Mapping[str, CalendarPeriod]] = {by: by for by in _BY}
_OF: Final[Mapping[str, str]] = {"model": "Model", "group": "Group", "person": "Person"}
_SHORTEST = {"hour": 3600, "day": 82_800, "week": 7 * 82_800, "month": 27 * _DAY_SECONDS}


class Choice(NamedTuple):
    """The filters that a viewer chose; `problem` says what was chosen that cannot be."""

    span: str
    by: CalendarPeriod
    of: Of
    since: int
    until: int
    before: tuple[int, int]
    dates: tuple[str, str]
    problem: str = ""


def chosen(query: Mapping[str, str], zone: ZoneInfo, now: float) -> Choice:
    """Read the filters of the page; what is none of them is as if it were not there."""
    of = query.get("of", "model")
    span = query.get("span", _DEFAULT)
    span = span if span in SPANS else _DEFAULT
    problem = ""
    first, last = query.get("from", ""), query.get("to", "")
    since, until = _range(span, zone, now)
    by = SPANS[span][1]
    if first or last:
        found = _dates(first, last, zone, now)
        if isinstance(found, str):
            problem = found
        else:
            span, (since, until) = "", found
            by = "day" if until - since > 2 * _DAY_SECONDS else "hour"
    wanted = _NAMED.get(query.get("by", ""), by)
    by = _shortest(wanted, since, until)
    if by != wanted and "by" in query:
        problem = f"That is too long to show by {wanted}: it is shown by {by}."
    # To a quarter of an hour, as the sums are kept: what is within one is not read to compare.
    elapsed = min(int(now) - int(now) % _QUARTER_SECONDS, until)
    before = (
        _month_before(since, elapsed, zone) if span == "month" else (2 * since - elapsed, since)
    )
    return Choice(
        span=span,
        by=by,
        of=cast("Of", of if of in _OF else "model"),
        since=since,
        until=until,
        before=(max(before[0], 0), before[1]),
        dates=(
            datetime.fromtimestamp(since, zone).date().isoformat(),
            datetime.fromtimestamp(min(int(now), until - 1), zone).date().isoformat(),
        ),
        problem=problem,
    )


def _range(span: str, zone: ZoneInfo, now: float) -> tuple[int, int]:
    if span == "24h":
        hour = start_of("hour", zone, int(now))
        return hour - 23 * 3600, following("hour", zone, hour)
    if span in ("month", "12months"):
        since = start_of("month", zone, int(now))
        until = following("month", zone, since)
        for _ in range(11 if span == "12months" else 0):
            since = start_of("month", zone, since - 1)
        return since, until
    today = datetime.fromtimestamp(now, zone).date()
    days = 6 if span == "7d" else 29
    first = first_second(today - timedelta(days=days), zone)
    return first, first_second(today + timedelta(days=1), zone)


def _dates(first: str, last: str, zone: ZoneInfo, now: float) -> tuple[int, int] | str:
    today = datetime.fromtimestamp(now, zone).date()
    days: list[date] = []
    for text in (first, last):
        try:
            days.append(date.fromisoformat(text) if text else today)
        except ValueError:
            return f"Write a date as {today.isoformat()}, not {text[:100]!r}."
    if not first:
        days[0] = min(days[0], days[1])
    # The calendar ends with the year 9999, and Unix seconds began with 1970.
    if not 1970 < days[0].year <= days[1].year < 9999 or days[0] > days[1]:
        return f"A range ends on or after the day it begins: {days[0]} to {days[1]} does not."
    if days[0] > today:
        return f"{days[0]} is not over yet: nothing was used since then."
    return first_second(days[0], zone), first_second(days[1] + timedelta(days=1), zone)


def _month_before(since: int, elapsed: int, zone: ZoneInfo) -> tuple[int, int]:
    first = start_of("month", zone, since - 1)
    return first, min(first + elapsed - since, since)


def _shortest(wanted: CalendarPeriod, since: int, until: int) -> CalendarPeriod:
    return next(one for one in _BY[_BY.index(wanted) :] if _fits(one, since, until))


def _fits(by: CalendarPeriod, since: int, until: int) -> bool:
    return by == "month" or (until - since) / _SHORTEST[by] <= MAX_PERIODS


async def see(parts: Parts, asked: Asked) -> Page:
    """Show it."""
    now = parts.now()
    zone = time_zone(asked.zone)
    choice = chosen(asked.query, zone, now)
    found = await _added_up(parts, asked, choice, now)
    plots = _plots(parts, found, choice)
    context = {
        "choice": choice,
        "found": found,
        "plots": [(plot, _columns(plot), _table(plot)) for plot in plots],
        "legend": plots[0].lines,
        "spans": [(_url(choice, span=span), words) for span, (words, _) in SPANS.items()],
        "periods": [
            (_url(choice, by=by), by.capitalize())
            for by in _BY
            if _fits(by, choice.since, choice.until)
        ],
        "whose": [(_url(choice, of=of), words) for of, words in _OF.items()],
        "here": _url(choice),
        "csv": {
            plot.id: _url(choice, path="/console/overview.csv", plot=plot.id) for plot in plots
        },
        "changes": {
            name: change(getattr(found.totals, name), getattr(found.before, name))
            for name in ("cost_units", "requests", "tokens", "failed", "saved_units")
        },
    }
    scripts = ("vendor/uplot.min.js", "plots.js")
    return Page("overview.html", "Overview", context, error=choice.problem, scripts=scripts)


async def download(parts: Parts, asked: Asked) -> Download | Refusal:
    """Give the table of one plot as CSV; money is in dollars, exactly."""
    now = parts.now()
    choice = chosen(asked.query, time_zone(asked.zone), now)
    found = await _added_up(parts, asked, choice, now)
    name = asked.query.get("plot", "spend")
    plot = next((one for one in _plots(parts, found, choice) if one.id == name), None)
    if plot is None:
        return not_found(f"There is no plot {name[:100]!r}.")
    is_money = plot.unit == "money"
    rows = [
        [period, *(usd(int(value or 0)) if is_money else value for value in values)]
        for period, values in zip(plot.periods, _table(plot), strict=True)
    ]
    body = to_csv([choice.by, *_columns(plot)], rows)
    first, last = choice.dates
    return Download(body.encode(), "text/csv; charset=utf-8", f"{plot.id}-{first}-{last}.csv")


async def _added_up(parts: Parts, asked: Asked, choice: Choice, now: float) -> Overview:
    query = OverviewQuery(
        since=choice.since,
        until=choice.until,
        before=choice.before,
        by=choice.by,
        zone=asked.zone,
        of=choice.of,
        groups=None if asked.viewer.sees_all else asked.viewer.group_ids,
    )
    return await add_up(query, parts.store.usage, parts.price, now)


def _plots(parts: Parts, found: Overview, choice: Choice) -> tuple[Plot, ...]:
    names = _names(parts, found, choice)
    periods = tuple(_in_full(name, choice.by) for name in found.periods)
    ticks = tuple(_in_short(name, choice.by) for name in found.periods)

    def stacked(plot: str, title: str, metric: Metric) -> Plot:
        lines = tuple(
            Line(name, "eight" if one.is_rest else COLORS[at], one.values[metric])
            for at, (name, one) in enumerate(zip(names, found.series, strict=True))
        )
        unit: Literal["money", "count"] = "money" if metric == "cost_units" else "count"
        return Plot(plot, title, unit, "bars", periods, ticks, lines)

    def line(name: str, color: str, value: Callable[[Sums], float | None]) -> Line:
        return Line(name, color, tuple(value(sums) for sums in found.sums))

    times = (
        line("First token, p50", "one", lambda sums: sums.first_byte_p50_ms),
        line("First token, p95", "two", lambda sums: sums.first_byte_p95_ms),
        line("Whole response, p50", "three", lambda sums: sums.total_p50_ms),
        line("Whole response, p95", "four", lambda sums: sums.total_p95_ms),
    )
    saved = line("Saved by cache", "six", lambda sums: max(sums.saved_units, 0))
    share = line("Read from cache", "one", lambda sums: sums.read_share)
    return (
        stacked("spend", "Spend", "cost_units"),
        stacked("requests", "Requests", "requests"),
        stacked("tokens", "Tokens", "tokens"),
        stacked("errors", "Errors", "failed"),
        Plot("times", "Time to first token, and to the end", "ms", "lines", periods, ticks, times),
        Plot("cache", "Share read from cache", "percent", "lines", periods, ticks, (share,)),
        Plot("saved", "Saved by cache", "money", "bars", periods, ticks, (saved,)),
    )


def _names(parts: Parts, found: Overview, choice: Choice) -> list[str]:
    known: Mapping[str, Person | Group] = {}
    if choice.of == "group":
        known = parts.organization.groups
    elif choice.of == "person":
        known = parts.organization.people
    names: list[str] = []
    for one in found.series:
        if one.is_rest:
            name = "All others"
        elif one.id is None:
            name = f"No {choice.of}"
        else:
            name = known[one.id].name if one.id in known else one.id
        # Two of one name are told apart by their ids.
        names.append(f"{name} ({one.id})" if name in names else name)
    return names


def _columns(plot: Plot) -> list[str]:
    names = [line.name for line in plot.lines]
    return [*names, "All"] if plot.kind == "bars" else names


def _table(plot: Plot) -> list[list[int | float | None]]:
    """Return the values of a plot by period, with the sum of each where they are stacked."""
    rows: list[list[int | float | None]] = []
    for at, total in enumerate(plot.totals):
        values = [line.values[at] for line in plot.lines]
        rows.append([*values, total] if plot.kind == "bars" else values)
    return rows


def _in_full(name: str, by: CalendarPeriod) -> str:
    if by == "hour":
        # Its offset tells apart the hour that comes twice.
        return name.replace("T", " ")
    return f"Week of {name}" if by == "week" else name


def _in_short(name: str, by: CalendarPeriod) -> str:
    if by == "month":
        return date.fromisoformat(f"{name}-01").strftime("%b %Y")
    if by == "hour":
        moment = datetime.fromisoformat(name)
        return moment.strftime("%H:%M" if moment.hour else "%-d %b")
    return date.fromisoformat(name).strftime("%-d %b")


def _url(choice: Choice, path: str = "/console/overview", **changed: str) -> str:
    """Return the URL of the page as it is, but for some filters."""
    filters: dict[str, str] = {"by": choice.by, "of": choice.of}
    if choice.span:
        filters["span"] = choice.span
    else:
        filters["from"], filters["to"] = choice.dates
    if "span" in changed:
        # Another range is shown by its own periods.
        filters = {"of": choice.of}
    return f"{path}?{urlencode(filters | changed)}"


def change(now: int, before: int) -> float | None:
    """Return by what share something grew; None where there was nothing before."""
    return (now - before) / before if before else None


PLACES = (
    Place("/overview", "overview", see, shared=True),
    Place("/overview.csv", "overview", download),
)
