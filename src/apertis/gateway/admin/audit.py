"""The audit trail as the admin API and the command line show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from apertis.gateway.admin.reading import read_times
from apertis.gateway.errors import Refusal
from apertis.gateway.store.audit import AuditQuery
from apertis.gateway.units import Time, iso

if TYPE_CHECKING:
    from apertis.gateway.store.audit import AuditEntry, StoredAudit


class AuditFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Filters for reading the audit trail, the newest change first."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after_id: Annotated[int, Meta(description="Entries that are older than this one.")] | None = (
        None
    )
    from_: (
        Annotated[str, Meta(description="ISO 8601 date or time, or a span ago: `7d`.")] | None
    ) = msgspec.field(default=None, name="from")
    to: Annotated[str, Meta(description="As `from`; a date alone is included.")] | None = None
    actor: (
        Annotated[str, Meta(description="Who: a key's or person's id, or cli:user@host.")] | None
    ) = None
    action: Annotated[str, Meta(description="As create, change, rotate, remove.")] | None = None
    subject: Annotated[str, Meta(description="As key, person, group, limit.")] | None = None
    subject_id: str | None = None
    zone: Annotated[str, Meta(description="Time zone of `from` and `to`: Europe/Berlin.")] = "UTC"


class AuditView(Struct, kw_only=True, frozen=True):
    """One change: who made it, of what, and the fields that differ."""

    id: int
    at: Time
    actor: Annotated[str, Meta(description="A key's or person's id, cli:user@host, or gateway.")]
    action: str
    subject: str
    subject_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(Struct, kw_only=True, frozen=True):
    """One page of the audit trail, the newest first; `last_id` is the next one's `after_id`."""

    data: tuple[AuditView, ...]
    has_more: bool
    last_id: int | None


async def audit_page(stored: StoredAudit, asked: AuditFields, now: float) -> AuditPage | Refusal:
    """Read the page that is asked for."""
    times = read_times(asked.from_, asked.to, asked.zone, now)
    if isinstance(times, Refusal):
        return times
    query = AuditQuery(
        limit=asked.limit + 1,
        before_id=asked.after_id,
        since_ms=times[0],
        until_ms=times[1],
        actor=asked.actor,
        action=asked.action,
        subject=asked.subject,
        subject_id=asked.subject_id,
    )
    found = await stored.list(query)
    entries = found[: asked.limit]
    return AuditPage(
        data=tuple(map(_view, entries)),
        has_more=len(found) > asked.limit,
        last_id=entries[-1].id if entries else None,
    )


def _view(entry: AuditEntry) -> AuditView:
    return AuditView(
        id=entry.id,
        at=iso(entry.at_ms / 1000),
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        subject_id=entry.subject_id,
        before=_fields(entry.before),
        after=_fields(entry.after),
    )


def _fields(raw: msgspec.Raw | None) -> dict[str, Any] | None:
    return None if raw is None else msgspec.json.decode(raw, type=dict[str, Any])
