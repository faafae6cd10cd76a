"""`apertis usage`: usage and cost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from apertis.cli.administration import (
    Administration,
    GatewayOptions,
    OwnUsage,
    place_options,
    usage_source,
)
from apertis.cli.organization import all_limits
from apertis.cli.terminal import echo, echo_json, is_terminal, json_option, printable
from apertis.cli.usage_cache import report_caching
from apertis.cli.usage_own import is_own, show_own
from apertis.cli.usage_plot import check, plot_of, save
from apertis.cli.usage_screen import (
    Budget,
    Percentiles,
    Picture,
    Row,
    a_or_an,
    counts_of,
    moment_in,
    name_of,
    show,
)
from apertis.errors import ParameterError
from apertis.gateway.admin.csv_text import to_csv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec import UnsetType

    from apertis.gateway.admin.limits import LimitView
    from apertis.gateway.admin.usage_report import UsageFields, UsageReport, UsageSums

_EPILOG = """\b
Examples:
  apertis usage                              by key, since the beginning
  apertis usage --by model --from 7d         the last seven days
  apertis usage --by person --from 2026-11-01 --zone Europe/Berlin
  apertis usage --by day,key --from 2026-11-01 --to 2026-11-30
  apertis usage --by session --key ann
  apertis usage --by class                   request classes of Claude Code
  apertis usage --by day --csv > usage.csv
  apertis usage --by day,model --from 30d --plot usage.png
  apertis usage --cache --by key,model       what caches saved, misses cost

--to includes its day. On a terminal costs are rounded to cents; in a pipe, in
--csv and in --json they are exact: 500,000 units are 1 US dollar. --plot draws
bars of the first group, or over time where one of the groups is a time, stacked
by the others.

With a key that is no administrator's (APERTIS_BASE_URL, APERTIS_API_KEY) it is
your own usage in the running month, --by model or day. Which gateway is meant,
and how to name another: see 'apertis keys --help'.
"""

_TITLES = {
    "key_name": "Key",
    "person_name": "Person",
    "group_name": "Group",
    "owner": "Owner",
    "tag": "Tag",
    "model": "Model",
    "session": "Session",
    "hour": "Hour",
    "day": "Day",
    "week": "Week",
    "month": "Month",
    "class": "Class",
    "agent": "Agent",
    "upstream": "Upstream",
    "kind": "Kind",
}
_TIMES = ("hour", "day", "week", "month")
# Those that have a name besides their id, which is a column of its own.
_NAMED = ("key", "person", "group")
_FILTERS = ("key", "person", "group", "owner", "tag", "model", "session")
# The most rows that a report may have.
_MAX_ROWS = 10_000
# Up to this long, spending is shown by hour: two days, and the time that passes meanwhile.
_MAX_SECONDS_BY_HOUR = 49 * 3600
_OPTION_OF = {name: f"--{name}" for name in ("by", "from", "to", "zone", *_FILTERS, "limit")}


@click.command("usage", epilog=_EPILOG)
@click.option(
    "--by",
    metavar="GROUP",
    help="key, person, group, owner, tag, model, session, hour, day, week, month, class, agent, "
    "upstream, kind; or several, with commas.  [default: key]",
)
@click.option("--from", metavar="WHEN", help="Beginning: a date, a time, or a span ago (7d).")
@click.option("--to", metavar="WHEN", help="End: a date, a time, or a span ago.")
@click.option(
    "--zone",
    metavar="ZONE",
    help="Time zone of hours, days, weeks, months and dates: Europe/Berlin.  [default: UTC]",
)
@click.option("--key", metavar="KEY", help="This key only: its id or name.")
@click.option("--person", metavar="PERSON", help="This person only: id or name.")
@click.option("--group", metavar="GROUP", help="This group only, with those in it: id or name.")
@click.option("--owner", metavar="TEXT", help="Keys of this owner only.")
@click.option("--tag", metavar="TAG", help="Keys with this tag only.")
@click.option("--model", metavar="MODEL", help="This model only.")
@click.option("--session", metavar="SESSION", help="This session only.")
@click.option(
    "--limit", type=click.IntRange(1, _MAX_ROWS), help="Maximum number of rows.  [default: 1000]"
)
@click.option(
    "--percentiles", is_flag=True, help="Add p50 and p95 of first byte and response, in ms."
)
@click.option(
    "--cache",
    "caching",
    is_flag=True,
    help="Report prompt caching instead, of the last week: shares read, money saved and lost, and "
    "the causes of misses; by key, person, group, model, session, class, agent or upstream.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw it into a file: .png, .svg or .html.",
)
@place_options
def command(
    *,
    as_json: bool,
    as_csv: bool,
    plot: Path | None,
    caching: bool,
    place: GatewayOptions,
    **asked: object,
) -> None:
    """Report usage: requests, errors, tokens by class, cost."""
    from apertis.gateway.admin.usage_report import UsageFields

    if as_json + as_csv + (plot is not None) > 1:
        raise ParameterError("--json, --csv and --plot exclude each other")
    if caching and plot is not None:
        raise ParameterError("--cache and --plot exclude each other")
    if plot is not None:
        check(plot)
    given = {
        name: value for name, value in asked.items() if value is not None and value is not False
    }
    all_given = {"cache": True, **given} if caching else given
    zone = str(given.get("zone", "UTC"))
    source = usage_source(place, _OPTION_OF, zone, of_all=not is_own(all_given))
    if isinstance(source, OwnUsage):
        show_own(source, all_given, as_json=as_json, as_csv=as_csv, plot=plot)
        return
    if caching:
        report_caching(source, given, as_json=as_json, as_csv=as_csv)
        return
    as_text = as_json or as_csv or (plot is None and not is_terminal())
    if not as_text:
        given["percentiles"] = True
    if plot is not None:
        given.setdefault("limit", _MAX_ROWS)
    fields = msgspec.convert(given, UsageFields)
    report = source.usage(fields)
    groups = _groups(fields.by)
    if as_json:
        echo_json(report)
    elif as_csv:
        echo(_csv(groups, report), nl=False)
    elif plot is not None:
        picture = _picture(source, fields, groups, report)
        over = next((name for name in groups if name in _TIMES), None)
        line = over and _line(source, fields, over, report.zone)
        save(plot_of(picture, over and _TITLES[over], line or None), plot)
        echo(f"apertis: {plot} is drawn", err=True)
    elif as_text:
        _lines(groups, report)
    elif report.data:
        show(_picture(source, fields, groups, report))
    else:
        echo("Nothing was used.")
    if report.has_more:
        echo(f"apertis: only {fields.limit} rows are shown; see --limit", err=True)


def _picture(
    administration: Administration,
    fields: UsageFields,
    groups: Sequence[str],
    report: UsageReport,
) -> Picture:
    shown = [name for name in groups if name in _TITLES]
    level = groups[0] if len(shown) == 1 and groups[0] in _NAMED else None
    budgets = {} if level is None else _budgets(administration, level)
    day = _day(report)
    days: tuple[tuple[str, int], ...] = ()
    if not set(_TIMES).intersection(groups):
        asked = msgspec.structs.replace(fields, by=day, limit=_MAX_ROWS, percentiles=False)
        days = tuple(
            (str(_row(sums)[day]), sums.cost_units) for sums in administration.usage(asked).data
        )
    rows: list[Row] = []
    for sums in report.data:
        row = _row(sums)
        names = tuple(name_of(row[name]) for name in shown)
        budget = () if level is None else tuple(budgets.get(str(row[level]), ()))
        rows.append(Row(names, counts_of(row), budget))
    totals = report.totals
    return Picture(
        title=_title(fields, report),
        groups=tuple(_TITLES[name] for name in shown),
        rows=tuple(rows),
        totals=counts_of(_row(totals)),
        days=days,
        day=day,
        first_byte=_percentiles(totals.first_byte_p50_ms, totals.first_byte_p95_ms),
        response=_percentiles(totals.total_p50_ms, totals.total_p95_ms),
        since=report.from_,
        zone=report.zone,
    )


def _percentiles(p50: int | UnsetType | None, p95: int | UnsetType | None) -> Percentiles | None:
    return Percentiles(p50, p95) if isinstance(p50, int) and isinstance(p95, int) else None


def _day(report: UsageReport) -> str:
    """Choose the periods in which spending is shown: of a day or two the hours."""
    if report.from_ is None:
        return "day"
    end = datetime.now(UTC) if report.to is None else datetime.fromisoformat(report.to)
    seconds = (end - datetime.fromisoformat(report.from_)).total_seconds()
    return "hour" if seconds <= _MAX_SECONDS_BY_HOUR else "day"


def _budgets(administration: Administration, level: str) -> dict[str, list[Budget]]:
    """Find what may be spent, by the id of who may."""
    found: dict[str, list[Budget]] = {}
    if level == "key":
        for key in administration.all_keys():
            if key.quota_units is not None:
                found[key.id] = [Budget(key.used_units, key.quota_units)]
    for limit in _limits_of_all(administration, {"level": level}):
        budget = Budget(limit.spent_units, limit.amount_units, limit.period, limit.period_start)
        found.setdefault(str(limit.subject_id), []).append(budget)
    return found


def _line(
    administration: Administration, fields: UsageFields, period: str, zone: str
) -> tuple[str, int] | None:
    """Find the budget of each period for all that the report is of."""
    filters = {name: value for name in _FILTERS if isinstance(value := getattr(fields, name), str)}
    if len(filters) > 1 or not filters.keys() <= set(_NAMED):
        return None
    limits = _limits_of_all(administration, filters or {"level": "gateway"})
    amounts = [one.amount_units for one in limits if (one.period, one.zone) == (period, zone)]
    return (f"Budget {a_or_an(period)}", min(amounts)) if amounts else None


def _limits_of_all(administration: Administration, query: Mapping[str, object]) -> list[LimitView]:
    """Read the limits of all models and sessions together."""
    limits = all_limits(administration, query)
    return [limit for limit in limits if limit.models is None and not limit.per_session]


def _title(fields: UsageFields, report: UsageReport) -> str:
    words = [word.strip() for word in fields.by.split(",")]
    title = f"Usage by {' and '.join(dict.fromkeys(words))}"
    filters = [value for name in _FILTERS if isinstance(value := getattr(fields, name), str)]
    if filters:
        title += f" of {', '.join(map(printable, filters))}"
    for word, moment in (("since", report.from_), ("until", report.to)):
        if moment is not None:
            title += f" {word} {moment_in(moment, report.zone)}"
    return title


def _groups(by: str) -> list[str]:
    words = dict.fromkeys(word.strip() for word in by.split(","))
    return [
        name for word in words for name in ((word, f"{word}_name") if word in _NAMED else (word,))
    ]


def _row(sums: UsageSums) -> dict[str, object]:
    row: dict[str, object] = msgspec.to_builtins(sums)
    return row


def _columns(groups: Sequence[str], report: UsageReport) -> list[str]:
    return [*groups, *_row(report.totals)]


def _csv(groups: Sequence[str], report: UsageReport) -> str:
    """Write all columns, with their names in the first line; no totals, which would be summed."""
    columns = _columns(groups, report)
    rows = (_row(sums) for sums in report.data)
    return to_csv(columns, ([row[column] for column in columns] for row in rows))


def _lines(groups: Sequence[str], report: UsageReport) -> None:
    columns = _columns(groups, report)
    echo("\t".join(columns))
    for sums in report.data:
        row = _row(sums)
        echo("\t".join(name_of(row[column]) for column in columns))
