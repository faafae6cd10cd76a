"""`apertis models`: what the key may use."""

from __future__ import annotations

import sys

import click
import msgspec

from apertis import Apertis

__all__ = ["command"]

_EPILOG = """\b
Examples:
  apertis models
  apertis models --json | jq -r '.[].id'
"""


@click.command("models", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(*, as_json: bool) -> None:
    """List the models that the server offers."""
    with Apertis() as client:
        models = [model.to_dict() for model in client.models.list()]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(models), indent=2).decode())
        return
    if not sys.stdout.isatty():
        for model in models:
            click.echo(f"{model['id']}\t{model.get('display_name') or ''}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for heading in ("Model", "Name", "Created"):
        table.add_column(heading)
    for model in models:
        created = str(model.get("created_at") or "")[:10]
        table.add_row(str(model["id"]), str(model.get("display_name") or ""), created)
    Console().print(table)
