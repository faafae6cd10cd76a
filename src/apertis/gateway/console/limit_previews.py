"""Previews of changes of limits, in words and exact numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from apertis.gateway.budgets.periods import span_of
from apertis.gateway.console.limits import EACH, dollars, percent_of, show_limits
from apertis.gateway.console.rendering import moment
from apertis.gateway.signin.roles import (
    changes_limits,
    sees_group,
    sees_key,
    sees_person,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.gateway.budgets.limit import Level, Limit
    from apertis.gateway.console.limits import Shown
    from apertis.gateway.console.pages import Asked, Parts
    from apertis.gateway.signin.roles import Viewer

NAMES: Final = {
    "amount": "Amount",
    "period": "Period",
    "zone": "Time zone",
    "models": "Models",
    "per_session": "Each session by itself",
    "overdraft": "Overdraft",
    "thresholds": "Alert at",
    "contact": "Contact",
    "cheaper_model": "Cheaper model",
    "store_loss": "While the store is away",
}
_FULL = 100
_SO_FAR = {"day": "today", "week": "this week", "month": "this month", "total": "in total"}


class Subject(NamedTuple):
    """A key, a person, a group or the gateway, as somebody sees it."""

    level: Level
    id: str
    name: str
    may_change: bool

    @property
    def place(self) -> str:
        """Its level and id."""
        return f"{self.level}:{self.id}"

    @property
    def words(self) -> str:
        """Its name, with the kind of thing that it is."""
        return "the whole gateway" if self.level == "gateway" else f"the {self.level} {self.name}"

    @property
    def link(self) -> str:
        """Its own page; of the gateway that of all budgets."""
        page = {"key": "keys", "person": "people", "group": "groups"}.get(self.level)
        return f"/console/{page}/{self.id}" if page else "/console/budgets"


class Difference(NamedTuple):
    """A field of a limit, before and after."""

    field: str
    before: str
    after: str


class Preview(NamedTuple):
    """The consequences of a change of a limit; `is_over`: requests are held back at once."""

    differences: tuple[Difference, ...]
    facts: tuple[str, ...]
    is_over: bool


def subject_of(parts: Parts, viewer: Viewer, level: str, id_: str) -> Subject | None:
    """Return what a limit is of; None if it is not there for this viewer."""
    organization = parts.organization
    if level == "gateway":
        may_change = changes_limits(viewer, "gateway", "", organization)
        return Subject("gateway", "", "the gateway", may_change) if viewer.sees_all else None
    if level == "group":
        group = organization.groups.get(id_)
        if group is None or not sees_group(viewer, id_):
            return None
        may_change = changes_limits(viewer, "group", id_, organization)
        return Subject("group", id_, group.name, may_change and group.status == "enabled")
    if level == "person":
        person = organization.people.get(id_)
        if person is None or not sees_person(viewer, person):
            return None
        may_change = changes_limits(viewer, "person", person, organization)
        return Subject("person", id_, person.name, may_change and person.status != "removed")
    key = parts.directory.get(id_)
    if key is None or not sees_key(viewer, key.record, organization):
        return None
    may_change = changes_limits(viewer, "key", key.record, organization)
    return Subject("key", id_, key.record.name, may_change and key.record.status != "deleted")


async def preview_of(
    parts: Parts, asked: Asked, subject: Subject, before: Limit | None, after: Limit | None
) -> Preview:
    """Say what would change; None before is a new limit, None after is a removal."""
    old = None if before is None else (await show_limits(parts, (before,)))[before.id]
    new = None if after is None else (await show_limits(parts, (after,)))[after.id]
    limit = after or before
    sessions = (0, 0)
    if limit is not None and limit.per_session:
        sessions = await _sessions_over(parts, limit)
    concerned = Concerned(*_count(parts, subject), *sessions)
    write = moment(asked.zone)
    shown = new or old
    resets = None if shown is None or shown.resets is None else write(shown.resets)
    told = [*facts(subject, old, new, concerned, resets)]
    if after is not None:
        told += _narrower(parts, asked.viewer, after)
    return Preview(
        tuple(_differences(before, after)),
        tuple(told),
        new is not None and new.is_used_up,
    )


class Concerned(NamedTuple):
    """The people and keys that a limit concerns; of one per session also its sessions."""

    people: int
    keys: int
    sessions_over: int = 0
    sessions: int = 0


def facts(
    subject: Subject, old: Shown | None, new: Shown | None, concerned: Concerned, resets: str | None
) -> Iterator[str]:
    """Say what a change means for money and people."""
    shown = new or old
    assert shown is not None  # noqa: S101 - there is a limit before or after.
    view = shown.view
    who = "the fullest session" if view.per_session else subject.words
    spent = f"{_capital(who)} has spent {dollars(view.spent_units)} {_SO_FAR[view.period]}"
    if view.per_session and old is None:
        yield "Each session has the amount to itself; what it has spent before counts, too."
    elif old is not None and new is not None:
        yield f"{spent}: {_share(old)} before, {_share(new)} after."
    else:
        yield f"{spent}: {_share(shown)}."
    if shown.reserved_units:
        yield f"{dollars(shown.reserved_units)} more is reserved by gateways and message batches."
    people = _counted(concerned.people, "person", "people")
    keys = _counted(concerned.keys, "key", "keys")
    yield f"It concerns {people} and {keys}."
    yield from _over(subject, old, new, concerned, resets)
    if new is not None:
        yield from _told_at_once(old, new)
        if resets is None:
            yield "It never resets."
        else:
            yield f"It resets at {resets}."


def _over(
    subject: Subject, old: Shown | None, new: Shown | None, concerned: Concerned, resets: str | None
) -> Iterator[str]:
    who = _capital(subject.words)
    was_over = old is not None and old.is_used_up and not old.view.per_session
    if new is None:
        if was_over:
            yield f"{who} is over it now, and is not held back by it any more."
        return
    model = new.view.cheaper_model
    then = "are rejected" if model is None else f"are answered by {model}"
    until = "until it is raised" if resets is None else f"until {resets}, unless it is raised"
    if new.view.per_session:
        if old is not None:
            yield (
                f"{concerned.sessions_over:,} of {_counted(concerned.sessions, 'session')} "
                f"{'is' if concerned.sessions_over == 1 else 'are'} over it at once."
            )
    elif new.is_used_up:
        since = "as before" if was_over else "at once"
        keys = _counted(concerned.keys, "key", "keys")
        yield f"{who} is over it {since}: requests of {keys} {then} {until}."
    elif was_over:
        yield f"{who} is not over it any more: {dollars(new.view.left_units)} is left."
    else:
        left = dollars(new.view.left_units)
        inside = ", in the overdraft" if new.view.left_units <= new.view.overdraft_units else ""
        yield f"Nobody is over it: {left} is left{inside}."


def _told_at_once(old: Shown | None, new: Shown) -> Iterator[str]:
    view = new.view
    passed = [
        percent
        for percent in view.thresholds
        if view.amount_units and view.spent_units * _FULL >= view.amount_units * percent
    ]
    same = old is not None and old.view.amount_units == view.amount_units
    if same and old is not None:
        # A threshold of an amount is told of once.
        passed = [percent for percent in passed if percent not in old.view.thresholds]
    if passed:
        yield f"An alert tells at once that {passed[-1]} % is passed."


def _narrower(parts: Parts, viewer: Viewer, limit: Limit) -> Iterator[str]:
    """Name the limits of the same money that end before this one does, as far as they are seen."""
    for other in _above(parts, limit):
        same = (other.period, other.per_session) == (limit.period, limit.per_session)
        counts_all = other.models is None or set(other.models) == set(limit.models or ())
        if not (same and counts_all and other.amount_units < limit.amount_units):
            continue
        subject = subject_of(parts, viewer, other.level, other.subject_id)
        if subject is not None:
            amount = f"{dollars(other.amount_units)} {EACH[other.period]}"
            yield f"{_capital(subject.words)} may spend {amount} at most, which is less."


def _above(parts: Parts, limit: Limit) -> Iterator[Limit]:
    """Give the limits of the person, groups and gateway that a limit's money counts in, too."""
    organization = parts.organization
    group_id = None
    if limit.level == "key" and (key := parts.directory.get(limit.subject_id)) is not None:
        on = organization.limits_on(key.record, organization.person_of(key.record))
        yield from (other for other in on if other.level != "key")
        return
    if limit.level == "person" and (person := organization.people.get(limit.subject_id)):
        group_id = person.group_id
    if limit.level == "group" and (group := organization.groups.get(limit.subject_id)):
        group_id = group.parent_id
    for above in organization.groups_above(group_id):
        yield from organization.limits_of("group", above.id)
    if limit.level != "gateway":
        yield from organization.limits_of("gateway")


def _share(shown: Shown) -> str:
    view = shown.view
    percent = percent_of(view.spent_units, view.amount_units)
    share = "nothing is allowed" if percent is None else f"{percent:,} %"
    return f"{share} of {shown.amount}" if percent is not None else share


def _differences(before: Limit | None, after: Limit | None) -> Iterator[Difference]:
    old = {} if before is None else _told(before)
    new = {} if after is None else _told(after)
    for name, words in NAMES.items():
        one, other = old.get(name, ""), new.get(name, "")
        if one != other:
            yield Difference(words, one, other)


def _told(limit: Limit) -> dict[str, str]:
    """Write what a limit says that is not as it would be anyway."""
    loss = limit.store_loss_units
    return {
        "amount": dollars(limit.amount_units),
        "period": limit.period,
        "zone": limit.zone,
        "models": "all" if limit.models is None else ", ".join(limit.models),
        "per_session": "yes" if limit.per_session else "no",
        "overdraft": dollars(limit.overdraft_units),
        "thresholds": ", ".join(f"{percent} %" for percent in limit.thresholds) or "never",
        "contact": limit.contact or "nobody",
        "cheaper_model": limit.cheaper_model or "none: requests are rejected",
        "store_loss": "as configured" if loss is None else dollars(loss),
    }


def _count(parts: Parts, subject: Subject) -> tuple[int, int]:
    """Count the people and keys that a limit concerns, without those that are gone."""
    organization = parts.organization
    people = [one for one in organization.people.values() if one.status != "removed"]
    keys = [key.record for key in parts.directory.all() if key.record.status != "deleted"]
    if subject.level == "key":
        keys = [record for record in keys if record.id == subject.id]
        owners = {record.person_id for record in keys}
        return sum(one.id in owners for one in people), len(keys)
    if subject.level == "group":
        within = set(organization.groups_within(subject.id))
        people = [one for one in people if one.group_id in within]
        members = {one.id for one in people}
        keys = [
            record for record in keys if record.person_id in members or record.group_id in within
        ]
    elif subject.level == "person":
        people = [one for one in people if one.id == subject.id]
        keys = [record for record in keys if record.person_id == subject.id]
    return len(people), len(keys)


async def _sessions_over(parts: Parts, limit: Limit) -> tuple[int, int]:
    span = span_of(limit.period, limit.zone, parts.now())
    accounts = await parts.store.organization.accounts({limit: span})
    return sum(one.spent + one.held >= limit.most_units for one in accounts), len(accounts)


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
