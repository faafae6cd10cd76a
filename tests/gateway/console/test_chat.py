"""The chat's routes: whom they take, what they book and on whom, and what an upstream sees."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.kit.consoles import cookie_of_person
from tests.kit.http import Client, Response, question
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord
    from tests.kit.gateways import RunningGateway

QUIET = '[limits]\nper_address = "0"\nper_key = "0"\n'


class Visitor:
    """Somebody who is signed in to the console, by HTTP alone."""

    def __init__(self, gateway: RunningGateway, cookie: str, **headers: str) -> None:
        self._port = gateway.client.port
        self._headers = headers
        self.cookie = cookie
        page = self.call("GET", "/console/chat").body.decode()
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
        # Without a session there is no page, and no token.
        self.token = found[1] if found else ""

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"cookie": self.cookie, **self._headers, **given})
        response = Response.read_from(connection)
        connection.close()
        return response

    def chat(self, body: bytes | None = None, **headers: str) -> Response:
        given = {"x_form_token": self.token, "content_type": "application/json", **headers}
        return self.call("POST", "/console/chat/messages", body or question(), **given)


def loop_of(gateway: RunningGateway) -> asyncio.AbstractEventLoop:
    """The loop that the gateway's store belongs to."""
    return gateway.gateway._loop  # pyright: ignore[reportPrivateUsage] - nobody else needs it.


def with_key(gateway: RunningGateway, secret: str) -> Visitor:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.client.port, timeout=20)
    form = urlencode({"key": secret, "to": "/console/"})
    kind = {"content-type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/console/sign-in", form, kind)
    response = Response.read_from(connection)
    connection.close()
    assert response.status == 303, response.body
    return Visitor(gateway, response.headers["set-cookie"].partition(";")[0])


def without_key(gateway: RunningGateway, person_id: str) -> Visitor:
    """Sign a person in as an identity provider does: no key has to do with it."""
    return Visitor(gateway, cookie_of_person(gateway, person_id))


def made(gateway: RunningGateway, path: str, **fields: Any) -> dict[str, Any]:
    response = gateway.client.call("POST", f"/admin/v1/{path}", json.dumps(fields).encode())
    assert response.status == 200, response.body
    found: dict[str, Any] = response.json
    return found


def keys_of(gateway: RunningGateway, person_id: str) -> list[dict[str, Any]]:
    listed = gateway.client.call("GET", "/admin/v1/keys?limit=100").json["data"]
    return [key for key in listed if key["person_id"] == person_id]


def booked(gateway: RunningGateway, request_id: str) -> dict[str, Any]:
    """The record of a request; it is in the store a moment after the response."""
    running = gateway.gateway
    found: list[UsageRecord] = []

    def look() -> bool:
        looked = asyncio.run_coroutine_threadsafe(
            running.store.usage.get(request_id), loop_of(gateway)
        )
        record = looked.result(20)
        if record is not None:
            found.append(record)
        return record is not None

    until(look)
    return {name: getattr(found[0], name) for name in found[0].__struct_fields__}


@pytest.fixture(scope="module")
def gateway(run_gateways: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    with run_gateways(tmp_path_factory.mktemp("chat"), QUIET) as running:
        yield running


@pytest.fixture(scope="module")
def member(gateway: RunningGateway) -> Visitor:
    _, client = gateway.make_key(name="a member's")
    return with_key(gateway, client.api_key)


def test_a_message_is_answered_as_by_the_api(gateway: RunningGateway, member: Visitor) -> None:
    answer = member.chat()
    assert answer.status == 200
    direct = gateway.client.call("POST", "/v1/messages", question())
    assert answer.json["content"] == direct.json["content"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


def test_a_message_is_streamed_as_by_the_api(member: Visitor) -> None:
    answer = member.chat(question(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.rstrip().endswith(b'data: {"type":"message_stop"}')


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_form_token": ""}, 403),
        ({"x_form_token": "0" * 64}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "elsewhere.example"}, 403),
        ({"cookie": ""}, 401),
        ({"cookie": "apertis=made-up.0000"}, 401),
        ({"content_type": "text/plain"}, 400),
        ({"content_type": "text/plain; json"}, 400),
        ({"content_type": "application/x-www-form-urlencoded"}, 400),
        ({"sec_fetch_site": "same-origin"}, 200),
    ],
)
def test_a_message_comes_from_a_page_of_the_session_alone(
    member: Visitor, headers: dict[str, str], status: int
) -> None:
    assert member.chat(None, **headers).status == status


def test_a_message_without_a_type_is_refused(gateway: RunningGateway, member: Visitor) -> None:
    headers = {"cookie": member.cookie, "x-form-token": member.token}
    answer = gateway.client.call("POST", "/console/chat/messages", question(), headers)
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/v1/messages/count_tokens"])
def test_the_api_takes_no_cookie(member: Visitor, path: str) -> None:
    method = "GET" if path == "/v1/models" else "POST"
    body = None if method == "GET" else question()
    answer = member.call(
        method, path, body, x_form_token=member.token, content_type="application/json"
    )
    assert (answer.status, answer.error["code"]) == (401, "missing_api_key")


def test_a_key_in_a_header_does_not_replace_the_session(
    gateway: RunningGateway, member: Visitor
) -> None:
    assert member.chat(cookie="", x_api_key=gateway.admin_key).status == 401


def test_the_key_that_signed_in_pays(gateway: RunningGateway) -> None:
    key_id, client = gateway.make_key(name="pays")
    answer = with_key(gateway, client.api_key).chat()
    record = booked(gateway, answer.headers["x-apertis-request-id"])
    assert record["key_id"] == key_id
    assert record["cost_units"] > 0


def test_a_person_without_a_key_gets_one_for_the_chat_at_the_first_use(
    gateway: RunningGateway,
) -> None:
    person = made(gateway, "people", name="Ada")
    visitor = without_key(gateway, person["id"])
    assert keys_of(gateway, person["id"]) == []
    first, second = visitor.chat(), visitor.chat()
    (key,) = keys_of(gateway, person["id"])
    assert (key["kind"], key["admin"], key["hint"]) == ("chat", False, "")
    for answer in (first, second):
        record = booked(gateway, answer.headers["x-apertis-request-id"])
        assert (record["key_id"], record["person_id"]) == (key["id"], person["id"])
    trail = gateway.client.call("GET", "/admin/v1/audit?limit=100").json["data"]
    (entry,) = [one for one in trail if one["subject_id"] == key["id"]]
    assert (entry["actor"], entry["action"]) == (person["id"], "create")


def test_the_key_of_a_chat_is_made_again_after_it_was_deleted_but_not_while_disabled(
    gateway: RunningGateway,
) -> None:
    person = made(gateway, "people", name="Barbara")
    visitor = without_key(gateway, person["id"])
    assert visitor.chat().status == 200
    (key,) = keys_of(gateway, person["id"])
    gateway.client.call("POST", f"/admin/v1/keys/{key['id']}/disable", b"{}")
    assert visitor.chat().status == 401
    gateway.client.call("DELETE", f"/admin/v1/keys/{key['id']}")
    assert visitor.chat().status == 200
    (other,) = keys_of(gateway, person["id"])
    assert other["id"] != key["id"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [("/rotate", {}), ("", {"admin": True}), ("", {"person": None})],
    ids=["another secret", "an administrator's", "somebody else's"],
)
def test_the_key_of_a_chat_stays_what_it_is(
    gateway: RunningGateway, path: str, fields: dict[str, Any]
) -> None:
    person = made(gateway, "people", name=f"Grace {path}{sorted(fields)}")
    assert without_key(gateway, person["id"]).chat().status == 200
    (key,) = keys_of(gateway, person["id"])
    method = "POST" if path else "PATCH"
    answer = gateway.client.call(
        method, f"/admin/v1/keys/{key['id']}{path}", json.dumps(fields).encode()
    )
    assert answer.status == 409, answer.body
    (same,) = keys_of(gateway, person["id"])
    assert same | {"used_units": key["used_units"]} == key


def test_a_disabled_person_is_out_within_a_second(gateway: RunningGateway) -> None:
    person = made(gateway, "people", name="Hedy")
    visitor = without_key(gateway, person["id"])
    assert visitor.chat().status == 200
    gateway.client.call("POST", f"/admin/v1/people/{person['id']}/disable", b"{}")
    answer = visitor.chat()
    assert (answer.status, answer.error["code"]) == (401, "not_signed_in")


def test_a_budget_refuses_as_it_refuses_the_api(gateway: RunningGateway) -> None:
    _, client = gateway.make_key(name="poor", quota_units=1)
    answer = with_key(gateway, client.api_key).chat()
    direct = client.call("POST", "/v1/messages", question())
    assert answer.status == direct.status
    assert answer.error == direct.error


def test_the_limits_of_requests_hold(start_gateway: Callable[..., RunningGateway]) -> None:
    gateway = start_gateway('[limits]\nper_address = "0"\nper_key = "2/1m"\n')
    _, client = gateway.make_key()
    visitor = with_key(gateway, client.api_key)
    assert [visitor.chat().status for _ in range(3)] == [200, 200, 429]


def test_made_up_sessions_are_counted_by_address(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway('[limits]\nper_address = "6/1m"\n')
    visitor = Visitor(gateway, "apertis=made.up")
    statuses = [visitor.chat().status for _ in range(7)]
    assert statuses == [401] * 6 + [429]


def test_the_models_are_those_that_the_key_may_use(gateway: RunningGateway) -> None:
    _, client = gateway.make_key(models=["claude-haiku-4-5"])
    visitor = with_key(gateway, client.api_key)
    answer = visitor.call("GET", "/console/chat/models")
    assert answer.status == 200
    assert answer.json == client.call("GET", "/v1/models").json
    assert visitor.chat(question("claude-opus-4-5")).status == 403


def test_the_models_are_for_those_who_are_signed_in(member: Visitor) -> None:
    assert member.call("GET", "/console/chat/models", cookie="").status == 401


def test_a_cost_is_exact_and_for_whoever_caused_it(
    gateway: RunningGateway, member: Visitor
) -> None:
    request_id = member.chat().headers["x-apertis-request-id"]
    answer = member.call("GET", f"/console/chat/costs/{request_id}")
    assert answer.json["units"] == booked(gateway, request_id)["cost_units"] > 0
    other = with_key(gateway, gateway.make_key()[1].api_key)
    assert other.call("GET", f"/console/chat/costs/{request_id}").status == 404


def test_an_upstream_sees_nothing_of_the_session(
    start_gateway: Callable[..., RunningGateway], serve: Callable[..., Client]
) -> None:
    seen: list[Any] = []

    async def upstream(exchange: Any) -> None:
        seen.append((exchange.head.path, exchange.head.query, dict(exchange.head.values)))
        body = json.dumps({"type": "error", "error": {"type": "x", "message": "no"}}).encode()
        exchange.answer(400, [(b"content-type", b"application/json")], body)

    port = serve(upstream).port
    config = f'[[upstreams]]\nname = "u"\nbase_url = "http://127.0.0.1:{port}"\napi_key_env = "K"\n'
    gateway = start_gateway(config, K="sk")
    visitor = with_key(gateway, gateway.make_key()[1].api_key)
    answer = visitor.chat(
        sec_fetch_site="same-origin",
        user_agent="a browser",
        accept_language="de",
        anthropic_beta="x-1",
        x_claude_gateway_user_id="root",
        x_own="1",
    )
    assert answer.status == 400
    ((path, query, headers),) = seen
    assert (path, query) == ("/v1/messages", "")
    assert headers["anthropic-beta"] == "x-1"
    assert headers["anthropic-version"] == "2023-06-01"
    assert visitor.token not in str(headers)
    assert headers.keys().isdisjoint(
        {"cookie", "x-form-token", "sec-fetch-site", "accept-language", "x-own"}
    )


def test_a_gateway_without_a_console_has_no_chat(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway("[console]\nenabled = false\n")
    answer = gateway.client.call("POST", "/console/chat/messages", question())
    assert answer.status == 404


def test_an_address_that_may_not_use_the_console_has_no_chat(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway('[console]\nallowed_addresses = ["10.0.0.0/8"]\n')
    person = made(gateway, "people", name="Ada")
    visitor = without_key(gateway, person["id"])
    assert visitor.call("GET", "/console/chat/models").status == 403
    assert visitor.chat().status == 403


def test_the_chat_is_there_under_the_public_name(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway('[server]\npublic_url = "https://apertis.example"\n')
    body = urlencode({"key": gateway.admin_key, "to": "/console/chat"}).encode()
    headers = {
        "host": "apertis.example",
        "origin": "https://apertis.example",
        "content-type": "application/x-www-form-urlencoded",
    }
    entered = gateway.client.call("POST", "/console/sign-in", body, headers)
    cookie = entered.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith("__Host-apertis=")
    visitor = Visitor(gateway, cookie, host="apertis.example")
    assert visitor.chat(origin="https://apertis.example").status == 200
    assert visitor.chat(origin="http://apertis.example:8000").status == 403
    assert visitor.chat(host="elsewhere.example").status == 403
