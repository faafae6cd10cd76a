"""The tree of budgets is made of what is known, in parts, each of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.budgets.limit import Limit
from apertis.gateway.console.budget_tree import PAGE, Node, Tree, limits_in, names_in
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person
from apertis.gateway.signin.roles import Viewer

if TYPE_CHECKING:
    from apertis.gateway.budgets.limit import Level

ADMINISTRATOR = Viewer(session="", role="administrator")


def key(number: int, **fields: Any) -> KeyRecord:
    given: dict[str, Any] = {
        "id": f"key_{number}",
        "name": f"key {number:04}",
        "sha256": f"{number}",
        "hint": "",
        "created_at": 1,
        **fields,
    }
    return KeyRecord(**given)


def walk(nodes: list[Node]) -> list[Node]:
    return [one for node in nodes for one in (node, *walk(node.groups), *walk(node.members))]


def company(groups: int, people: int, keys: int) -> tuple[Organization, Directory]:
    """Groups each in the one before, and people and keys in them by turns."""
    organization = Organization(
        Changes(
            groups=tuple(
                Group(
                    id=f"group_{number}",
                    name=f"group {number}",
                    parent_id=f"group_{number - 1}" if number else None,
                    version=1,
                )
                for number in range(groups)
            ),
            people=tuple(
                Person(
                    id=f"person_{number}",
                    name=f"person {number:04}",
                    group_id=f"group_{number % groups}" if groups else None,
                    version=1,
                )
                for number in range(people)
            ),
        )
    )
    owners = [f"person_{number}" for number in range(people)]
    records = [
        key(
            number,
            person_id=owners[number % people] if people and number % 2 else None,
            group_id=f"group_{number % groups}" if groups else None,
        )
        for number in range(keys)
    ]
    return organization, Directory(records)


@given(st.integers(0, 4), st.integers(0, 60), st.integers(0, 200))
def test_the_tree_shows_nothing_twice_and_counts_all(groups: int, people: int, keys: int) -> None:
    organization, directory = company(groups, people, keys)
    roots = Tree(organization, directory, ADMINISTRATOR).roots()
    shown = [node.id for node in walk(roots) if node.id]
    assert len(shown) == len(set(shown))
    assert sum(node.people for node in roots) == people
    assert sum(node.keys for node in roots) == keys
    assert sum(node.level == "group" for node in walk(roots) if node.id) == groups


@given(st.integers(0, 3 * PAGE), st.integers(0, 3 * PAGE))
def test_the_pages_of_a_group_have_each_member_once(people: int, keys: int) -> None:
    organization, directory = company(1, people, keys)
    seen: list[str] = []
    first, more = 0, 1
    while more:
        node = Tree(organization, directory, ADMINISTRATOR).group(
            organization.groups["group_0"], first
        )
        seen += [member.id for member in node.members]
        more, first = node.more, first + PAGE
        assert len(node.members) <= PAGE
    lonely = [one.record.id for one in directory.all() if one.record.person_id is None]
    assert sorted(seen) == sorted([*organization.people, *lonely])


def test_the_whole_tree_is_bounded_however_many_there_are() -> None:
    organization, directory = company(300, 3000, 10_000)
    # No limit of the depth is asked for here: each group is beside the others.
    for number, group in enumerate(organization.groups.values()):
        organization.groups[group.id] = Group(id=group.id, name=f"{number:04}", version=2)
    roots = Tree(organization, directory, ADMINISTRATOR).roots()
    assert len(walk(roots)) < 1000
    assert sum(node.keys for node in roots) == 10_000


def test_a_group_administrator_has_the_own_group_at_the_top() -> None:
    organization, directory = company(3, 9, 9)
    greta = Person(id="person_0", name="Greta", role="group_administrator", group_id="group_1")
    organization.people["person_0"] = greta
    viewer = Viewer(
        session="",
        role="group_administrator",
        person=greta,
        group_ids=organization.groups_within("group_1"),
    )
    (root,) = Tree(organization, directory, viewer).roots()
    assert (root.id, root.may_add) == ("group_1", False)
    assert [(node.id, node.may_add) for node in root.groups] == [("group_2", True)]
    may_add = {node.id for node in walk([root]) if node.may_add and node.level == "person"}
    assert "person_1" in may_add
    assert "person_0" not in may_add


def test_limits_and_names_of_all_that_is_shown_are_found() -> None:
    organization, directory = company(2, 2, 2)
    subjects: tuple[tuple[Level, str], ...] = (
        ("group", "group_1"),
        ("person", "person_0"),
        ("key", "key_0"),
    )
    made = [
        Limit(id=f"limit_{level}", level=level, subject_id=id_, amount_units=1, version=3)
        for level, id_ in subjects
    ]
    organization.apply(Changes(limits=tuple(made)))
    directory.apply([key(1, quota_units=5, person_id="person_1", version=2)])
    roots = Tree(organization, directory, ADMINISTRATOR).roots()
    assert {one.id for one in limits_in(roots)} == {*(one.id for one in made), "quota-key_1"}
    assert names_in(roots)["person_0"] == "person 0000"
