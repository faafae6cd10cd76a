"""People in the console: found, made, changed, disabled and removed, role by role."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest

from tests.kit.consoles import stored, version_in, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office
    from tests.kit.http import Response

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


@pytest.fixture(scope="module")
def untouched(open_office: Callable[..., Office]) -> Office:
    return open_office()


def names_in(page: Response) -> list[str]:
    found = re.findall(r'<a href="/console/people/person_\w+">(.*?)</a>', page.body.decode())
    return [html.unescape(name) for name in found]


def test_a_person_is_made_changed_and_shown(office: Office) -> None:
    fields = {"name": "Nora", "email": "nora@example.com", "group": "Sales", "role": "viewer"}
    made = office.administrator.send("/people/new", fields | {"in_flight": "3"})
    assert made.status == 303, words_of(made)
    person_id = made.headers["location"].rpartition("/")[2]
    kept = stored(office, person_id)
    assert {name: kept[name] for name in fields} == fields
    assert kept["in_flight"] == 3
    page = words_of(office.administrator.see(f"/people/{person_id}"))
    assert "nora@example.com" in page
    sent = {"version": version_in(office.administrator, person_id), "name": "Nora N", "email": ""}
    sent |= {"group": "", "role": "member", "in_flight": "", "requests_limit": "60/1m"}
    changed = office.administrator.send(f"/people/{person_id}", sent)
    assert changed.status == 303, words_of(changed)
    kept = stored(office, person_id)
    assert (kept["name"], kept["email"], kept["group"]) == ("Nora N", None, None)
    assert (kept["role"], kept["in_flight"], kept["requests_limit"]) == ("member", None, "60/1m")


def test_what_was_entered_stays_in_a_form_that_is_refused(office: Office) -> None:
    fields = {"name": SCRIPT, "email": "no address", "in_flight": "many"}
    page = office.administrator.send("/people/new", fields)
    text = page.body.decode()
    assert page.status == 400
    for value in fields.values():
        assert f'value="{html.escape(value)}"' in text
    assert SCRIPT not in text


def test_a_form_calls_what_is_left_empty_nothing(office: Office) -> None:
    page = office.administrator.send("/people/new", {"name": "Ola", "email": "no address"})
    assert "expected an address such as ann@example.com, or nothing" in words_of(page)


def test_a_person_that_was_changed_meanwhile_is_not_changed_over_it(office: Office) -> None:
    person_id = office.make("people", name="Two Editors")
    seen = version_in(office.administrator, person_id)
    first = office.administrator.send(f"/people/{person_id}", {"version": seen, "email": "a@b.c"})
    assert first.status == 303
    page = office.administrator.send(f"/people/{person_id}", {"version": seen, "name": "Other"})
    assert page.status == 409
    assert 'value="Other"' in page.body.decode()
    assert (stored(office, person_id)["name"], stored(office, person_id)["email"]) == (
        "Two Editors",
        "a@b.c",
    )


def test_disabling_a_person_stops_all_of_their_keys_at_once(office: Office) -> None:
    person_id = office.make("people", name="Away")
    client = office.gateway.make_key(name="k", person="Away")[1]
    send = office.administrator.send
    assert send(f"/people/{person_id}/status", {"status": "disabled"}).status == 303
    assert client.call("GET", "/v1/models").status == 401
    assert names_in(office.administrator.see("/people?status=disabled")) == ["Away"]
    assert send(f"/people/{person_id}/status", {"status": "enabled"}).status == 303
    assert client.call("GET", "/v1/models").status == 200


def test_removing_a_person_is_said_in_words_and_then_done(office: Office) -> None:
    person_id = office.make("people", name="Leaving", email="leaving@example.com")
    client = office.gateway.make_key(name="leaving key", person="Leaving")[1]
    asked = words_of(office.administrator.see(f"/people/{person_id}/remove"))
    assert "1 key is deleted and stops working at once" in asked
    assert "cannot be undone" in asked
    assert client.call("GET", "/v1/models").status == 200
    assert office.administrator.send(f"/people/{person_id}/remove").status == 303
    assert client.call("GET", "/v1/models").status == 401
    assert "Leaving" not in words_of(office.administrator.see("/people?status=removed"))
    assert "Leaving" not in words_of(office.administrator.see(f"/people/{person_id}"))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Greta", "Max", "Paul", "Sam", "Vera"]),
        ("q=a", ["Greta", "Max", "Paul", "Sam", "Vera"]),
        ("q=PLAT", ["Paul"]),
        ("group={Engineering}", ["Greta", "Max", "Paul"]),
        ("group={Platform}", ["Paul"]),
        ("status=removed", []),
        ("page=9", ["Greta", "Max", "Paul", "Sam", "Vera"]),
    ],
)
def test_people_are_found_by_name_email_and_group(
    untouched: Office, query: str, names: list[str]
) -> None:
    page = untouched.administrator.see(f"/people?{query.format(**untouched.ids)}")
    assert names_in(page) == names


def test_names_that_are_scripts_are_texts(office: Office) -> None:
    group = office.make("groups", name=f"G{SCRIPT}")
    person = office.make("people", name=f"P{SCRIPT}", group=group, external_id=SCRIPT)
    office.gateway.make_key(name=SCRIPT, person=person)
    for path in ("/people", f"/people/{person}", f"/people/{person}/remove", "/groups"):
        text = office.administrator.see(path).body.decode()
        assert SCRIPT not in text
        assert html.escape(SCRIPT) in text
    for path in (f"/groups/{group}", f"/groups/{group}/remove", f"/people/new?group={SCRIPT}"):
        assert SCRIPT not in office.administrator.see(path).body.decode()


@pytest.mark.parametrize("role", ["administrator", "viewer", "group_administrator", "member"])
def test_each_role_sees_its_people_and_no_others(untouched: Office, role: str) -> None:
    visitor = untouched.visitors[role]
    page = visitor.see("/people")
    if role == "member":
        assert page.status == 403
        assert visitor.see(f"/people/{untouched.ids['Max']}").status == 403
        return
    inside = ["Greta", "Max", "Paul"]
    everybody = [*inside, "Sam", "Vera"]
    assert names_in(page) == (inside if role == "group_administrator" else everybody)
    other = visitor.see(f"/people/{untouched.ids['Sam']}")
    assert other.status == (404 if role == "group_administrator" else 200)
    own = words_of(visitor.see(f"/people/{untouched.ids['Max']}"))
    assert ("Save" in own) == (role != "viewer")
    assert ("Remove" in own) == (role != "viewer")
    assert ("Import a table" in words_of(page)) == (role == "administrator")


@pytest.mark.parametrize("role", ["viewer", "member", "group_administrator"])
def test_what_a_role_may_not_change_stays_as_it_is(untouched: Office, role: str) -> None:
    office, visitor = untouched, untouched.visitors[role]
    before = {name: stored(office, office.ids[name]) for name in ("Sam", "Vera", "Greta")}
    for name in before:
        for path, fields in (
            ("", {"name": "x", "version": "1"}),
            ("/status", {"status": "disabled"}),
            ("/remove", {}),
        ):
            sent = {"form_token": visitor.form_token()} | fields
            page = visitor.send(f"/people/{office.ids[name]}{path}", sent)
            assert page.status in (403, 404), (name, path)
    assert before == {name: stored(office, office.ids[name]) for name in before}
    if role != "group_administrator":
        assert visitor.send("/people/new", {"name": "x"}).status == 403


def test_a_group_administrator_makes_members_of_its_groups_alone(office: Office) -> None:
    visitor = office.group_administrator
    for fields in (
        {},
        {"group": "Sales"},
        {"group": "Platform", "role": "viewer"},
        {"group": "Platform", "role": "administrator"},
        {"group": "Platform", "role": "made up"},
    ):
        page = visitor.send("/people/new", {"name": "Not Allowed", **fields})
        assert page.status == 403, fields
    sent = {"name": "Pia", "group": "Platform", "external_id": "idp|1"}
    made = visitor.send("/people/new", sent)
    assert made.status == 303, words_of(made)
    person_id = made.headers["location"].rpartition("/")[2]
    kept = stored(office, person_id)
    # By its external id an identity provider signs somebody in.
    assert (kept["role"], kept["group"], kept["external_id"]) == ("member", "Platform", None)
    for fields in ({"group": "Sales"}, {"group": ""}, {"role": "group_administrator"}):
        sent = {"version": version_in(visitor, person_id), **fields}
        assert visitor.send(f"/people/{person_id}", sent).status == 403, fields
    sent = {"version": version_in(visitor, person_id), "group": "Engineering"}
    assert visitor.send(f"/people/{person_id}", sent).status == 303


def test_an_administrators_key_is_not_taken_away_with_its_owner(office: Office) -> None:
    person_id = office.make("people", name="Root", group="Platform")
    office.gateway.make_key(name="root key", person="Root", admin=True)
    visitor = office.group_administrator
    for path in ("/status", "/remove"):
        page = visitor.send(f"/people/{person_id}{path}", {"status": "disabled"})
        assert page.status == 403
    assert "Remove" not in words_of(visitor.see(f"/people/{person_id}"))
    assert office.administrator.send(f"/people/{person_id}/remove").status == 303
