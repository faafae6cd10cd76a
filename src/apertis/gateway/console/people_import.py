"""Import of people from a table: first what would happen, then it happens."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from apertis.gateway.admin.people_csv import problems_of_rows, read_people
from apertis.gateway.admin.people_import import (
    Imported,
    ImportFields,
    detail_of,
    is_new_key,
    secrets_table,
)
from apertis.gateway.admin.resources import Call
from apertis.gateway.console.pages import Done, Download, Page, Place
from apertis.gateway.errors import Refusal, access_denied

if TYPE_CHECKING:
    from apertis.gateway.admin.people_csv import People, Problem
    from apertis.gateway.console.pages import Asked, Parts, Response

MAX_SHOWN = 500
_EXAMPLE = """\
name,email,group,monthly_usd,key,models,tags
Ada Lovelace,ada@example.com,Research,50,ada-laptop,claude-*,laptop
Grace Hopper,grace@example.com,Research,50,grace-laptop,,
"""
_SUBJECTS = {"limit": "monthly budget"}
_ADMINISTRATORS_ONLY = access_denied("Only administrators import people")


class ImportLine(NamedTuple):
    """One change of the table of what would happen."""

    line: int
    action: str
    subject: str
    name: str
    detail: str


async def see(_: Parts, asked: Asked) -> Page | Refusal:
    """Show where the table goes in."""
    if not asked.viewer.is_administrator:
        return _ADMINISTRATORS_ONLY
    return _page(asked, "")


async def change(parts: Parts, asked: Asked) -> Response:
    """Say what an import would do; or do it, once that was seen of this very table."""
    if not asked.viewer.is_administrator:
        return _ADMINISTRATORS_ONLY
    # A browser ends each line with both.
    text = asked.form.get("table", "").replace("\r\n", "\n")
    people = read_people(text.encode())
    planned = await _import(parts, asked, people, dry_run=True)
    if isinstance(planned, Refusal):
        return _page(asked, text, people, refusal=planned)
    problems = [*people.problems, *problems_of_rows(planned, people)]
    was_seen = asked.form.get("seen") == _mark(text)
    if problems or not planned.changes or not was_seen or asked.form.get("step") != "import":
        return _page(asked, text, people, planned, problems)
    done = await _import(parts, asked, people, dry_run=False)
    if isinstance(done, Refusal):
        return _page(asked, text, people, refusal=done)
    if any(map(is_new_key, done.changes)):
        # In this response only; what it made is on the pages of keys and people.
        return Download(secrets_table(done).encode(), "text/csv; charset=utf-8", "new-keys.csv")
    return Done("/console/people", f"{len(done.changes)} changes were made.")


async def _import(
    parts: Parts, asked: Asked, people: People, *, dry_run: bool
) -> Imported | Refusal:
    fields = ImportFields(rows=people.rows, dry_run=dry_run, zone=asked.zone)
    body = msgspec.json.encode(fields)
    call = Call(actor=asked.viewer.actor, body=body)
    return cast("Imported | Refusal", await parts.resources.import_people(call))


def _page(
    asked: Asked,
    text: str,
    people: People | None = None,
    planned: Imported | None = None,
    problems: list[Problem] | None = None,
    refusal: Refusal | None = None,
) -> Page:
    changes = () if planned is None or people is None or problems else planned.changes
    rows = () if people is None else people.rows
    lines = () if people is None else people.lines
    context: dict[str, Any] = {
        "table": text,
        "example": _EXAMPLE,
        "checked": planned is not None,
        "changes": [
            ImportLine(
                lines[one.row],
                one.action,
                _SUBJECTS.get(one.subject, one.subject),
                one.name,
                detail_of(one, rows[one.row]),
            )
            for one in changes[:MAX_SHOWN]
        ],
        "total": len(changes),
        "more": max(len(changes) - MAX_SHOWN, 0),
        "unchanged": 0 if planned is None else planned.unchanged,
        "new_keys": sum(map(is_new_key, changes)),
        "problems": sorted(problems or (), key=lambda one: one.line)[:MAX_SHOWN],
        "seen": _mark(text),
        "months": asked.zone,
    }
    status, error = (200, "") if refusal is None else (refusal.status, refusal.message)
    if problems:
        status, error = 400, "Nothing can be imported before these lines are right."
    return Page("people_import.html", "Import people", context, status, error, ("import.js",))


def _mark(text: str) -> str:
    """Return what stands for a table that was looked at."""
    return hashlib.sha256(text.encode()).hexdigest()


PLACES = (Place("/people/import", "people", see, change),)
