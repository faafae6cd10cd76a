"""Tables for people at a terminal, lines with tabs in a pipe, and sheets of one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.cli.terminal import echo, is_terminal, printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    empty: str,
    right: Sequence[str] = (),
    dim: Sequence[bool] = (),
) -> None:
    """Print a line for each row; in a pipe without a head, and with tabs.

    The first column is what other commands are given, and is never cut. `right` names the columns
    of numbers, `dim` says which rows are of what is no longer in use.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    if not is_terminal():
        for row in cells:
            echo("\t".join(row))
        return
    if not cells:
        echo(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for index, title in enumerate(columns):
        numbers = title in right
        table.add_column(
            title,
            justify="right" if numbers else "left",
            no_wrap=index == 0 or numbers,
            # An id that is cut could be given to no command.
            overflow="fold",
        )
    for index, row in enumerate(cells):
        style = "dim" if dim and dim[index] else ""
        table.add_row(*map(Text, row), style=style)
    Console().print(table)


def show_sheet(facts: Sequence[tuple[str, str]]) -> None:
    """Print a line for each fact."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        echo(f"{name:<{width}}  {printable(value)}")
