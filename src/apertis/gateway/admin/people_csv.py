"""A table of people, as a spreadsheet saves it: read whole, with all that is wrong by its line."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from apertis.gateway.admin.people_import import MAX_ROWS, PersonRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apertis.gateway.admin.people_import import Imported

# The columns, and what else people call them; case, spaces and dashes make no difference.
COLUMNS = {
    "name": ("person", "full_name"),
    "email": ("e_mail", "mail", "address"),
    "group": ("team", "department"),
    "monthly_usd": ("monthly_budget", "monthly_budget_usd", "budget", "budget_usd"),
    "key": ("key_name",),
    "models": ("model",),
    "tags": ("tag",),
}
_KNOWN = {spelled: name for name, others in COLUMNS.items() for spelled in (name, *others)}
# The names of the fields of a row, by which a gateway tells what is wrong with it.
COLUMN_OF = {"key_name": "key"}
_SEPARATORS = ",;\t"
# A model's name has no spaces; a tag may have some.
_MODELS, _TAGS = re.compile(r"[,;|\s]+"), re.compile(r"\s*[,;|]\s*")
_DOLLARS = re.compile(
    r"(?:USD|US\$|\$)?\s*([0-9][0-9.,' \u00a0]*?)\s*(?:USD|US\$|\$)?", re.IGNORECASE
)
# Three digits behind a single mark may be thousands or thousandths: neither is guessed.
_AMBIGUOUS = re.compile(r"[0-9]{1,3}[.,][0-9]{3}")
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?|[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+")
_COMMA = re.compile(r"[0-9]+,[0-9]{1,2}|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+")
_MAX_SHOWN = 60


class Problem(NamedTuple):
    """Something wrong: the line of the file, the column where it is one, and what it is."""

    line: int
    column: str | None
    message: str


@dataclass(frozen=True, slots=True)
class People:
    """The content of a file: people with the lines that they begin in, and all that is wrong."""

    rows: tuple[PersonRow, ...]
    lines: tuple[int, ...]
    problems: tuple[Problem, ...]


def read_people(content: bytes) -> People:
    """Read a table of people: comma, semicolon or tab between cells, in UTF-8 or UTF-16.

    A file without a column for keys gets a key for each person, of the person's name.
    """
    text = _decoded(content)
    if isinstance(text, Problem):
        return People((), (), (text,))
    cells = _cells(text)
    if isinstance(cells, Problem):
        return People((), (), (cells,))
    if not cells:
        return People(
            (), (), (Problem(1, None, "the file is empty: it needs a line of column names"),)
        )
    (line, head), *table = cells
    columns, problems = _columns(line, head)
    if len(table) > MAX_ROWS:
        problems.append(Problem(line, None, f"{len(table)} people, expected {MAX_ROWS} at most"))
    if problems:
        return People((), (), tuple(problems))
    if not table:
        return People((), (), (Problem(line, None, "nobody is below the column names"),))
    rows: list[PersonRow] = []
    lines: list[int] = []
    seen: dict[str, int] = {}
    for at, values in table:
        row = _row(at, columns, values)
        if isinstance(row, PersonRow):
            if seen.setdefault(row.name, at) != at:
                message = f"is {_quoted(row.name)}, as in line {seen[row.name]} already"
                problems.append(Problem(at, "name", message))
                continue
            rows.append(row)
            lines.append(at)
        else:
            problems += row
    return People(tuple(rows), tuple(lines), tuple(problems))


def problems_of_rows(planned: Imported, people: People) -> list[Problem]:
    """Say by lines of the file what is wrong with its rows, as a dry run found it."""
    found: list[Problem] = []
    for problem in planned.problems:
        field = problem.field or ""
        column = COLUMN_OF.get(field, field)
        message = problem.message.replace(f"'{field}'", f"'{column}'") if field else problem.message
        found.append(Problem(people.lines[problem.row], None, message))
    return found


def _decoded(content: bytes) -> str | Problem:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(line, None, "not UTF-8: save the sheet as 'CSV UTF-8'")


def _cells(text: str) -> list[tuple[int, list[str]]] | Problem:
    """Cut a text into lines of cells, without empty ones; each with the number of its line."""
    separators = _SEPARATORS
    first = 0
    named = re.match(r"sep=([,;\t])\r?\n", text, re.IGNORECASE)
    if named is not None:
        # Spreadsheets say it so in the file itself.
        separators, first, text = named[1], 1, text[named.end() :]
    best: list[tuple[int, list[str]]] | Problem = []
    most = -1
    for separator in separators:
        found = _cut(text, separator, first)
        head = found[0][1] if isinstance(found, list) and found else []
        known = sum(_spelled(name) in _KNOWN for name in head)
        if known > most:
            best, most = found, known
    return best


def _cut(text: str, separator: str, first: int) -> list[tuple[int, list[str]]] | Problem:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    found: list[tuple[int, list[str]]] = []
    line = first + 1
    try:
        for values in reader:
            stripped = [value.strip() for value in values]
            if any(stripped):
                found.append((line, stripped))
            line = first + reader.line_num + 1
    except csv.Error as error:
        return Problem(line, None, f"cannot be read as CSV: {error}")
    return found


def _spelled(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _columns(line: int, head: Sequence[str]) -> tuple[list[str | None], list[Problem]]:
    columns: list[str | None] = []
    problems: list[Problem] = []
    for title in head:
        name = _KNOWN.get(_spelled(title))
        if name is None and title:
            expected = ", ".join(COLUMNS)
            problems.append(Problem(line, None, f"no column {_quoted(title)}: expected {expected}"))
        elif name in columns and name is not None:
            problems.append(Problem(line, name, "is there twice"))
        columns.append(name)
    if "name" not in columns:
        problems.append(Problem(line, "name", "is missing"))
    return columns, problems


def _row(
    line: int, columns: Sequence[str | None], values: Sequence[str]
) -> PersonRow | list[Problem]:
    problems: list[Problem] = []
    if any(values[len(columns) :]):
        problems.append(
            Problem(line, None, f"{len(values)} cells, expected {len(columns)} at most")
        )
    given: dict[str, str] = {}
    for name, value in zip(columns, values, strict=False):
        if name is not None and value:
            given[name] = value
        elif name is None and value:
            problems.append(Problem(line, None, f"{_quoted(value)} is in a column without a name"))
    if "name" not in given:
        problems.append(Problem(line, "name", "is empty"))
    dollars = None
    if "monthly_usd" in given:
        dollars = read_dollars(given["monthly_usd"])
        if dollars is None:
            said = _quoted(given["monthly_usd"])
            expected = "expected US dollars such as 50 or 12.50"
            problems.append(Problem(line, "monthly_usd", f"is {said}: {expected}"))
    if problems:
        return problems
    key = given.get("key") if "key" in columns else given["name"]
    return PersonRow(
        name=given["name"],
        email=given.get("email"),
        group=given.get("group"),
        monthly_usd=dollars,
        key_name=key,
        models=_list(given.get("models"), _MODELS),
        tags=_list(given.get("tags"), _TAGS),
    )


def _list(text: str | None, between: re.Pattern[str]) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(dict.fromkeys(word for word in between.split(text) if word))


def read_dollars(text: str) -> Decimal | None:
    """Read an amount; None where it is none, or may be one thousand or one."""
    found = _DOLLARS.fullmatch(text)
    number = re.sub(r"[' \u00a0]", "", found[1]) if found is not None else ""
    if _AMBIGUOUS.fullmatch(number):
        return None
    if _PLAIN.fullmatch(number):
        return Decimal(number.replace(",", ""))
    if _COMMA.fullmatch(number):
        return Decimal(number.replace(".", "").replace(",", "."))
    return None


def _quoted(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:_MAX_SHOWN])
    return f"'{shown}'"
