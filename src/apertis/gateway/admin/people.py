"""Creation and changes of groups and people: shared by the admin API and the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from apertis.gateway.admin.key_fields import refusal_of
from apertis.gateway.admin.keys import (
    Administration,
    administers,
    find_named,
    last_administrator,
    refuse_stale,
    remove_limits,
)
from apertis.gateway.admin.reading import PageFields
from apertis.gateway.errors import (
    Refusal,
    conflict,
    missing_parameter,
    not_found,
)
from apertis.gateway.keys import validation as rules
from apertis.gateway.keys.secrets import new_id
from apertis.gateway.people.organization import MAX_DEPTH, Organization
from apertis.gateway.people.record import Group, Person, PersonStatus, Role
from apertis.gateway.units import Time, iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.store.organization import Turn

_Named = TypeVar("_Named", Group, Person)

_ID = re.compile(r"(?:key|group|person|limit)_[A-Za-z0-9]{20}")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_MAX_EMAIL_LENGTH = 254
_MAX_NAMED = 5

_Label = Annotated[str, Meta(min_length=1, max_length=rules.MAX_LABEL_LENGTH)]
_Count = Annotated[int, Meta(ge=0, le=rules.MAX_UNITS)]
_Rate = Annotated[str, Meta(description='Requests, as "3000/1m"; null or "0" for no limit.')]
_ParentName = Annotated[str, Meta(description="The group that it is in: its name or id.")]
_ExternalId = Annotated[str, Meta(description="What an identity provider calls the person.")]
_GroupName = Annotated[str, Meta(description="The person's group: its name or id.")]


class _RateFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    requests_limit: _Rate | UnsetType | None = UNSET
    tokens_per_minute: _Count | UnsetType | None = UNSET
    in_flight: _Count | UnsetType | None = UNSET


class GroupFields(_RateFields, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The fields of a group that an administrator sets; what is left out stays as it is."""

    name: _Label | UnsetType = UNSET
    parent: _ParentName | UnsetType | None = UNSET


class PersonFields(_RateFields, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The fields of a person that an administrator sets; what is left out stays as it is."""

    name: _Label | UnsetType = UNSET
    email: str | UnsetType | None = UNSET
    external_id: _ExternalId | UnsetType | None = UNSET
    group: _GroupName | UnsetType | None = UNSET
    role: Role | UnsetType = UNSET

    # Names and addresses of people are in no representation.
    __repr__ = object.__repr__


class GroupListFields(PageFields, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Filters for listing groups; removed ones only if `status` asks for them."""

    name: str | None = None
    status: Literal["enabled", "removed", "all"] | None = None


class PersonListFields(PageFields, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Filters for listing people; removed ones only if `status` asks for them."""

    name: str | None = None
    email: str | None = None
    group: Annotated[str, Meta(description="A group's name or id.")] | None = None
    status: Literal["enabled", "disabled", "removed", "all"] | None = None


class _RatesView(Struct, kw_only=True, frozen=True):
    requests_limit: str | None
    tokens_per_minute: int | None
    in_flight: int | None


class GroupView(_RatesView, kw_only=True, frozen=True):
    """A group, with the number of people who are in it itself."""

    id: str
    name: str
    parent: str | None
    parent_id: str | None
    status: str
    people: int
    created_at: Time


class PersonView(_RatesView, kw_only=True, frozen=True):
    """A person."""

    id: str
    name: str
    email: str | None
    external_id: str | None
    role: Role
    group: str | None
    group_id: str | None
    status: PersonStatus
    created_at: Time

    # Names and addresses of people are in no representation.
    __repr__ = object.__repr__


class GroupPage(Struct, kw_only=True, frozen=True):
    """One page of groups, oldest first."""

    data: tuple[GroupView, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class PersonPage(Struct, kw_only=True, frozen=True):
    """One page of people, oldest first."""

    data: tuple[PersonView, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class AdoptFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Make people of the owners of keys; with `dry_run` only say which."""

    dry_run: bool = False


class AdoptedKey(Struct, kw_only=True, frozen=True):
    """A key that became a person's."""

    id: str
    name: str
    person: str


class Adopted(Struct, kw_only=True, frozen=True):
    """People made of owners, and the keys that are theirs now.

    Owners who have the name of somebody who is disabled are left as they are.
    """

    people: tuple[str, ...]
    keys: tuple[AdoptedKey, ...]
    skipped: tuple[str, ...]
    dry_run: bool


def group_view(group: Group, organization: Organization, people: int) -> GroupView:
    """Show a group."""
    parent = organization.groups.get(group.parent_id or "")
    return GroupView(
        id=group.id,
        name=group.name,
        parent=None if parent is None else parent.name,
        parent_id=group.parent_id,
        status=group.status,
        people=people,
        requests_limit=group.requests_limit,
        tokens_per_minute=group.tokens_per_minute,
        in_flight=group.in_flight,
        created_at=iso(group.created_at),
    )


def person_view(person: Person, organization: Organization) -> PersonView:
    """Show a person."""
    group = organization.groups.get(person.group_id or "")
    return PersonView(
        id=person.id,
        name=person.name,
        email=person.email,
        external_id=person.external_id,
        role=person.role,
        group=None if group is None else group.name,
        group_id=person.group_id,
        status=person.status,
        requests_limit=person.requests_limit,
        tokens_per_minute=person.tokens_per_minute,
        in_flight=person.in_flight,
        created_at=iso(person.created_at),
    )


class PeopleAdministration(Administration):
    """Every change that an administrator can make to groups and people."""

    async def create_group(self, fields: GroupFields, actor: str) -> Group | Refusal:
        """Make a group; `name` is required."""
        return await self._do(lambda turn: _create_group(turn, fields, int(self._now())), actor)

    async def change_group(
        self, group_id: str, fields: GroupFields, actor: str, version: int | None = None
    ) -> Group | Refusal:
        """Set the fields that are given, and leave the others as they are.

        With a `version` only if it is still of this one: nobody changed it meanwhile.
        """
        return await self._do(lambda turn: _change_group(turn, group_id, fields, version), actor)

    async def remove_group(self, group_id: str, actor: str) -> Group | Refusal:
        """Remove a group that nothing is in, with its limits. Repeating it changes nothing."""
        return await self._do(lambda turn: _remove_group(turn, group_id), actor)

    async def create_person(self, fields: PersonFields, actor: str) -> Person | Refusal:
        """Make a person; `name` is required."""
        return await self._do(lambda turn: _create_person(turn, fields, int(self._now())), actor)

    async def change_person(
        self, person_id: str, fields: PersonFields, actor: str, version: int | None = None
    ) -> Person | Refusal:
        """Set the fields that are given, and leave the others as they are.

        With a `version` only if the person is still of this one: nobody changed it meanwhile.
        """
        return await self._do(lambda turn: _change_person(turn, person_id, fields, version), actor)

    async def set_person_status(
        self, person_id: str, status: Literal["enabled", "disabled"], actor: str
    ) -> Person | Refusal:
        """Enable or disable a person, and with that all of the person's keys."""
        now = self._now()
        return await self._do(lambda turn: _set_status(turn, person_id, status, now), actor)

    async def remove_person(self, person_id: str, actor: str) -> Person | Refusal:
        """Erase a person: name and addresses are forgotten, keys are deleted, usage is kept."""
        return await self._do(lambda turn: _remove_person(turn, person_id, self._now()), actor)

    async def adopt_owners(self, actor: str, *, dry_run: bool = False) -> Adopted | Refusal:
        """Make people of the owners that keys name. Repeating it changes nothing."""
        now = int(self._now())
        return await self._do(lambda turn: _adopt(turn, now, dry_run=dry_run), actor)


def _create_group(turn: Turn, fields: GroupFields, now: int) -> Group | Refusal:
    if fields.name is UNSET:
        return missing_parameter("name")
    known = Organization(turn.all())
    values = _group_values(known, fields)
    if isinstance(values, Refusal):
        return values
    group = Group(id=new_id("group"), created_at=now, **values)
    return refuse_group(known, group) or turn.insert(group)


def _change_group(
    turn: Turn, group_id: str, fields: GroupFields, version: int | None
) -> Group | Refusal:
    known = Organization(turn.all())
    group = find_by_id(known.groups, group_id, "group")
    if isinstance(group, Refusal):
        return group
    stale = refuse_stale(group.name, group.version, version)
    if stale is not None:
        return stale
    values = _group_values(known, fields)
    if isinstance(values, Refusal):
        return values
    changed = msgspec.structs.replace(group, **values)
    if changed == group:
        return group
    return refuse_group(known, changed) or turn.update(changed)


def _remove_group(turn: Turn, group_id: str) -> Group | Refusal:
    known = Organization(turn.all())
    group = known.groups.get(group_id)
    if group is None:
        return not_found(f"There is no group '{group_id[:100]}'")
    if group.status == "removed":
        return group
    inside = (
        [f"the group '{one.name}'" for one in known.groups.values() if one.parent_id == group_id]
        + [f"'{one.name}'" for one in known.people.values() if one.group_id == group_id]
        + [f"the key '{one.name}'" for one in turn.read_keys(of_group=group_id) if _lives(one)]
    )
    if inside:
        told = ", ".join(inside[:_MAX_NAMED])
        more = len(inside) - _MAX_NAMED
        message = f"'{group.name}' is not empty: {told}{f' and {more} more' if more > 0 else ''}"
        return conflict(f"{message}. Move them to another group first")
    remove_limits(turn, known, {("group", group_id)})
    return turn.update(
        msgspec.structs.replace(group, name=group_id, parent_id=None, status="removed")
    )


def _group_values(known: Organization, fields: GroupFields) -> dict[str, Any] | Refusal:
    values = _given(fields, "parent")
    if isinstance(fields.parent, str):
        parent = find_named(tuple(known.groups.values()), fields.parent, "group", "parent")
        if isinstance(parent, Refusal):
            return parent
        values["parent_id"] = parent.id
    elif fields.parent is None:
        values["parent_id"] = None
    return values


def refuse_group(known: Organization, group: Group) -> Refusal | None:
    """Say what is wrong with a group that is about to be kept; None when nothing is."""
    refusal = refusal_of(list(problems_of(group))) or _refuse_taken(known.groups, group, "group")
    if refusal is not None or group.parent_id is None:
        return refusal
    above = known.groups_above(group.parent_id)
    if any(one.id == group.id for one in above):
        name = known.groups[group.parent_id].name
        message = f"'{group.name}' cannot be in '{name}', which is in '{group.name}'"
        if group.parent_id == group.id:
            message = f"'{group.name}' cannot be in itself"
        return conflict(message, "parent")
    if len(above) + _height(known, group.id) > MAX_DEPTH:
        return conflict(f"Groups can be {MAX_DEPTH} levels deep, not more", "parent")
    return None


def _height(known: Organization, group_id: str) -> int:
    """Count the levels of a group and what is in it."""
    level, height = {group_id}, 0
    while level:
        height += 1
        level = {one.id for one in known.groups.values() if one.parent_id in level}
    return height


def _create_person(turn: Turn, fields: PersonFields, now: int) -> Person | Refusal:
    if fields.name is UNSET:
        return missing_parameter("name")
    known = Organization(turn.all())
    values = _person_values(known, fields)
    if isinstance(values, Refusal):
        return values
    person = Person(id=new_id("person"), created_at=now, **values)
    return _refuse_person(known, person) or turn.insert(person)


def _change_person(
    turn: Turn, person_id: str, fields: PersonFields, version: int | None
) -> Person | Refusal:
    known = Organization(turn.all())
    person = find_by_id(known.people, person_id, "person")
    if isinstance(person, Refusal):
        return person
    stale = refuse_stale(person.name, person.version, version)
    if stale is not None:
        return stale
    values = _person_values(known, fields)
    if isinstance(values, Refusal):
        return values
    changed = msgspec.structs.replace(person, **values)
    if changed == person:
        return person
    return _refuse_person(known, changed) or turn.update(changed)


def _set_status(
    turn: Turn, person_id: str, status: Literal["enabled", "disabled"], now: float
) -> Person | Refusal:
    known = Organization(turn.all())
    person = find_by_id(known.people, person_id, "person")
    if isinstance(person, Refusal) or person.status == status:
        return person
    changed = msgspec.structs.replace(person, status=status)
    return _last_administrator(turn, known, changed, now) or turn.update(changed)


def _remove_person(turn: Turn, person_id: str, now: float) -> Person | Refusal:
    known = Organization(turn.all())
    person = known.people.get(person_id)
    if person is None:
        return not_found(f"There is no person '{person_id[:100]}'")
    if person.status == "removed":
        return person
    removed = msgspec.structs.replace(
        person, name=person_id, email=None, external_id=None, group_id=None, status="removed"
    )
    refusal = _last_administrator(turn, known, removed, now)
    if refusal is not None:
        return refusal
    keys = turn.read_keys(of_person=person_id)
    # Keys have their owners' names.
    for key in keys:
        turn.change_key(key.id, name=key.id, owner=None, status="deleted")
    subjects = {("person", person_id)} | {("key", key.id) for key in keys}
    remove_limits(turn, known, subjects)
    kept = turn.update(removed)
    turn.forget([person_id, *(key.id for key in keys)])
    return kept


def _last_administrator(
    turn: Turn, known: Organization, person: Person, now: float
) -> Refusal | None:
    """Refuse to bar the person whose key is the last that may administer."""
    if person.status == "enabled":
        return None
    theirs = [
        key
        for key in turn.read_keys(of_person=person.id)
        if administers(key, now) and not known.is_barred(key)
    ]
    if not theirs:
        return None
    for key in turn.read_keys():
        if key.person_id != person.id and administers(key, now) and not known.is_barred(key):
            return None
    return last_administrator(theirs[0].name)


def _person_values(known: Organization, fields: PersonFields) -> dict[str, Any] | Refusal:
    values = _given(fields, "group")
    if isinstance(fields.group, str):
        group = find_named(tuple(known.groups.values()), fields.group, "group", "group")
        if isinstance(group, Refusal):
            return group
        values["group_id"] = group.id
    elif fields.group is None:
        values["group_id"] = None
    return values


def _refuse_person(known: Organization, person: Person) -> Refusal | None:
    refusal = refusal_of(list(problems_of(person))) or _refuse_taken(known.people, person, "person")
    if refusal is not None:
        return refusal
    for field in ("email", "external_id"):
        value: str | None = getattr(person, field)
        for other in known.people.values() if value is not None else ():
            theirs: str | None = getattr(other, field)
            if other.id != person.id and (theirs or "").casefold() == (value or "").casefold():
                return conflict(f"'{field}': '{value}' is '{other.name}' already", field)
    return None


def find_by_id(known: dict[str, _Named], id: str, what: str) -> _Named | Refusal:
    """Find a group or a person that is not removed."""
    found = known.get(id)
    if found is None:
        return not_found(f"There is no {what} '{id[:100]}'")
    if found.status == "removed":
        return conflict(f"The {what} '{id}' is removed, and removal is final; make another")
    return found


def _refuse_taken(known: dict[str, _Named], record: _Named, what: str) -> Refusal | None:
    for other in known.values():
        if other.name == record.name and other.id != record.id:
            return conflict(f"There is a {what} '{record.name}' already ({other.id})", "name")
    return None


def _given(fields: _RateFields, reference: str) -> dict[str, Any]:
    values = {
        name: value
        for name in fields.__struct_fields__
        if name != reference and (value := getattr(fields, name)) is not UNSET
    }
    for name in ("requests_limit", "tokens_per_minute", "in_flight"):
        # A limit of none here: that of the gateway for each key holds all the same.
        if values.get(name) in ("0", 0):
            values[name] = None
    return values


def problems_of(record: Group | Person) -> Iterator[rules.Problem]:
    """Say everything that is wrong with a group or person by itself."""
    yield from rules.label("name", record.name)
    if _ID.fullmatch(record.name):
        yield rules.Problem("name", record.name, "a name that does not look like an id")
    if record.requests_limit is not None:
        yield from rules.requests_limit("requests_limit", record.requests_limit)
    if not isinstance(record, Person):
        return
    if record.email is not None and not (
        _EMAIL.fullmatch(record.email)
        and record.email.isprintable()
        and len(record.email) <= _MAX_EMAIL_LENGTH
    ):
        yield rules.Problem("email", record.email, "an address such as ann@example.com, or null")
    if record.external_id is not None:
        yield from rules.label("external_id", record.external_id)


def _lives(key: KeyRecord) -> bool:
    return key.status != "deleted"


def _adopt(turn: Turn, now: int, *, dry_run: bool) -> Adopted | Refusal:
    known = Organization(turn.all())
    by_name = {one.name: one for one in known.people.values() if one.status != "removed"}
    made: dict[str, Person] = {}
    keys: list[tuple[KeyRecord, Person]] = []
    skipped: dict[str, None] = {}
    for key in turn.read_keys():
        if key.owner is None or key.person_id is not None or not _lives(key):
            continue
        person = by_name.get(key.owner)
        if person is None:
            person = Person(id=new_id("person"), name=key.owner, created_at=now)
            if any(problems_of(person)):
                skipped[key.owner] = None
                continue
            by_name[key.owner] = made[key.owner] = person
        if person.status == "enabled":
            keys.append((key, person))
        else:
            skipped[key.owner] = None
    adopted = Adopted(
        people=tuple(made),
        keys=tuple(AdoptedKey(id=key.id, name=key.name, person=one.name) for key, one in keys),
        skipped=tuple(skipped),
        dry_run=dry_run,
    )
    if not keys or dry_run:
        return adopted
    turn.insert_all(made.values())
    for key, person in keys:
        turn.change_key(key.id, audited=False, person_id=person.id)
    # One entry for all of it; without names, so that nothing is left of whoever leaves.
    changed = {key.id: {"person_id": person.id} for key, person in keys}
    turn.note("adopt", "people", "", None, {one.id: {} for one in made.values()} | changed)
    return adopted
