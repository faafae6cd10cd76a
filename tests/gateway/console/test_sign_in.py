"""Signing in with a key: who may, and what somebody learns who guesses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.kit.consoles import Office, sign_in, words_of
from tests.kit.http import Client, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway

FORM = {"content-type": "application/x-www-form-urlencoded"}


def enter(port: int, key: str, to: str = "/console/", address: str = "") -> Response:
    body = urlencode({"key": key, "to": to}).encode()
    told = {"x-forwarded-for": address} if address else {}
    return Client(port).call("POST", "/console/sign-in", body, {**FORM, **told})


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office('[server]\ntrusted_proxies = ["127.0.0.1"]\n')


def entries(gateway: RunningGateway, action: str) -> list[dict[str, object]]:
    found = gateway.client.call("GET", f"/admin/v1/audit?action={action}&limit=1000")
    data: list[dict[str, object]] = found.json["data"]
    return data


def test_whatever_is_wrong_with_a_key_is_told_in_the_same_words(office: Office) -> None:
    gateway, port = office.gateway, office.gateway.client.port
    keys = {"unknown": "sk-" + "a" * 48, "empty": " ", "large": "k" * 10_000}
    for status in ("disabled", "deleted", "elsewhere", "barred"):
        person = office.make("people", name=f"Of the {status} key")
        more = {"addresses": ["192.0.2.1"]} if status == "elsewhere" else {}
        id_, client = gateway.make_key(name=f"a {status} key", person=person, **more)
        keys[status] = client.api_key
        if status == "disabled":
            gateway.client.call("POST", f"/admin/v1/keys/{id_}/disable")
        elif status == "deleted":
            gateway.client.call("DELETE", f"/admin/v1/keys/{id_}")
        elif status == "barred":
            gateway.client.call("POST", f"/admin/v1/people/{person}/disable")
    told = {name: enter(port, key, address="203.0.113.9") for name, key in keys.items()}
    assert {answer.status for answer in told.values()} == {403}
    assert len({answer.body for answer in told.values()}) == 1
    assert "This is no key that works here." in words_of(told["unknown"])
    assert {tuple(answer.headers) for answer in told.values()} == {tuple(told["empty"].headers)}


def test_the_audit_trail_tells_of_failures_and_whose_they_were(office: Office) -> None:
    gateway, port = office.gateway, office.gateway.client.port
    id_, client = gateway.make_key(name="one that will be disabled", person="Sam")
    gateway.client.call("POST", f"/admin/v1/keys/{id_}/disable")
    enter(port, client.api_key, address="203.0.113.1")
    enter(port, "sk-made-up", address="203.0.113.2")
    second, first = entries(gateway, "fail_sign_in")[:2]
    assert (first["subject"], first["subject_id"]) == ("person", office.ids["Sam"])
    assert first["after"] == {"way": "key", "address": "203.0.113.1"}
    assert (second["actor"], second["subject_id"]) == ("gateway", "")
    assert "sk-made-up" not in str(second)


def test_who_guesses_too_often_waits_and_others_do_not(office: Office) -> None:
    port = office.gateway.client.port
    for _ in range(20):
        assert enter(port, "sk-made-up", address="203.0.113.77").status == 403
    refused = enter(port, office.gateway.admin_key, "/console/keys", "203.0.113.77")
    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 300
    assert "attempts to sign in" in words_of(refused)
    assert 'value="/console/keys"' in refused.body.decode()
    assert enter(port, office.gateway.admin_key, address="203.0.113.78").status == 303


def test_a_failed_sign_in_keeps_where_it_was_to_lead(office: Office) -> None:
    port = office.gateway.client.port
    failed = enter(port, "sk-made-up", "/console/budgets?period=month", "203.0.113.3")
    assert 'value="/console/budgets?period=month"' in failed.body.decode()
    away = enter(port, "sk-made-up", "https://evil.example/", "203.0.113.3")
    assert "evil.example" not in away.body.decode()


def test_a_key_of_a_program_that_signed_in_opens_no_console(office: Office) -> None:
    gateway = office.gateway
    id_, client = gateway.make_key(name="of Claude Code", person="Max")
    port = gateway.client.port
    assert enter(port, client.api_key, address="203.0.113.4").status == 303
    store = gateway.gateway.store

    async def change() -> None:
        await store.organization.change(lambda turn: turn.change_key(id_, kind="sign_in"))
        await gateway.gateway._key_watch.catch_up()

    asyncio.run_coroutine_threadsafe(change(), gateway.gateway._loop).result(20)
    assert enter(port, client.api_key, address="203.0.113.4").status == 403


def test_keys_open_no_console_where_that_is_off(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway("[console]\nkeys = false\n")
    page = Client(gateway.client.port).call("GET", "/console/sign-in", b"", {})
    assert 'name="key"' not in page.body.decode()
    assert enter(gateway.client.port, gateway.admin_key).status == 403


def test_an_administrators_key_opens_the_administrators_console_and_no_other_key_does(
    office: Office,
) -> None:
    told = {role: words_of(visitor.see("/account")) for role, visitor in office.visitors.items()}
    for role, words in told.items():
        assert f", {role.replace('_', ' ')}" in words
        assert ("Sign out everybody" in words) == (role == "administrator")
    gateway = office.gateway
    body = b'{"role": "administrator"}'
    path = f"/admin/v1/people/{office.ids['Paul']}"
    assert gateway.client.call("PATCH", path, body).status == 200
    words = words_of(sign_in(gateway.client.port, office.keys["Paul"].api_key).see("/account"))
    assert ", member" in words
