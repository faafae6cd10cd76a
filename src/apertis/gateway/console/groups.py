"""Groups: their tree; made, moved, renamed and removed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from apertis.gateway.admin.resources import Call
from apertis.gateway.console.key_form import Field, groups_seen
from apertis.gateway.console.keys import makes_keys, number_in
from apertis.gateway.console.limit_lines import limits_of_group
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
from apertis.gateway.signin.roles import changes_group, changes_limits, fills_group, sees_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.console.pages import Asked, Parts, Response
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Group
    from apertis.gateway.signin.roles import Viewer

_FIELDS = frozenset(("name", "parent", *RATES))
_NOT_YOURS = access_denied("Your role does not allow to change this group")


class Branch(NamedTuple):
    """A group of the tree, with how many are in it itself."""

    group: Group
    people: int
    keys: int
    inner: tuple[Branch, ...]


async def see(parts: Parts, asked: Asked) -> Page:
    """Show the tree of groups."""
    context = {"branches": _tree(parts, asked.viewer), "makes": makes_keys(asked.viewer)}
    return Page("groups.html", "Groups", context)


async def see_new(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show the form of a new group."""
    return _new(parts, asked, asked.given("parent"))


async def create(parts: Parts, asked: Asked) -> Response:
    """Make a group."""
    body = body_of(asked.form, _texts(None, parts.organization), _FIELDS)
    made = _refuse_place(asked, parts.organization) or await parts.resources.create_group(
        Call(actor=asked.viewer.actor, body=body)
    )
    if isinstance(made, Refusal):
        return _new(parts, asked, asked.form, made)
    return Done(f"/console/groups/{id_of(made)}", "The group was made.")


async def see_one(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show one group."""
    group = _seen(parts, asked)
    return group if isinstance(group, Refusal) else await _one(parts, asked, group)


async def change(parts: Parts, asked: Asked) -> Response:
    """Rename a group, move it, or set its rates."""
    group = _changeable(parts, asked)
    if isinstance(group, Refusal):
        return group
    shown = _texts(group, parts.organization)
    kept = _refuse_place(asked, parts.organization, shown["parent"]) or (
        await parts.resources.change_group(
            Call(
                actor=asked.viewer.actor,
                id=group.id,
                body=body_of(asked.form, shown, _FIELDS),
                version=number_in(asked.form.get("version", "")),
            )
        )
    )
    if isinstance(kept, Refusal):
        return await _one(parts, asked, group, kept)
    return Done(f"/console/groups/{group.id}", "The group was changed.")


async def see_remove(parts: Parts, asked: Asked) -> Page | Refusal:
    """Ask whether a group is to be removed."""
    group = _changeable(parts, asked)
    if isinstance(group, Refusal):
        return group
    return Page("group_remove.html", f"Remove {group.name}?", {"group": group})


async def remove(parts: Parts, asked: Asked) -> Response:
    """Remove a group that nothing is in."""
    group = _changeable(parts, asked)
    if isinstance(group, Refusal):
        return group
    kept = await parts.resources.remove_group(Call(actor=asked.viewer.actor, id=group.id))
    if isinstance(kept, Refusal):
        return await _one(parts, asked, group, kept)
    return Done("/console/groups", "The group was removed.")


def _tree(parts: Parts, viewer: Viewer) -> tuple[Branch, ...]:
    seen = groups_seen(viewer, parts.organization)
    ids = {group.id for group in seen}
    people = Counter(
        one.group_id for one in parts.organization.people.values() if one.status != "removed"
    )
    keys = Counter(
        key.record.group_id for key in parts.directory.all() if key.record.status != "deleted"
    )
    inner: dict[str | None, list[Group]] = {}
    for group in seen:
        # What it is in may be another's: then it stands by itself.
        inner.setdefault(group.parent_id if group.parent_id in ids else None, []).append(group)

    def grow(parent_id: str | None) -> tuple[Branch, ...]:
        return tuple(
            Branch(group, people[group.id], keys[group.id], grow(group.id))
            for group in inner.get(parent_id, ())
        )

    return grow(None)


def _new(
    parts: Parts, asked: Asked, entered: Mapping[str, str], refusal: Refusal | None = None
) -> Page | Refusal:
    if not makes_keys(asked.viewer):
        return access_denied("Your role does not allow to make groups")
    context = {"fields": _fields(asked.viewer, None, parts.organization, entered)}
    return Page("group_new.html", "New group", context).refused(refusal)


async def _one(parts: Parts, asked: Asked, group: Group, refusal: Refusal | None = None) -> Page:
    viewer, organization = asked.viewer, parts.organization
    within = organization.groups_within(group.id)
    context: dict[str, Any] = {
        "group": group,
        "above": [
            one for one in organization.groups_above(group.parent_id) if sees_group(viewer, one.id)
        ],
        "inner": [one for one in groups_seen(viewer, organization) if one.parent_id == group.id],
        "people": sum(
            one.group_id in within and one.status != "removed"
            for one in organization.people.values()
        ),
        "limits": await limits_of_group(parts, group.id),
        "limits_of": f"group:{group.id}",
        "adds_limit": (
            group.status == "enabled" and changes_limits(viewer, "group", group.id, organization)
        ),
        "fields": None,
        "fills": group.status == "enabled" and fills_group(viewer, group.id),
    }
    if group.status == "enabled" and changes_group(viewer, group.id):
        entered = None if refusal is None else asked.form
        context["fields"] = _fields(viewer, group, organization, entered)
    return Page("group.html", group.name, context).refused(refusal)


def _fields(
    viewer: Viewer,
    group: Group | None,
    organization: Organization,
    entered: Mapping[str, str] | None,
) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    shown = _texts(group, organization)
    value = {name: (entered or {}).get(name, text) for name, text in shown.items()}
    below = () if group is None else organization.groups_within(group.id)
    hint = "What it spends counts in the budgets of this group, too."
    main = (
        Field("name", "Name", "", value["name"]),
        group_field("parent", "In group", hint, value["parent"], viewer, organization, below),
    )
    return main, rate_fields(value)


def _texts(group: Group | None, organization: Organization) -> dict[str, str]:
    if group is None:
        return dict.fromkeys(_FIELDS, "")
    parent = organization.groups.get(group.parent_id or "")
    return texts_of(group, _FIELDS - {"parent"}) | {"parent": "" if parent is None else parent.name}


def _refuse_place(
    asked: Asked, organization: Organization, shown: str | None = None
) -> Refusal | None:
    words = "The groups that you make and move are in one of your groups"
    return refuse_place(asked, organization, "parent", shown, words)


def _seen(parts: Parts, asked: Asked) -> Group | Refusal:
    group_id = asked.params["id"]
    group = parts.organization.groups.get(group_id)
    if group is None or not sees_group(asked.viewer, group_id):
        return not_found(f"There is no group '{group_id[:100]}'")
    return group


def _changeable(parts: Parts, asked: Asked) -> Group | Refusal:
    group = _seen(parts, asked)
    if isinstance(group, Refusal) or changes_group(asked.viewer, group.id):
        return group
    return _NOT_YOURS


PLACES = (
    Place("/groups", "people", see),
    Place("/groups/new", "people", see_new, create),
    Place("/groups/{id}", "people", see_one, change),
    Place("/groups/{id}/remove", "people", see_remove, remove),
)
