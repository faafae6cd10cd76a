"""Roles: what each may see and do. The one place that decides it; pages and routes ask here.

`administrator` sees and changes everything; `viewer` sees the same and changes nothing;
`group_administrator` sees its own group with those inside, and changes what is in it, but neither
the group's own limits nor its own place; `member` sees itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from apertis.gateway.keys.record import KeyRecord  # noqa: TC001 - msgspec reads them.
from apertis.gateway.people.record import Person, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apertis.gateway.budgets.limit import Level
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.store.sign_ins import SignIn

PageName = Literal[
    "overview",
    "budgets",
    "keys",
    "people",
    "requests",
    "sessions",
    "upstreams",
    "alerts",
    "audit",
    "settings",
    "doctor",
    "managed",
    "chat",
    "me",
]
_ALL: tuple[Role, ...] = ("administrator", "group_administrator", "viewer", "member")
_OF_GROUPS: tuple[Role, ...] = ("administrator", "viewer", "group_administrator")
_OF_GATEWAY: tuple[Role, ...] = ("administrator", "viewer")
PAGES: Mapping[PageName, tuple[Role, ...]] = {
    "overview": _OF_GROUPS,
    "budgets": _OF_GROUPS,
    "keys": _OF_GROUPS,
    "people": _OF_GROUPS,
    "requests": _OF_GROUPS,
    "sessions": _OF_GROUPS,
    "upstreams": _OF_GATEWAY,
    "alerts": _OF_GATEWAY,
    "audit": _OF_GATEWAY,
    "settings": _OF_GATEWAY,
    "doctor": _OF_GATEWAY,
    "managed": ("administrator",),
    "chat": _ALL,
    "me": _ALL,
}
"""The roles that see each page, in the order in which pages are listed."""
_FIELDS_OF_ADMINISTRATORS = frozenset(
    ("admin", "billing_policy", "requests_limit", "tokens_per_minute", "in_flight")
)
_RANK: Mapping[Role, int] = {"member": 0, "viewer": 1, "group_administrator": 1, "administrator": 2}


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in: a person, or a key that belongs to nobody."""

    # The hash of the session's id.
    session: str
    role: Role
    person: Person | None = None
    # The key that they signed in with.
    key: KeyRecord | None = None
    # The groups that a group administrator sees; those below the first one are theirs to change.
    group_ids: tuple[str, ...] = ()

    # Names of people and keys are in no representation.
    __repr__ = object.__repr__

    @property
    def actor(self) -> str:
        """The one who makes a change, as the audit trail says it."""
        if self.person is not None:
            return self.person.id
        return "" if self.key is None else self.key.id

    @property
    def name(self) -> str:
        """Name to greet them by."""
        if self.person is not None:
            return self.person.name
        return "" if self.key is None else self.key.name

    @property
    def sees_all(self) -> bool:
        """True if all of the gateway is shown."""
        return self.role in _OF_GATEWAY

    @property
    def is_administrator(self) -> bool:
        """True if everything may be changed."""
        return self.role == "administrator"

    @property
    def scope(self) -> tuple[str, ...]:
        """The same for all viewers who are shown the same pages."""
        if self.sees_all:
            return (self.role,)
        # Whoever sees less than all sees their own besides: of their person, and of their key.
        own = "" if self.key is None else self.key.id
        return (self.role, *self.group_ids, self.actor, own)


def role_of(person: Person | None, key: KeyRecord | None) -> Role:
    """Return what somebody may do who signs in with a key, or as a person by other means.

    A key makes an administrator of its owner only if it is an administrator's itself: programs
    hold keys. One that Claude Code got at its sign-in is a member's, whoever approved it.
    """
    if key is None:
        return "member" if person is None else person.role
    if key.kind != "key":
        return "member"
    if key.admin:
        return "administrator"
    role = "member" if person is None else person.role
    return "member" if role == "administrator" else role


def least(one: Role, other: Role) -> Role:
    """Return the one that may do less; the first of two that differ in kind is a member."""
    if one == other:
        return one
    if _RANK[one] == _RANK[other]:
        return "member"
    return min(one, other, key=lambda role: _RANK[role])


def pages_of(viewer: Viewer) -> tuple[PageName, ...]:
    """List the pages that somebody may see."""
    return tuple(page for page, roles in PAGES.items() if viewer.role in roles)


def sees_page(viewer: Viewer, page: PageName) -> bool:
    """Return whether somebody may see a page."""
    return viewer.role in PAGES[page]


def sees_person(viewer: Viewer, person: Person) -> bool:
    """Return whether somebody may see a person."""
    own = viewer.person is not None and viewer.person.id == person.id
    return viewer.sees_all or own or person.group_id in viewer.group_ids


def sees_group(viewer: Viewer, group_id: str) -> bool:
    """Return whether somebody may see a group."""
    return viewer.sees_all or group_id in viewer.group_ids


def sees_key(viewer: Viewer, key: KeyRecord, organization: Organization) -> bool:
    """Return whether somebody may see a key and what it used."""
    if viewer.sees_all:
        return True
    if viewer.key is not None and viewer.key.id == key.id:
        return True
    person = organization.person_of(key)
    if person is not None:
        return sees_person(viewer, person)
    return key.group_id in viewer.group_ids


class UsageScope(NamedTuple):
    """The requests that somebody sees: of these keys, people or groups; all if it is empty."""

    keys: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def has(self, key_id: str, person_id: str | None, group_id: str | None) -> bool:
        """Return whether a request is among them, by what it was booked for."""
        if self == _ALL_USAGE:
            return True
        return key_id in self.keys or person_id in self.people or group_id in self.groups


_ALL_USAGE = UsageScope()


def usage_scope(viewer: Viewer) -> UsageScope:
    """Say whose requests somebody sees: everybody's, or those of its groups and its own."""
    if viewer.sees_all:
        return _ALL_USAGE
    return UsageScope(
        () if viewer.key is None else (viewer.key.id,),
        () if viewer.person is None else (viewer.person.id,),
        viewer.group_ids,
    )


def changes_group(viewer: Viewer, group_id: str) -> bool:
    """Return whether somebody may change a group: a group administrator those inside its own."""
    return viewer.is_administrator or group_id in viewer.group_ids[1:]


def fills_group(viewer: Viewer, group_id: str | None) -> bool:
    """Return whether somebody may put people, keys and groups into a group."""
    return viewer.is_administrator or group_id in viewer.group_ids


def changes_person(viewer: Viewer, person: Person) -> bool:
    """Return whether somebody may change a person: nobody but an administrator their own record.

    A group administrator changes members only: others of its rank are an administrator's.
    """
    if viewer.is_administrator:
        return True
    own = viewer.person is not None and viewer.person.id == person.id
    return person.group_id in viewer.group_ids and person.role == "member" and not own


def gives_role(viewer: Viewer, role: Role) -> bool:
    """Return whether somebody may make a person this."""
    return viewer.is_administrator or role == "member"


def changes_key(viewer: Viewer, key: KeyRecord, organization: Organization) -> bool:
    """Return whether somebody may change, rotate or disable a key."""
    if viewer.is_administrator:
        return True
    if viewer.role != "group_administrator" or key.admin:
        return False
    person = organization.person_of(key)
    if person is not None:
        return changes_person(viewer, person)
    return key.group_id in viewer.group_ids


def gives_key(viewer: Viewer, person: Person | None, group_id: str | None) -> bool:
    """Return whether somebody may make a key for a person and in a group, or move one there."""
    if viewer.is_administrator:
        return True
    if viewer.role != "group_administrator":
        return False
    if person is None:
        return group_id in viewer.group_ids
    # A key may count in a group besides its person's, and uses up what that may spend.
    return changes_person(viewer, person) and (group_id is None or group_id in viewer.group_ids)


def sets_key_field(viewer: Viewer, name: str) -> bool:
    """Return whether somebody may set a field of the keys that they change.

    What lifts a limit that is configured for all keys, or bills somebody else, is an
    administrator's.
    """
    return viewer.is_administrator or name not in _FIELDS_OF_ADMINISTRATORS


def is_own_key(viewer: Viewer, key: KeyRecord) -> bool:
    """Return whether a key is somebody's own: of their person, or the one that they came by."""
    if viewer.person is not None and key.person_id == viewer.person.id:
        return True
    return viewer.key is not None and viewer.key.id == key.id


def bars_person(viewer: Viewer, person: Person, keys: Iterable[KeyRecord]) -> bool:
    """Return whether somebody may disable or remove a person, and with that these keys of theirs.

    An administrator's key is an administrator's to take away, whoever has it.
    """
    if viewer.is_administrator:
        return True
    return changes_person(viewer, person) and not any(key.admin for key in keys)


def rotates_key(viewer: Viewer, key: KeyRecord, organization: Organization) -> bool:
    """Return whether somebody may give a key another secret, which they get to see.

    Everybody their own, but none by which they could do more than now. The secrets of other kinds
    of keys change by themselves, or nobody has them.
    """
    if key.kind != "key" or key.status == "deleted":
        return False
    if changes_key(viewer, key, organization):
        return True
    role = role_of(organization.person_of(key), key)
    return is_own_key(viewer, key) and least(viewer.role, role) == role


def sees_sign_in(
    viewer: Viewer, sign_in: SignIn, key: KeyRecord, organization: Organization
) -> bool:
    """Return whether somebody may see a sign-in of Claude Code, by its key."""
    return _is_own(viewer, sign_in) or sees_key(viewer, key, organization)


def ends_sign_in(
    viewer: Viewer, sign_in: SignIn, key: KeyRecord, organization: Organization
) -> bool:
    """Return whether somebody may end a sign-in: their own, and whose key they may change."""
    return _is_own(viewer, sign_in) or changes_key(viewer, key, organization)


def changes_limits(
    viewer: Viewer, level: Level, subject: KeyRecord | Person | str, organization: Organization
) -> bool:
    """Return whether somebody may change the limits of a key, a person or a group (by its id)."""
    if viewer.is_administrator:
        return True
    if viewer.role != "group_administrator" or level == "gateway":
        return False
    if isinstance(subject, str):
        return changes_group(viewer, subject)
    if isinstance(subject, Person):
        return changes_person(viewer, subject)
    return changes_key(viewer, subject, organization)


def _is_own(viewer: Viewer, sign_in: SignIn) -> bool:
    if viewer.person is not None:
        return viewer.person.id == sign_in.person_id
    return viewer.key is not None and viewer.key.id == sign_in.approved_by_key_id
