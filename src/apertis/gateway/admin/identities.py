"""People who sign in with an identity provider: found, made, and kept as the provider has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from apertis.gateway.admin.keys import find_named
from apertis.gateway.admin.people import problems_of
from apertis.gateway.errors import Refusal, access_denied
from apertis.gateway.keys.secrets import new_id
from apertis.gateway.people.identity import group_by, refuse, role_by
from apertis.gateway.people.organization import Organization
from apertis.gateway.people.record import Person, folded_email

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.config import OidcSettings
    from apertis.gateway.people.identity import Identity
    from apertis.gateway.store.organization import StoredOrganization, Turn

ACTOR: Final = "oidc"
"""The actor of changes that follow the identity provider, in the audit trail."""
_UNKNOWN = access_denied(
    "You are not known here. Ask the administrator of this gateway to add you with your email "
    "address, as your identity provider has it."
)
_ELSEWHERE = access_denied(
    "Your email address belongs to another account of the identity provider here. Ask the "
    "administrator of this gateway to correct your external id."
)
_BARRED = access_denied("You may not sign in here. Ask the administrator of this gateway.")
_MAX_NAME = 200


async def person_of(
    organization: StoredOrganization, identity: Identity, settings: OidcSettings, now: float
) -> Person | Refusal:
    """Return whom the provider signed in, after their role and group followed the provider.

    They are known by the provider's id, or else by a verified email address, which then gets the
    provider's id. Whoever has that address with another id of the provider is somebody else.
    """
    refusal = refuse(identity, settings)
    if refusal is not None:
        return refusal
    return await organization.change(
        lambda turn: _follow(turn, identity, settings, int(now)), ACTOR
    )


def _follow(turn: Turn, identity: Identity, settings: OidcSettings, now: int) -> Person | Refusal:
    known = Organization(turn.all())
    people = [one for one in known.people.values() if one.status != "removed"]
    found = _found(people, identity)
    if isinstance(found, Refusal):
        return found
    if found is not None and found.status != "enabled":
        return _BARRED
    if found is None and settings.unknown_people == "refuse":
        return _UNKNOWN
    values = _values(known, identity, settings)
    if isinstance(values, Refusal):
        return values
    if found is not None:
        changed = msgspec.structs.replace(found, external_id=identity.external_id, **values)
        return found if changed == found else turn.update(changed)
    fields: dict[str, Any] = {"role": settings.default_role} | values
    person = Person(
        id=new_id("person"),
        name=_free_name(identity, {one.name for one in known.people.values()}),
        email=identity.email,
        external_id=identity.external_id,
        created_at=now,
        **fields,
    )
    if any(problem.field == "email" for problem in problems_of(person)):
        person = msgspec.structs.replace(person, email=None)
    return turn.insert(person)


def _found(people: Iterable[Person], identity: Identity) -> Person | Refusal | None:
    by_email = None
    email = folded_email(identity.email or "")
    for one in people:
        if one.external_id is not None and one.external_id == identity.external_id:
            return one
        if one.email is not None and folded_email(one.email) == email:
            by_email = one
    if by_email is not None and by_email.external_id not in (None, identity.subject):
        return _ELSEWHERE
    return by_email


def _values(
    known: Organization, identity: Identity, settings: OidcSettings
) -> dict[str, Any] | Refusal:
    values: dict[str, Any] = {}
    role = role_by(identity, settings)
    if role is not None:
        values["role"] = role
    if settings.groups:
        named = group_by(identity, settings)
        values["group_id"] = None
        if named is not None:
            group = find_named(tuple(known.groups.values()), named, "group", "group")
            if isinstance(group, Refusal):
                return access_denied(
                    f"The group '{named}', which the settings name for you, is not there. Ask the "
                    "administrator of this gateway to make it."
                )
            values["group_id"] = group.id
    return values


def _free_name(identity: Identity, taken: set[str]) -> str:
    """Return a name that nobody has yet, and that is no id."""
    candidates = [identity.name]
    if identity.email is not None:
        candidates.append(f"{identity.name[: _MAX_NAME - 60]} ({identity.email[:50]})")
    number = 1
    while True:
        for name in candidates:
            probe = Person(id="", name=name)
            if name not in taken and not any(problems_of(probe)):
                return name
        number += 1
        candidates = [f"{identity.name[: _MAX_NAME - 20]} ({number})"]
