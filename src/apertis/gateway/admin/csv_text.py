"""Tables as CSV that a spreadsheet opens without running anything.

A text that a spreadsheet would take for a formula gets an apostrophe in front, which it shows as
text. Where the sheet is read with another separator than the comma, a text can go on into a cell
or a row of its own, so that what follows a semicolon, a tab or a line end counts as a beginning,
too.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# With the forms of full width, which spreadsheets take for the same.
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_SPACES = ("\t", "\r", "\n")
# Some take a tab at the beginning for that of a formula.
_TABS = re.compile(r"(?<=[;\r\n])\t")
_SEPARATORS = re.compile(r"([;\t\r\n])")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write the names of the columns, and a line for each row; None is an empty cell."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow([harmless(name) for name in columns])
    for row in rows:
        writer.writerow([harmless(value) for value in row])
    return output.getvalue()


def harmless(value: object) -> object:
    """Keep a text from being run; a number stays one, also as text and below zero."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    first, *others = _SEPARATORS.split(value)
    # Separators and what follows each of them, by turns.
    parts = [part if at % 2 == 0 else _escaped(part) for at, part in enumerate(others)]
    text = _TABS.sub("'\t", _escaped(first) + "".join(parts))
    return f"'{text}" if value[:1] in _SPACES else text


def _escaped(part: str) -> str:
    at = 0
    while at < len(part) and _is_skipped(part[at]):
        at += 1
    return f"'{part}" if at < len(part) and part[at] in _FORMULA else part


def _is_skipped(character: str) -> bool:
    """Return whether a spreadsheet may look behind a character for the beginning of a formula."""
    return character in _QUOTES or character.isspace() or not character.isprintable()
