"""One model as `GET /v1/models` shows it, in the union of the shapes that clients expect.

Anthropic's SDKs want `type`, `display_name`, `created_at` and `lifecycle`, OpenAI's and older ones
of Apertis `object`, `created` and `owned_by`, the service's own documentation `name`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from apertis.gateway.slices import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Document", "Entry", "configured_entry", "document_of", "id_of", "listed_entry"]

# Values stay the bytes that came: a field that nobody here knows is handed on as it is.
Document: TypeAlias = dict[str, msgspec.Raw]

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
        """Whether it is `active`, `deprecated` or `retired`."""
        return _text(self.document, "lifecycle") or "active"


def configured_entry(id: str, aliases: tuple[str, ...], known: Document | None) -> Entry:
    """A model of the configuration; `known` is what its upstream says of it."""
    return Entry(id, aliases, _whole(id, {**(known or {}), "id": _raw(id)}))


def listed_entry(document: Document) -> Entry | None:
    """A model of an upstream's own list; None for what has no id."""
    name = id_of(document)
    return None if name is None else Entry(name, (), _whole(name, document))


def document_of(id: str) -> Document:
    """What is known of a model of which nobody says more than its id."""
    return {"id": _raw(id)}


def id_of(document: Document) -> str | None:
    """The id of a model as an upstream describes it."""
    return _text(document, "id") or None


def _whole(id: str, given: Document) -> Document:
    """What was given, and what of the superset is missing from it."""
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
    try:
        value: object = None if raw is None else msgspec.json.decode(raw)
    except UNREADABLE:
        return None
    return value


def _raw(value: str | int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
