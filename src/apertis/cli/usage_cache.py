"""`apertis usage --cache`: what prompt caches saved, and what misses cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from apertis.cli.terminal import cents, echo, echo_json, is_terminal
from apertis.cli.usage_screen import name_of, short
from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apertis.cli.administration import Administration
    from apertis.gateway.admin.cache_report import CacheMiss, CacheReport, CacheSums

_TITLES = {
    "key_name": "Key",
    "person_name": "Person",
    "group_name": "Group",
    "model": "Model",
    "session": "Session",
    "class": "Class",
    "agent": "Agent",
    "upstream": "Upstream",
}
_NAMED = ("key", "person", "group")
_CAUSES = {
    "ttl_5m": "5 minutes passed",
    "ttl_1h": "an hour passed",
    "upstream": "another upstream",
    "prefix": "prefix changed at breakpoint",
    "unknown": "unknown",
}


_MISS_COLUMNS = ("cause", "breakpoint", "missed_requests", "missed_tokens", "missed_units")


def report_caching(
    administration: Administration, given: Mapping[str, object], *, as_json: bool, as_csv: bool
) -> None:
    """Print the report of prompt caching."""
    from apertis.gateway.admin.cache_report import CacheReportFields

    for name in given:
        if name not in CacheReportFields.__struct_encode_fields__:
            raise ParameterError(f"--cache reports nothing by --{name}: leave one of them out")
    fields = msgspec.convert(given, CacheReportFields)
    report = administration.caching(fields)
    words = dict.fromkeys(word.strip() for word in fields.by.split(","))
    if as_json:
        echo_json(report)
    elif as_csv or not is_terminal():
        _write(report, tuple(words), as_csv=as_csv)
    elif report.data:
        _show(report, [f"{word}_name" if word in _NAMED else word for word in words])
    else:
        echo("Nothing was used.")
    if report.has_more:
        echo(f"apertis: only {fields.limit} rows are shown; see --limit", err=True)


def _row(sums: CacheSums) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(sums)
    return row


def _write(report: CacheReport, words: Sequence[str], *, as_csv: bool) -> None:
    """Write a line for each group and cause of misses; a group without any has one line."""
    from apertis.gateway.admin.csv_text import to_csv

    names = [name for word in words for name in _names(word)]
    figures = [name for name in _row(report.totals) if name != "misses"]
    columns = [*names, *figures, *_MISS_COLUMNS]
    lines: list[list[object]] = []
    for sums in report.data:
        row = _row(sums)
        shown = [row[name] for name in (*names, *figures)]
        lines += [[*shown, *_cells(miss)] for miss in sums.misses or (None,)]
    if as_csv:
        echo(to_csv(columns, lines), nl=False)
        return
    echo("\t".join(columns))
    for line in lines:
        echo("\t".join([name_of(value) for value in line]))


def _cells(miss: CacheMiss | None) -> tuple[object, ...]:
    if miss is None:
        return (None, None, None, None, None)
    number = miss.breakpoint if isinstance(miss.breakpoint, int) else None
    return (miss.cause, number, miss.requests, miss.tokens, miss.lost_units)


def _names(word: str) -> tuple[str, ...]:
    return (word, f"{word}_name") if word in _NAMED else (word,)


def _show(report: CacheReport, names: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    totals = report.totals
    console = Console()
    console.print(
        Text(
            f"{_percent(totals)} of the prompts read from caches, {cents(totals.saved_units)} "
            f"saved, {cents(totals.lost_units)} lost to misses"
        )
    )
    table = Table(box=None, header_style="bold")
    for name in names:
        table.add_column(_TITLES[name], overflow="fold")
    for title in ("Requests", "Prompt", "Read", "Saved", "Lost"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("Misses, and what they cost", overflow="fold")
    for sums in report.data:
        row = _row(sums)
        table.add_row(
            *(Text(name_of(row[name])) for name in names),
            f"{sums.requests:,}",
            short(sums.prompt_tokens),
            _percent(sums),
            cents(sums.saved_units),
            cents(sums.lost_units),
            Text("\n".join(map(_cause, sums.misses)) or "-"),
        )
    console.print(table)


def _percent(sums: CacheSums) -> str:
    return "-" if sums.read_percent is None else f"{sums.read_percent:.0f}%"


def _cause(miss: CacheMiss) -> str:
    number = f" {miss.breakpoint}" if isinstance(miss.breakpoint, int) else ""
    return f"{miss.requests:,} x {_CAUSES[miss.cause]}{number} {cents(miss.lost_units)}"
