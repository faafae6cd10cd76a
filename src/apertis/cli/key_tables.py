"""Keys as people read them: a table of all, a sheet of one; in a pipe, lines with tabs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apertis.gateway.keys.record import KeyRecord

__all__ = ["is_terminal", "key_sheet", "key_table", "printable"]


def is_terminal() -> bool:
    """Whether people read stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


def printable(text: str | None) -> str:
    """Make a text harmless for a terminal and for a line: no control characters."""
    return "".join(c if c.isprintable() else "?" for c in text or "")


def key_table(records: Sequence[KeyRecord]) -> None:
    """Print a line for each key."""
    if not is_terminal():
        for record in records:
            click.echo("\t".join((record.id, *_row(record))))
        return
    if not records:
        click.echo("No keys.")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    # The names are what other commands are given, so it is the rest that gives way.
    table.add_column("Name", no_wrap=True)
    for title in ("Status", "Owner", "Key"):
        table.add_column(title)
    table.add_column("Used", justify="right")
    table.add_column("Quota", justify="right")
    table.add_column("Expires")
    for record in records:
        style = "" if record.status == "enabled" else "dim"
        table.add_row(*(Text(cell) for cell in _row(record)), style=style)
    Console().print(table)


def _row(record: KeyRecord) -> tuple[str, ...]:
    from apertis.gateway.routes.admin_views import usd

    quota = record.quota_units
    return (
        printable(record.name),
        f"{record.status}, admin" if record.admin else record.status,
        printable(record.owner),
        record.hint,
        f"${usd(record.used_units)}",
        "unlimited" if quota is None else f"${usd(quota)}",
        _expiry(record)[:10],
    )


def _expiry(record: KeyRecord) -> str:
    from apertis.gateway.routes.admin_moments import iso

    return "never" if record.expires_at is None else iso(record.expires_at)


def key_sheet(record: KeyRecord) -> None:
    """Print all that is kept of a key, a line each."""
    rows = _facts(record)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {printable(value)}")


def _facts(record: KeyRecord) -> list[tuple[str, str]]:
    from apertis.gateway.routes.admin_moments import iso
    from apertis.gateway.routes.admin_views import usd

    quota, used, rate = record.quota_units, record.used_units, record.requests_limit
    left = "unlimited" if quota is None else f"${usd(max(quota - used, 0))} of ${usd(quota)}"
    fallback = {None: "as configured", True: "on", False: "off"}[record.fallback_enabled]
    facts = [
        ("Name", record.name),
        ("Id", record.id),
        ("Secret", record.hint),
        ("Status", record.status),
        ("Administrator", "yes" if record.admin else "no"),
        ("Owner", record.owner or "-"),
        ("Tags", ", ".join(record.tags) or "-"),
        ("Used", f"${usd(used)} ({used} units)"),
        ("Left", left),
        ("Models", "all" if record.models is None else ", ".join(record.models)),
        ("Addresses", "all" if record.addresses is None else ", ".join(record.addresses)),
        ("Expires", _expiry(record)),
        ("Fallback", ", ".join((fallback, *record.fallback_models))),
        ("Fallback after", _or_configured(record.fallback_timeout_ms, " ms")),
        ("Requests", "no limit" if rate == "0" else rate or "as configured"),
        ("Tokens a minute", _or_configured(record.tokens_per_minute)),
        ("In flight", _or_configured(record.in_flight)),
        ("Response cache", "on" if record.response_cache else "off"),
        ("Created", iso(record.created_at)),
    ]
    if record.previous_until is not None:
        facts.insert(3, ("Old secret until", iso(record.previous_until)))
    return facts


def _or_configured(value: int | None, unit: str = "") -> str:
    if value is None:
        return "as configured"
    return f"{value}{unit}" if value else "no limit"
