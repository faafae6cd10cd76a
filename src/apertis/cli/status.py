"""`apertis status`: the gateways of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apertis.cli.administration import GatewayOptions, administration_of, place_options
from apertis.cli.tables import show_table
from apertis.cli.terminal import echo_json, json_option

if TYPE_CHECKING:
    from apertis.gateway.admin.status import ReplicaView

_EPILOG = """\b
Examples:
  apertis status --config apertis.toml
  apertis status --url https://gateway.example.com
  apertis status --json | jq '.data[] | select(.state == "gone")'

\b
A gateway that is gone keeps what it had leased from the others, until it
starts again or its journal is replayed: apertis journal --help.
"""


@click.command("status", epilog=_EPILOG)
@json_option
@place_options
def command(*, as_json: bool, place: GatewayOptions) -> None:
    """Show the gateways of a store: version, leases, and how long each could go on without it."""
    from apertis.gateway.admin.resources import REPLICAS
    from apertis.gateway.admin.status import ReplicaPage

    page = administration_of(place, {}).ask("GET", REPLICAS, ReplicaPage)
    if as_json:
        echo_json(page)
        return
    show_table(
        (
            *("Gateway", "State", "Version", "Started", "Seen", "Leases"),
            *("Leased", "Reserved", "Without the store", "Open breakers"),
        ),
        [
            (
                view.name,
                view.state,
                view.version or "-",
                view.started_at or "-",
                view.seen_at or "-",
                str(view.leases),
                f"${view.leased_usd}",
                f"${view.reserved_usd}",
                _left(view),
                ", ".join(view.open_breakers) or "-",
            )
            for view in page.data
        ],
        empty="One gateway has this store to itself, or none ever started on it.",
        right=("Leases", "Leased", "Reserved"),
        whole=("Gateway", "Seen", "Without the store"),
        spare=("Started", "Version", "Reserved", "Open breakers"),
        dim=[view.state == "stopped" for view in page.data],
    )


def _left(view: ReplicaView) -> str:
    if view.seconds_left is None or view.state != "here":
        return "-"
    return f"${view.free_usd} for {view.seconds_left:.0f} s"
