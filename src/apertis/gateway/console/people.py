"""People: found, made, changed, disabled and removed; with their limits, days and keys."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from apertis.gateway.admin.people_search import PersonFilter
from apertis.gateway.admin.resources import Call
from apertis.gateway.admin.usage_report import days_of
from apertis.gateway.console import groups, people_import
from apertis.gateway.console.key_form import Field, groups_seen
from apertis.gateway.console.keys import (
    DAYS,
    PAGE_LENGTH,
    lines_of,
    makes_keys,
    number_in,
    page_of,
)
from apertis.gateway.console.limit_lines import limits_of_person
from apertis.gateway.console.organization_form import (
    RATES,
    body_of,
    group_field,
    id_of,
    rate_fields,
    refuse_place,
    texts_of,
)
from apertis.gateway.console.pages import Done, Page, Place
from apertis.gateway.errors import Refusal, access_denied, not_found
from apertis.gateway.signin.roles import (
    bars_person,
    changes_limits,
    changes_person,
    gives_role,
    sees_key,
    sees_person,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.console.pages import Asked, Parts, Response
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Group, Person, PersonStatus, Role
    from apertis.gateway.signin.roles import Viewer

_ROLES: tuple[tuple[Role, str], ...] = (
    ("member", "member: sees their own"),
    ("group_administrator", "group administrator: runs their group"),
    ("viewer", "viewer: sees everything"),
    ("administrator", "administrator"),
)
_STATUSES: tuple[PersonStatus, ...] = ("enabled", "disabled", "removed")
_OWN = ("name", "email", "external_id", "role")
_NOT_YOURS = access_denied("Your role does not allow to change this person")


class PersonLine(NamedTuple):
    """A person as the list shows them."""

    person: Person
    group: Group | None
    keys: int


async def see(parts: Parts, asked: Asked) -> Page:
    """List the people that are asked for."""
    viewer, organization = asked.viewer, parts.organization
    found = parts.people_search.find(
        _filter(asked, organization), lambda person: sees_person(viewer, person)
    )
    shown, pager = page_of(asked, found)
    keys = Counter(
        key.record.person_id for key in parts.directory.all() if key.record.status != "deleted"
    )
    context = {
        "lines": [
            PersonLine(one, organization.groups.get(one.group_id or ""), keys[one.id])
            for one in shown
        ],
        **pager,
        "groups": [("", "all"), *((one.id, one.name) for one in groups_seen(viewer, organization))],
        "makes": makes_keys(viewer),
    }
    return Page("people.html", "People", context)


async def see_new(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show the form of a new person."""
    return _new(parts, asked, asked.given("group"))


async def create(parts: Parts, asked: Asked) -> Response:
    """Make a person."""
    body = body_of(asked.form, _texts(None, parts.organization), _settable(asked.viewer))
    made = _refuse_rights(asked, parts.organization) or await parts.resources.create_person(
        Call(actor=asked.viewer.actor, body=body)
    )
    if isinstance(made, Refusal):
        return _new(parts, asked, asked.form, made)
    return Done(f"/console/people/{id_of(made)}", "The person was made; a key comes next.")


async def see_one(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show one person."""
    person = _seen(parts, asked)
    return person if isinstance(person, Refusal) else await _one(parts, asked, person)


async def change(parts: Parts, asked: Asked) -> Response:
    """Set the fields that somebody changed in the form."""
    person = _changeable(parts, asked)
    if isinstance(person, Refusal):
        return person
    texts = _texts(person, parts.organization)
    kept = _refuse_rights(asked, parts.organization, person) or await parts.resources.change_person(
        Call(
            actor=asked.viewer.actor,
            id=person.id,
            body=body_of(asked.form, texts, _settable(asked.viewer)),
            version=number_in(asked.form.get("version", "")),
        )
    )
    if isinstance(kept, Refusal):
        return await _one(parts, asked, person, kept)
    return Done(f"/console/people/{person.id}", "The person was changed.")


async def set_status(parts: Parts, asked: Asked) -> Response:
    """Disable a person, and with that all of their keys; or enable them again."""
    person = _barrable(parts, asked)
    if isinstance(person, Refusal):
        return person
    enable = asked.form.get("status") == "enabled"
    work = parts.resources.enable_person if enable else parts.resources.disable_person
    kept = await work(Call(actor=asked.viewer.actor, id=person.id))
    if isinstance(kept, Refusal):
        return await _one(parts, asked, person, kept)
    words = "All of the person's keys work again" if enable else "No key of the person works now"
    return Done(f"/console/people/{person.id}", f"{words}.")


async def see_remove(parts: Parts, asked: Asked) -> Page | Refusal:
    """Ask whether a person is to be removed, and say what that means."""
    person = _barrable(parts, asked)
    if isinstance(person, Refusal):
        return person
    context = {"person": person, "keys": len(_keys_of(parts, person))}
    return Page("person_remove.html", f"Remove {person.name}?", context)


async def remove(parts: Parts, asked: Asked) -> Response:
    """Erase a person."""
    person = _barrable(parts, asked)
    if isinstance(person, Refusal):
        return person
    kept = await parts.resources.remove_person(Call(actor=asked.viewer.actor, id=person.id))
    if isinstance(kept, Refusal):
        return await _one(parts, asked, person, kept)
    return Done("/console/people", "The person was removed.")


def _filter(asked: Asked, organization: Organization) -> PersonFilter:
    group_id = asked.query.get("group")
    return PersonFilter(
        text=asked.query.get("q", ""),
        status=next((one for one in _STATUSES if one == asked.query.get("status")), None),
        group_ids=organization.groups_within(group_id) if group_id else None,
    )


def _new(
    parts: Parts, asked: Asked, entered: Mapping[str, str], refusal: Refusal | None = None
) -> Page | Refusal:
    if not makes_keys(asked.viewer):
        return access_denied("Your role does not allow to make people")
    context = {"fields": _fields(asked.viewer, None, parts.organization, entered)}
    return Page("person_new.html", "New person", context).refused(refusal)


async def _one(parts: Parts, asked: Asked, person: Person, refusal: Refusal | None = None) -> Page:
    viewer, organization = asked.viewer, parts.organization
    keys = _keys_of(parts, person)
    seen = [key for key in keys if sees_key(viewer, key.record, organization)]
    living = person.status != "removed"
    context: dict[str, Any] = {
        "person": person,
        "group": organization.groups.get(person.group_id or ""),
        "limits": await limits_of_person(parts, person),
        "limits_of": f"person:{person.id}",
        "adds_limit": living and changes_limits(viewer, "person", person, organization),
        "days": await days_of(
            parts.store.usage, DAYS, zone=asked.zone, now=parts.now(), people=(person.id,)
        ),
        "lines": await lines_of(parts, seen[:PAGE_LENGTH]),
        "more": max(len(seen) - PAGE_LENGTH, 0),
        "fields": None,
        "bars": living and bars_person(viewer, person, [key.record for key in keys]),
    }
    if living and changes_person(viewer, person):
        entered = None if refusal is None else asked.form
        context["fields"] = _fields(viewer, person, organization, entered)
    return Page("person.html", person.name, context).refused(refusal)


def _fields(
    viewer: Viewer,
    person: Person | None,
    organization: Organization,
    entered: Mapping[str, str] | None,
) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """Return the fields that most people need, and all others."""
    shown = _texts(person, organization)
    value = {name: (entered or {}).get(name, text) for name, text in shown.items()}
    roles = tuple((role, words) for role, words in _ROLES if gives_role(viewer, role))
    hint = "The person's keys count in its budgets."
    main = (
        Field("name", "Name", "", value["name"]),
        Field("email", "Email", "Such as ann@example.com.", value["email"]),
        group_field("group", "Group", hint, value["group"], viewer, organization),
        Field("role", "Role", "What they may see and do here.", value["role"], roles),
    )
    outer = Field(
        "external_id", "External id", "As an identity provider calls them.", value["external_id"]
    )
    rates = rate_fields(value)
    return main, (outer, *rates) if viewer.is_administrator else rates


def _texts(person: Person | None, organization: Organization) -> dict[str, str]:
    if person is None:
        return dict.fromkeys((*_OWN, *RATES, "group"), "") | {"role": "member"}
    group = organization.groups.get(person.group_id or "")
    return texts_of(person, (*_OWN, *RATES)) | {"group": "" if group is None else group.name}


def _settable(viewer: Viewer) -> frozenset[str]:
    fields = frozenset((*_OWN, *RATES, "group"))
    # By this an identity provider signs somebody in.
    return fields if viewer.is_administrator else fields - {"external_id"}


def _refuse_rights(
    asked: Asked, organization: Organization, person: Person | None = None
) -> Refusal | None:
    """Say why somebody may not give a person this role or group; None if they may."""
    viewer, shown = asked.viewer, _texts(person, organization)
    role = asked.form.get("role", shown["role"])
    if role != shown["role"] and not any(
        role == one and gives_role(viewer, one) for one, _ in _ROLES
    ):
        return access_denied("Your role does not allow to give this role")
    before = None if person is None else shown["group"]
    words = "The people that you make and change are in one of your groups"
    return refuse_place(asked, organization, "group", before, words)


def _seen(parts: Parts, asked: Asked) -> Person | Refusal:
    person_id = asked.params["id"]
    person = parts.organization.people.get(person_id)
    if person is None or not sees_person(asked.viewer, person):
        return not_found(f"There is no person '{person_id[:100]}'")
    return person


def _changeable(parts: Parts, asked: Asked) -> Person | Refusal:
    person = _seen(parts, asked)
    if isinstance(person, Refusal) or changes_person(asked.viewer, person):
        return person
    return _NOT_YOURS


def _barrable(parts: Parts, asked: Asked) -> Person | Refusal:
    person = _seen(parts, asked)
    if isinstance(person, Refusal):
        return person
    keys = [key.record for key in _keys_of(parts, person)]
    return person if bars_person(asked.viewer, person, keys) else _NOT_YOURS


def _keys_of(parts: Parts, person: Person) -> list[Key]:
    found = [
        key
        for key in parts.directory.all()
        if key.record.person_id == person.id and key.record.status != "deleted"
    ]
    found.reverse()
    return found


PLACES = (
    Place("/people", "people", see),
    Place("/people/new", "people", see_new, create),
    *people_import.PLACES,
    Place("/people/{id}", "people", see_one, change),
    Place("/people/{id}/status", "people", None, set_status),
    Place("/people/{id}/remove", "people", see_remove, remove),
    *groups.PLACES,
)
