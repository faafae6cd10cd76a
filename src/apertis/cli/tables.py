"""Tables for people at a terminal, lines with tabs in a pipe, and sheets of one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.cli.terminal import echo, is_terminal, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

# Wider than any terminal.
_MAX_WIDTH = 10_000


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    empty: str,
    right: Sequence[str] = (),
    dim: Sequence[bool] = (),
    whole: Sequence[str] | None = None,
    spare: Sequence[str] = (),
) -> None:
    """Print a line for each row; in a pipe without a head, and with tabs.

    `right` names the columns of numbers, `whole` those that are not folded either: what other
    commands are given, the first column unless it is said. A terminal that is too narrow gets no
    columns of `spare`, of which the first go first. `dim` says which rows are of what is no longer
    in use.
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

    def table_of(titles: Sequence[str]) -> Table:
        table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
        for title in titles:
            numbers = title in right
            table.add_column(
                title,
                justify="right" if numbers else "left",
                no_wrap=numbers or title in (columns[:1] if whole is None else whole),
                # An id that is cut could be given to no command.
                overflow="fold",
            )
        places = [columns.index(title) for title in titles]
        for index, row in enumerate(cells):
            style = "dim" if dim and dim[index] else ""
            table.add_row(*(Text(row[place]) for place in places), style=style)
        return table

    console, titles = Console(), list(columns)
    table = table_of(titles)
    for title in spare:
        if _width(console, table) <= console.width:
            break
        titles.remove(title)
        table = table_of(titles)
    console.print(table)


def _width(console: Console, table: Table) -> int:
    """Return how wide a table is if nothing of it is folded."""
    return table.__rich_measure__(console, console.options.update(width=_MAX_WIDTH)).maximum


def show_sheet(facts: Sequence[tuple[str, str]]) -> None:
    """Print a line for each fact."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        echo(f"{name:<{width}}  {printable(value)}")
