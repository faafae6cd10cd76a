"""Callers with budgets, over real sockets: headers, refusals, and what clients make of them."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import anthropic
import pytest

import apertis
from apertis.testing import (
    Exchange,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_event,
    sse_head,
)
from tests.kit.gateways import RunningGateway, running_gateway
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.testing import RecordedRequest
    from tests.kit.http import Client, Response

CONFIG = """
[limits]
per_address = "0"
per_key = "0"
[[upstreams]]
name = "first"
base_url = "{url}"
api_key_env = "FIRST_KEY"
models = ["large", "small", "retired"]
[prices.large]
input = "10"
output = "100"
[prices.small]
input = "0.1"
output = "1"
[prices.retired]
input = "10"
output = "100"
"""
PREFIX = "anthropic-ratelimit-"
UPSTREAMS_OWN = {f"{PREFIX}requests-limit": "50", f"{PREFIX}unified-status": "rejected"}
CLAUDE_CODE = {"user-agent": "claude-cli/2.1.332 (external, cli)"}


def answered(request: RecordedRequest) -> Exchange:
    asked = json.loads(request.body or b"{}")
    if "max_tokens" not in asked:
        return Exchange(json_response(200, {"input_tokens": 1, "data": []}, UPSTREAMS_OWN))
    usage = {"input_tokens": 0, "output_tokens": asked["max_tokens"]}
    said: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    if not asked.get("stream"):
        return Exchange(json_response(200, said, UPSTREAMS_OWN))
    events = [{"type": "message_start", "message": {**said, "content": []}}]
    events += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}]
    events += [{"type": "message_stop"}]
    body = b"".join(http_chunk(sse_event(event)) for event in events)
    return Exchange(sse_head(headers=UPSTREAMS_OWN) + body + http_chunk(b""))


class House(NamedTuple):
    gateway: RunningGateway
    upstream: ScriptedServer

    def admin(self, path: str, **fields: Any) -> dict[str, Any]:
        body = json.dumps(fields).encode()
        response = self.gateway.client.call("POST", f"/admin/v1/{path}", body)
        assert response.status == 200, response.body
        made: dict[str, Any] = response.json
        return made

    def key_with(self, *limits: dict[str, Any], **fields: Any) -> Client:
        """A key of its own with limits."""
        key_id, client = self.gateway.make_key(**fields)
        for limit in limits:
            self.admin("limits", key=key_id, **limit)
        return client


@contextlib.contextmanager
def house(folder: Any, config: str = "") -> Iterator[House]:
    with ScriptedServer(answered) as upstream:
        text = config + CONFIG.format(url=upstream.base_url)
        with running_gateway(folder, text, {"FIRST_KEY": "first"}) as gateway:
            yield House(gateway, upstream)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("told")) as running:
        yield running


def ask(
    client: Client, output: int = 100, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    asked = {"model": "large", "messages": [{"role": "user", "content": "Hi"}], **more}
    body = json.dumps({**asked, "max_tokens": output}).encode()
    return client.call(
        "POST", "/v1/messages", body, headers={"x-api-key": client.api_key, **(headers or {})}
    )


def limits_of(response: Response) -> dict[str, str]:
    return {
        name.removeprefix(f"{PREFIX}unified-"): value
        for name, value in response.headers.items()
        if name.startswith(PREFIX)
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_with_a_budget_reads_their_own_standing(here: House, *, stream: bool) -> None:
    client = here.key_with({"amount_usd": 1, "period": "month"})
    response = ask(client, stream=stream)
    assert response.status == 200
    told = limits_of(response)
    reset = datetime.fromtimestamp(int(told["reset"]), UTC)
    assert (reset.day, reset.hour, reset.minute, reset.second) == (1, 0, 0, 0)
    assert told == {
        "status": "allowed",
        "representative-claim": "overage",
        "overage-status": "allowed",
        "overage-utilization": "0.00",
        "reset": told["reset"],
        "overage-reset": told["reset"],
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_without_a_budget_reads_the_upstreams(here: House, *, stream: bool) -> None:
    response = ask(here.key_with(), stream=stream)
    assert {n: v for n, v in response.headers.items() if n.startswith(PREFIX)} == UPSTREAMS_OWN


def test_what_is_no_message_carries_no_usage(here: House) -> None:
    client = here.key_with({"amount_usd": 1})
    body = json.dumps({"model": "large", "messages": []}).encode()
    assert "unified-overage-status" not in str(
        [
            client.call("POST", "/v1/messages/count_tokens", body).headers,
            client.call("GET", "/v1/models").headers,
            client.call("GET", "/api/user/token").headers,
        ]
    )


def test_a_cached_response_says_it_too(here: House) -> None:
    client = here.key_with({"amount_usd": 1, "period": "day"}, response_cache=True)
    assert ask(client).headers["x-response-cache"] == "miss"
    hit = ask(client)
    assert hit.headers["x-response-cache"] == "hit"
    assert limits_of(hit)["overage-status"] == "allowed"


def test_a_used_up_budget_is_402_for_programs_and_429_for_claude_code(here: House) -> None:
    client = here.key_with(
        {"amount_usd": "0.02", "period": "week", "contact": "finance@example.com"}, name="of ada"
    )
    assert ask(client).status == 200
    refused = ask(client, 200)
    assert (refused.status, refused.error["code"]) == (402, "quota_exceeded")
    assert refused.headers["x-should-retry"] == "false"
    assert limits_of(refused) == {}
    assert "of the weekly limit of the API key 'of ada' ($0.02)" in refused.error["message"]
    assert refused.error["message"].endswith("UTC; ask finance@example.com for more")
    session = {"x-claude-code-session-id": "5f1b5b8c"}
    for headers in (CLAUDE_CODE, session):
        refused = ask(client, 200, headers)
        assert (refused.status, refused.error["type"]) == (429, "billing_error")
        told = limits_of(refused)
        assert told == {
            "status": "rejected",
            "reset": told["reset"],
            "overage-reset": told["reset"],
            "overage-utilization": "1",
            "overage-surpassed-threshold": "1",
            "overage-period": "weekly",
            "overage-disabled-reason": "org_spend_cap_reached",
        }
        wait = int(told["reset"]) - datetime.now(UTC).timestamp()
        assert abs(int(refused.headers["retry-after"]) - wait) < 20
        assert refused.headers["x-should-retry"] == "false"


def test_an_empty_pool_of_a_group_says_so(here: House) -> None:
    group = here.admin("groups", name="research")
    here.admin("limits", group=group["id"], amount_usd="0.001")
    _, client = here.gateway.make_key(group="research")
    refused = ask(client, headers=CLAUDE_CODE)
    assert limits_of(refused)["overage-scope"] == "group_pool"
    assert "monthly limit of the group 'research'" in refused.error["message"]


def test_a_quota_has_no_reset(here: House) -> None:
    client = here.key_with(quota_usd="0.001")
    refused = ask(client, headers=CLAUDE_CODE)
    assert limits_of(refused).keys() == {
        "status",
        "overage-utilization",
        "overage-surpassed-threshold",
        "overage-disabled-reason",
    }
    assert "retry-after" not in refused.headers


def test_clients_end_at_once_with_the_reason(here: House) -> None:
    client = here.key_with({"amount_usd": "0.001", "contact": "finance@example.com"})
    asked: Any = {
        "model": "large",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    before = here.upstream.requests
    url, reason = here.gateway.base_url, r"ask finance@example\.com"
    with (
        apertis.Apertis(base_url=url, api_key=client.api_key) as own,
        pytest.raises(apertis.PaymentRequiredError, match=reason),
    ):
        own.messages.create(**asked)
    told_otherwise: list[tuple[dict[str, str], type[anthropic.APIStatusError]]] = [
        ({}, anthropic.APIStatusError),
        (CLAUDE_CODE, anthropic.RateLimitError),
    ]
    for headers, kind in told_otherwise:
        peer = anthropic.Anthropic(base_url=url, api_key=client.api_key, default_headers=headers)
        with peer, pytest.raises(kind, match=reason):
            peer.messages.create(**asked)
    assert here.upstream.requests == before


@pytest.mark.parametrize(("setting", "plain", "code"), [("402", 402, 402), ("429", 429, 429)])
def test_the_form_of_refusals_can_be_set(
    tmp_path: Any, setting: str, plain: int, code: int
) -> None:
    with house(tmp_path, f'[money]\nrefusal = "{setting}"\n') as running:
        client = running.key_with(quota_usd="0.001")
        assert ask(client).status == plain
        assert ask(client, headers=CLAUDE_CODE).status == code


def spent_by(client: Client, *outputs: int) -> None:
    for output in outputs:
        assert ask(client, output).status == 200


def test_claude_code_reads_how_the_budgets_stand(here: House) -> None:
    client = here.key_with(
        {"amount_usd": "0.1", "period": "day"}, {"amount_usd": "1", "period": "month"}
    )
    spent_by(client, 800)
    response = client.call("GET", "/api/oauth/usage")
    assert response.headers["cache-control"] == "no-store"
    day, month = response.json["limits"]
    assert response.json["extra_usage"] == {
        "is_enabled": True,
        "monthly_limit": 10,
        "used_credits": 8,
        "utilization": 80,
        "currency": "USD",
    }
    assert (day["kind"], day["group"], day["percent"], day["severity"], day["is_active"]) == (
        *("spend", "daily", 80, "warning"),
        True,
    )
    assert (month["group"], month["percent"], month["severity"], month["is_active"]) == (
        *("monthly", 8, "normal"),
        False,
    )
    reset = datetime.fromisoformat(day["resets_at"]).timestamp()
    # Headers are at most a second old.
    until(lambda: limits_of(ask(client, 1))["reset"] == str(int(reset)))
    assert limits_of(ask(client, 1))["overage-surpassed-threshold"] == "0.75"


def test_once_blocked_the_budget_that_resets_last_is_active(here: House) -> None:
    key_id, client = here.gateway.make_key()
    made = [
        here.admin("limits", key=key_id, amount_usd="0.1", period=period)
        for period in ("day", "total", "month")
    ]
    spent_by(client, 300)
    for limit in made[:2]:
        lowered = here.gateway.client.call(
            "PATCH", f"/admin/v1/limits/{limit['id']}", b'{"amount_usd": "0.01"}'
        )
        assert lowered.status == 200

    def told() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = client.call("GET", "/api/oauth/usage").json["limits"]
        return rows

    until(lambda: told()[0]["percent"] == 300)
    day, total, month = told()
    assert [one["is_active"] for one in (day, total, month)] == [False, True, False]
    assert {one["severity"] for one in (day, total)} == {"critical"}
    assert (total["group"], total["resets_at"]) == ("total", None)


def test_without_a_budget_what_is_spent_is_told(here: House) -> None:
    client = here.key_with()
    spent_by(client, 150)

    def told() -> dict[str, Any]:
        answer: dict[str, Any] = client.call("GET", "/api/oauth/usage").json
        return answer

    until(lambda: told()["extra_usage"]["used_credits"] == 1)
    spend = {"limit": None, "used_credits": 1, "utilization": None}
    assert told() == {
        "extra_usage": {
            "is_enabled": True,
            "monthly_limit": None,
            "used_credits": 1,
            "utilization": None,
            "currency": "USD",
            "daily": spend,
            "weekly": spend,
        },
        "limits": [],
    }


def test_a_key_says_what_its_tightest_limit_has_left(here: House) -> None:
    client = here.key_with({"amount_usd": "0.5", "contact": "ops@example.com"}, quota_usd="1")
    spent_by(client, 1000)
    data = client.call("GET", "/api/user/token").json["data"]
    assert (data["remain_quota"], data["used_quota"], data["unlimited_quota"]) == (
        *(200_000, 50_000),
        False,
    )
    limit = data["limit"]
    assert (limit["level"], limit["period"], limit["contact"]) == (
        "key",
        "month",
        "ops@example.com",
    )
    assert limit["resets_at"].endswith("-01T00:00:00Z")
    unlimited = here.key_with().call("GET", "/api/user/token").json["data"]
    assert (unlimited["remain_quota"], unlimited["unlimited_quota"], unlimited["limit"]) == (
        *(None, True),
        None,
    )


def test_a_colleague_sees_the_usage_of_all_their_keys_and_nobody_elses(here: House) -> None:
    group = here.admin("groups", name="physics")
    person = here.admin("people", name="Ada", group="physics")
    here.admin("limits", person=person["id"], amount_usd="1", zone="Europe/Berlin")
    here.admin("limits", group=group["id"], amount_usd="10", per_session=True)
    one = here.gateway.make_key(person="Ada")[1]
    two = here.gateway.make_key(person="Ada")[1]
    spent_by(one, 100)
    spent_by(two, 200)
    spent_by(here.key_with(), 500)

    def told(query: str = "") -> dict[str, Any]:
        response = one.call("GET", f"/v1/me/usage{query}")
        assert response.status == 200, response.body
        answer: dict[str, Any] = response.json
        return answer

    until(lambda: (told()["totals"] or {}).get("requests") == 2)
    report = told("?zone=Europe/Berlin")
    assert report["person"] == {"id": person["id"], "name": "Ada"}
    assert [each["name"] for each in report["groups"]] == ["physics"]
    assert report["totals"]["cost_usd"] == "0.03"
    assert [(row["model"], row["cost_units"]) for row in report["models"]] == [("large", 15_000)]
    assert [row["output_tokens"] for row in report["days"]] == [300]
    (limit,) = report["limits"]
    assert (limit["of"], limit["spent_usd"], limit["left_usd"], limit["percent"]) == (
        *("the person 'Ada'", "0.03", "0.97"),
        3,
    )
    assert limit["zone"] == report["zone"] == "Europe/Berlin"


@pytest.mark.parametrize(("query", "param"), [("zone=Mars/Base", "zone"), ("key=key_1", "key")])
def test_other_questions_are_rejected(here: House, query: str, param: str) -> None:
    refused = here.key_with().call("GET", f"/v1/me/usage?{query}")
    assert (refused.status, refused.error["param"]) == (400, param)


def opus_is_used_up(here: House) -> Client:
    """A key whose limit of the dear model alone is used up, and names a cheaper one."""
    return here.key_with(
        {"amount_usd": "0.001", "models": ["large"], "cheaper_model": "small", "period": "day"},
        {"amount_usd": "1"},
    )


@pytest.mark.parametrize("stream", [False, True])
def test_over_budget_a_cheaper_model_answers_and_says_so(here: House, *, stream: bool) -> None:
    key_id, client = here.gateway.make_key()
    here.admin("limits", key=key_id, amount_usd="0.005", cheaper_model="small")
    response = ask(client, stream=stream)
    assert response.status == 200
    assert response.fallback == ("true", "large", "small", "primary_model_over_budget")
    asked = json.loads(here.upstream.requests[-1].body)
    assert next(iter(asked)) == "model"
    assert (asked["model"], asked["max_tokens"]) == ("small", 100)
    until(lambda: bool(here.gateway.usage(key=key_id, by="model")["data"]))
    (row,) = here.gateway.usage(key=key_id, by="model")["data"]
    assert (row["model"], row["cost_units"]) == ("small", 50)


def test_a_limit_of_other_models_does_not_count_for_the_cheaper_one(here: House) -> None:
    response = ask(opus_is_used_up(here), 1000)
    assert response.fallback == ("true", "large", "small", "primary_model_over_budget")
    # It reads how it stands in what counts for it.
    assert limits_of(response)["overage-utilization"] == "0.00"


def test_what_the_cheaper_model_would_cost_must_fit_too(here: House) -> None:
    client = here.key_with({"amount_usd": "0.005", "cheaper_model": "small"})
    assert ask(client, 3000).status == 200
    assert ask(client, 10_000).status == 402


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"thinking": {"type": "adaptive"}},
        {"thread": {"type": "continue", "previous_message_id": "msg_0"}},
        {"fallbacks": [{"model": "small"}]},
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": "...", "signature": "abc"}],
                },
                {"role": "user", "content": "Go on"},
            ]
        },
    ],
)
def test_no_other_model_answers_what_is_bound_to_its_own(
    here: House, fields: dict[str, Any]
) -> None:
    refused = ask(opus_is_used_up(here), 2000, **fields)
    assert refused.status in {400, 402}
    assert "x-fallback-used" not in refused.headers
    assert "You have exceeded your quota" in refused.error["message"]


def test_a_cheaper_model_that_the_key_may_not_use_does_not_answer(here: House) -> None:
    client = here.key_with({"amount_usd": "0.001", "cheaper_model": "small"}, models=["large"])
    assert ask(client).status == 402
    client = here.key_with({"amount_usd": "0.001", "cheaper_model": "nobody-has-this"})
    assert ask(client).status == 402


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway that trusts another one on this machine."""
    trusting = '[server]\ntrusted_gateways = ["127.0.0.1"]\n'
    with house(tmp_path_factory.mktemp("behind"), trusting) as running:
        yield running


def person_with(there: House, name: str, amount_usd: str, **fields: Any) -> str:
    person = there.admin("people", name=name, **fields)
    there.admin("limits", person=person["id"], amount_usd=amount_usd)
    id_: str = person["id"]
    return id_


def test_a_trusted_gateway_names_the_person_who_pays(behind: House) -> None:
    poor = person_with(behind, "Poor", "0.001", email="Poor@Example.com", external_id="idp|7")
    rich = person_with(behind, "Rich", "1")
    key_id, client = behind.gateway.make_key()
    assert limits_of(ask(client)).get("overage-status") is None
    for headers in (
        {"x-claude-gateway-user-id": poor},
        {"x-claude-gateway-user-id": "idp|7"},
        {"x-claude-gateway-user-email": "poor@example.com"},
        {"x-claude-gateway-user-id": "unknown", "x-claude-gateway-user-email": "poor@example.com"},
    ):
        refused = ask(client, headers=headers)
        assert "of the monthly limit of the person 'Poor'" in refused.error["message"]
    response = ask(client, headers={"x-claude-gateway-user-id": rich})
    assert limits_of(response)["overage-status"] == "allowed"
    sent = behind.upstream.requests[-1].headers
    assert not [name for name in sent if name.lower().startswith("x-claude-gateway")]
    until(lambda: len(behind.gateway.usage(key=key_id, by="person")["data"]) == 2)
    rows = behind.gateway.usage(key=key_id, by="person")["data"]
    assert {row["person"] for row in rows} == {None, rich}
    own = client.call(
        "GET",
        "/v1/me/usage",
        headers={"x-api-key": client.api_key, "x-claude-gateway-user-id": rich},
    ).json
    assert own["person"]["name"] == "Rich"


def test_a_disabled_person_is_rejected_with_any_key(behind: House) -> None:
    person = person_with(behind, "Gone", "1")
    disabled = behind.gateway.client.call("POST", f"/admin/v1/people/{person}/disable")
    assert disabled.status == 200, disabled.body
    _, client = behind.gateway.make_key()
    headers = {"x-claude-gateway-user-id": person}
    until(lambda: ask(client, headers=headers).status == 403)
    assert ask(client, headers=headers).error["code"] == "access_denied"


def test_the_rates_of_a_person_hold_for_requests_with_any_key(behind: House) -> None:
    person = behind.admin("people", name="Hasty", requests_limit="1/1h")["id"]
    headers = {"x-claude-gateway-user-id": person}
    _, client = behind.gateway.make_key()
    _, other = behind.gateway.make_key()
    assert ask(client, headers=headers).status == 200
    refused = ask(other, headers=headers)
    assert (refused.status, "person" in refused.error["message"]) == (429, True)
    assert ask(other).status == 200


def test_somebody_unknown_is_paid_for_by_the_key(behind: House) -> None:
    _, client = behind.gateway.make_key()
    assert ask(client, headers={"x-claude-gateway-user-email": "nobody@example.com"}).status == 200


def test_somebody_unknown_can_be_rejected(tmp_path: Any) -> None:
    config = '[server]\ntrusted_gateways = ["127.0.0.0/8"]\nunknown_people = "refuse"\n'
    with house(tmp_path, config) as running:
        _, client = running.gateway.make_key()
        refused = ask(client, headers={"x-claude-gateway-user-email": "nobody@example.com"})
        assert (refused.status, refused.error["code"]) == (403, "access_denied")
        assert ask(client).status == 200


@pytest.mark.parametrize("trusted", ["", '[server]\ntrusted_gateways = ["192.0.2.0/24"]\n'])
def test_from_other_addresses_a_person_is_not_believed(tmp_path: Any, trusted: str) -> None:
    with house(tmp_path, trusted) as running:
        poor = person_with(running, "Poor", "0.001")
        _, client = running.gateway.make_key()
        assert ask(client, headers={"x-claude-gateway-user-id": poor}).status == 200
        sent = running.upstream.requests[-1].headers
        assert not [name for name in sent if name.lower().startswith("x-claude-gateway")]
