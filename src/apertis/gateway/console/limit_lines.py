"""Limits with what is spent of them, as pages show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from apertis.gateway.admin.limits import limit_views
from apertis.gateway.budgets.limit import quota_limit
from apertis.gateway.budgets.telling import limit_text, subject
from apertis.gateway.units import read_moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.console.pages import Parts
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.record import Person


class LimitLine(NamedTuple):
    """A limit in words, and how it stands; `resets_at` is in Unix seconds."""

    words: str
    spent: int
    amount: int
    percent: int
    resets_at: int | None
    contact: str | None


async def limits_of_key(
    parts: Parts, record: KeyRecord, person: Person | None
) -> tuple[LimitLine, ...]:
    """Return all limits that a request with a key counts in, its own quota first."""
    quota = quota_limit(record)
    limits = parts.organization.limits_on(record, person)
    return await _lines(parts, (*(() if quota is None else (quota,)), *limits), record)


async def limits_of_person(parts: Parts, person: Person) -> tuple[LimitLine, ...]:
    """Return the limits of a person, of the groups that the person is in, and of all."""
    organization = parts.organization
    limits = [*organization.limits_of("person", person.id)]
    for group in organization.groups_above(person.group_id):
        limits += organization.limits_of("group", group.id)
    return await _lines(parts, (*limits, *organization.limits_of("gateway")))


async def limits_of_group(parts: Parts, group_id: str) -> tuple[LimitLine, ...]:
    """Return the limits of a group and of those that it is in."""
    organization = parts.organization
    limits: list[Limit] = []
    for group in organization.groups_above(group_id):
        limits += organization.limits_of("group", group.id)
    return await _lines(parts, (*limits, *organization.limits_of("gateway")))


async def _lines(
    parts: Parts, limits: Iterable[Limit], record: KeyRecord | None = None
) -> tuple[LimitLine, ...]:
    limits = tuple(limits)
    views = await limit_views(limits, parts.store.organization, {}, parts.now())
    lines: list[LimitLine] = []
    for limit, view in zip(limits, views, strict=True):
        words = limit_text(limit, subject(limit, record, parts.organization))
        lines.append(
            LimitLine(
                words=words[:1].upper() + words[1:],
                spent=view.spent_units,
                amount=limit.amount_units,
                percent=100 if view.percent is None else view.percent,
                resets_at=None if view.resets_at is None else read_moment(view.resets_at),
                contact=limit.contact,
            )
        )
    return tuple(lines)
