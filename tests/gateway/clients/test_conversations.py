"""What programs do with Claude every day, through the gateway and without it, in other clients."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pypdf
import pytest

from apertis.testing import json_response

if TYPE_CHECKING:
    from tests.kit.driving import Ran

OLD, CURRENT = "claude-sonnet-4-5-20250929", "claude-opus-5"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def pdf_of_two_pages() -> str:
    writer, file = pypdf.PdfWriter(), io.BytesIO()
    writer.add_blank_page(200, 200)
    writer.add_blank_page(200, 200)
    writer.write(file)
    return base64.b64encode(file.getvalue()).decode()


def asked(content: Any, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    return {"model": CURRENT, "max_tokens": 2000, "messages": messages, **fields}


def sandbox(do: str, params: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"do": do, "on": "sandbox", "params": params, **fields}


def source(kind: str, media_type: str, data: str) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}}


def tool(name: str, about: str) -> dict[str, Any]:
    properties = {"city": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": ["city"]}
    return {"name": name, "description": about, "input_schema": schema}


WEATHER = tool("get_weather", "The weather in a city")
CLOCK = tool("get_clock", "The clock time in a city")
HELLO = asked("Hello, who is there?", system="Answer shortly.")
TOOLS = asked("What is the weather in Lisbon?", tools=[WEATHER])
PARALLEL = asked("What is the weather, and what is the clock in Lima?", tools=[WEATHER, CLOCK])
ADAPTIVE = {"type": "adaptive"}
ENABLED = {"type": "enabled", "budget_tokens": 1024}
LONG = "All of this is worth remembering. " * 400
CACHED = asked(
    [{"type": "text", "text": "Well?", "cache_control": {"type": "ephemeral"}}],
    system=[{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
)
CACHED_USAGE = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 40,
    "cache_read_input_tokens": 2000,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 30},
    "output_tokens": 5,
}
SAMPLING = asked("Hello", model=OLD)
VERSIONS = {"old": "2023-06-01", "new": "2026-10-21"}
REQUESTS = [
    {"custom_id": "good", "params": HELLO},
    {"custom_id": "bad", "params": {**HELLO, "messages": []}},
]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-scripted",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": CACHED_USAGE,
}

CASES: dict[str, Any] = {
    "plain": sandbox("create", HELLO),
    "streamed": sandbox("accumulate", HELLO),
    "events": sandbox("stream", HELLO),
    "tools": sandbox("loop", TOOLS),
    "tools streamed": sandbox("loop", TOOLS, streamed=True),
    "parallel tools": sandbox("loop", PARALLEL),
    "image": sandbox("create", asked([source("image", "image/png", PNG)])),
    "pdf": sandbox("create", asked([source("document", "application/pdf", pdf_of_two_pages())])),
    "adaptive thinking": sandbox("accumulate", asked("Why?", thinking=ADAPTIVE)),
    "enabled thinking": sandbox("create", asked("Why?", model=OLD, thinking=ENABLED)),
    "thinking and tools": sandbox("loop", {**TOOLS, "thinking": ADAPTIVE}),
    "cache": sandbox("create", CACHED),
    "count": sandbox("count", {"model": CURRENT, "messages": HELLO["messages"]}),
    "batch": sandbox("batch", {"requests": REQUESTS}, through_only=True),
    "models": sandbox("models", {"limit": 1000}, through_only=True),
    "pages of models": sandbox("models", {"limit": 4}, through_only=True),
    "one model": sandbox("model", {"model_id": OLD}, through_only=True),
    "no such model": sandbox("model", {"model_id": "claude-none"}, through_only=True),
    **{
        f"sampling, {name} version": sandbox(
            "create",
            SAMPLING,
            extra={"temperature": 0.5},
            headers={"anthropic-version": version},
        )
        for name, version in VERSIONS.items()
    },
    "bearer token": sandbox("create", HELLO, credential="auth_token"),
    "base with version": sandbox("create", HELLO, base="/v1", through_only=True),
    "base with version, streamed": sandbox("stream", HELLO, base="/v1", through_only=True),
    "cache through": {"do": "create", "params": {**CACHED, "model": "claude-scripted"}},
    "credentials": {"do": "create", "params": {**HELLO, "model": "claude-scripted"}},
}
SCRIPTS: dict[str, Any] = {
    "cache through": json_response(200, MESSAGE),
    "credentials": json_response(200, MESSAGE),
}


def text_of(message: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in message["content"])


def kinds_of(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


@pytest.mark.parametrize(
    "case",
    [n for n, c in CASES.items() if c.get("on") == "sandbox" and not c.get("through_only")],
)
def test_the_gateway_changes_nothing_that_a_client_sees(ran: Ran, case: str) -> None:
    def seen(name: str) -> dict[str, Any]:
        result = ran.results[name]
        error = result.get("error", {})
        kept = {"class": error.get("class"), "body": error.get("body")}
        return {
            **{k: v for k, v in result.items() if k not in ("headers", "seconds")},
            "error": kept,
        }

    assert seen(case) == seen(f"{case}, directly")


def test_a_message_is_answered(ran: Ran) -> None:
    result = ran["plain"]
    assert result["message"]["role"] == "assistant"
    assert result["message"]["stop_reason"] == "end_turn"
    assert text_of(result["message"])
    assert result["id"] == result["headers"]["request-id"]
    assert result["headers"]["x-fallback-used"] == "false"
    assert result["headers"]["x-actual-model"] == CURRENT


def test_a_stream_accumulates_to_the_message(ran: Ran) -> None:
    plain, streamed = ran["plain"]["message"], ran["streamed"]
    assert streamed["text"] == text_of(streamed["message"]) == text_of(plain)
    assert streamed["message"]["usage"]["output_tokens"] == plain["usage"]["output_tokens"]
    assert streamed["id"]


def test_a_stream_has_its_events_in_order(ran: Ran) -> None:
    kinds = [event["type"] for event in ran["events"]["events"]]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert ran["events"]["headers"]["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("case", ["tools", "tools streamed"])
def test_a_tool_is_called_and_its_result_read(ran: Ran, case: str) -> None:
    call, answer = ran[case]["answers"]
    assert call["stop_reason"] == "tool_use"
    (used,) = [block for block in call["content"] if block["type"] == "tool_use"]
    assert used["name"] == "get_weather"
    assert isinstance(used["input"]["city"], str)
    assert answer["stop_reason"] == "end_turn"
    assert "21 degrees, noon" in text_of(answer)


def test_tools_are_called_side_by_side(ran: Ran) -> None:
    call, answer = ran["parallel tools"]["answers"]
    names = {block["name"] for block in call["content"] if block["type"] == "tool_use"}
    assert names == {"get_weather", "get_clock"}
    assert answer["stop_reason"] == "end_turn"


def test_images_and_documents_arrive(ran: Ran) -> None:
    assert "PNG" in text_of(ran["image"]["message"])
    assert "2 pages" in text_of(ran["pdf"]["message"])


@pytest.mark.parametrize("case", ["adaptive thinking", "enabled thinking"])
def test_thinking_comes_with_its_signature(ran: Ran, case: str) -> None:
    message = ran[case]["message"]
    assert kinds_of(message) == ["thinking", "text"]
    assert message["content"][0]["thinking"]
    assert message["content"][0]["signature"]


def test_thinking_goes_back_unchanged_with_the_results_of_tools(ran: Ran) -> None:
    call, answer = ran["thinking and tools"]["answers"]
    assert kinds_of(call)[0] == "thinking"
    assert kinds_of(call)[-1] == "tool_use"
    # The upstream refuses thinking whose signature does not fit.
    assert answer["stop_reason"] == "end_turn"


def test_prompt_caching_makes_the_round_trip(ran: Ran) -> None:
    assert ran["cache"]["message"]["usage"]["cache_creation_input_tokens"] > 1024
    assert ran["cache through"]["message"]["usage"] == CACHED_USAGE
    sent = ran.request("cache through").json()
    assert isinstance(sent, dict)
    assert (sent["system"], sent["messages"]) == (CACHED["system"], CACHED["messages"])


def test_tokens_are_counted(ran: Ran) -> None:
    assert ran["count"]["input_tokens"] > 5


def test_models_are_listed_in_pages_and_found(ran: Ran) -> None:
    whole = ran["models"]["models"]
    assert [model["id"] for model in whole] == [m["id"] for m in ran["pages of models"]["models"]]
    assert len({model["id"] for model in whole}) == len(whole) > 8
    one = {k: v for k, v in ran["one model"].items() if k != "seconds"}
    assert one == next(model for model in whole if model["id"] == OLD)
    assert (one["type"], one["lifecycle"]) == ("model", "deprecated")
    assert ran.error("no such model")["class"] == "NotFoundError"


def test_a_batch_runs_from_its_creation_to_its_end(ran: Ran) -> None:
    batch = ran["batch"]
    assert batch["created"]["processing_status"] == "in_progress"
    assert batch["retrieved"]["processing_status"] == "ended"
    assert batch["retrieved"]["id"] == batch["created"]["id"]
    by_id = {line["custom_id"]: line["result"] for line in batch["results"]}
    assert text_of(by_id["good"]["message"]) == text_of(ran["plain"]["message"])
    assert by_id["bad"]["type"] == "errored"
    assert batch["listed"]
    assert batch["deleted"]["type"] == "message_batch_deleted"
    assert batch["cancelled"]["cancel_initiated_at"]


def test_both_versions_of_the_api_are_the_upstreams_to_judge(ran: Ran) -> None:
    assert text_of(ran["sampling, old version"]["message"])
    refused = ran.error("sampling, new version")
    assert refused["class"] == "BadRequestError"
    assert "temperature" in refused["body"]["error"]["message"]


def test_the_version_that_the_client_speaks_reaches_the_upstream(ran: Ran) -> None:
    version = ran.request("credentials").headers["anthropic-version"]
    assert version == ("2026-10-21" if ran.is_current else "2023-06-01")


def test_the_callers_credential_stays_at_the_gateway(ran: Ran) -> None:
    headers = ran.request("credentials").headers
    assert headers["x-api-key"] == "sk-upstream"
    assert "authorization" not in headers
    # Both ways to send a key let a request in.
    assert text_of(ran["bearer token"]["message"]) == text_of(ran["plain"]["message"])


def test_who_asks_reaches_the_upstream(ran: Ran) -> None:
    headers = ran.request("credentials").headers
    assert "Anthropic" in headers["user-agent"]
    assert headers["x-stainless-package-version"] == ran.results["version"]["version"]


def test_a_base_url_may_end_in_the_version(ran: Ran) -> None:
    assert text_of(ran["base with version"]["message"]) == text_of(ran["plain"]["message"])
    assert ran["base with version, streamed"]["events"] == ran["events"]["events"]
