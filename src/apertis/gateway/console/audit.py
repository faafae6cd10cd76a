"""The audit trail: who changed what, the newest change first."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlencode

import msgspec

from apertis.gateway.admin.audit import AuditPage, AuditView
from apertis.gateway.admin.csv_text import to_csv
from apertis.gateway.admin.resources import Call
from apertis.gateway.console.pages import Download, Page, Place, link
from apertis.gateway.console.rendering import moment
from apertis.gateway.errors import Refusal
from apertis.gateway.units import read_moment, usd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apertis.gateway.console.pages import Asked, Parts

_PAGE = 50
# Of a download: more than an auditor reads, and no more than fits into memory with ease.
MAX_ROWS = 50_000
_ROWS_AT_ONCE = 1000
_FILTERS = ("from", "to", "actor", "action", "subject", "subject_id")
_PERIODS = {"day": "daily", "week": "weekly", "month": "monthly", "total": "total"}
# Suggestions: there are others.
_SUBJECTS = (
    *("key", "person", "group", "limit", "people", "sign_in", "managed_settings"),
    *("console", "secret"),
)
_ACTIONS = (
    *("create", "change", "rotate", "enable", "disable", "delete", "remove", "import"),
    *("sign_in", "sign_out", "sign_out_everywhere", "fail_sign_in"),
)
_PAGES = {"key": "keys", "person": "people", "group": "groups", "limit": "budgets/limits"}
# Of fields whose values are written otherwise than they are kept.
_SUFFIX = re.compile("_(?:units|id)$")
_NOTHING = "\N{EN DASH}"


class Named(NamedTuple):
    """An id, in words, with the page of what it is the id of."""

    id: str
    name: str
    link: str = ""


class Change(NamedTuple):
    """A field of a change, in words."""

    field: str
    before: str
    after: str


class Entry(NamedTuple):
    """A change, in words."""

    id: int
    seconds: int | None
    actor: Named
    action: str
    subject: str
    of: Named
    changes: tuple[Change, ...]
    has_before: bool
    """False of what is new, and of what only happened."""


async def see(parts: Parts, asked: Asked) -> Page:
    """Show a page of the trail."""
    filters = asked.given(*_FILTERS)
    query = {**filters, "limit": str(_PAGE), **asked.given("after_id")}
    found = await _read(parts, asked, query)
    refusal = found if isinstance(found, Refusal) else None
    page = AuditPage(data=(), has_more=False, last_id=None) if isinstance(found, Refusal) else found
    return Page(
        "audit.html",
        "Audit trail",
        {
            "entries": [_entry(view, parts, asked.zone) for view in page.data],
            "filters": {name: asked.query.get(name, "") for name in _FILTERS},
            "subjects": _SUBJECTS,
            "actions": _ACTIONS,
            "newest": link(asked.path, filters) if "after_id" in query else "",
            "older": link(asked.path, {**filters, "after_id": str(page.last_id)})
            if page.has_more
            else "",
            "download": link("/console/audit/audit.csv", filters),
            "max_rows": MAX_ROWS,
        },
    ).refused(refusal)


async def download(parts: Parts, asked: Asked) -> Download | Refusal:
    """Give what the filters find as a file."""
    query = {**asked.given(*_FILTERS), "limit": str(_ROWS_AT_ONCE)}
    rows: list[tuple[object, ...]] = []
    while len(rows) < MAX_ROWS:
        page = await _read(parts, asked, query)
        if isinstance(page, Refusal):
            return page
        rows += (_row(view, parts) for view in page.data)
        if not page.has_more:
            break
        query["after_id"] = str(page.last_id)
    columns = (
        "id",
        "at",
        "actor",
        "actor_name",
        "action",
        "subject",
        "subject_id",
        "subject_name",
        "before",
        "after",
    )
    # In a thread, so that requests need not wait for it.
    text = await asyncio.to_thread(to_csv, columns, rows)
    return Download(text.encode(), "text/csv; charset=utf-8", "audit.csv")


async def _read(parts: Parts, asked: Asked, query: dict[str, str]) -> AuditPage | Refusal:
    given = {**query, "zone": asked.zone}
    for name in ("action", "subject"):
        if name in given:
            # As the page writes them.
            given[name] = given[name].replace(" ", "_")
    if "actor" in given:
        given["actor"] = _id_called(given["actor"], parts)
    if "subject_id" in given:
        given["subject_id"] = _id_called(given["subject_id"], parts)
    found = await parts.resources.read_audit(
        Call(actor=asked.viewer.actor, query=urlencode(given, errors="replace"))
    )
    assert isinstance(found, AuditPage | Refusal)  # noqa: S101 - it gives nothing else.
    return found


def _id_called(text: str, parts: Parts) -> str:
    """Return the id of what has this name; the text itself where nothing has it."""
    organization = parts.organization
    for known in (organization.people, organization.groups):
        for one in known.values():
            if one.name == text:
                return one.id
    keys = (key.record for key in parts.directory.all())
    return next((record.id for record in keys if record.name == text), text)


def named(id_: str, parts: Parts) -> Named:
    """Name a key, a person, a group or a limit by its id; what is erased keeps its id alone."""
    organization = parts.organization
    link = next(
        (
            f"/console/{page}/{id_}"
            for kind, page in _PAGES.items()
            if id_.startswith(f"{kind}_") and id_.isascii() and id_.isprintable()
        ),
        "",
    )
    person, group = organization.people.get(id_), organization.groups.get(id_)
    key = parts.directory.get(id_)
    if person is not None:
        gone = person.status == "removed"
        return Named(id_, "removed person" if gone else person.name, "" if gone else link)
    if group is not None:
        return Named(id_, group.name, link)
    if key is not None:
        # A key of a person that was removed is called by its id.
        return Named(id_, "removed key" if key.record.name == id_ else key.record.name, link)
    limit = organization.limits.get(id_)
    if limit is not None:
        whose = "the gateway" if limit.level == "gateway" else named(limit.subject_id, parts).name
        return Named(id_, f"{_PERIODS[limit.period]} limit of {whose}", link)
    return Named(id_, id_)


def _entry(view: AuditView, parts: Parts, zone: str) -> Entry:
    write = moment(zone)
    before, after = view.before or {}, view.after or {}
    return Entry(
        id=view.id,
        seconds=read_moment(view.at),
        actor=named(view.actor, parts),
        action=view.action.replace("_", " "),
        subject=view.subject.replace("_", " "),
        of=named(view.subject_id, parts),
        changes=tuple(
            Change(
                _words(name, parts),
                _told(name, before[name], parts, write) if name in before else "",
                _told(name, after[name], parts, write) if name in after else "",
            )
            for name in dict.fromkeys((*before, *after))
        ),
        has_before=bool(before),
    )


def _words(name: str, parts: Parts) -> str:
    # An import has the ids of what it changed in place of fields.
    known = named(name, parts).name
    return known if known != name else _SUFFIX.sub("", name).replace("_", " ")


def _told(name: str, value: Any, parts: Parts, write: Callable[[float | None], str]) -> str:
    """Write the value of a field for people."""
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_units"):
        return f"${usd(value)}"
    if isinstance(value, int) and name.endswith(("_at", "_until")):
        return write(value)
    if isinstance(value, str):
        return named(value, parts).name if name.endswith("_id") else value or '""'
    if isinstance(value, list):
        values = cast("Sequence[Any]", value)
        return ", ".join(_told("", one, parts, write) for one in values) or "none"
    if isinstance(value, dict):
        fields = cast("Mapping[str, Any]", value)
        return ", ".join(
            f"{_words(field, parts)}: {_told(field, one, parts, write)}"
            for field, one in fields.items()
        )
    return str(value)


def _row(view: AuditView, parts: Parts) -> tuple[object, ...]:
    return (
        view.id,
        view.at,
        view.actor,
        _name_of(view.actor, parts),
        view.action,
        view.subject,
        view.subject_id,
        _name_of(view.subject_id, parts),
        _json(view.before),
        _json(view.after),
    )


def _name_of(id_: str, parts: Parts) -> str | None:
    name = named(id_, parts).name
    return None if name == id_ else name


def _json(fields: dict[str, Any] | None) -> str | None:
    return None if fields is None else msgspec.json.encode(fields).decode()


PLACES = (
    Place("/audit", "audit", see, shared=True),
    Place("/audit/audit.csv", "audit", download),
)
