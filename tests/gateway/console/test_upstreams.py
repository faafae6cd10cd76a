"""Upstreams in the console: how they are, what is left of their limits, and a try of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.console.upstreams import RateLimit, health_of, other_limits, rate_limits
from apertis.gateway.routing.breaker import BreakerState, Cause
from apertis.gateway.routing.router import UpstreamState
from apertis.testing import ScriptedServer, json_response
from tests.kit.consoles import sign_in, words_of
from tests.kit.usage_books import Books

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office
    from tests.kit.gateways import RunningGateway

    Start = Callable[..., RunningGateway]

EVIL = "<script>alert('&1')</script>"
CONFIG = """
[[upstreams]]
name = "sandbox"
kind = "sandbox"
models = ["claude-sonnet-4-5", { id = "opus", aliases = ["<b>big</b>"], upstream_model = "o1" }]

[[upstreams]]
name = "gone"
base_url = "http://127.0.0.1:9"
api_key_env = "GONE_KEY"
priority = 7
"""
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
ASK = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office(CONFIG, GONE_KEY="sk-ant-hidden")


def one_upstream(base_url: str) -> str:
    return f'[[upstreams]]\nname = "u"\nbase_url = "{base_url}"\napi_key_env = "K"\n'


@pytest.mark.parametrize(
    ("role", "seen", "tried"),
    [
        ("administrator", 200, 303),
        ("viewer", 200, 403),
        ("group_administrator", 403, 403),
        ("member", 403, 403),
    ],
)
def test_each_role_sees_and_tries_what_it_may(
    office: Office, role: str, seen: int, tried: int
) -> None:
    visitor = office.visitors[role]
    for path in ("/upstreams", "/upstreams/sandbox"):
        assert visitor.see(path).status == seen
    assert visitor.send("/upstreams/sandbox").status == tried
    assert ("Try it now" in words_of(visitor.see("/upstreams/sandbox"))) == (tried == 303)


def test_a_name_that_is_no_upstream_is_told(office: Office) -> None:
    for response in (
        office.administrator.see("/upstreams/nobody"),
        office.administrator.send("/upstreams/%3Cscript%3E"),
    ):
        assert response.status == 404
        assert "No upstream has this name today" in words_of(response)


def test_the_last_hour_is_told_with_errors_and_percentiles(office: Office) -> None:
    books = Books(office)
    books.add_all(
        [{"first_byte_ms": 400, "total_ms": 1600, "upstream": "gone"}] * 95
        + [{"first_byte_ms": 9000, "total_ms": 90_000, "upstream": "gone"}] * 6
        + [{"status": 529, "code": "overloaded_error", "upstream": "gone", "model": "other"}] * 20
    )
    # It is of no hour that is told.
    books.add(upstream="gone", at_ms=books.now - 2 * 86_400_000, model="long-ago")
    words = words_of(office.administrator.see("/upstreams/gone"))
    assert "Requests 121 since" in words
    assert "Errors 16.5 % 20 of them" in words
    # The middles of their buckets: at most 19 % off.
    assert "First byte 475 ms p95 7.6 s" in words
    assert "claude-sonnet-4-5 101 0 0.0 %" in words
    assert "other 20 20 100.0 %" in words
    assert "long-ago" not in words
    listed = words_of(office.administrator.see("/upstreams"))
    assert "121 20 16.5 %" in listed


def test_models_settings_and_names_are_shown_without_secrets(office: Office) -> None:
    page = office.administrator.see("/upstreams/sandbox")
    words = words_of(page)
    assert "opus, there o1 also <b>big</b>" in words
    assert "<b>big</b>" not in page.body.decode()
    gone = words_of(office.administrator.see("/upstreams/gone"))
    assert "http://127.0.0.1:9" in gone
    assert "api_key_env = GONE_KEY" in gone
    assert "Priority 7" in gone
    assert "sk-ant-hidden" not in gone


def test_a_try_is_told_in_words_with_its_time(office: Office) -> None:
    assert office.administrator.send("/upstreams/gone").status == 303
    words = words_of(office.viewer.see("/upstreams/gone"))
    assert "fails cannot connect to 127.0.0.1:9: connection refused. What to do: check" in words
    assert " ms" in words
    assert office.administrator.send("/upstreams/sandbox").status == 303
    assert "ok the sandbox, a stand-in for Claude" in words_of(
        office.viewer.see("/upstreams/sandbox")
    )


def test_a_breaker_that_opens_says_why_and_for_how_long(start_gateway: Start) -> None:
    refused = json_response(401, {"type": "error", "error": {"type": "authentication_error"}})
    with ScriptedServer([refused]) as upstream:
        running = start_gateway(one_upstream(upstream.base_url), K="sk-ant-hidden")
        visitor = sign_in(running.client.port, running.admin_key)
        assert "well" in words_of(visitor.see("/upstreams/u"))
        answer = running.client.call("POST", "/v1/messages", json.dumps(ASK).encode())
        assert answer.status == 502
        words = words_of(visitor.see("/upstreams/u"))
    assert "left alone it rejected the gateway's key; it is tried again in" in words
    assert "sk-ant-hidden" not in words


def test_what_is_left_of_the_keys_limits_is_shown_as_last_told(start_gateway: Start) -> None:
    told = {
        "anthropic-ratelimit-requests-limit": "1000",
        "anthropic-ratelimit-requests-remaining": "250",
        "anthropic-ratelimit-requests-reset": "2026-12-31T18:00:05Z",
        "anthropic-ratelimit-unified-status": EVIL,
        "server": "hidden-from-all",
    }
    good = json_response(200, MESSAGE, told)
    with ScriptedServer([good] * 2) as upstream:
        running = start_gateway(one_upstream(upstream.base_url), K="sk-ant-hidden")
        visitor = sign_in(running.client.port, running.admin_key)
        assert "said nothing of limits" in words_of(visitor.see("/upstreams/u"))
        # A key with a budget is told of that, and the upstream's limits are noted all the same.
        _, client = running.make_key(quota_usd="1")
        for each in (running.client, client):
            headers = {"x-api-key": each.api_key, "content-type": "application/json"}
            answer = each.call("POST", "/v1/messages", json.dumps(ASK).encode(), headers)
            assert answer.status == 200
        page = visitor.see("/upstreams/u")
        listed = visitor.see("/upstreams")
    words = words_of(page)
    assert "requests 250 1000 75 % 18:00:05" in words
    assert f"unified-status {EVIL}" in words
    assert EVIL not in page.body.decode()
    assert "hidden-from-all" not in words
    assert "requests: 250 of 1000 left" in words_of(listed)


@pytest.mark.parametrize(
    ("state", "words", "kind"),
    [
        (UpstreamState("u", BreakerState.CLOSED, None, 0), "", "good"),
        (UpstreamState("u", BreakerState.CLOSED, None, 1), "the last request failed", "good"),
        (UpstreamState("u", BreakerState.CLOSED, None, 3), "the last requests failed", "good"),
        (
            UpstreamState("u", BreakerState.OPEN, Cause.BAD_HOST, 5, 12.4),
            "several requests in a row failed there; it is tried again in 12 s",
            "bad",
        ),
        (
            UpstreamState("u", BreakerState.HALF_OPEN, Cause.BAD_KEY, 0),
            "it rejected the gateway's key; the next request tries it",
            "warn",
        ),
    ],
)
def test_a_state_is_said_in_words(state: UpstreamState, words: str, kind: str) -> None:
    health = health_of(state)
    assert words in health.why
    assert health.kind == kind


def headers_of(**said: Any) -> list[tuple[bytes, bytes]]:
    return [
        (f"anthropic-ratelimit-{name.replace('_', '-')}".encode(), str(value).encode())
        for name, value in said.items()
    ]


def test_limits_are_read_as_they_are_said() -> None:
    headers = headers_of(
        tokens_limit=100,
        tokens_remaining=100,
        tokens_reset="2026-09-21T12:00:00Z",
        input_tokens_limit=10,
        input_tokens_remaining=-3,
        output_tokens_limit=10,
        output_tokens_remaining=30,
        output_tokens_reset="soon",
        requests_limit=0,
        requests_remaining=0,
        unified_5h_status="allowed",
        priority_remaining=5,
    )
    assert rate_limits(headers) == (
        RateLimit("tokens", "100", "100", 1789992000, 0),
        RateLimit("input tokens", "10", "-3", None, None),
        RateLimit("output tokens", "10", "30", None, 0),
        RateLimit("requests", "0", "0", None, None),
    )
    assert other_limits(headers) == [("unified-5h-status", "allowed"), ("priority-remaining", "5")]
    assert rate_limits([(b"content-type", b"text/plain")]) == ()
