"""Groups in the console: their tree; made, moved, renamed and removed, role by role."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.kit.consoles import stored, version_in, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


def test_the_tree_shows_what_is_in_what_with_how_many(office: Office) -> None:
    office.gateway.make_key(name="shared", group="Sales")
    text = re.sub(r"\s*\n\s*", "", office.administrator.see("/groups").body.decode())
    inner = f'<ul><li class="wrap"><a href="/console/groups/{office.ids["Platform"]}">'
    assert inner in text
    words = words_of(office.administrator.see("/groups"))
    assert "Engineering 2 people Platform 1 person Sales 1 person, 1 key of its own" in words


def test_groups_are_below_people_in_the_menu(office: Office) -> None:
    for path in ("/people", "/groups", f"/groups/{office.ids['Platform']}"):
        page = office.administrator.see(path).body.decode()
        assert page.count('aria-current="page"') == 1
        assert 'href="/console/people" aria-current="page"' in page


def test_a_group_is_made_renamed_moved_and_removed(office: Office) -> None:
    send = office.administrator.send
    assert send("/groups/new", {"name": "Lab", "parent": "Sales"}).status == 303
    (made,) = office.gateway.client.call("GET", "/admin/v1/groups?name=Lab").json["data"]
    assert made["parent"] == "Sales"
    at = f"/groups/{made['id']}"
    sent = {"version": version_in(office.administrator, made["id"]), "name": "Labs", "parent": ""}
    assert send(at, sent | {"in_flight": "9"}).status == 303
    kept = stored(office, made["id"])
    assert (kept["name"], kept["parent"], kept["in_flight"]) == ("Labs", None, 9)
    # What somebody else saw before is of no use any more.
    assert send(at, sent).status == 409
    assert "cannot be removed" in words_of(office.administrator.see(f"{at}/remove"))
    assert send(f"{at}/remove").status == 303
    assert stored(office, made["id"])["status"] == "removed"
    assert "Labs" not in words_of(office.administrator.see("/groups"))


def test_a_group_that_something_is_in_stays(office: Office) -> None:
    page = office.administrator.send(f"/groups/{office.ids['Platform']}/remove")
    assert page.status == 409
    assert "is not empty: 'Paul'" in words_of(page)


def test_a_group_is_not_moved_into_itself(office: Office) -> None:
    group_id = office.ids["Engineering"]
    text = office.administrator.see(f"/groups/{group_id}").body.decode()
    assert '<option value="Platform"' not in text
    sent = {"version": version_in(office.administrator, group_id), "parent": "Platform"}
    page = office.administrator.send(f"/groups/{group_id}", sent)
    assert page.status == 409
    assert "cannot be in 'Platform'" in words_of(page)


@pytest.mark.parametrize(
    ("role", "own", "inner", "other"),
    [
        ("administrator", (200, True), (200, True), (200, True)),
        ("viewer", (200, False), (200, False), (200, False)),
        ("group_administrator", (200, False), (200, True), (404, False)),
        ("member", (403, False), (403, False), (403, False)),
    ],
)
def test_each_role_sees_and_changes_its_groups(
    office: Office,
    role: str,
    own: tuple[int, bool],
    inner: tuple[int, bool],
    other: tuple[int, bool],
) -> None:
    visitor = office.visitors[role]
    for name, (status, changes) in (("Engineering", own), ("Platform", inner), ("Sales", other)):
        page = visitor.see(f"/groups/{office.ids[name]}")
        assert (page.status, "Save" in words_of(page)) == (status, changes), name
        if not changes:
            for path in ("", "/remove"):
                sent = {"form_token": visitor.form_token(), "name": "x", "version": "1"}
                assert visitor.send(f"/groups/{office.ids[name]}{path}", sent).status in (403, 404)


def test_a_group_administrator_makes_groups_inside_its_own(office: Office) -> None:
    visitor = office.group_administrator
    for parent in ("", "Sales"):
        assert visitor.send("/groups/new", {"name": "Out", "parent": parent}).status == 403
    assert visitor.send("/groups/new", {"name": "Inside", "parent": "Engineering"}).status == 303
    (made,) = office.gateway.client.call("GET", "/admin/v1/groups?name=Inside").json["data"]
    for parent in ("", "Sales"):
        sent = {"version": version_in(visitor, made["id"]), "name": "Inside", "parent": parent}
        assert visitor.send(f"/groups/{made['id']}", sent).status == 403
    tree = words_of(visitor.see("/groups"))
    assert "Inside" in tree
    assert "Sales" not in tree
