"""Groups and people are made, changed, moved, kept out and erased, and nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from apertis.gateway.admin.people import PersonFields, person_view, refuse_group
from apertis.gateway.people.organization import MAX_DEPTH, Changes, Organization
from apertis.gateway.people.record import Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord
    from tests.kit.resources import Asking


def group(asking: Asking, name: str, **fields: object) -> str:
    made: str = asking("POST", "/groups", {"name": name, **fields})["id"]
    return made


def person(asking: Asking, name: str, **fields: object) -> str:
    made: str = asking("POST", "/people", {"name": name, **fields})["id"]
    return made


def test_a_group_has_what_it_was_given(asking: Asking) -> None:
    outer = group(asking, "company")
    made = asking(
        "POST",
        "/groups",
        {"name": "research", "parent": "company", "requests_limit": "10/1m", "in_flight": 3},
    )
    assert made == {
        "id": made["id"],
        "name": "research",
        "parent": "company",
        "parent_id": outer,
        "status": "enabled",
        "people": 0,
        "requests_limit": "10/1m",
        "tokens_per_minute": None,
        "in_flight": 3,
        "created_at": "2027-01-15T08:00:00Z",
    }
    assert asking("GET", f"/groups/{made['id']}") == made
    assert asking.caught_up == 2
    person(asking, "Ann", group=made["id"])
    changed = asking(
        "PATCH", f"/groups/{made['id']}", {"name": "lab", "parent": None, "in_flight": 0}
    )
    assert changed == {
        **made,
        "name": "lab",
        "parent": None,
        "parent_id": None,
        "in_flight": None,
        "people": 1,
    }


def test_a_person_has_what_was_given(asking: Asking) -> None:
    place = group(asking, "research")
    fields = {
        "email": "ann@example.com",
        "external_id": "00u1",
        "role": "viewer",
        "tokens_per_minute": 1000,
    }
    made = asking("POST", "/people", {"name": "Ann", "group": "research", **fields})
    assert made == {
        "id": made["id"],
        "name": "Ann",
        "group": "research",
        "group_id": place,
        "status": "enabled",
        "requests_limit": None,
        "in_flight": None,
        "created_at": "2027-01-15T08:00:00Z",
        **fields,
    }
    assert asking("GET", f"/people/{made['id']}") == made
    changed = asking("PATCH", f"/people/{made['id']}", {"group": None, "email": None})
    assert changed == {**made, "group": None, "group_id": None, "email": None}


def test_a_change_that_changes_nothing_is_no_change(asking: Asking) -> None:
    id_ = person(asking, "Ann", email="ann@example.com")
    version = asking.run(asking.store.keys.current_version())
    asking("PATCH", f"/people/{id_}", {"name": "Ann", "email": "ann@example.com"})
    asking("POST", f"/people/{id_}/enable")
    assert asking.run(asking.store.keys.current_version()) == version


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("POST", "/groups", {}, (400, "name", "Missing required parameter 'name'")),
        ("POST", "/people", {}, (400, "name", "Missing required parameter 'name'")),
        ("POST", "/groups", {"name": "research"}, (409, "name", "There is a group 'research'")),
        ("POST", "/people", {"name": "Ann"}, (409, "name", "There is a person 'Ann' already")),
        ("POST", "/groups", {"name": " x"}, (400, "name", "'name' is ' x'")),
        ("POST", "/groups", {"name": "group_" + "a" * 20}, (400, "name", "does not look like")),
        (
            "POST",
            "/groups",
            {"name": "x", "parent": "researcx"},
            (400, "parent", "There is no group 'researcx'; did you mean 'research'?"),
        ),
        (
            "POST",
            "/people",
            {"name": "x", "group": "researcx"},
            (400, "group", "There is no group 'researcx'; did you mean 'research'?"),
        ),
        ("POST", "/people", {"name": "x", "email": "x"}, (400, "email", "an address such as")),
        (
            "POST",
            "/people",
            {"name": "x", "email": "ANN@example.com"},
            (409, "email", "'email': 'ANN@example.com' is 'Ann' already"),
        ),
        ("POST", "/people", {"name": "x", "role": "boss"}, (400, "role", "'role'")),
        ("POST", "/groups", {"name": "x", "requests_limit": "fast"}, (400, "requests_limit", "")),
        ("POST", "/groups", {"name": "x", "status": "removed"}, (400, "status", "DELETE it")),
        ("POST", "/people", {"name": "x", "group_id": "y"}, (400, "group_id", "in 'group'")),
        ("GET", "/groups/x", None, (404, None, "There is no group 'x'")),
        ("GET", "/people/x", None, (404, None, "There is no person 'x'")),
        ("PATCH", "/people/x", {"name": "y"}, (404, None, "There is no person 'x'")),
        ("DELETE", "/groups/x", None, (404, None, "There is no group 'x'")),
        ("DELETE", "/people/x", None, (404, None, "There is no person 'x'")),
        ("POST", "/people/x/disable", None, (404, None, "There is no person 'x'")),
    ],
)
def test_what_cannot_be_is_said(
    asking: Asking, method: str, path: str, body: object, told: tuple[int, str | None, str]
) -> None:
    group(asking, "research")
    person(asking, "Ann", email="ann@example.com")
    before = asking.run(asking.store.keys.current_version())
    status, param, message = asking.refused(method, path, body)
    assert (status, param) == told[:2]
    assert told[2] in message
    assert asking.run(asking.store.keys.current_version()) == before


def test_no_group_comes_to_be_in_itself(asking: Asking) -> None:
    outer = group(asking, "company")
    group(asking, "research", parent="company")
    group(asking, "vision", parent="research")
    status, param, message = asking.refused("PATCH", f"/groups/{outer}", {"parent": "vision"})
    assert (status, param) == (409, "parent")
    assert message == "'company' cannot be in 'vision', which is in 'company'"
    status, param, message = asking.refused("PATCH", f"/groups/{outer}", {"parent": "company"})
    assert message == "'company' cannot be in itself"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60))
@settings(max_examples=200)
def test_whatever_is_moved_groups_end_above(moves: list[tuple[int, int]]) -> None:
    known = Organization(
        Changes(groups=tuple(Group(id=str(n), name=f"g{n}", version=n + 1) for n in range(10)))
    )
    for moved, into in moves:
        changed = Group(id=str(moved), name=f"g{moved}", parent_id=str(into))
        if refuse_group(known, changed) is None:
            known.groups[changed.id] = changed
        for one in known.groups.values():
            seen = [one.id]
            while (parent := known.groups[seen[-1]].parent_id) is not None:
                assert parent not in seen
                seen.append(parent)


def test_groups_are_as_deep_as_they_are_read(asking: Asking) -> None:
    parent = None
    for level in range(MAX_DEPTH):
        fields: dict[str, object] = {} if parent is None else {"parent": parent}
        parent = group(asking, f"level {level}", **fields)
    status, param, message = asking.refused("POST", "/groups", {"name": "x", "parent": parent})
    assert (status, param) == (409, "parent")
    assert message == f"Groups can be {MAX_DEPTH} levels deep, not more"
    known = Organization(asking.run(asking.store.organization.all()))
    assert len(known.groups_above(parent)) == MAX_DEPTH


def test_only_an_empty_group_is_removed_and_its_name_is_free_again(
    asking: Asking, make_key: Callable[..., KeyRecord]
) -> None:
    outer = group(asking, "company")
    inner = group(asking, "research", parent="company")
    ann = person(asking, "Ann", group="company")
    key = asking.run(asking.store.keys.insert(make_key(name="ci", group_id=outer)))
    limit = asking("POST", "/limits", {"group": "company", "amount_usd": 1})["id"]
    status, _, message = asking.refused("DELETE", f"/groups/{outer}")
    assert status == 409
    assert "'company' is not empty: the group 'research', 'Ann', the key 'ci'." in message
    asking("DELETE", f"/groups/{inner}")
    asking("PATCH", f"/people/{ann}", {"group": None})
    asking.run(asking.store.keys.update(key.id, status="deleted"))
    removed = asking("DELETE", f"/groups/{outer}")
    assert (removed["name"], removed["status"]) == (outer, "removed")
    assert asking("DELETE", f"/groups/{outer}") == removed
    assert asking("GET", f"/limits/{limit}")["status"] == "removed"
    assert asking("GET", "/groups")["data"] == []
    assert len(asking("GET", "/groups", None, status="all")["data"]) == 2
    status, _, message = asking.refused("PATCH", f"/groups/{outer}", {"name": "x"})
    assert (status, "removal is final" in message) == (409, True)
    status, param, message = asking.refused("POST", "/people", {"name": "x", "group": outer})
    assert (status, param) == (409, "group")
    group(asking, "company")


def test_lists_come_in_pages_and_filtered(asking: Asking) -> None:
    group(asking, "research")
    ids = [person(asking, f"p{n}", email=f"p{n}@example.com") for n in range(5)]
    asking("PATCH", f"/people/{ids[3]}", {"group": "research"})
    page = asking("GET", "/people", None, limit=2)
    assert [one["id"] for one in page["data"]] == ids[:2]
    assert page["has_more"]
    page = asking("GET", "/people", None, limit=5, after_id=page["last_id"])
    assert [one["id"] for one in page["data"]] == ids[2:]
    assert not page["has_more"]

    def found(**query: object) -> list[str]:
        return [one["id"] for one in asking("GET", "/people", None, **query)["data"]]

    assert found(group="research") == [ids[3]]
    assert found(name="p1") == [ids[1]]
    assert found(email="p2@example.com") == [ids[2]]
    asking("POST", f"/people/{ids[0]}/disable")
    asking("DELETE", f"/people/{ids[4]}")
    assert found() == ids[:4]
    assert found(status="disabled") == [ids[0]]
    assert found(status="removed") == [ids[4]]
    assert asking.refused("GET", "/people", None, group="researcx")[1] == "group"


def test_a_disabled_person_bars_all_keys_and_enabling_lets_them_in(
    asking: Asking, make_key: Callable[..., KeyRecord]
) -> None:
    ann = person(asking, "Ann")
    key = asking.run(asking.store.keys.insert(make_key(person_id=ann)))

    def barred() -> bool:
        return Organization(asking.run(asking.store.organization.all())).is_barred(key)

    assert not barred()
    assert asking("POST", f"/people/{ann}/disable")["status"] == "disabled"
    assert barred()
    assert asking("POST", f"/people/{ann}/enable")["status"] == "enabled"
    assert not barred()


def test_the_last_administrator_is_neither_disabled_nor_erased(
    asking: Asking, make_key: Callable[..., KeyRecord]
) -> None:
    ann, bob = person(asking, "Ann"), person(asking, "Bob")
    for owner in (ann, bob):
        asking.run(asking.store.keys.insert(make_key(name=owner, person_id=owner, admin=True)))
    asking("POST", f"/people/{bob}/disable")
    # Bob's key administers nothing now.
    for method, path in (("POST", f"/people/{ann}/disable"), ("DELETE", f"/people/{ann}")):
        status, _, message = asking.refused(method, path)
        assert status == 409
        assert "last administrator's key" in message
    asking("POST", f"/people/{bob}/enable")
    asking("DELETE", f"/people/{ann}")


def test_of_an_erased_person_nothing_is_left_but_sums(
    asking: Asking, make_key: Callable[..., KeyRecord], make_usage: Callable[..., Any]
) -> None:
    ann = person(asking, "Annabel", email="annabel@example.com", external_id="annabel-00u1")
    asking("PATCH", f"/people/{ann}", {"email": "annabel2@example.com"})
    key = asking.run(
        asking.store.keys.insert(make_key(name="annabel-pc", owner="Annabel", person_id=ann))
    )
    asking.run(asking.store.keys.update(key.id, owner="annabel"))
    asking(
        "POST",
        "/people/import",
        {"rows": [{"name": "Annabel", "key_name": "annabel-pc", "email": "annabel@example.com"}]},
    )
    limits = [
        asking("POST", "/limits", {"person": "Annabel", "amount_usd": 1})["id"],
        asking("POST", "/limits", {"key": key.id, "amount_usd": 1})["id"],
    ]
    asking.run(asking.store.usage.add([make_usage(key_id=key.id, person_id=ann, cost_units=7)]))
    removed = asking("DELETE", f"/people/{ann}")
    assert removed["status"] == "removed"
    assert (removed["name"], removed["email"], removed["external_id"]) == (ann, None, None)
    assert asking("DELETE", f"/people/{ann}") == removed
    kept = asking.run(asking.store.keys.get(key.id))
    assert (kept.status, kept.name, kept.owner, kept.used_units) == ("deleted", key.id, None, 7)
    assert {asking("GET", f"/limits/{id_}")["status"] for id_ in limits} == {"removed"}
    assert "annabel" not in everything(asking).lower()
    person(asking, "Annabel", email="annabel@example.com")


def everything(asking: Asking) -> str:
    """All that the store keeps, as text."""

    def read(connection: Any) -> str:
        tables = ("keys", "people", "groups", "limits", "audit", "usage")
        return "".join(
            str(connection.execute(text(f"SELECT * FROM {table}")).all()) for table in tables
        )

    found: str = asking.run(asking.store._database.read(read))
    return found


def test_owners_of_keys_become_people_once(
    asking: Asking, make_key: Callable[..., KeyRecord]
) -> None:
    def key(**fields: object) -> str:
        kept: KeyRecord = asking.run(asking.store.keys.insert(make_key(**fields)))
        return kept.id

    bob, eve = person(asking, "bob"), person(asking, "eve")
    asking("POST", f"/people/{eve}/disable")
    first, second = key(name="a1", owner="ann"), key(name="a2", owner="ann")
    third = key(name="b1", owner="bob")
    left = [
        key(name="e1", owner="eve"),
        key(name="ci"),
        key(name="gone", owner="ann", status="deleted"),
        key(name="taken", owner="ann", person_id=bob),
    ]
    before = [asking.run(asking.store.keys.get(id_)) for id_ in left]
    version = asking.run(asking.store.keys.current_version())
    planned = asking("POST", "/people/adopt-owners", {"dry_run": True})
    assert asking.run(asking.store.keys.current_version()) == version
    done = asking("POST", "/people/adopt-owners")
    assert done == {**planned, "dry_run": False}
    assert done["people"] == ["ann"]
    assert done["skipped"] == ["eve"]
    assert [(one["name"], one["person"]) for one in done["keys"]] == [
        ("a1", "ann"),
        ("a2", "ann"),
        ("b1", "bob"),
    ]
    (ann,) = [one["id"] for one in asking("GET", "/people", None, name="ann")["data"]]
    owners = {
        id_: asking.run(asking.store.keys.get(id_)).person_id for id_ in (first, second, third)
    }
    assert owners == {first: ann, second: ann, third: bob}
    assert [asking.run(asking.store.keys.get(id_)) for id_ in left] == before
    assert asking.audit()[0]["action"] == "adopt"
    version = asking.run(asking.store.keys.current_version())
    again = asking("POST", "/people/adopt-owners")
    assert (again["people"], again["keys"]) == ([], [])
    assert asking.run(asking.store.keys.current_version()) == version


def test_names_and_addresses_are_in_no_representation(asking: Asking) -> None:
    fields = PersonFields(name="Annabel", email="annabel@example.com")
    made = asking.run(asking.resources._people.create_person(fields, "key_me"))
    shown = person_view(made, Organization())
    assert "nnabel" not in f"{fields!r}{made!r}{shown!r}"
