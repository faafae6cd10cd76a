"""Rows as a Markdown table, which a terminal shows as well."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.comparison import Row

_HEADINGS = ("", "ours", "theirs", "ratio", "rounds' spread", "target", "met")


def table(rows: Iterable[Row]) -> str:
    """All rows, aligned; empty cells where a row has no target."""
    return aligned([_HEADINGS, *map(_cells, rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first line is the heading and whose first column is text."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    heading, *body = (_line(cells, widths) for cells in lines)
    dashes = ["-" * width if not i else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([heading, _line(dashes, widths), *body])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "| " + " | ".join([first[0].ljust(first[1]), *starmap(str.rjust, rest)]) + " |"


def _cells(row: Row) -> tuple[str, ...]:
    comparison = row.comparison
    return (
        row.label,
        f"{comparison.our_median:,.{row.digits}f} {row.unit}".strip(),
        f"{comparison.their_median:,.{row.digits}f} {row.unit}".strip(),
        f"{comparison.ratio:.1f}",
        f"{min(comparison.ratios):.1f} to {max(comparison.ratios):.1f}",
        _target(row),
        row.verdict(),
    )


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    at_most = f"<= {row.target.at_most:g} {row.unit}".strip()
    return at_most if row.target.times_less is None else f"{at_most}, {row.target.times_less:g} x"
