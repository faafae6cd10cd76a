"""Whose a key is, and what it may spend, as an administrator has drawn it."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.budgets.limit import Limit
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.people.organization import MAX_DEPTH, Changes, Organization
from apertis.gateway.people.record import Group, Person


def limit(name: str, level: Any, subject: str = "", **fields: Any) -> Limit:
    return Limit(id=name, level=level, subject_id=subject, amount_units=1, **fields)


def record(**fields: Any) -> KeyRecord:
    return KeyRecord(id="key_1", name="k", sha256="0" * 64, hint="", created_at=0, **fields)


STUDIO = Group(id="grp_s", name="studio", version=1)
TEAM = Group(id="grp_t", name="team", parent_id="grp_s", requests_limit="60/1m", version=2)
ADA = Person(id="per_a", name="Ada", group_id="grp_t", in_flight=4, version=3)
LIMITS = (
    limit("all", "gateway", version=4),
    limit("studio", "group", "grp_s", version=5),
    limit("team", "group", "grp_t", version=6),
    limit("ada", "person", "per_a", version=7),
    limit("own", "key", "key_1", version=8),
)


def drawn() -> Organization:
    return Organization(Changes((STUDIO, TEAM), (ADA,), LIMITS))


def names(found: tuple[Limit, ...]) -> list[str]:
    return [one.id for one in found]


def test_a_request_counts_in_its_key_its_person_their_groups_and_the_gateway() -> None:
    organization = drawn()
    key = record(person_id="per_a")
    person = organization.person_of(key)
    assert person == ADA
    assert names(organization.limits_on(key, person)) == ["own", "ada", "team", "studio", "all"]


def test_every_level_is_optional() -> None:
    organization = drawn()
    assert names(organization.limits_on(record(), None)) == ["own", "all"]
    of_group = record(group_id="grp_s")
    assert names(organization.limits_on(of_group, None)) == ["own", "studio", "all"]
    unknown = record(person_id="per_x", group_id="grp_x")
    assert organization.person_of(unknown) is None
    assert names(organization.limits_on(unknown, None)) == ["own", "all"]


def test_a_key_of_one_group_used_by_a_person_of_another_counts_in_both_once() -> None:
    organization = drawn()
    key = record(group_id="grp_s")
    assert names(organization.limits_on(key, ADA)) == ["own", "ada", "team", "studio", "all"]


def test_a_change_takes_the_place_of_what_was_and_an_older_one_is_passed_over() -> None:
    organization = drawn()
    generation = organization.generation
    raised = limit("ada", "person", "per_a", version=9, contact="boss@example.com")
    organization.apply(Changes(limits=(raised,)))
    organization.apply(Changes(limits=(LIMITS[3],)))
    assert organization.limits["ada"] is raised
    assert organization.generation > generation
    assert organization.version == 9
    organization.apply(Changes())
    assert organization.version == 9


def test_a_limit_that_was_removed_limits_nothing() -> None:
    organization = drawn()
    organization.apply(Changes(limits=(limit("all", "gateway", version=9, status="removed"),)))
    assert names(organization.limits_on(record(), None)) == ["own"]


def test_who_may_not_use_a_key_any_more_is_barred() -> None:
    organization = drawn()
    key = record(person_id="per_a")
    assert not organization.is_barred(key)
    gone = Person(id="per_a", name="per_a", status="removed", version=9)
    organization.apply(Changes(people=(gone,)))
    assert organization.is_barred(key)
    assert not organization.is_barred(record())


def test_those_who_have_rates_of_their_own_are_counted() -> None:
    organization = drawn()
    found = organization.rates_on(record(person_id="per_a"), ADA)
    assert [party for party, _ in found] == ["person:per_a", "group:grp_t"]
    assert organization.rates_on(record(), None) == ()


def test_a_store_that_knows_less_than_before_is_believed() -> None:
    organization = drawn()
    generation = organization.generation
    organization.restart(Changes((STUDIO,), (), (LIMITS[0],)))
    assert (set(organization.groups), organization.people) == ({"grp_s"}, {})
    assert (organization.version, organization.generation > generation) == (4, True)


def test_names_of_people_are_in_no_representation() -> None:
    assert "Ada" not in repr(ADA)


@given(st.lists(st.integers(0, 9), min_size=10, max_size=10))
def test_groups_that_are_in_a_circle_come_to_an_end(parents: list[int]) -> None:
    groups = tuple(
        Group(id=f"g{place}", name=f"g{place}", parent_id=f"g{parent}", version=place + 1)
        for place, parent in enumerate(parents)
    )
    organization = Organization(Changes(groups))
    for group in groups:
        above = organization.groups_above(group.id)
        assert above[0] is group
        assert len(above) == len({one.id for one in above}) <= MAX_DEPTH
        for inner, outer in itertools.pairwise(above):
            assert inner.parent_id == outer.id
        within = organization.groups_within(group.id)
        assert within[0] == group.id
        assert sorted(within) == [
            one.id for one in groups if group in organization.groups_above(one.id)
        ]


def test_no_group_has_nothing_in_it() -> None:
    assert drawn().groups_within("grp_s") == ("grp_s", "grp_t")
    assert drawn().groups_within(None) == drawn().groups_within("grp_x") == ()


def test_others_call_people_by_ids_and_addresses() -> None:
    people = (
        Person(id="per_1", name="A", external_id="idp|1", email="A@Example.com", version=1),
        # Somebody who took another's id for their own at the identity provider.
        Person(id="per_2", name="B", external_id="per_1", version=2),
        Person(id="per_3", name="C", email="c@example.com", status="removed", version=3),
        Person(id="per_4", name="D", email="d@example.com", status="disabled", version=4),
    )
    organization = Organization(Changes(people=people))

    def called(name: str | None, email: str | None = None) -> str | None:
        person = organization.person_called(name, email)
        return None if person is None else person.name

    assert called("per_1") == called("idp|1") == called(None, " a@example.COM ") == "A"
    assert called("idp|1", "d@example.com") == "A"
    assert called("nobody", "d@example.com") == "D"
    assert called("per_3") is called(None, "c@example.com") is called("A") is called("", "") is None
    # An address is none of the ids.
    assert called("@a@example.com") is None
    organization.apply(Changes(people=(Person(id="per_1", name="A", version=9),)))
    assert called("idp|1") is None
