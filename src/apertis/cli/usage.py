"""`apertis usage`: usage and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from apertis.cli.administration import (
    Administration,
    GatewayOptions,
    administration_of,
    place_options,
)
from apertis.cli.terminal import echo, echo_json, is_terminal, printable
from apertis.cli.usage_screen import Budget, Picture, Row, name_of, show
from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apertis.gateway.admin.usage_report import UsageFields, UsageReport, UsageSums

_EPILOG = """\b
Examples:
  apertis usage                              by key, since the beginning
  apertis usage --by model --from 7d         the last seven days
  apertis usage --by day,key --from 2026-11-01 --to 2026-11-30
  apertis usage --by session --key ann
  apertis usage --by class                   request classes of Claude Code
  apertis usage --by day --csv > usage.csv

\b
Dates are days in UTC; --to includes its day. On a terminal costs are rounded to cents; in a pipe,
in --csv and in --json they are exact: 500,000 units are 1 US dollar. Which gateway is meant, and
how to name another: see 'apertis keys --help'.
"""

_TITLES = {
    "key_name": "Key",
    "model": "Model",
    "day": "Day",
    "session": "Session",
    "class": "Class",
    "agent": "Agent",
    "upstream": "Upstream",
    "kind": "Kind",
}
# The most rows that a report may have.
_MAX_DAYS = 10_000
_OPTION_OF = {name: f"--{name}" for name in ("by", "from", "to", "key", "model", "limit")}


@click.command("usage", epilog=_EPILOG)
@click.option(
    "--by",
    default="key",
    show_default=True,
    metavar="GROUP",
    help="key, model, day, session, class, agent, upstream, kind; or several, with commas.",
)
@click.option("--from", metavar="WHEN", help="Beginning: a date, a time, or a span ago (7d).")
@click.option("--to", metavar="WHEN", help="End: a date, a time, or a span ago.")
@click.option("--key", metavar="KEY", help="This key only: its id or name.")
@click.option("--model", metavar="MODEL", help="This model only.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), help="Maximum number of rows.  [default: 1000]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@place_options
def command(*, as_json: bool, as_csv: bool, place: GatewayOptions, **asked: object) -> None:
    """Report usage: requests, errors, tokens by class, cost."""
    from apertis.gateway.admin.usage_report import UsageFields

    if as_json and as_csv:
        raise ParameterError("--json and --csv exclude each other")
    given = {name: value for name, value in asked.items() if value is not None}
    fields = msgspec.convert(given, UsageFields)
    administration = administration_of(place, _OPTION_OF)
    report = administration.usage(fields)
    groups = _groups(fields.by)
    if as_json:
        echo_json(report)
    elif as_csv:
        echo(_csv(groups, report), nl=False)
    elif not is_terminal():
        _lines(groups, report)
    elif report.data:
        show(_picture(administration, fields, groups, report))
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
    budgets = _budgets(administration) if shown == ["key_name"] else {}
    days: tuple[tuple[str, int], ...] = ()
    if "day" not in groups:
        by_day = administration.usage(msgspec.structs.replace(fields, by="day", limit=_MAX_DAYS))
        days = tuple((str(sums.day), sums.cost_units) for sums in by_day.data)
    rows: list[Row] = []
    for sums in report.data:
        row = _row(sums)
        names = tuple(name_of(row[name]) for name in shown)
        rows.append(Row(names, _counts(row), budgets.get(str(row.get("key")))))
    return Picture(
        title=_title(fields, report),
        groups=tuple(_TITLES[name] for name in shown),
        rows=tuple(rows),
        totals=_counts(_row(report.totals)),
        days=days,
    )


def _budgets(administration: Administration) -> dict[str, Budget]:
    """Find what may be spent, by the id of who may."""
    return {
        key.id: Budget(key.used_units, key.quota_units)
        for key in administration.all_keys()
        if key.quota_units is not None
    }


def _title(fields: UsageFields, report: UsageReport) -> str:
    words = [word.strip() for word in fields.by.split(",")]
    title = f"Usage by {' and '.join(dict.fromkeys(words))}"
    for given in (fields.key, fields.model):
        if isinstance(given, str):
            title += f" of {printable(given)}"
    for word, moment in (("since", report.from_), ("until", report.to)):
        if moment is not None:
            title += f" {word} {moment.removesuffix('T00:00:00Z')}"
    return title


def _counts(row: Mapping[str, object]) -> dict[str, int]:
    return {name: value for name, value in row.items() if isinstance(value, int)}


def _groups(by: str) -> list[str]:
    words = dict.fromkeys(word.strip() for word in by.split(","))
    return [name for word in words for name in (("key", "key_name") if word == "key" else (word,))]


def _row(sums: UsageSums) -> dict[str, object]:
    row: dict[str, object] = msgspec.to_builtins(sums)
    return row


def _columns(groups: Sequence[str], report: UsageReport) -> list[str]:
    return [*groups, *_row(report.totals)]


def _csv(groups: Sequence[str], report: UsageReport) -> str:
    """Write all columns, with their names in the first line; no totals, which would be summed."""
    from apertis.gateway.admin.csv_text import to_csv

    columns = _columns(groups, report)
    rows = (_row(sums) for sums in report.data)
    return to_csv(columns, ([row[column] for column in columns] for row in rows))


def _lines(groups: Sequence[str], report: UsageReport) -> None:
    columns = _columns(groups, report)
    echo("\t".join(columns))
    for sums in report.data:
        row = _row(sums)
        echo("\t".join(name_of(row[column]) for column in columns))
