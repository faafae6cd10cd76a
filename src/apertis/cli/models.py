"""`apertis models`: what the key may use."""

from __future__ import annotations

import sys

import click
import msgspec

from apertis import Apertis

__all__ = ["command"]

_NARROW_COLUMNS = 60

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
    if sys.stdout is None or not sys.stdout.isatty():
        for model in models:
            click.echo(f"{model['id']}\t{model.get('display_name') or ''}")
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, header_style="bold")
    # The ids are there to be copied, so it is the other columns that give way.
    table.add_column("Model", no_wrap=True)
    table.add_column("Name")
    has_dates = console.width >= _NARROW_COLUMNS
    if has_dates:
        table.add_column("Created", no_wrap=True)
    for model in models:
        created = str(model.get("created_at") or "")[:10]
        row = (str(model["id"]), str(model.get("display_name") or ""), created)
        table.add_row(*row if has_dates else row[:2])
    console.print(table)
