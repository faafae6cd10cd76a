"""`apertis models`: the models that the key may use."""

from __future__ import annotations

import click

from apertis import Apertis
from apertis.cli.terminal import echo, echo_json, is_terminal, printable

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
        echo_json(models)
        return
    if not is_terminal():
        for model in models:
            echo("\t".join((printable(str(model["id"])), printable(model.get("display_name")))))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

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
        cells = (str(model["id"]), str(model.get("display_name") or ""), created)
        row = [Text(printable(cell)) for cell in cells]
        table.add_row(*row if has_dates else row[:2])
    console.print(table)
