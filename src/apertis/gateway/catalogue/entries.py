"""One model as `GET /v1/models` shows it, in the union of the shapes that clients expect.

Anthropic's SDKs want `type`, `display_name`, `created_at` and `lifecycle`, OpenAI's and older ones
of Apertis `object`, `created` and `owned_by`, the service's own documentation `name`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.gateway.upstreams.messages_api import id_of
from apertis.models.json import json_or_none
from apertis.models.pages import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apertis.gateway.upstreams.contract import Document

_RELEASED = re.compile(r"-(\d{4})(\d{2})(\d{2})\Z")
# What the API says of a model whose release date is not known.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """A model, by the name that callers use."""

    id: str
    aliases: tuple[str, ...]
    document: Document

    @property
    def lifecycle(self) -> str:
        """One of `active`, `deprecated` and `retired`."""
        return _text(self.document, "lifecycle") or "active"


def configured_entry(id: str, aliases: tuple[str, ...], known: Document | None) -> Entry:
    """Return a model of the configuration; `known` is what its upstream says of it."""
    return Entry(id, aliases, _whole(id, {**(known or {}), "id": _raw(id)}))


def listed_entry(document: Document) -> Entry | None:
    """Return a model of an upstream's own list; None for what has no id."""
    name = id_of(document)
    return None if name is None else Entry(name, (), _whole(name, document))


def document_of(id: str) -> Document:
    """Build the entry of a model that is known only by its id."""
    return {"id": _raw(id)}


def _whole(id: str, given: Document) -> Document:
    created = _created(id, given)
    name = _text(given, "display_name") or _text(given, "name") or id
    known_owner = "claude" in id or "anthropic" in id
    superset: Mapping[str, str | int] = {
        "id": id,
        "type": "model",
        "object": "model",
        "name": name,
        "display_name": name,
        "created": int(created.timestamp()),
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "owned_by": "anthropic" if known_owner else "apertis",
        "lifecycle": "active",
    }
    return given | {field: _raw(value) for field, value in superset.items() if field not in given}


def _created(id: str, given: Document) -> datetime:
    said = _text(given, "created_at")
    seconds = _decoded(given, "created")
    try:
        if said:
            moment = datetime.fromisoformat(said)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(seconds, int):
            return datetime.fromtimestamp(seconds, UTC)
        if (date := _RELEASED.search(id)) is not None:
            year, month, day = map(int, date.groups())
            return datetime(year, month, day, tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        # No date that a calendar has.
        return _EPOCH
    return _EPOCH


def _text(document: Document, field: str) -> str:
    value = _decoded(document, field)
    return value if isinstance(value, str) else ""


def _decoded(document: Document, field: str) -> object:
    raw = document.get(field)
    return None if raw is None else json_or_none(raw, object)


def _raw(value: str | int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


MAX_LIMIT = 1000
# Anthropic's is 20, but clients of the other shapes do not ask for a second page.
_DEFAULT_LIMIT = MAX_LIMIT


def page(entries: Sequence[Entry], query: str) -> bytes | Refusal:
    """Return the page that a query asks for: `limit`, `after_id` or `before_id`, `lifecycle`.

    `has_more` says whether models are left in the direction of the paging, `first_id` and `last_id`
    are the cursors for the pages before and after; null on an empty page.
    """
    given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    states = given.get("lifecycle")
    if states:
        entries = [entry for entry in entries if entry.lifecycle in states.split(",")]
    limit = _limit(given)
    if isinstance(limit, Refusal):
        return limit
    ids = [entry.id for entry in entries]
    if "after_id" in given and "before_id" in given:
        return invalid_parameter("before_id", "only one of after_id and before_id may be given")
    for name in ("after_id", "before_id"):
        if name in given and given[name] not in ids:
            return invalid_parameter(name, f"{name}: there is no model '{given[name][:200]}'")
    start, end, has_more = span(ids, limit, given.get("after_id"), given.get("before_id"))
    chosen = entries[start:end]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [entry.document for entry in chosen],
            "has_more": has_more,
            "first_id": chosen[0].id if chosen else None,
            "last_id": chosen[-1].id if chosen else None,
        }
    )


def _limit(given: Mapping[str, str]) -> int | Refusal:
    text = given.get("limit")
    if text is None:
        return _DEFAULT_LIMIT
    # Nobody reads a number of a thousand digits.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
    if not 1 <= number <= MAX_LIMIT:
        message = f"limit must be a whole number from 1 to {MAX_LIMIT}, not '{text[:40]}'"
        return invalid_parameter("limit", message)
    return number
