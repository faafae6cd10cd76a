"""Managed settings in the console: shown before they are saved, and only what was shown is."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.kit.consoles import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office, Visitor
    from tests.kit.http import Response

TOKEN = re.compile(r'name="(version|checksum|settings)" value="([^"]*)"')
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


def fields(page: Response) -> dict[str, str]:
    """The hidden fields of the form that saves what is shown."""
    found = TOKEN.findall(page.body.decode())
    return {name: html.unescape(value) for name, value in reversed(found)}


def look(visitor: Visitor, path: str, text: str) -> Response:
    page = visitor.send(path, {"settings": text, "action": "preview", "version": "0"})
    assert page.status == 200, page.body
    return page


def save(visitor: Visitor, path: str, page: Response, **changed: str) -> Response:
    return visitor.send(path, {**fields(page), "action": "save", **changed})


def kept(office: Office) -> list[dict[str, object]]:
    found: list[dict[str, object]] = office.gateway.client.call(
        "GET", "/admin/v1/managed-settings"
    ).json["data"]
    return found


@pytest.mark.parametrize("role", ["viewer", "group_administrator", "member"])
def test_only_administrators_come_here(office: Office, role: str) -> None:
    visitor = office.visitors[role]
    for path in ("/managed", "/managed/everybody"):
        assert visitor.see(path).status == 403
    sent = visitor.send("/managed/everybody", {"settings": "{}", "action": "save"})
    assert sent.status == 403
    assert kept(office) == []


def test_a_change_is_shown_then_saved_then_listed(office: Office) -> None:
    path = f"/managed/{office.ids['Platform']}"
    page = look(office.administrator, path, '{"hooks": {}, "model": "opus"}')
    words = words_of(page)
    assert "hooks runs a program on each machine" in words
    assert '+ "model": "opus"' in words
    assert kept(office) == []
    done = save(office.administrator, path, page)
    assert (done.status, done.headers["location"]) == (303, f"/console{path}")
    assert kept(office)[0]["settings"] == {"hooks": {}, "model": "opus"}
    listed = words_of(office.administrator.see("/managed"))
    assert "Platform hooks, model" in listed
    assert "Sales none of its own" in listed
    page = look(office.administrator, path, '{"model": "sonnet"}')
    assert '- "hooks": {},' in words_of(page)
    assert save(office.administrator, path, page).status == 303
    assert office.keys["Paul"].call("GET", "/managed/settings").json["settings"] == {
        "model": "sonnet"
    }
    trail = office.gateway.client.call("GET", "/admin/v1/audit?subject=managed_settings").json
    assert [one["action"] for one in trail["data"]] == ["change", "create"]


def test_nothing_is_saved_that_was_not_shown(office: Office) -> None:
    path = "/managed/everybody"
    page = look(office.administrator, path, '{"model": "opus"}')
    for changed in ({"settings": '{"hooks": {}}'}, {"checksum": ""}):
        refused = save(office.administrator, path, page, **changed)
        assert refused.status == 409
        assert "not the settings that were shown" in words_of(refused)
    assert kept(office) == []


def test_two_administrators_do_not_overwrite_each_other(office: Office) -> None:
    path = "/managed/everybody"
    mine = look(office.administrator, path, '{"model": "opus"}')
    theirs = look(office.administrator, path, '{"model": "haiku"}')
    assert save(office.administrator, path, theirs).status == 303
    stale = save(office.administrator, path, mine)
    assert stale.status == 409
    # Nothing is lost: what was entered is compared with what is there now.
    assert "Somebody else changed these settings" in words_of(stale)
    assert '- "model": "haiku" + "model": "opus"' in words_of(stale)
    assert kept(office)[0]["settings"] == {"model": "haiku"}
    assert save(office.administrator, path, stale).status == 303
    assert kept(office)[0]["settings"] == {"model": "opus"}
    removed = {"action": "remove", "version": fields(mine)["version"]}
    assert office.administrator.send(path, removed).status == 409
    removed["version"] = str(kept(office)[0]["version"])
    assert office.administrator.send(path, removed).status == 303
    assert kept(office) == []


def test_what_cannot_be_is_told_and_kept_in_the_form(office: Office) -> None:
    page = office.administrator.send(
        "/managed/everybody", {"settings": '{"a": 1, "a": 2}', "action": "preview"}
    )
    assert page.status == 400
    assert "stands twice" in words_of(page)
    assert html.escape('{"a": 1, "a": 2}') in page.body.decode().replace("&#34;", "&quot;")


def test_a_group_that_is_not_there_has_none(office: Office) -> None:
    assert office.administrator.see("/managed/group_none").status == 404
    sent = office.administrator.send("/managed/group_none", {"settings": "{}", "action": "save"})
    assert sent.status == 404


def test_settings_are_text(office: Office) -> None:
    path = "/managed/everybody"
    page = look(office.administrator, path, json.dumps({EVIL: EVIL, "env": {EVIL: "1"}}))
    assert EVIL.encode() not in page.body
    assert save(office.administrator, path, page).status == 303
    for shown in (path, "/managed"):
        assert EVIL.encode() not in office.administrator.see(shown).body
