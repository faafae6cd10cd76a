"""The README's table of speed is an extract of the measurements that it points to."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[str]]:
    found = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| [a-z]", line)
    )
    return {cells[0]: cells[1:4] for cells in found}


def test_each_row_of_the_readme_stands_in_the_results() -> None:
    """`make bench` writes both."""
    shown = {label: cells for label, cells in rows(README).items() if label != ""}
    assert len(shown) >= 5
    measured = rows(RESULTS)
    date = re.search(r"by `make bench` on ([\d-]+)", RESULTS)
    assert date is not None
    assert f"on {date[1]}" in README
    assert {label: measured.get(label) for label in shown} == shown
