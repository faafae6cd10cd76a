"""`apertis usage` with a key that is no administrator's: what its caller has used."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apertis.accounting.tokens import COLUMNS
from apertis.cli.terminal import echo, echo_json, is_terminal, printable
from apertis.cli.usage_plot import plot_of, save
from apertis.cli.usage_screen import (
    Budget,
    Limit,
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
    from collections.abc import Mapping
    from pathlib import Path

    from apertis.cli.administration import OwnLimit, OwnUsage

_TITLES = {"model": "Model", "day": "Day"}
_SUMS = (
    *("requests", "errors", "cached", "estimated", "interrupted"),
    *COLUMNS.values(),
    *("cost_units", "cost_usd"),
)


def is_own(given: Mapping[str, object]) -> bool:
    """Return whether callers can be told this of their own usage."""
    return given.keys() <= {"by", "zone"} and given.get("by", "model") in _TITLES


def show_own(
    own: OwnUsage, given: Mapping[str, object], *, as_json: bool, as_csv: bool, plot: Path | None
) -> None:
    """Show callers what they have used themselves."""
    by = str(given.get("by", "model"))
    for name in given:
        if not is_own({name: given[name]}):
            said = f"--{name} {given[name]}" if isinstance(given[name], str) else f"--{name}"
            raise ParameterError(
                f"{said} is for administrators: your own key shows the running month, by model or "
                "by day, in any --zone"
            )
    columns, rows = [by, *_SUMS], _rows(own, by)
    if as_json:
        echo_json(own.answer)
    elif as_csv:
        echo(to_csv(columns, ([row.get(name) for name in columns] for row in rows)), nl=False)
    elif plot is not None:
        day = [
            one.amount_units
            for one in own.limits
            if (one.period, one.zone, one.models) == (by, own.zone, None)
        ]
        line = (f"Budget {a_or_an(by)}", min(day)) if day else None
        save(plot_of(_picture(own, by), "Day" if by == "day" else None, line), plot)
        echo(f"apertis: {plot} is drawn", err=True)
    elif is_terminal():
        show(_picture(own, by))
    else:
        echo("\t".join(columns))
        for row in rows:
            echo("\t".join(name_of(row.get(name)) for name in columns))


def _rows(own: OwnUsage, by: str) -> list[dict[str, Any]]:
    """Return the rows of models, or of all days until today, those without usage too."""
    if by == "model":
        return own.models
    used = {str(row["day"]): row for row in own.days}
    zone = ZoneInfo(own.zone)
    day, today = (
        datetime.fromisoformat(own.from_).astimezone(zone).date(),
        datetime.now(zone).date(),
    )
    days = set(used)
    while day <= today:
        days.add(day.isoformat())
        day += timedelta(days=1)
    nothing = dict.fromkeys(_SUMS, 0) | {"cost_usd": "0"}
    return [used.get(name) or {"day": name, **nothing} for name in sorted(days)]


_NAMES = {"key": "your key", "person": "you", "gateway": "the gateway"}


def _name(limit: OwnLimit) -> str:
    name = _NAMES.get(limit.level) or printable(limit.of)
    return f"{name} for {printable(', '.join(limit.models))}" if limit.models else name


def _picture(own: OwnUsage, by: str) -> Picture:
    limits = tuple(
        Limit(
            _name(one),
            Budget(one.spent_units, one.amount_units, one.period, one.starts_at),
            one.left_units,
            None if one.resets_at is None else moment_in(one.resets_at, own.zone),
        )
        for one in own.limits
    )
    days = () if by == "day" else _rows(own, "day")
    return Picture(
        title=f"Usage of {printable(own.key['name'])} since {moment_in(own.from_, own.zone)}",
        groups=(_TITLES[by],),
        rows=tuple(Row((name_of(row.get(by)),), counts_of(row)) for row in _rows(own, by)),
        totals=counts_of(own.totals or dict.fromkeys(_SUMS, 0)),
        days=tuple((str(row["day"]), int(row["cost_units"])) for row in days),
        since=own.from_,
        zone=own.zone,
        limits=limits,
    )
