"""Search of people: who is found, in which order, and how little is done for it."""

from __future__ import annotations

import msgspec
import pytest

from apertis.gateway.admin.people_search import PeopleSearch, PersonFilter
from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person, PersonStatus

PEOPLE = (
    Person(id="person_1", name="zoe", email="ZOE@example.com", version=1),
    Person(id="person_2", name="Ann", group_id="group_1", version=1),
    Person(id="person_3", name="bea", status="disabled", group_id="group_2", version=1),
    Person(id="person_4", name="Carl", status="removed", version=1),
)
GROUPS = (
    Group(id="group_1", name="Research", version=1),
    Group(id="group_2", name="Sales", version=1),
)


class Counted(Organization):
    """Counts how often all people are gone through."""

    read = 0

    @property
    def people(self) -> dict[str, Person]:
        self.read += 1
        return self._people

    @people.setter
    def people(self, known: dict[str, Person]) -> None:
        self._people = known


def everybody(_: Person) -> bool:
    return True


def found(search: PeopleSearch, text: str = "", status: PersonStatus | None = None) -> list[str]:
    return [one.name for one in search.find(PersonFilter(text, status), everybody)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["Ann", "bea", "zoe"]),
        ("ANN", ["Ann"]),
        ("example.com", ["zoe"]),
        ("res ann", ["Ann"]),
        ("sales", ["bea"]),
        # Not across two fields.
        ("annresearch", []),
    ],
)
def test_people_are_found_by_name_email_and_group_in_the_order_of_their_names(
    text: str, names: list[str]
) -> None:
    organization = Organization(Changes(GROUPS, PEOPLE))
    assert found(PeopleSearch(lambda: organization), text) == names


def test_people_are_told_apart_by_their_status_and_group() -> None:
    organization = Organization(Changes(GROUPS, PEOPLE))
    search = PeopleSearch(lambda: organization)
    assert found(search, status="removed") == ["Carl"]
    assert found(search, status="disabled") == ["bea"]
    inside = search.find(PersonFilter(group_ids=("group_1", "group_2")), everybody)
    assert [one.name for one in inside] == ["Ann", "bea"]
    assert search.find(PersonFilter(), lambda _: False) == []


def test_texts_are_made_once_for_each_change() -> None:
    organization = Counted(Changes(GROUPS, PEOPLE))
    search = PeopleSearch(lambda: organization)
    assert found(search, "a") == ["Ann", "bea", "zoe"]
    organization.read = 0
    assert found(search, "ze") == []
    assert organization.read == 0
    organization.apply(Changes(people=(msgspec.structs.replace(PEOPLE[0], name="Ada", version=2),)))
    assert found(search, "ada") == ["Ada"]
