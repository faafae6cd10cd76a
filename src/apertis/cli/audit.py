"""`apertis audit`: who changed what."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click
import msgspec

from apertis.cli.administration import GatewayOptions, administration_of, place_options
from apertis.cli.tables import show_table
from apertis.cli.terminal import echo_json, json_option

if TYPE_CHECKING:
    from apertis.gateway.admin.audit import AuditView

_EPILOG = """\b
Examples:
  apertis audit
  apertis audit --from 7d --subject key
  apertis audit --actor cli:ann@desk --limit 1000 --json
  apertis audit --of person_...     all changes of one person

\b
An actor is the id of a key or person, cli:user@host, or gateway. Entries are
kept for 400 days, or as 'audit_days' in the configuration says.
"""
_KINDS = {"group": "groups", "person": "people", "limit": "limits", "key": "keys"}
_OPTIONS = {
    "limit": "--limit",
    "from": "--from",
    "to": "--to",
    "zone": "--zone",
    "actor": "--actor",
    "action": "--action",
    "subject": "--subject",
    "subject_id": "--of",
    "after_id": "--before",
}


@click.command("audit", epilog=_EPILOG)
@click.option("--from", "from_", metavar="WHEN", help="From a date or time on, or a span ago: 7d.")
@click.option("--to", metavar="WHEN", help="Until then; a date alone is included.")
@click.option("--zone", metavar="ZONE", help="Time zone of --from and --to.  [default: UTC]")
@click.option("--actor", metavar="WHO", help="Only what this one did.")
@click.option("--action", metavar="WORD", help="Only these: create, change, rotate, remove ...")
@click.option("--subject", metavar="KIND", help="Only of: key, person, group, limit ...")
@click.option("--of", "subject_id", metavar="ID", help="Only of the one with this id.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many."
)
@click.option("--before", "after_id", type=int, metavar="ENTRY", help="Only older ones than this.")
@json_option
@place_options
def command(*, from_: str | None, as_json: bool, place: GatewayOptions, **options: object) -> None:
    """Show who changed keys, people, groups and limits, the newest change first."""
    from apertis.gateway.admin.audit import AuditPage
    from apertis.gateway.admin.resources import AUDIT

    query = {name: value for name, value in options.items() if value is not None}
    if from_ is not None:
        query["from"] = from_
    page = administration_of(place, _OPTIONS).ask("GET", AUDIT, AuditPage, query=query)
    if as_json:
        echo_json(page)
        return
    show_table(
        ("Entry", "When", "Who", "Action", "What"),
        [
            (
                str(entry.id),
                entry.at,
                entry.actor,
                entry.action,
                _what(entry),
            )
            for entry in page.data
        ],
        empty="No changes.",
    )


def _what(entry: AuditView) -> str:
    subject = f"{entry.subject} {entry.subject_id}".strip()
    after = entry.after or {}
    if entry.action == "import":
        # One entry of many changes, by the ids of what they are of: --json has them all.
        kinds = Counter(id_.partition("_")[0] for id_ in after)
        told = ", ".join(f"{count} of {_KINDS.get(kind, kind)}" for kind, count in kinds.items())
        return f"{entry.subject}: {len(after)} changes ({told})"
    changes = ", ".join(
        f"{name} {_shown(entry.before.get(name))} -> {_shown(value)}"
        if entry.before is not None
        else f"{name} {_shown(value)}"
        for name, value in after.items()
        if name != "created_at"
    )
    return f"{subject}: {changes}" if changes else subject


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
