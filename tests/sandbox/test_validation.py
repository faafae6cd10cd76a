from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

USER = {"role": "user", "content": "Hi"}
USE = {"type": "tool_use", "id": "t1", "name": "clock", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "noon"}
CLOCK = {"name": "clock", "input_schema": {"type": "object"}}
IMAGE_URL = {"type": "image", "source": {"type": "url", "url": "ftp://x"}}
MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}

BAD: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": "10"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
    ({"max_tokens": 100_000}, "max_tokens: 100000 > 64000, which is the maximum allowed number"),
    ({"model": 5}, "model: Input should be a valid string"),
    ({"messages": "Hi"}, "messages: Input should be a valid list"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": ["Hi"]}, "messages.0: Input should be an object"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ({"messages": [{"content": "Hi"}]}, "messages.0.role: Field required"),
    (
        {"messages": [{"role": "bot", "content": "Hi"}]},
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    ({"messages": [{**USER, "name": "x"}]}, "messages.0.name: Extra inputs are not permitted"),
    (
        {"messages": [{"role": "user", "content": ""}]},
        "messages.0: all messages must have non-empty content except for the optional final",
    ),
    (
        {"messages": [{"role": "user", "content": []}]},
        "messages.0: all messages must have non-empty content except for the optional final",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        "messages: text content blocks must be non-empty",
    ),
    (
        {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
        "messages.0.content.0.type: Field required",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        "messages.0.content.0: Input tag 'video' found using 'type' does not match any of the",
    ),
    (
        {"messages": [{"role": "user", "content": [IMAGE_URL]}]},
        "messages.0.content.0.image.source.url.url: String should match pattern",
    ),
    (
        {"messages": [{"role": "assistant", "content": "Hi"}]},
        'messages: first message must use the "user" role',
    ),
    (
        {"messages": [USER, {"role": "assistant", "content": "So "}]},
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    (
        {"model": "claude-opus-4-6", "messages": [USER, {"role": "assistant", "content": "So"}]},
        "This model does not support assistant message prefill.",
    ),
    (
        {"messages": [USER, {"role": "assistant", "content": [USE]}, USER]},
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1",
    ),
    (
        {"messages": [USER, {"role": "assistant", "content": [USE]}]},
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1",
    ),
    (
        {"messages": [{"role": "user", "content": [RESULT]}]},
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t1",
    ),
    (
        {"messages": [{"role": "user", "content": [USE]}]},
        "messages.0: `tool_use` blocks can only be in `assistant` messages",
    ),
    ({"system": 5}, "system: Input should be a valid list"),
    ({"system": [{"type": "text", "text": ""}]}, "system: text content blocks must be non-empty"),
    ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ({"temperature": 1.5}, "temperature: range: 0..1"),
    ({"temperature": "hot"}, "temperature: Input should be a valid number"),
    ({"top_p": -0.1}, "top_p: range: 0..1"),
    ({"top_k": 1.5}, "top_k: Input should be a valid integer"),
    ({"stop_sequences": "END"}, "stop_sequences: Input should be a valid list"),
    ({"stop_sequences": [1]}, "stop_sequences.0: Input should be a valid string"),
    ({"stop_sequences": [" "]}, "stop_sequences: each stop sequence must contain non-whitespace"),
    ({"foo": 1}, "foo: Extra inputs are not permitted"),
    ({"metadata": {"name": "x"}}, "metadata.name: Extra inputs are not permitted"),
    ({"service_tier": "gold"}, "service_tier: Input should be 'auto' or 'standard_only'"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 10}},
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        {"thinking": {"type": "enabled"}},
        "thinking.enabled.budget_tokens: Field required",
    ),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    (
        {"thinking": {"type": "hard"}},
        "thinking: Input tag 'hard' found using 'type' does not match any of the expected tags",
    ),
    (
        {"thinking": {"type": "adaptive"}, "temperature": 0.5},
        "`temperature` may only be set to 1 when thinking is enabled.",
    ),
    (
        {
            "max_tokens": 4000,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "tools": [CLOCK],
            "tool_choice": {"type": "any"},
        },
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    (
        {
            "model": "claude-opus-5",
            "max_tokens": 4000,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
        '"thinking.type.enabled" is not supported for this model.',
    ),
    ({"model": "claude-opus-5", "temperature": 0.5}, "`temperature` is deprecated for this model."),
    (
        {"output_config": {"effort": "xhigh"}},
        "This model does not support effort level 'xhigh'. Supported levels: high, low, max,",
    ),
    (
        {"output_config": {"format": {"type": "json_schema"}}},
        "output_config.format.schema: Field required",
    ),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": {"required": "name"}}}},
        "output_config.format.schema: JSON schema is invalid.",
    ),
    ({"tools": [{"name": "x"}]}, "tools.0.custom.input_schema: Field required"),
    (
        {"tools": [{"name": "x", "input_schema": {}}]},
        "tools.0.custom.input_schema.type: Field required",
    ),
    (
        {"tools": [{"name": "no spaces", "input_schema": {"type": "object"}}]},
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    ),
    (
        {"tools": [{"name": "x", "input_schema": {"type": "object", "properties": []}}]},
        "tools.0.custom.input_schema: JSON schema is invalid.",
    ),
    ({"tools": [CLOCK, CLOCK]}, "tools: Tool names must be unique."),
    (
        {"tool_choice": {"type": "auto"}},
        "tool_choice: tool_choice may only be specified while providing tools",
    ),
    (
        {"tools": [CLOCK], "tool_choice": {"type": "tool", "name": "watch"}},
        "tool_choice: Tool 'watch' not found in provided tools",
    ),
    (
        {"tools": [CLOCK], "tool_choice": {"type": "some"}},
        "tool_choice: Input tag 'some' found using 'type' does not match any of the expected tags",
    ),
    (
        {"messages": [{"role": "user", "content": [MARKED] * 5}]},
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_request_is_refused_in_the_words_of_the_api(
    client: Any, fields: dict[str, Any], message: str
) -> None:
    answer = client.ask(**fields)
    assert answer.status == 400
    assert answer.json.keys() == {"type", "error", "request_id"}
    assert answer.json["error"].keys() == {"type", "message"}
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.error.startswith(message)


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_a_missing_field_is_named(client: Any, name: str) -> None:
    body = client.request()
    del body[name]
    answer = client.send("POST", "/v1/messages", body)
    assert (answer.status, answer.error) == (400, f"{name}: Field required")


def test_an_unknown_model_is_a_404(client: Any) -> None:
    answer = client.ask(model="claude-nine")
    assert answer.status == 404
    assert answer.json["error"] == {"type": "not_found_error", "message": "model: claude-nine"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b"[]",
        b"5",
        b'"x"',
        b"[" * 5000,
        b'{"a":"\\ud800"}',
        b"\xff",
        b'{"a":"\xff"}',
    ],
)
def test_a_body_that_is_no_json_object_is_refused(client: Any, body: bytes) -> None:
    answer = client.send("POST", "/v1/messages", body)
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert "JSON" in answer.error or "Field required" in answer.error


def test_a_body_over_32_megabytes_is_a_413(client: Any) -> None:
    answer = client.send("POST", "/v1/messages", b" " * (32 * 1024 * 1024 + 1))
    assert answer.status == 413
    assert answer.json["error"]["type"] == "request_too_large"


def test_nulls_stand_for_absent_fields(client: Any) -> None:
    names = ("system", "tools", "thinking", "stop_sequences", "temperature", "tool_choice")
    answer = client.ask(**dict.fromkeys(names), stream=None, output_config=None, metadata=None)
    assert answer.status == 200, answer.body


def test_the_fields_of_apertis_are_taken(client: Any) -> None:
    answer = client.ask(
        fallback_models=["claude-haiku-4-5"],
        fallback_timeout=20_000,
        fallback_enabled=True,
        compression={"enabled": True},
    )
    assert answer.status == 200, answer.body


NEW = {"anthropic-version": "2026-10-21"}


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_the_new_version_takes_no_sampling_even_at_its_default(client: Any, name: str) -> None:
    assert client.ask(**{name: 1}).status == 200
    assert client.ask(**{name: 1}, headers={"anthropic-version": "2023-06-01"}).status == 200
    answer = client.ask(**{name: 1}, headers=NEW)
    assert (answer.status, answer.error) == (400, f"{name}: Extra inputs are not permitted")


def test_the_new_version_answers_what_it_takes(client: Any) -> None:
    assert client.ask(headers=NEW).status == 200
    assert client.ask(headers={"anthropic-version": "1999-01-01"}).status == 400


def test_the_new_version_takes_no_documents_from_the_assistant(client: Any) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    reply = {"role": "assistant", "content": [{"type": "document", "source": source}]}
    messages = [USER, reply, USER]
    assert client.ask(messages=messages).status == 200
    assert client.ask(messages=messages, headers=NEW).status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "model",
        "max_tokens",
        "messages",
        "system",
        "stream",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "thinking",
        "tools",
        "tool_choice",
        "output_config",
        "output_format",
        "cache_control",
        "metadata",
        "mcp_servers",
        "container",
    ]
)


@given(name=NAMES, value=JSON)
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_value_in_any_field_is_answered_or_refused(client: Any, name: str, value: Any) -> None:
    answer = client.ask(**{name: value})
    assert answer.status in (200, 400, 404)


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["text", "image", "document", "tool_use", "tool_result", "thinking", "search_result"]
        ),
        "text": JSON,
        "source": JSON
        | st.fixed_dictionaries({"type": st.sampled_from(["base64", "text", "url"]), "data": JSON}),
        "content": JSON,
        "tool_use_id": JSON,
        "id": JSON,
        "name": JSON,
        "input": JSON,
        "citations": JSON,
        "cache_control": JSON,
        "thinking": JSON,
        "signature": JSON,
    },
)


@given(st.lists(PARTS, max_size=3), st.sampled_from(["user", "assistant"]))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_block_is_answered_or_refused(client: Any, blocks: list[Any], role: str) -> None:
    answer = client.ask(messages=[USER, {"role": role, "content": blocks}, USER])
    assert answer.status in (200, 400)
