"""`apertis usage`: usage and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from apertis.accounting.tokens import CLASSES, COLUMNS, COUNTED
from apertis.cli.administration import GatewayOptions, administration_of, place_options
from apertis.cli.terminal import cents, echo, echo_json, is_terminal, printable
from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apertis.gateway.admin.usage_report import UsageReport, UsageSums

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
    "requests": "Requests",
    "errors": "Errors",
    **{COLUMNS[name]: counted.title for name, counted in COUNTED.items()},
    "cost_units": "Cost",
}
_OPTION_OF = {name: f"--{name}" for name in ("by", "from", "to", "key", "model", "limit")}
# Columns that are left out when they would only show zeros.
_RARE = frozenset({"errors", *(COLUMNS[name] for name, counted in COUNTED.items() if counted.rare)})
# What gives way on a narrow terminal, in this order: first columns, then digits, then columns that
# a report is read for.
_LAST_TO_GO = ("input_tokens", "output_tokens", "requests")
_FIRST_TO_GO = (
    *(COLUMNS[name] for name in reversed(CLASSES) if COLUMNS[name] not in _LAST_TO_GO),
    "web_search_requests",
    "errors",
)
# Between two columns of the table.
_GAP_COLUMNS = 2


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
    report = administration_of(place, _OPTION_OF).usage(fields)
    groups = _groups(fields.by)
    if as_json:
        echo_json(report)
    elif as_csv:
        echo(_csv(groups, report), nl=False)
    elif not is_terminal():
        _lines(groups, report)
    elif report.data:
        _table([name for name in groups if name in _TITLES], report)
    else:
        echo("Nothing was used.")
    if report.has_more:
        echo(f"apertis: only {fields.limit} rows are shown; see --limit", err=True)


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
        echo("\t".join(_name(row[column]) for column in columns))


def _name(value: object) -> str:
    return "-" if value is None else printable(str(value))


@dataclass(frozen=True, slots=True)
class _Column:
    """One column as it is shown: its title, a cell for each row, and the one below them."""

    title: str
    cells: tuple[str, ...]
    total: str
    justify: Literal["left", "right"] = "right"

    @property
    def width(self) -> int:
        from rich.cells import cell_len

        return max(map(cell_len, (self.title, self.total, *self.cells)))


def _table(groups: Sequence[str], report: UsageReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, header_style="bold", show_footer=True, footer_style="bold")
    columns = fitting(groups, report, console.width)
    for column in columns:
        # A name may be folded; a number that is cut would be another number.
        is_name = column.justify == "left"
        table.add_column(
            Text(column.title),
            Text(column.total),
            justify=column.justify,
            no_wrap=not is_name,
            overflow="fold",
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, cells))
    console.print(table)


def fitting(groups: Sequence[str], report: UsageReport, width: int) -> list[_Column]:
    """Choose columns that fit with whole names and numbers.

    Columns give way one after the other, then the digits behind the third of counts. Only names
    that are wider than all the rest allows are folded in the end.
    """
    rows, totals = [_row(sums) for sums in report.data], _row(report.totals)
    names = [
        _Column(
            _TITLES[group],
            tuple(_name(row[group]) for row in rows),
            "" if place else "Total",
            "left",
        )
        for place, group in enumerate(groups)
    ]

    def shown(count: Callable[[int], str]) -> dict[str, _Column]:
        cells = {name: cents if name == "cost_units" else count for name in _TITLES}
        return {
            name: _Column(
                _TITLES[name],
                tuple(cells[name](_count(row, name)) for row in rows),
                cells[name](_count(totals, name)),
            )
            for name in totals
            if name in _TITLES and (name not in _RARE or totals[name])
        }

    kept = shown("{:,}".format)
    gone: list[str] = []
    for name in (*_FIRST_TO_GO, "", *_LAST_TO_GO):
        if _width([*names, *kept.values()]) <= width:
            break
        if name:
            gone.append(name)
        else:
            kept = shown(short)
        kept = {column: value for column, value in kept.items() if column not in gone}
    return [*names, *kept.values()]


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width + _GAP_COLUMNS for column in columns)


def _count(row: Mapping[str, object], name: str) -> int:
    value = row[name]
    return value if isinstance(value, int) else 0


def short(count: int) -> str:
    """Write a large count with three digits: `12.3M`."""
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        # 999,500 is 1.00M, not 1000k.
        if count >= factor * 0.9995 and count >= 1000:
            value = count / factor
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f}{unit}"
    return str(count)
