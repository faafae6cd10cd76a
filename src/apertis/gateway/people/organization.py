"""The people, groups and limits of a running gateway, as requests find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from apertis.gateway.budgets.limit import Limit
from apertis.gateway.people.record import Group, Person, folded_email

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.record import Rates

_T = TypeVar("_T", Group, Person, Limit)

# Groups in groups: far more than anybody draws. A circle ends here as well.
MAX_DEPTH = 20


class Changes(msgspec.Struct, frozen=True):
    """People, groups and limits, in the order of their versions."""

    groups: tuple[Group, ...] = ()
    people: tuple[Person, ...] = ()
    limits: tuple[Limit, ...] = ()

    def names(self) -> dict[str, str]:
        """Return the names of groups and people by their ids."""
        names = {group.id: group.name for group in self.groups}
        return names | {person.id: person.name for person in self.people}


class Organization:
    """All of them by id. `generation` grows with every change, and what was made of one is old."""

    def __init__(self, changes: Changes | None = None) -> None:
        self.groups: dict[str, Group] = {}
        self.people: dict[str, Person] = {}
        self.limits: dict[str, Limit] = {}
        self.generation = 0
        # Whether any person or group has limits of requests and tokens.
        self.has_rates = False
        self.version = 0
        # Who is called so by others, and of which generation that is.
        self._known_as: tuple[int, dict[str, Person], dict[str, Person]] = (-1, {}, {})
        # By level and id of what they limit.
        self._limits_of: dict[tuple[str, str], tuple[Limit, ...]] = {}
        if changes is not None:
            self.apply(changes)

    def apply(self, changes: Changes) -> None:
        """Add what is new, and change what is known; an older version changes nothing."""
        _take(self.groups, changes.groups)
        _take(self.people, changes.people)
        _take(self.limits, changes.limits)
        versions = [
            *(group.version for group in changes.groups),
            *(person.version for person in changes.people),
            *(limit.version for limit in changes.limits),
        ]
        if not versions:
            return
        self.version = max(self.version, *versions)
        by_subject: dict[tuple[str, str], list[Limit]] = {}
        for limit in self.limits.values():
            if limit.status == "enabled":
                by_subject.setdefault((limit.level, limit.subject_id), []).append(limit)
        self._limits_of = {subject: tuple(limits) for subject, limits in by_subject.items()}
        self.has_rates = any(
            _limits_rates(one)
            for known in (self.groups, self.people)
            for one in known.values()
            if one.status != "removed"
        )
        self.generation += 1

    def restart(self, everything: Changes) -> None:
        """Take over what a store has that knows less than before, in place of all that was."""
        self.groups, self.people, self.limits = {}, {}, {}
        self._limits_of = {}
        self.version = 0
        self.generation += 1
        self.apply(everything)

    def limits_of(self, level: str, subject_id: str = "") -> tuple[Limit, ...]:
        """Return the limits of a key, a person, a group or the gateway."""
        return self._limits_of.get((level, subject_id), ())

    def person_of(self, record: KeyRecord) -> Person | None:
        """Return whose key it is."""
        return None if record.person_id is None else self.people.get(record.person_id)

    def person_called(self, name: str | None, email: str | None) -> Person | None:
        """Return the person with this id, external id or email, as others call them."""
        if self._known_as[0] != self.generation:
            there = [person for person in self.people.values() if person.status != "removed"]
            names = {person.external_id: person for person in there if person.external_id}
            # Nobody takes an id of this gateway by having it elsewhere.
            names |= {person.id: person for person in there}
            emails = {folded_email(person.email): person for person in there if person.email}
            self._known_as = self.generation, names, emails
        _, names, emails = self._known_as
        found = names.get(name) if name else None
        return emails.get(folded_email(email)) if found is None and email else found

    def is_barred(self, record: KeyRecord) -> bool:
        """Return whether the person behind a key may not use it any more."""
        person = self.person_of(record)
        return person is not None and person.status != "enabled"

    def groups_above(self, group_id: str | None) -> tuple[Group, ...]:
        """Return a group and those that it is in, the innermost first."""
        found: list[Group] = []
        while group_id is not None and len(found) < MAX_DEPTH:
            group = self.groups.get(group_id)
            if group is None or group in found:
                break
            found.append(group)
            group_id = group.parent_id
        return tuple(found)

    def groups_within(self, group_id: str | None) -> tuple[str, ...]:
        """Return a group's id and those of the groups in it, itself first; nothing for no group.

        A group that was removed is in no other.
        """
        if group_id is None or group_id not in self.groups:
            return ()
        found = {group_id: None}
        while True:
            inner = {one.id: None for one in self.groups.values() if one.parent_id in found}
            if inner.keys() <= found.keys():
                return tuple(found)
            found |= inner

    def groups_of(self, record: KeyRecord, person: Person | None) -> tuple[Group, ...]:
        """Return the groups that a request counts in: its person's, and the key's own."""
        of_person = () if person is None else self.groups_above(person.group_id)
        of_key = self.groups_above(record.group_id)
        return (*of_person, *(group for group in of_key if group not in of_person))

    def limits_on(self, record: KeyRecord, person: Person | None) -> tuple[Limit, ...]:
        """Return the limits of a request but for the key's quota: the key's first."""
        found = [*self.limits_of("key", record.id)]
        if person is not None:
            found += self.limits_of("person", person.id)
        for group in self.groups_of(record, person):
            found += self.limits_of("group", group.id)
        return (*found, *self.limits_of("gateway"))

    def rates_on(
        self, record: KeyRecord, person: Person | None
    ) -> tuple[tuple[str, Person | Group], ...]:
        """Return who else is counted with a request, and how far: the person and the groups."""
        found: list[tuple[str, Person | Group]] = []
        if person is not None:
            found.append((f"person:{person.id}", person))
        found += [(f"group:{group.id}", group) for group in self.groups_of(record, person)]
        return tuple((party, rates) for party, rates in found if _limits_rates(rates))


def _limits_rates(rates: Rates) -> bool:
    return bool(rates.requests_limit or rates.tokens_per_minute or rates.in_flight)


def _take(known: dict[str, _T], found: Iterable[_T]) -> None:
    for one in found:
        old = known.get(one.id)
        if old is None or old.version <= one.version:
            known[one.id] = one
