"""Keys as people read them: a table of all, a sheet of one; in a pipe, lines with tabs."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_origin

from apertis.cli.tables import show_sheet
from apertis.cli.terminal import cents, echo, is_terminal, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apertis.gateway.admin.views import KeyView
    from apertis.gateway.keys.record import Setting


def key_table(keys: Sequence[KeyView]) -> None:
    """Print a line for each key."""
    from apertis.gateway.units import usd

    if not is_terminal():
        for key in keys:
            echo("\t".join((printable(key.id), *_row(key, lambda units: f"${usd(units)}"))))
        return
    if not keys:
        echo("No keys.")
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
    for key in keys:
        style = "" if _status(key) == "enabled" else "dim"
        table.add_row(*(Text(cell) for cell in _row(key, cents)), style=style)
    Console().print(table)


def _row(key: KeyView, dollars: Callable[[int], str]) -> tuple[str, ...]:
    quota = key.quota_units
    status = _status(key)
    return (
        printable(key.name),
        f"{status}, admin" if key.admin else status,
        printable(key.owner),
        printable(key.hint),
        dollars(key.used_units),
        "unlimited" if quota is None else dollars(quota),
        (key.expires_at or "never")[:10],
    )


def _status(key: KeyView) -> str:
    """Tell an expired key from one that is enabled."""
    if key.status == "enabled" and key.expires_at is not None:
        expires_at = datetime.fromisoformat(key.expires_at).timestamp()
        return "expired" if expires_at <= time.time() else key.status
    return key.status


def key_sheet(key: KeyView) -> None:
    """Print all that is kept of a key, a line each."""
    show_sheet(_facts(key))


def _facts(key: KeyView) -> list[tuple[str, str]]:
    from apertis.gateway.keys.record import SETTINGS
    from apertis.gateway.units import usd

    quota, used = key.quota_units, key.used_units
    left = "unlimited" if quota is None else f"${usd(max(quota - used, 0))} of ${usd(quota)}"
    told = {name: _told(setting, getattr(key, name)) for name, setting in SETTINGS.items()}
    told["fallback_models"] = ", ".join((told["fallback_enabled"], *key.fallback_models))
    settings = {name: (s.title, told[name]) for name, s in SETTINGS.items() if s.title}
    facts = [settings.pop("name"), ("Id", key.id), ("Secret", key.hint)]
    if isinstance(key.previous_secret_until, str):
        facts.append(("Old secret until", key.previous_secret_until))
    facts += [("Status", _status(key)), settings.pop("admin")]
    facts.append(settings.pop("owner"))
    facts += [
        (title, name)
        for title, name in (("Person", key.person), ("Group", key.group))
        if name is not None
    ]
    facts.append(settings.pop("tags"))
    facts += [("Used", f"${usd(used)} ({used} units)"), ("Left", left)]
    return [*facts, *settings.values(), ("Created", key.created_at)]


def _told(setting: Setting, value: Any) -> str:
    if value in setting.shown:
        return setting.shown[value]
    many = get_origin(setting.type) is tuple
    return ", ".join(value) if many else f"{value}{setting.unit}"
