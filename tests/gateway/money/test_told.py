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
