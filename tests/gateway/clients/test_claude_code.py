"""Requests as Claude Code makes them: its query, headers, body and probes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import json_response

if TYPE_CHECKING:
    from tests.kit.driving import Ran
    from tests.kit.gateways import RunningGateway

BETAS = ["claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27"]
HEADERS = {
    "x-app": "cli",
    "user-agent": "claude-cli/2.1.330 (external, cli)",
    "anthropic-workspace-id": "wrkspc_1",
    "x-claude-code-session-id": "5f1b5b8c-2f5e-4a3d-9a43-0d3c2a1b4c5d",
    "x-claude-code-agent-id": "agent-1",
    "x-claude-code-parent-agent-id": "agent-0",
    "x-claude-code-request-class": "subagent",
    "x-claude-code-agent-type": "Explore",
}
BODY: dict[str, Any] = {
    "model": "claude-scripted",
    "max_tokens": 32_000,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330; cch=00000;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>Today is Sunday.</system-reminder>"},
                {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
        }
    ],
    "tools": [
        {
            "name": "Bash",
            "description": "Runs a command.",
            "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
            "cache_control": {"type": "ephemeral"},
        }
    ],
    "metadata": {"user_id": "user_0123_account__session_5f1b5b8c"},
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "high"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-scripted",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 5000, "output_tokens": 2},
    "context_management": {"applied_edits": []},
}
COUNTED = {name: BODY[name] for name in ("model", "system", "messages", "tools", "thinking")}
ASKED: dict[str, Any] = {"betas": BETAS, "headers": HEADERS, "query": {"beta": "true"}}

CASES: dict[str, Any] = {
    "code": {"do": "create", "params": BODY, **ASKED},
    "code counts": {"do": "count", "params": COUNTED, **ASKED},
}
SCRIPTS: dict[str, Any] = {
    "code": json_response(200, MESSAGE),
    "code counts": json_response(200, {"input_tokens": 1234}),
}


def test_its_requests_reach_the_upstream_as_they_are(ran: Ran) -> None:
    request = ran.request("code")
    assert request.target == "/v1/messages?beta=true"
    assert request.json() == BODY
    assert request.headers["anthropic-beta"] == ",".join(BETAS)
    assert HEADERS.items() <= request.headers.items()
    assert ran["code"]["message"] == MESSAGE


def test_its_counting_reaches_the_upstream(ran: Ran) -> None:
    request = ran.request("code counts")
    assert request.target == "/v1/messages/count_tokens?beta=true"
    assert request.json() == COUNTED
    assert set(BETAS) <= set(request.headers["anthropic-beta"].split(","))
    assert ran["code counts"]["input_tokens"] == 1234


@pytest.mark.parametrize("target", ["/api/hello", "/"])
def test_its_probes_are_answered_without_a_key(
    sandbox_gateway: RunningGateway, target: str
) -> None:
    answer = sandbox_gateway.client.call("HEAD", target, headers={"user-agent": "claude-cli"})
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("scheme", ["authorization", "x-api-key"])
def test_it_discovers_models_with_either_credential(
    sandbox_gateway: RunningGateway, scheme: str
) -> None:
    key = sandbox_gateway.client.api_key
    headers = {scheme: f"Bearer {key}" if scheme == "authorization" else key}
    answer = sandbox_gateway.client.call("GET", "/v1/models?limit=1000", headers=headers)
    listed = json.loads(answer.body)
    assert (answer.status, listed["has_more"]) == (200, False)
    found = [model for model in listed["data"] if "claude" in model["id"]]
    assert found
    assert all(model["display_name"] for model in found)
