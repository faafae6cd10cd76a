"""`apertis usage`: who used what, and what it cost."""

from __future__ import annotations

import csv
import io
import time
from typing import TYPE_CHECKING

import click
import msgspec

from apertis.cli.key_tables import is_terminal, printable
from apertis.cli.opened_store import StoreFiles, failure, store_options, with_store
from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from apertis.gateway.errors import Refusal
    from apertis.gateway.routes.admin_usage import Report
    from apertis.gateway.routes.admin_views import UsageSums
    from apertis.gateway.store.database import Store

__all__ = ["command"]

_EPILOG = """\b
Examples:
  apertis usage                              by key, since the beginning
  apertis usage --by model --from 7d         the last seven days
  apertis usage --by day,key --from 2026-11-01 --to 2026-11-30
  apertis usage --by session --key ann
  apertis usage --by class                   request classes of Claude Code
  apertis usage --by day --csv > usage.csv

\b
Dates are days in UTC; --to includes its day. Costs are exact: 500,000 units are 1 US dollar.
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
    "input_tokens": "Input",
    "output_tokens": "Output",
    "cache_read_tokens": "Cache read",
    "cache_write_5m_tokens": "Write 5m",
    "cache_write_1h_tokens": "Write 1h",
    "web_search_requests": "Searches",
    "cost_units": "Units",
    "cost_usd": "USD",
}
_OPTION_OF = {name: f"--{name}" for name in ("by", "from", "to", "key", "model", "limit")}
# Columns that are left out when they would only show zeros.
_RARE = frozenset({"errors", "cache_write_1h_tokens", "web_search_requests"})
# Columns for which a narrow terminal has no place.
_WIDE = frozenset({"cache_read_tokens", "cache_write_5m_tokens", "cost_units"})
_NARROW_COLUMNS = 100


@click.command("usage", epilog=_EPILOG)
@click.option(
    "--by",
    default="key",
    show_default=True,
    metavar="GROUP",
    help="key, model, day, session, class, agent, upstream, kind; or several, with commas.",
)
@click.option("--from", metavar="WHEN", help="Since when: a date, a time, or a span ago (7d).")
@click.option("--to", metavar="WHEN", help="Until when.")
@click.option("--key", metavar="KEY", help="Of this key only: its id or name.")
@click.option("--model", metavar="MODEL", help="Of this model only.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), help="At most so many rows.  [default: 1000]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@store_options
def command(
    *, as_json: bool, as_csv: bool, data: Path | None, config: Path | None, **asked: object
) -> None:
    """Add up what was used: requests, errors, tokens by class, cost."""
    from apertis.gateway.errors import Refusal
    from apertis.gateway.routes.admin_usage import UsageFields, report

    if as_json and as_csv:
        raise ParameterError("--json and --csv exclude each other")
    given = {name: value for name, value in asked.items() if value is not None}
    fields = msgspec.convert(given, UsageFields)

    async def work(store: Store) -> Report | Refusal:
        return await report(fields, store.usage, await store.keys.list(), time.time())

    answer = with_store(StoreFiles(data, config), work)
    if isinstance(answer, Refusal):
        raise failure(answer, _OPTION_OF)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer.view()), indent=2).decode())
    elif as_csv:
        click.echo(_csv(answer), nl=False)
    else:
        _show(answer)
    if answer.has_more:
        click.echo(f"apertis: only {fields.limit} rows are shown; see --limit", err=True)


def _csv(answer: Report) -> str:
    """Write all columns, with their names in the first line; no totals, which would be summed."""
    output = io.StringIO()
    rows = _rows(answer)
    writer = csv.DictWriter(output, [*_groups(answer), *_row(answer.view().totals)])
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return output.getvalue()


def _groups(answer: Report) -> list[str]:
    """Name the columns that tell groups apart, in the order that was asked for."""
    from apertis.gateway.routes.admin_usage import GROUPS

    word_of = {dimension: word for word, dimension in GROUPS.items()}
    words = [word_of[dimension] for dimension in answer.query.group_by]
    return [name for word in words for name in (("key", "key_name") if word == "key" else (word,))]


def _rows(answer: Report) -> list[dict[str, object]]:
    return [_row(sums) for sums in answer.sums()]


def _row(sums: UsageSums) -> dict[str, object]:
    row: dict[str, object] = msgspec.to_builtins(sums)
    return row


def _harmless(value: object) -> object:
    """Keep a spreadsheet from taking a name for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def _show(answer: Report) -> None:
    rows, totals = _rows(answer), _row(answer.view().totals)
    groups = [name for name in _groups(answer) if name in _TITLES]
    sums = [name for name in totals if name in _TITLES and (name not in _RARE or totals[name])]
    if not is_terminal():
        for row in rows:
            click.echo("\t".join(_cells(row, [*groups, *sums])))
    elif rows:
        _table(groups, sums, rows, totals)
    else:
        click.echo("Nothing was used.")


def _table(
    groups: list[str],
    sums: list[str],
    rows: list[dict[str, object]],
    totals: Mapping[str, object],
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if console.width < _NARROW_COLUMNS:
        sums = [name for name in sums if name not in _WIDE]
    table = Table(box=None, header_style="bold", show_footer=True, footer_style="bold")
    # A name may be folded; a number that is cut would be another number.
    for place, name in enumerate(groups):
        table.add_column(_TITLES[name], "" if place else "Total", overflow="fold")
    for name in sums:
        table.add_column(_TITLES[name], _cell(totals[name]), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, _cells(row, [*groups, *sums])))
    console.print(table)


def _cells(row: Mapping[str, object], names: Iterable[str]) -> list[str]:
    return [_cell(row[name]) for name in names]


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}" if is_terminal() else str(value)
    return printable(str(value)) if value is not None else "-"
