"""Keys in the console: found, made, changed, rotated, disabled and deleted, role by role."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.console.keys import PAGE_LENGTH
from tests.kit.consoles import stored, version_in, words_of
from tests.kit.http import Client, question
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office

SECRET = re.compile(r"sk-[A-Za-z0-9]{48}")
ROW = re.compile(r'<th scope="row"')
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


def names_in(page: Any) -> list[str]:
    found = re.findall(r'<a href="/console/keys/key_\w+">(.*?)</a>', page.body.decode())
    return [html.unescape(name) for name in found]


def id_called(office: Office, name: str) -> str:
    (found,) = office.gateway.client.call("GET", f"/admin/v1/keys?name={name}").json["data"]
    key_id: str = found["id"]
    return key_id


def key_of(office: Office, name: str) -> str:
    return office.ids[f"{name}'s key"]


def make_key(office: Office, **fields: Any) -> str:
    return office.gateway.make_key(**fields)[0]


def test_a_key_is_made_and_its_secret_is_shown_once_with_lines_that_use_it(office: Office) -> None:
    fields = {
        "name": "build",
        "person": "Max",
        "quota_usd": "$12.50",
        "expires_at": "2031-05-01",
        "models": "claude-sonnet-*, claude-haiku-4-5",
        "tags": "ci, night shift",
    }
    page = office.administrator.send("/keys/new", fields)
    assert (page.status, page.headers["cache-control"]) == (200, "no-store")
    (secret,) = set(SECRET.findall(page.body.decode()))
    words = words_of(page)
    for line in (
        f"export ANTHROPIC_BASE_URL={office.gateway.base_url}",
        f"ANTHROPIC_AUTH_TOKEN='{secret}'",
        f'Apertis(base_url="{office.gateway.base_url}", api_key="{secret}")',
        f'baseURL: "{office.gateway.base_url}"',
        f"curl {office.gateway.base_url}/v1/messages",
        "claudeCode.environmentVariables",
        "ChatAnthropic(",
    ):
        assert line in words
    made = stored(office, id_called(office, "build"))
    assert (made["quota_units"], made["person"], made["tags"]) == (
        6_250_000,
        "Max",
        ["ci", "night shift"],
    )
    # The whole last day counts.
    assert made["expires_at"] == "2031-05-02T00:00:00Z"
    assert made["models"] == ["claude-sonnet-*", "claude-haiku-4-5"]
    assert Client(office.gateway.client.port, secret).call("GET", "/v1/models").status == 200
    for path in ("/keys", f"/keys/{made['id']}", "/keys/new", "/audit"):
        assert secret not in office.administrator.see(path).body.decode()
    assert secret not in office.gateway.log.read_text()


def test_what_was_entered_stays_in_a_form_that_is_refused(office: Office) -> None:
    fields = {"name": SCRIPT, "quota_usd": "lots", "tags": '"><b>', "models": "x"}
    page = office.administrator.send("/keys/new", fields)
    text = page.body.decode()
    assert page.status == 400
    assert "expected US dollars" in words_of(page)
    for value in fields.values():
        assert f'value="{html.escape(value).replace("&quot;", "&#34;")}"' in text
    assert SCRIPT not in text
    assert office.administrator.send("/keys/new", {"name": ""}).status == 400


@pytest.mark.parametrize(
    ("path", "kept", "given"),
    [
        ("/keys/new?person=Max&admin=yes&quota_usd=7", 'value="Max"', 'value="7"'),
        ("/people/new?group=Sales&role=administrator&name=Eve", 'value="Sales" selected', "Eve"),
        ("/groups/new?parent=Sales&name=Eve", 'value="Sales" selected', "Eve"),
    ],
)
def test_a_link_enters_nothing_into_a_form_but_a_place(
    office: Office, path: str, kept: str, given: str
) -> None:
    text = office.administrator.see(path).body.decode()
    assert kept in text
    main = text.partition("<main")[2]
    assert given not in main
    assert '<option value="yes" selected>' not in main
    assert '<option value="administrator" selected>' not in main


def test_a_form_that_is_sent_twice_makes_one_key(office: Office) -> None:
    fields = {"name": "sent twice"}
    assert office.administrator.send("/keys/new", fields).status == 200
    again = office.administrator.send("/keys/new", fields)
    assert (again.status, SECRET.findall(again.body.decode())) == (409, [])
    assert "There is a key 'sent twice' already" in words_of(again)
    key_id = make_key(office, name="to be renamed")
    sent = {"version": version_in(office.administrator, key_id), "name": "sent twice"}
    assert office.administrator.send(f"/keys/{key_id}", sent).status == 409


def test_a_key_that_would_never_work_is_not_made(office: Office) -> None:
    page = office.administrator.send("/keys/new", {"name": "late", "expires_at": "2020-01-01"})
    assert page.status == 400
    assert "the key would never work" in words_of(page)


def test_a_key_that_was_changed_meanwhile_is_not_changed_over_it(office: Office) -> None:
    key_id = make_key(office, name="two editors")
    seen = version_in(office.administrator, key_id)
    first = {"version": seen, "name": "two editors", "quota_usd": "5"}
    assert office.administrator.send(f"/keys/{key_id}", first).status == 303
    second = {"version": seen, "name": "renamed", "quota_usd": ""}
    page = office.administrator.send(f"/keys/{key_id}", second)
    assert page.status == 409
    assert "by somebody else meanwhile" in words_of(page)
    assert 'value="renamed"' in page.body.decode()
    kept = stored(office, key_id)
    assert (kept["name"], kept["quota_units"]) == ("two editors", 2_500_000)
    # What is sent is of no use without having been seen.
    assert office.administrator.send(f"/keys/{key_id}", {"name": "x"}).status == 409


def test_only_what_was_changed_in_the_form_is_set(office: Office) -> None:
    given = {
        "name": "kept",
        "expires_at": "2031-05-01T11:30:00Z",
        "models": ["claude-sonnet-*", "claude-haiku-4-5"],
        "requests_limit": "10/1m",
        "fallback_enabled": False,
    }
    key_id = make_key(office, **given)
    before = stored(office, key_id)
    body = office.administrator.see(f"/keys/{key_id}").body.decode()
    fields = {
        name: html.unescape(value)
        for name, value in re.findall(r'<input id="f-\w+" name="(\w+)"[^>]*? value="([^"]*)"', body)
    }
    assert {"name", "expires_at", "models", "requests_limit"} <= fields.keys()
    sent = fields | {"version": version_in(office.administrator, key_id), "tags": "new"}
    assert office.administrator.send(f"/keys/{key_id}", sent).status == 303
    assert stored(office, key_id) == before | {"tags": ["new"]}


def test_a_key_is_rotated_with_the_grace_that_was_chosen(office: Office) -> None:
    key_id, old = office.gateway.make_key(name="turning")
    page = office.administrator.send(f"/keys/{key_id}/rotate", {"grace_seconds": "0"})
    (secret,) = set(SECRET.findall(page.body.decode()))
    assert old.call("GET", "/v1/models").status == 401
    new = Client(office.gateway.client.port, secret)
    assert new.call("GET", "/v1/models").status == 200
    later = office.administrator.send(f"/keys/{key_id}/rotate", {"grace_seconds": "3600"})
    assert "The secret before works until" in words_of(later)
    assert new.call("GET", "/v1/models").status == 200
    assert "works until" in words_of(office.administrator.see(f"/keys/{key_id}"))
    for wrong in ("-1", "9" * 15, "soon"):
        page = office.administrator.send(f"/keys/{key_id}/rotate", {"grace_seconds": wrong})
        assert page.status == 400


def test_a_key_is_disabled_enabled_and_deleted(office: Office) -> None:
    key_id, client = office.gateway.make_key(name="short")
    send = office.administrator.send
    assert send(f"/keys/{key_id}/status", {"status": "disabled"}).status == 303
    assert client.call("GET", "/v1/models").status == 401
    assert send(f"/keys/{key_id}/status", {"status": "enabled"}).status == 303
    assert client.call("GET", "/v1/models").status == 200
    assert send(f"/keys/{key_id}/status", {"status": "deleted"}).status == 400
    asked = office.administrator.see(f"/keys/{key_id}/delete")
    assert "for good" in words_of(asked)
    assert client.call("GET", "/v1/models").status == 200
    gone = send(f"/keys/{key_id}/delete")
    assert (gone.status, gone.headers["location"]) == (303, "/console/keys")
    assert client.call("GET", "/v1/models").status == 401
    assert "short" not in names_in(office.administrator.see("/keys?q=short"))
    assert "short" in names_in(office.administrator.see("/keys?q=short&status=deleted"))
    assert office.administrator.see(f"/keys/{key_id}").status == 200


def test_the_last_administrators_key_cannot_be_disabled(office: Office) -> None:
    key_id = id_called(office, "admin")
    page = office.administrator.send(f"/keys/{key_id}/status", {"status": "disabled"})
    assert page.status == 409
    assert "last administrator" in words_of(page)


def test_use_is_shown_to_the_moment_and_with_the_limits_that_it_counts_in(
    office: Office,
) -> None:
    office.make("limits", group="Platform", amount_usd="1", period="month", contact="Vera")
    key_id, client = office.gateway.make_key(name="used once", person="Paul", quota_usd="1")
    unused = words_of(office.administrator.see("/keys?q=used+once"))
    assert "never never" in unused
    assert client.call("POST", "/v1/messages", question()).status == 200

    def is_booked() -> bool:
        return bool(office.gateway.usage(key=key_id)["data"])

    until(is_booked)
    page = words_of(office.administrator.see(f"/keys/{key_id}"))
    assert "Last used never" not in page
    assert "The quota of the API key 'used once'" in page
    assert "The monthly limit of the group 'Platform'" in page
    assert "For more, ask Vera" in page
    assert "<rect" in office.administrator.see(f"/keys/{key_id}").body.decode()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=max%27s", {"Max's key"}),
        ("q=MAX%27S+key", {"Max's key"}),
        ("q=engineering", {"Greta's key", "Max's key", "Paul's key"}),
        ("q=nobody+like+this", set[str]()),
        ("q=night", {"nightly"}),
        ("q=t_oo", {"nightly"}),
        ("tag=t_oo", {"nightly"}),
        ("tag=t", set[str]()),
        ("status=disabled", {"nightly"}),
        ("group={Platform}", {"Paul's key"}),
        ("group={Engineering}", {"Greta's key", "Max's key", "Paul's key"}),
        ("person={Sam}", {"Sam's key"}),
        ("person=Sam", {"Sam's key"}),
        ("person=sa", set[str]()),
        ("person=x", set[str]()),
    ],
)
def test_keys_are_found_by_all_that_is_known_of_them(
    finding_office: Office, query: str, names: set[str]
) -> None:
    page = finding_office.administrator.see(f"/keys?{query.format(**finding_office.ids)}")
    assert set(names_in(page)) == names


@pytest.fixture(scope="module")
def finding_office(open_office: Callable[..., Office]) -> Office:
    office = open_office()
    key_id = make_key(office, name="nightly", tags=["t_oo"])
    office.gateway.client.call("POST", f"/admin/v1/keys/{key_id}/disable", b"")
    return office


def test_names_that_are_scripts_are_texts(office: Office) -> None:
    person = office.make("people", name=f"P{SCRIPT}", group="Sales", email="x@example.com")
    key_id = make_key(office, name=SCRIPT, person=person, tags=[SCRIPT], owner=SCRIPT)
    for path in ("/keys?q=script", f"/keys/{key_id}", f"/keys/{key_id}/delete"):
        text = office.administrator.see(path).body.decode()
        assert SCRIPT not in text
        assert html.escape(SCRIPT) in text
    asked = "/keys?q=%22%3E%3Cscript%3E&status=%3Cb%3E&tag=%3Ci%3E&order=%3Cu%3E&page=%3Cp%3E"
    text = office.administrator.see(asked).body.decode()
    assert not re.search(r"<(script|b|i|u|p)>(?!<)[^<]*\"", text)
    assert "&#34;&gt;&lt;script&gt;" in text


def test_a_page_of_the_list_is_alone_for_htmx_and_works_without_it(office: Office) -> None:
    whole = office.administrator.see("/keys?q=max").body.decode()
    part = office.administrator.see("/keys?q=max", **{"hx-request": "true"}).body.decode()
    assert "<html" in whole
    assert "<html" not in part
    assert '<div id="found"' in part
    assert '<form class="row key-filters" method="get" action="/console/keys"' in whole


@pytest.mark.parametrize("role", ["administrator", "viewer", "group_administrator", "member"])
def test_each_role_sees_its_keys_and_no_others(finding_office: Office, role: str) -> None:
    office, visitor = finding_office, finding_office.visitors[role]
    page = visitor.see("/keys")
    if role == "member":
        assert page.status == 403
        for path in ("/keys/new", f"/keys/{key_of(office, 'Max')}"):
            assert visitor.see(path).status == 403
        return
    theirs = {"Greta's key", "Max's key", "Paul's key"}
    all_of_them = {*theirs, "Sam's key", "Vera's key", "admin", "nightly"}
    assert set(names_in(page)) == (theirs if role == "group_administrator" else all_of_them)
    other = visitor.see(f"/keys/{key_of(office, 'Sam')}")
    assert other.status == (404 if role == "group_administrator" else 200)
    own = visitor.see(f"/keys/{key_of(office, 'Max')}").body.decode()
    assert ("Save" in own) == (role != "viewer")
    assert ("New secret" in own) == (role != "viewer")
    assert visitor.see("/keys/new").status == (403 if role == "viewer" else 200)


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_who_only_looks_changes_nothing(finding_office: Office, role: str) -> None:
    office, visitor = finding_office, finding_office.visitors[role]
    key_id = key_of(office, "Sam")
    before = stored(office, key_id)
    for path, fields in (
        ("/keys/new", {"name": "x"}),
        (f"/keys/{key_id}", {"name": "x", "version": "1"}),
        (f"/keys/{key_id}/status", {"status": "disabled"}),
        (f"/keys/{key_id}/rotate", {}),
        (f"/keys/{key_id}/delete", {}),
    ):
        page = visitor.send(path, {"form_token": visitor.form_token()} | fields)
        assert page.status == 403, path
        assert not SECRET.search(page.body.decode())
    assert stored(office, key_id) == before


def test_a_group_administrator_makes_keys_for_the_members_of_its_groups_alone(
    finding_office: Office,
) -> None:
    office, send = finding_office, finding_office.group_administrator.send
    for fields in (
        {},
        {"person": "Sam"},
        {"person": "Greta"},
        {"person": "Vera"},
        {"person": office.ids["Sam"]},
        {"group": "Sales"},
        {"person": "Max", "group": "Sales"},
    ):
        page = send("/keys/new", {"name": "not allowed", **fields})
        assert (page.status, "members of your groups" in words_of(page)) == (403, True), fields
    for number, fields in enumerate(({"person": "Max"}, {"group": "Platform"}, {"person": "Paul"})):
        # Rights and limits of all keys are an administrator's to lift.
        more = {"admin": "yes", "billing_policy": "yes", "requests_limit": "0", "in_flight": "0"}
        page = send("/keys/new", {"name": f"allowed {number}", **fields, **more})
        assert page.status == 200
        made = stored(office, id_called(office, f"allowed%20{number}"))
        assert (made["admin"], made["billing_policy"]) == (False, False)
        assert (made["requests_limit"], made["in_flight"]) == (None, None)


def test_a_group_administrator_does_not_move_keys_in_or_out_of_its_groups(
    finding_office: Office,
) -> None:
    office, visitor = finding_office, finding_office.group_administrator
    key_id = make_key(office, name="of max", person="Max")
    version = version_in(visitor, key_id)
    for fields in ({"person": "Sam"}, {"person": ""}, {"group": "Sales"}):
        sent = {"version": version, "name": "of max", **fields}
        assert visitor.send(f"/keys/{key_id}", sent).status == 403
    assert stored(office, key_id)["person"] == "Max"
    sent = {"version": version, "name": "of paul", "person": "Paul"}
    assert visitor.send(f"/keys/{key_id}", sent).status == 303
    theirs = office.gateway.make_key(name="admins", person="Max", admin=True)[0]
    for path in ("", "/status", "/rotate", "/delete"):
        assert visitor.send(f"/keys/{theirs}{path}", {"status": "disabled"}).status == 403
    page = visitor.send(f"/keys/{key_of(office, 'Sam')}/rotate")
    assert page.status == 404


def test_ten_thousand_keys_are_listed_in_pages_and_searched_without_reading_them(
    open_office: Callable[..., Office],
) -> None:
    office = open_office()
    rows = [{"name": f"Person {n}", "key_name": f"key {n}"} for n in range(10_000)]
    body = json.dumps({"rows": rows}).encode()
    done = office.gateway.client.call("POST", "/admin/v1/people/import", body)
    assert done.status == 200, done.body
    visitor = office.administrator
    first = visitor.see("/keys")
    assert len(ROW.findall(first.body.decode())) == PAGE_LENGTH
    assert "10,006 keys" in words_of(first)
    assert "Page 1 of 201" in words_of(first)
    last = visitor.see("/keys?page=201")
    assert len(ROW.findall(last.body.decode())) == 10_006 - 200 * PAGE_LENGTH
    assert names_in(visitor.see("/keys?page=999")) == names_in(last)
    assert names_in(visitor.see("/keys?q=key+777&order=name"))[:2] == ["key 777", "key 7770"]
    assert names_in(visitor.see("/keys?q=person+9999")) == ["key 9999"]
