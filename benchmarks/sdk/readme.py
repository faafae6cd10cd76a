"""Keeps the README's table of speed an extract of RESULTS.md."""

from __future__ import annotations

import re


def refreshed(readme: str, results: str) -> str:
    """The README with the date and, for each row of its table, the values that were measured."""
    measured = {cells[0]: cells for cells in map(_cells, results.splitlines()) if cells}
    lines = [_row(line, measured) for line in readme.splitlines(keepends=True)]
    date = re.search(r"by `make bench` on ([\d-]+)", results)
    text = "".join(lines)
    return re.sub(r"in turns, on [\d-]+", f"in turns, on {date[1]}", text) if date else text


def _row(line: str, measured: dict[str, list[str]]) -> str:
    cells = _cells(line)
    if len(cells) != 4 or cells[0] not in measured:
        return line
    return f"| {' | '.join(measured[cells[0]][:4])} |\n"


def _cells(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
