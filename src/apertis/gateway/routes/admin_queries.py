"""What can be asked of the lists of the admin API: the fields of their query strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from apertis.gateway.errors import Refusal, invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.keys.record import KeyRecord

__all__ = ["CacheFields", "ListFields", "Page", "page_of"]


class ListFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which keys are listed: oldest first, without deleted ones unless `status` asks for them."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after_id: str | None = None
    before_id: str | None = None
    name: str | None = None
    owner: str | None = None
    tag: str | None = None
    status: Literal["enabled", "disabled", "deleted", "all"] | None = None


class CacheFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whose kept answers are dropped: those of one key (its id), or without it all."""

    key: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the keys."""

    records: tuple[KeyRecord, ...]
    has_more: bool


def page_of(records: Iterable[KeyRecord], asked: ListFields) -> Page | Refusal:
    """Cut the page that is asked for; `has_more` counts in the direction of the asking."""
    if asked.after_id is not None and asked.before_id is not None:
        return invalid_parameter("before_id", "Give 'after_id' or 'before_id', not both")
    ordered = sorted(records, key=lambda record: (record.created_at, record.id))
    border = asked.after_id or asked.before_id
    if border is not None:
        at = next((i for i, record in enumerate(ordered) if record.id == border), None)
        if at is None:
            param = "after_id" if asked.after_id else "before_id"
            return invalid_parameter(param, f"'{param}': there is no key '{border[:100]}'")
        ordered = ordered[at + 1 :] if asked.after_id else ordered[:at]
    found = [record for record in ordered if _is_asked_for(record, asked)]
    cut = found[-asked.limit :] if asked.before_id else found[: asked.limit]
    return Page(tuple(cut), len(found) > len(cut))


def _is_asked_for(record: KeyRecord, asked: ListFields) -> bool:
    if asked.status is None:
        right_status = record.status != "deleted"
    else:
        right_status = asked.status in (record.status, "all")
    return (
        right_status
        and asked.name in (None, record.name)
        and asked.owner in (None, record.owner)
        and (asked.tag is None or asked.tag in record.tags)
    )
