"""Whom an identity provider's accounts are here: found, made, followed, and never mixed up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.gateway.admin.identities import person_of
from apertis.gateway.config import OidcSettings
from apertis.gateway.errors import Refusal
from apertis.gateway.people.identity import Identity
from apertis.gateway.people.organization import Organization
from apertis.gateway.people.record import Group, Person
from apertis.gateway.store.audit import AuditQuery

if TYPE_CHECKING:
    from tests.kit.stores import Opened

NOW = 1_790_000_000.0
CREATE = OidcSettings(unknown_people="create")
ANN = Identity(external_id="i#1", subject="1", name="Ann", email="ann@example.com")


def sign_in(opened: Opened, one: Identity = ANN, settings: OidcSettings = CREATE) -> Person:
    found = opened.run(person_of(opened.store.organization, one, settings, NOW))
    assert isinstance(found, Person), found
    return found


def refused(opened: Opened, one: Identity = ANN, settings: OidcSettings = CREATE) -> str:
    found = opened.run(person_of(opened.store.organization, one, settings, NOW))
    assert isinstance(found, Refusal)
    assert found.status == 403
    return found.message


def keep(opened: Opened, **fields: Any) -> Person:
    person = Person(**{"id": "person_a", "name": "A", **fields})
    made: Person = opened.run(opened.store.organization.insert(person))
    return made


def people(opened: Opened) -> list[Person]:
    return list(opened.run(opened.store.organization.all()).people)


def test_somebody_unknown_is_made_where_the_settings_say_so_and_once(opened: Opened) -> None:
    assert "You are not known here" in refused(opened, settings=OidcSettings())
    made = sign_in(opened)
    assert (made.name, made.email, made.external_id) == ("Ann", "ann@example.com", "i#1")
    assert (made.role, made.group_id, made.status) == ("member", None, "enabled")
    assert sign_in(opened) == made
    assert people(opened) == [made]


def test_a_verified_address_links_somebody_who_is_known(opened: Opened) -> None:
    known = keep(opened, email="Ann@Example.com", role="viewer")
    found = sign_in(opened, settings=OidcSettings())
    assert (found.id, found.external_id, found.role) == (known.id, "i#1", "viewer")
    moved = msgspec.structs.replace(ANN, email=None)
    assert sign_in(opened, moved, OidcSettings()).id == known.id


def test_without_a_verified_address_nobody_is_linked(opened: Opened) -> None:
    keep(opened, email="ann@example.com")
    made = sign_in(opened, msgspec.structs.replace(ANN, email=None))
    assert made.id != "person_a"
    assert made.email is None


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ("mark@example.com", "mar\u212a@example.com"),
        ("boss@example.com", "bo\u017fs@example.com"),
        ("strasse@example.com", "stra\u00dfe@example.com"),
    ],
)
def test_an_address_that_only_looks_alike_without_its_case_links_nobody(
    opened: Opened, known: str, told: str
) -> None:
    boss = keep(opened, email=known, role="administrator")
    stranger = Identity(external_id="i#9", subject="9", name="Eve", email=told)
    assert "You are not known here" in refused(opened, stranger, OidcSettings())
    made = sign_in(opened, stranger)
    assert (made.id != boss.id, made.role) == (True, "member")
    # Nor does a gateway in front mean one of them by the address of the other.
    organization = Organization(opened.run(opened.store.organization.all()))
    assert organization.person_called(None, known.upper()) == boss


def test_the_address_of_another_account_links_nobody(opened: Opened) -> None:
    keep(opened, email="ann@example.com", external_id="i#2")
    assert "belongs to another account" in refused(opened)
    assert len(people(opened)) == 1


def test_an_external_id_without_the_issuer_is_taken_over_with_the_address(opened: Opened) -> None:
    keep(opened, email="ann@example.com", external_id="1")
    assert sign_in(opened).external_id == "i#1"
    keep(opened, id="person_b", name="B", external_id="7")
    made = sign_in(opened, Identity(external_id="i#7", subject="7", name="Seven"))
    assert made.id != "person_b"


@pytest.mark.parametrize("fields", [{"external_id": "i#1"}, {"email": "ann@example.com"}])
def test_somebody_who_is_disabled_is_refused_and_stays_as_they_are(
    opened: Opened, fields: dict[str, str]
) -> None:
    kept = keep(opened, status="disabled", **fields)
    assert "You may not sign in here" in refused(opened)
    assert people(opened) == [kept]


def test_a_name_that_is_taken_gets_the_address_or_a_number(opened: Opened) -> None:
    keep(opened, name="Ann")
    assert sign_in(opened).name == "Ann (ann@example.com)"
    for number in (2, 3):
        one = Identity(external_id=f"i#{number}", subject=str(number), name="Ann")
        assert sign_in(opened, one).name == f"Ann ({number})"
    like_an_id = Identity(external_id="i#9", subject="9", name="person_" + "a" * 20)
    assert sign_in(opened, like_an_id).name == f"{like_an_id.name} (2)"


def test_role_and_group_follow_the_provider_where_the_settings_map_them(opened: Opened) -> None:
    opened.run(opened.store.organization.insert(Group(id="group_a", name="Eng")))
    keep(opened, external_id="i#1", role="viewer")
    assert sign_in(opened).role == "viewer"
    settings = OidcSettings(groups={"eng": "Eng"}, roles={"boss": "administrator"})
    inside = msgspec.structs.replace(ANN, groups=("eng", "boss"))
    found = sign_in(opened, inside, settings)
    assert (found.role, found.group_id) == ("administrator", "group_a")
    found = sign_in(opened, ANN, settings)
    assert (found.role, found.group_id) == ("member", None)
    entries = opened.run(opened.store.audit.list(AuditQuery(actor="oidc")))
    changes = [msgspec.json.decode(entry.after) for entry in entries if entry.after]
    assert changes == [
        {"role": "member", "group_id": None},
        {"role": "administrator", "group_id": "group_a"},
    ]


def test_a_group_that_the_settings_name_and_that_is_not_there_lets_nobody_past_its_limits(
    opened: Opened,
) -> None:
    settings = OidcSettings(unknown_people="create", groups={"eng": "Enginering"})
    message = refused(opened, msgspec.structs.replace(ANN, groups=("eng",)), settings)
    assert "The group 'Enginering', which the settings name for you, is not there." in message
    assert people(opened) == []


def test_nothing_is_written_where_nothing_changed(opened: Opened) -> None:
    first = sign_in(opened)
    assert sign_in(opened).version == first.version
    assert len(opened.run(opened.store.audit.list(AuditQuery()))) == 1
