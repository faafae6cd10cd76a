"""Forms of people and groups: only what was changed in them is sent on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from apertis.gateway.admin.keys import find_named
from apertis.gateway.console.key_form import Field, groups_seen
from apertis.gateway.errors import Refusal, access_denied
from apertis.gateway.signin.roles import fills_group

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from apertis.gateway.console.pages import Asked
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Group, Person
    from apertis.gateway.signin.roles import Viewer

RATES = ("requests_limit", "tokens_per_minute", "in_flight")
_COUNTS = ("tokens_per_minute", "in_flight")
_NEVER_EMPTY = ("name", "role")


def group_field(
    name: str,
    label: str,
    hint: str,
    value: str,
    viewer: Viewer,
    organization: Organization,
    without: Collection[str] = (),
) -> Field:
    """Return the field of the group that something is in: one of those that somebody may fill."""
    names = [
        one.name
        for one in groups_seen(viewer, organization)
        if one.id not in without and fills_group(viewer, one.id)
    ]
    if value and value not in names:
        names.append(value)
    none = [("", "none")] if viewer.is_administrator else []
    return Field(name, label, hint, value, (*none, *((one, one) for one in names)))


def refuse_place(
    asked: Asked, organization: Organization, field: str, shown: str | None, words: str
) -> Refusal | None:
    """Say why somebody may not put something into the group of a form; None if they may.

    `shown` is the group that it is in, None for what is new; `words` are for who may not.
    """
    name = asked.form.get(field, shown or "").strip()
    if name == shown:
        return None
    group_id = None
    if name:
        group = find_named(tuple(organization.groups.values()), name, "group", field)
        if isinstance(group, Refusal):
            return group
        group_id = group.id
    return None if fills_group(asked.viewer, group_id) else access_denied(words)


def texts_of(one: Person | Group, names: Iterable[str]) -> dict[str, str]:
    """Return fields as a form shows them; what is none is empty."""
    return {name: "" if (value := getattr(one, name)) is None else str(value) for name in names}


def rate_fields(value: Mapping[str, str]) -> tuple[Field, ...]:
    """Return the fields of rates, which are counted over all keys of a person or group."""
    return (
        Field(
            "requests_limit",
            "Requests",
            "Of all their keys, such as 3000/1m. Empty: no limit.",
            value["requests_limit"],
        ),
        Field(
            "tokens_per_minute",
            "Tokens a minute",
            "Of all their keys. Empty: no limit.",
            value["tokens_per_minute"],
        ),
        Field(
            "in_flight",
            "Requests at once",
            "Of all their keys. Empty: no limit.",
            value["in_flight"],
        ),
    )


def body_of(form: Mapping[str, str], shown: Mapping[str, str], settable: Collection[str]) -> bytes:
    """Return the JSON body of what was changed in a form; what is empty is none."""
    given: dict[str, Any] = {}
    for name in shown.keys() & settable:
        text = form.get(name, shown[name]).strip()
        if text == shown[name]:
            continue
        is_count = name in _COUNTS and text.isascii() and text.isdecimal()
        value: Any = int(text) if is_count else text
        given[name] = None if text == "" and name not in _NEVER_EMPTY else value
    return msgspec.json.encode(given)


def id_of(made: msgspec.Struct) -> str:
    """Return the id of what a resource answers with."""
    found: str = getattr(made, "id")  # noqa: B009 - each answer has it, the type of all has not.
    return found
