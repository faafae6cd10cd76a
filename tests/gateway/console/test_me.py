"""One's own page: what is one's own, and nothing of others; keys are rotated, not made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.kit.consoles import Visitor, cookie_of_person, sign_in, words_of
from tests.kit.http import Client, question
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office

SECRET = re.compile(r"sk-[A-Za-z0-9]{48}")


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    office = open_office()
    office.make("limits", person="Max", amount_usd=1, period="day", contact="Greta")
    office.make("limits", group="Engineering", amount_usd=100, period="month")
    office.make("limits", group="Sales", amount_usd=7, period="month")
    for name, model in (("Max", "claude-haiku-4-5"), ("Sam", "claude-opus-4-5")):
        asked = office.keys[name].call("POST", "/v1/messages", question(model))
        assert asked.status == 200
    until(lambda: len(office.gateway.usage(by="key")["data"]) == 2)
    return office


def test_a_member_sees_budgets_days_models_keys_and_lines_of_their_own(office: Office) -> None:
    page = office.member.see("/me")
    words = words_of(page)
    assert page.status == 200
    for line in (
        "Max; in Engineering",
        "The daily limit of the person 'Max'",
        "The monthly limit of the group 'Engineering'",
        "of $100.00",
        "For more, ask Greta",
        "claude-haiku-4-5",
        "Max's key",
        f"export ANTHROPIC_BASE_URL={office.gateway.base_url}",
        "ANTHROPIC_AUTH_TOKEN='<your key>'",
    ):
        assert line in words
    for others in ("Sam", "Sales", "claude-opus-4-5", "Greta's key"):
        assert others not in words
    assert not SECRET.search(page.body.decode())
    assert page.body.decode().count('<rect class="day"') == 30


def test_a_key_that_belongs_to_nobody_has_its_page_too(office: Office) -> None:
    key_id, client = office.gateway.make_key(name="robot", quota_usd=3, models=["claude-haiku-*"])
    page = sign_in(office.gateway.client.port, client.api_key).see("/me")
    words = words_of(page)
    assert page.status == 200
    assert "The key robot, which belongs to nobody" in words
    assert "The quota of the API key 'robot'" in words
    assert "You may use claude-haiku-*" in words
    assert "Spent in 30 days $0" in words
    assert f"/console/me/keys/{key_id}/rotate" in page.body.decode()


def test_a_person_without_a_key_sees_budgets_and_days_of_their_own(office: Office) -> None:
    person_id = office.make("people", name="Olga", group="Engineering")
    visitor = Visitor(office.gateway.client, cookie_of_person(office.gateway, person_id))
    words = words_of(visitor.see("/me"))
    assert "Olga; in Engineering" in words
    assert "The monthly limit of the group 'Engineering'" in words
    assert "You have no key" in words
    assert "Spent in 30 days $0 Requests 0" in words
    for others in ("Sales", "Max's key", "claude-haiku-4-5"):
        assert others not in words


def test_models_of_the_configuration_are_named_as_far_as_the_key_may_use_them(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(
        '[[upstreams]]\nname = "one"\nkind = "sandbox"\n'
        'models = [{ id = "claude-haiku-4-5" }, { id = "claude-opus-4-5", aliases = ["big"] }]\n'
    )
    assert "of this gateway: claude-haiku-4-5, claude-opus-4-5." in words_of(
        office.member.see("/me")
    )
    client = office.gateway.make_key(name="alias", models=["big"])[1]
    page = sign_in(office.gateway.client.port, client.api_key).see("/me")
    assert "You may use big: claude-opus-4-5." in words_of(page)


@pytest.mark.parametrize("role", ["administrator", "viewer", "group_administrator", "member"])
def test_every_role_has_its_own_page(office: Office, role: str) -> None:
    assert office.visitors[role].see("/me").status == 200


def test_somebody_rotates_their_own_key_and_sees_the_secret_once(office: Office) -> None:
    key_id, old = office.gateway.make_key(name="laptop", person="Max")
    page = office.member.send(f"/me/keys/{key_id}/rotate", {"grace_seconds": "0"})
    assert (page.status, page.headers["cache-control"]) == (200, "no-store")
    (secret,) = set(SECRET.findall(page.body.decode()))
    assert old.call("GET", "/v1/models").status == 401
    assert Client(office.gateway.client.port, secret).call("GET", "/v1/models").status == 200
    assert secret not in office.member.see("/me").body.decode()
    assert secret not in office.gateway.log.read_text()
    entries = office.gateway.client.call("GET", "/admin/v1/audit?limit=1").json["data"]
    assert entries[0]["actor"] == office.ids["Max"]


def test_nobody_rotates_what_is_not_theirs(office: Office) -> None:
    for key_id in (office.ids["Sam's key"], "key_nobody"):
        assert office.member.send(f"/me/keys/{key_id}/rotate").status == 404


def test_a_secret_that_may_do_more_than_its_owner_now_is_not_handed_out(office: Office) -> None:
    admin_key = office.gateway.make_key(name="root of max", person="Max", admin=True)[0]
    page = office.member.send(f"/me/keys/{admin_key}/rotate")
    assert page.status == 403
    assert not SECRET.search(page.body.decode())
    assert f"/me/keys/{admin_key}/rotate" not in office.member.see("/me").body.decode()


def test_a_member_makes_no_keys(office: Office) -> None:
    assert office.member.send("/keys/new", {"name": "mine"}).status == 403
    assert "New key" not in words_of(office.member.see("/me"))
