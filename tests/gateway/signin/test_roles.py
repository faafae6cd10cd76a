"""The policy of the console, as a table: who sees and who changes what."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec
import pytest

from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person, Role
from apertis.gateway.signin import roles
from apertis.gateway.signin.roles import Viewer, least, role_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord

GROUPS = (
    Group(id="group_top", name="Top"),
    Group(id="group_own", name="Own", parent_id="group_top"),
    Group(id="group_in", name="In", parent_id="group_own"),
    Group(id="group_deep", name="Deep", parent_id="group_in"),
    Group(id="group_other", name="Other"),
)
GREETER = Person(id="person_greeter", name="G", role="group_administrator", group_id="group_own")
PEOPLE = (
    GREETER,
    Person(id="person_second", name="S", role="group_administrator", group_id="group_in"),
    Person(id="person_own", name="O", group_id="group_own"),
    Person(id="person_in", name="I", group_id="group_in"),
    Person(id="person_boss", name="B", role="administrator", group_id="group_own"),
    Person(id="person_other", name="X", group_id="group_other"),
    Person(id="person_none", name="N"),
)
ORGANIZATION = Organization(Changes(groups=GROUPS, people=PEOPLE, limits=()))
OF_GREETER = Viewer(
    session="",
    role="group_administrator",
    person=GREETER,
    group_ids=ORGANIZATION.groups_within("group_own"),
)


def viewer(role: Role) -> Viewer:
    return OF_GREETER if role == "group_administrator" else Viewer(session="", role=role)


def person(id_: str) -> Person:
    return ORGANIZATION.people[id_]


@pytest.mark.parametrize(
    ("id_", "sees", "changes"),
    [
        ("person_greeter", True, False),
        ("person_second", True, False),
        ("person_own", True, True),
        ("person_in", True, True),
        ("person_boss", True, False),
        ("person_other", False, False),
        ("person_none", False, False),
    ],
)
def test_a_group_administrator_changes_the_members_of_its_groups_alone(
    id_: str, sees: bool, changes: bool
) -> None:
    assert roles.sees_person(OF_GREETER, person(id_)) is sees
    assert roles.changes_person(OF_GREETER, person(id_)) is changes
    assert roles.changes_limits(OF_GREETER, "person", person(id_), ORGANIZATION) is changes


@pytest.mark.parametrize(
    ("id_", "fills", "changes"),
    [
        ("group_top", False, False),
        ("group_own", True, False),
        ("group_in", True, True),
        ("group_deep", True, True),
        ("group_other", False, False),
        (None, False, False),
    ],
)
def test_a_group_administrator_fills_its_own_group_and_changes_those_inside(
    id_: str | None, fills: bool, changes: bool
) -> None:
    assert roles.fills_group(OF_GREETER, id_) is fills
    if id_ is not None:
        assert roles.changes_group(OF_GREETER, id_) is changes
        assert roles.changes_limits(OF_GREETER, "group", id_, ORGANIZATION) is changes
    assert not roles.changes_limits(OF_GREETER, "gateway", "", ORGANIZATION)


def test_a_group_administrator_has_the_keys_of_members_and_none_that_administers(
    make_key: Callable[..., KeyRecord],
) -> None:
    for fields, sees, changes in (
        ({"person_id": "person_own"}, True, True),
        ({"person_id": "person_own", "admin": True}, True, False),
        ({"person_id": "person_boss"}, True, False),
        ({"person_id": "person_greeter"}, True, False),
        ({"person_id": "person_other"}, False, False),
        ({"group_id": "group_in"}, True, True),
        ({"group_id": "group_other"}, False, False),
        ({}, False, False),
    ):
        key = make_key(**fields)
        assert roles.sees_key(OF_GREETER, key, ORGANIZATION) is sees, fields
        assert roles.changes_key(OF_GREETER, key, ORGANIZATION) is changes, fields
        assert roles.changes_limits(OF_GREETER, "key", key, ORGANIZATION) is changes, fields


def test_a_rendering_is_shared_by_those_alone_who_see_the_same(
    make_key: Callable[..., KeyRecord],
) -> None:
    key = make_key(person_id="person_greeter", group_id="group_other")
    other = msgspec.structs.replace(GREETER, id="person_third")
    seen: dict[object, object] = {}
    for one in (
        OF_GREETER,
        msgspec.structs.replace(OF_GREETER, person=other),
        msgspec.structs.replace(OF_GREETER, key=key),
        Viewer(session="", role="member", person=GREETER),
        Viewer(session="", role="member", person=GREETER, key=key),
        Viewer(session="", role="member", key=key),
        *(Viewer(session="", role="viewer", person=who) for who in (GREETER, other)),
    ):
        assert seen.setdefault(one.scope, roles.usage_scope(one)) == roles.usage_scope(one)
    assert len(seen) == 7


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_viewers_and_members_change_nothing(role: Role, make_key: Callable[..., KeyRecord]) -> None:
    own = person("person_own")
    one = Viewer(session="", role=role, person=own)
    assert not roles.changes_person(one, own)
    assert not roles.changes_person(one, person("person_in"))
    assert not roles.changes_key(one, make_key(person_id="person_own"), ORGANIZATION)
    assert not roles.changes_group(one, "group_own")
    assert not roles.fills_group(one, "group_own")
    assert not roles.changes_limits(one, "person", own, ORGANIZATION)
    assert not roles.gives_role(one, "administrator")


def test_a_member_sees_itself_and_its_keys(make_key: Callable[..., KeyRecord]) -> None:
    one = Viewer(session="", role="member", person=person("person_own"))
    assert roles.sees_person(one, person("person_own"))
    assert not roles.sees_person(one, person("person_greeter"))
    assert roles.sees_key(one, make_key(person_id="person_own"), ORGANIZATION)
    assert not roles.sees_key(one, make_key(group_id="group_own"), ORGANIZATION)


def test_nobody_but_an_administrator_makes_one() -> None:
    for role in get_args(Role):
        assert roles.gives_role(viewer("administrator"), role)
        assert roles.gives_role(OF_GREETER, role) is (role == "member")


@pytest.mark.parametrize(
    ("person_role", "fields", "role"),
    [
        ("administrator", None, "administrator"),
        ("administrator", {}, "member"),
        ("administrator", {"admin": True}, "administrator"),
        ("member", {"admin": True}, "administrator"),
        ("viewer", {}, "viewer"),
        ("group_administrator", {}, "group_administrator"),
        ("administrator", {"kind": "sign_in"}, "member"),
        ("viewer", {"kind": "sign_in"}, "member"),
        ("administrator", {"kind": "sign_in", "admin": True}, "member"),
        (None, {}, "member"),
        (None, {"admin": True}, "administrator"),
        (None, None, "member"),
    ],
)
def test_a_key_makes_an_administrator_only_where_it_is_one_itself(
    person_role: Role | None,
    fields: dict[str, object] | None,
    role: Role,
    make_key: Callable[..., KeyRecord],
) -> None:
    one = None if person_role is None else Person(id="person_a", name="A", role=person_role)
    assert role_of(one, None if fields is None else make_key(**fields)) == role


def test_the_lesser_of_two_roles_may_do_no_more_than_either() -> None:
    for one in get_args(Role):
        for other in get_args(Role):
            less = least(one, other)
            for page, seen_by in roles.PAGES.items():
                assert (less in seen_by) <= (one in seen_by and other in seen_by), page


@pytest.mark.parametrize(
    ("id_", "group_id", "gives"),
    [
        ("person_own", None, True),
        ("person_in", "group_deep", True),
        # It would use up what another group may spend.
        ("person_own", "group_other", False),
        ("person_greeter", None, False),
        ("person_second", None, False),
        ("person_boss", None, False),
        ("person_other", None, False),
        (None, "group_own", True),
        (None, "group_other", False),
        (None, None, False),
    ],
)
def test_a_group_administrator_gives_keys_to_members_and_groups_of_its_own(
    id_: str | None, group_id: str | None, gives: bool
) -> None:
    one = None if id_ is None else person(id_)
    assert roles.gives_key(OF_GREETER, one, group_id) is gives
    assert roles.gives_key(viewer("administrator"), one, group_id)
    for role in ("viewer", "member"):
        assert not roles.gives_key(Viewer(session="", role=role, person=one), one, group_id)


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("name", True),
        ("quota_usd", True),
        ("models", True),
        ("admin", False),
        ("billing_policy", False),
        ("requests_limit", False),
        ("tokens_per_minute", False),
        ("in_flight", False),
    ],
)
def test_what_lifts_limits_of_all_keys_is_an_administrators_to_set(name: str, sets: bool) -> None:
    assert roles.sets_key_field(OF_GREETER, name) is sets
    assert roles.sets_key_field(viewer("administrator"), name)


@pytest.mark.parametrize(
    ("role", "person_role", "fields", "rotates"),
    [
        ("member", "member", {}, True),
        ("viewer", "viewer", {}, True),
        ("group_administrator", "group_administrator", {}, True),
        # With these secrets they could do more than now.
        ("member", "member", {"admin": True}, False),
        ("viewer", "administrator", {"admin": True}, False),
        ("member", "viewer", {}, False),
        ("member", "group_administrator", {}, False),
        # An administrator's other keys are members'.
        ("member", "administrator", {}, True),
        ("administrator", "administrator", {"admin": True}, True),
        ("administrator", "member", {}, True),
        # Their secrets change by themselves, or nobody has them.
        ("administrator", "administrator", {"kind": "sign_in"}, False),
        ("administrator", "administrator", {"kind": "chat"}, False),
        ("member", "member", {"kind": "chat"}, False),
        ("member", "member", {"status": "deleted"}, False),
    ],
)
def test_somebody_rotates_their_own_keys_but_to_no_more_than_they_may(
    role: Role,
    person_role: Role,
    fields: dict[str, object],
    rotates: bool,
    make_key: Callable[..., KeyRecord],
) -> None:
    owner = Person(id="person_a", name="A", role=person_role)
    organization = Organization(Changes(people=(owner,)))
    one = Viewer(session="", role=role, person=owner)
    own = make_key(person_id="person_a", **fields)
    assert roles.rotates_key(one, own, organization) is rotates
    other = make_key(person_id="person_b", **fields)
    if role != "administrator":
        assert not roles.rotates_key(one, other, organization)


def test_a_key_of_nobody_rotates_itself(make_key: Callable[..., KeyRecord]) -> None:
    key = make_key()
    one = Viewer(session="", role="member", key=key)
    assert roles.rotates_key(one, key, ORGANIZATION)
    assert not roles.rotates_key(one, make_key(), ORGANIZATION)


def test_an_administrators_key_is_not_taken_away_with_its_owner(
    make_key: Callable[..., KeyRecord],
) -> None:
    own, admin = make_key(person_id="person_own"), make_key(person_id="person_own", admin=True)
    assert roles.bars_person(OF_GREETER, person("person_own"), [own])
    assert not roles.bars_person(OF_GREETER, person("person_own"), [own, admin])
    assert not roles.bars_person(OF_GREETER, person("person_boss"), [])
    assert roles.bars_person(viewer("administrator"), person("person_boss"), [admin])
