"""Keeps the README's tables of speed an extract of RESULTS.md, and each suite's part its own."""

from __future__ import annotations

import re

TITLES = {
    "sdk": "The SDK",
    "gateway": "The gateway",
    "budgets": "Budgets",
    "console": "The console",
}
# What stands before the date, in the README, in the sentence that leads to a suite's table.
DATED = {
    "sdk": "in turns, on",
    "gateway": "on one core, on",
    "budgets": "with budgets, on",
    "console": "with the console, on",
}
# In the part of the results on the SDK, among the packages of the peer's environment.
PEER = re.compile(r"\banthropic (\d+\.\d+)")
_TITLE = "# Benchmarks"


def replaced(results: str, suite: str, part: str) -> str:
    """RESULTS.md with one suite's part renewed and the other's as it was."""
    parts = _parts(results) | {TITLES[suite]: part}
    titles = [title for title in TITLES.values() if title in parts]
    ordered = (f"## {title}\n\n{parts[title].strip()}" for title in titles)
    return "\n\n".join((_TITLE, *ordered)) + "\n"


def _parts(results: str) -> dict[str, str]:
    found = (part.partition("\n") for part in re.split(r"^## ", results, flags=re.MULTILINE)[1:])
    return {title: text for title, _, text in found if title in TITLES.values()}


def refreshed(readme: str, results: str, suite: str) -> str:
    """The README with the date and, for each row of its tables, the values that were measured.

    `results` is one suite's part; the SDK's names the version that it was measured beside.
    """
    measured = {cells[0]: cells for cells in map(_cells, results.splitlines()) if cells}
    lines = [_row(line, measured) for line in readme.splitlines(keepends=True)]
    date = re.search(r"by `make bench` on\s([\d-]+)", results)
    text = "".join(lines)
    dated = DATED[suite]
    if date:
        text = re.sub(rf"{dated} [\d-]+", f"{dated} {date[1]}", text)
    if peer := PEER.search(results):
        text = re.sub(r"(Beside `anthropic`) \d+\.\d+", rf"\1 {peer[1]}", text)
    return text


def _row(line: str, measured: dict[str, list[str]]) -> str:
    cells = _cells(line)
    # A heading has no label: it stays.
    if len(cells) != 4 or not cells[0] or cells[0] not in measured:
        return line
    return f"| {' | '.join(measured[cells[0]][:4])} |\n"


def _cells(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
