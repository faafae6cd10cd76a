"""Groups, people and limits of a running gateway, changed over HTTP and beside it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from apertis.gateway.admin.resources import Resources
from apertis.gateway.store.database import Store
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.kit.administration import Administration
    from tests.kit.gateways import RunningGateway

MESSAGE = {
    "model": "claude-haiku-4-5",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hello"}],
}


def ask(gateway: RunningGateway, method: str, path: str, body: object = None) -> Any:
    raw = b"" if body is None else json.dumps(body).encode()
    answer = gateway.client.call(method, "/admin/v1" + path, raw)
    assert answer.status == 200, answer.body
    return answer.json


def status(client: Any) -> int:
    answered: int = client.call("POST", "/v1/messages", json.dumps(MESSAGE).encode()).status
    return answered


def test_a_persons_keys_stop_at_once_and_stay_stopped_after_a_restart(
    run_gateway: Callable[..., AbstractContextManager[RunningGateway]],
) -> None:
    config = '[[upstreams]]\nname = "main"\nkind = "sandbox"\n'
    with run_gateway(config) as gateway:
        person = ask(gateway, "POST", "/people", {"name": "Ann"})["id"]
        key, client = gateway.make_key(person="Ann")
        secret = client.api_key
        assert ask(gateway, "GET", f"/keys/{key}")["person"] == "Ann"
        assert status(client) == 200
        ask(gateway, "POST", f"/people/{person}/disable")
        assert status(client) == 401
        ask(gateway, "POST", f"/people/{person}/enable")
        assert status(client) == 200
        ask(gateway, "POST", f"/people/{person}/disable")
        # A key that is nobody's works again.
        _, other = gateway.make_key(person=None)
        ask(gateway, "PATCH", f"/keys/{key}", {"person": None})
        assert (status(client), status(other)) == (200, 200)
        status_, param, _ = refused(gateway, "PATCH", f"/keys/{key}", {"person": "Ann"})
        assert (status_, param) == (409, "person")
        ask(gateway, "POST", f"/people/{person}/enable")
        ask(gateway, "PATCH", f"/keys/{key}", {"person": person})
        ask(gateway, "POST", f"/people/{person}/disable")
    with run_gateway(config) as gateway:
        client = type(client)(gateway.client.port, secret)
        assert status(client) == 401


def refused(
    gateway: RunningGateway, method: str, path: str, body: object
) -> tuple[int, str | None, str]:
    answer = gateway.client.call(method, "/admin/v1" + path, json.dumps(body).encode())
    error = answer.json["error"]
    return answer.status, error.get("param"), error["message"]


def test_who_is_disabled_beside_a_gateway_is_kept_out_within_a_second(
    sandbox_gateway: RunningGateway,
) -> None:
    person = ask(sandbox_gateway, "POST", "/people", {"name": "Beside"})["id"]
    _, client = sandbox_gateway.make_key(person="Beside")
    assert status(client) == 200

    async def disable() -> None:
        async with await Store.open(sandbox_gateway.data) as store:
            known = await store.organization.all()
            (record,) = (one for one in known.people if one.id == person)
            await store.organization.update(
                type(record)(**{**_values(record), "status": "disabled"})
            )

    asyncio.run(disable())
    until(lambda: status(client) == 401, seconds=1.0)


def _values(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_a_limit_of_a_person_holds_and_shows_what_was_spent(
    sandbox_gateway: RunningGateway,
) -> None:
    ask(sandbox_gateway, "POST", "/people", {"name": "Spender"})
    limit = ask(sandbox_gateway, "POST", "/limits", {"person": "Spender", "amount_usd": 1})["id"]
    _, client = sandbox_gateway.make_key(person="Spender")
    assert status(client) == 200
    until(lambda: ask(sandbox_gateway, "GET", f"/limits/{limit}")["spent_units"] > 0)
    shown = ask(sandbox_gateway, "GET", f"/limits/{limit}")
    assert shown["left_units"] == 500_000 - shown["spent_units"]
    ask(sandbox_gateway, "PATCH", f"/limits/{limit}", {"amount_units": 0})
    assert status(client) in (402, 429)
    ask(sandbox_gateway, "PATCH", f"/limits/{limit}", {"amount_usd": 2})
    assert status(client) == 200
    ask(sandbox_gateway, "PATCH", f"/limits/{limit}", {"amount_units": 0})
    ask(sandbox_gateway, "DELETE", f"/limits/{limit}")
    assert status(client) == 200


def test_only_an_administrators_key_comes_in(admin: Administration) -> None:
    made = admin.call("POST", "/admin/v1/keys", {"name": "ci"}).json["secret"]
    for method, path, _ in Resources(admin.store, lambda: admin.now).routes():
        answer = admin.call(method, path.replace("{id}", "x"), secret=made)
        assert answer.error == (403, "access_denied", None)


def test_a_change_over_http_is_told_as_the_keys(admin: Administration) -> None:
    admin.call("POST", "/admin/v1/groups", {"name": "research"})
    key = admin.call("GET", "/admin/v1/keys").json["data"][0]["id"]
    (entry,) = admin.call("GET", "/admin/v1/audit?subject=group").json["data"]
    assert (entry["actor"], entry["action"]) == (key, "create")
