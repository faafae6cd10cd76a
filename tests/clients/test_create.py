"""`messages.create`: what leaves, and what comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis import APIResponseError, APITimeoutError, ConfigurationError, ParameterError
from apertis.testing import (
    AwaitDisconnect,
    Exchange,
    ScriptedServer,
    json_response,
    sse_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis
    from apertis.testing import RecordedRequest

    Connect = Callable[..., Apertis]

KEY = "sk-0123456789abcdefghij"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
LEAST: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": HELLO}
USAGE = {"input_tokens": 1, "output_tokens": 2}
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**ANSWER, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
    {"type": "message_stop"},
]


def exchange(connect: Connect, **params: Any) -> RecordedRequest:
    """What arrives at the server for these parameters."""
    with ScriptedServer([json_response(200, ANSWER)]) as server:
        connect(api_key=KEY, base_url=server.base_url).messages.create(**{**LEAST, **params})
        return server.requests[0]


TOOL = {
    "name": "weather",
    "description": "The weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
    "cache_control": {"type": "ephemeral", "ttl": "1h"},
    "eager_input_streaming": True,
    "input_examples": [{"city": "Oslo"}],
}
BODY_PARAMETERS: list[tuple[str, Any]] = [
    ("system", "Be brief."),
    ("system", [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]),
    ("stream", False),
    ("stop_sequences", ["END", "\n\n"]),
    ("thinking", {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}),
    ("thinking", {"type": "adaptive", "display": "summarized"}),
    ("thinking", {"type": "between_tools"}),
    ("thinking", {"type": "disabled"}),
    ("output_config", {"effort": "xhigh", "format": {"type": "json_schema", "schema": {}}}),
    ("output_config", {"task_budget": {"type": "tokens", "total": 9}}),
    ("tools", [TOOL, {"type": "web_search_20260318", "name": "web_search", "max_uses": 3}]),
    ("tool_choice", {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}),
    ("cache_control", {"type": "ephemeral", "ttl": "5m"}),
    ("container", "container_1"),
    ("container", {"id": None, "skills": [{"type": "anthropic", "skill_id": "pptx"}]}),
    ("diagnostics", {"previous_message_id": None}),
    ("inference_geo", "eu"),
    ("speed", "fast"),
    ("service_tier", "standard_only"),
    ("metadata", {"user_id": "u-1"}),
    ("mcp_servers", [{"type": "url", "name": "m", "url": "https://mcp.example"}]),
    ("context_management", {"edits": [{"type": "clear_tool_uses_20250919"}]}),
    ("compaction", {"trigger": {"type": "input_tokens", "value": 5}}),
    ("thread", {"id": "thread_1"}),
    ("fallbacks", "default"),
    ("fallbacks", [{"model": "m2", "max_tokens": 5}]),
    ("fallback_credit_token", "token"),
    ("billing_policy", {"type": "any"}),
    ("temperature", 0.7),
    ("temperature", 0),
    ("top_p", 0.9),
    ("top_k", 40),
    ("fallback_models", ["m2", "m3"]),
    ("fallback_timeout", 30_000),
    ("fallback_enabled", True),
    ("compression", {"enabled": True, "strategy": "aggressive", "keep_turns": 2}),
    ("n", 1),
    ("stop", "END"),
    ("seed", 7),
    ("user", "u"),
    ("presence_penalty", -0.5),
    ("frequency_penalty", 0.5),
    ("logit_bias", {"50256": -100}),
    ("response_format", {"type": "json_object"}),
    ("a_parameter_of_next_year", {"x": [1, None, True, "é\u2028"]}),
]


@pytest.mark.parametrize(
    ("name", "value"), BODY_PARAMETERS, ids=[f"{i}-{n}" for i, (n, _) in enumerate(BODY_PARAMETERS)]
)
def test_a_parameter_is_sent_as_it_is_given(connect: Connect, name: str, value: Any) -> None:
    request = exchange(connect, **{name: value})
    assert (request.method, request.target) == ("POST", "/v1/messages")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {**LEAST, name: value}


def test_none_is_sent_as_null(connect: Connect) -> None:
    """The service takes null for some parameters; what it takes is its own to say."""
    assert json.loads(exchange(connect, inference_geo=None).body)["inference_geo"] is None


def test_nothing_is_added_to_the_least_request(connect: Connect) -> None:
    assert json.loads(exchange(connect).body) == LEAST


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_messages_may_have_every_role(connect: Connect, role: str) -> None:
    messages = [*HELLO, {"role": role, "content": [{"type": "text", "text": "x"}]}]
    assert json.loads(exchange(connect, messages=messages).body)["messages"] == messages


def test_betas_become_a_header(connect: Connect) -> None:
    request = exchange(connect, betas=["files-2026-01-01", "mcp-client-2026"])
    assert request.headers["anthropic-beta"] == "files-2026-01-01,mcp-client-2026"
    assert request.query == "beta=true"
    assert json.loads(request.body) == LEAST


def test_no_betas_are_no_header(connect: Connect) -> None:
    request = exchange(connect, betas=[])
    assert "anthropic-beta" not in request.headers
    assert request.query == ""


def test_profile_and_workspace_become_headers(connect: Connect) -> None:
    request = exchange(connect, user_profile_id="uprof_1", workspace_id="wrkspc_1")
    assert request.headers["anthropic-user-profile-id"] == "uprof_1"
    assert request.headers["anthropic-workspace-id"] == "wrkspc_1"
    assert json.loads(request.body) == LEAST


def test_extra_fields_reach_their_places_and_win(connect: Connect) -> None:
    request = exchange(
        connect,
        temperature=0.1,
        betas=["a"],
        extra_headers={"X-One": "é", "Anthropic-Beta": "b"},
        extra_query={"dry": True, "limit": 3, "none": None, "text": "a b&c"},
        extra_body={"temperature": 0.9, "future": {"a": 1}},
    )
    assert request.headers["x-one"] == "é"
    assert request.headers["anthropic-beta"] == "b"
    assert request.query == "dry=true&limit=3&text=a+b%26c&beta=true"
    assert json.loads(request.body) == {**LEAST, "temperature": 0.9, "future": {"a": 1}}


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_the_framing_of_the_request_is_not_the_callers(connect: Connect, name: str) -> None:
    """Two lengths in one head are a hole in every proxy behind (RFC 9112, section 6.3)."""
    with pytest.raises(ParameterError, match=name.lower()):
        exchange_refused(connect, extra_headers={name: "5"})


def exchange_refused(connect: Connect, **params: Any) -> None:
    with ScriptedServer([]) as server:
        connect(api_key=KEY, base_url=server.base_url).messages.create(**{**LEAST, **params})


class Enumerated(str):  # noqa: SLOT000 - as they come.
    """As the members of enumerations and the values of settings libraries are."""


class Dumps:
    """As a pydantic model: iterable, as pairs, and not what those pairs look like."""

    def model_dump(self, **options: Any) -> dict[str, Any]:
        assert options == {"mode": "json", "exclude_unset": True}
        return {"role": "user", "content": "Hello"}

    def __iter__(self) -> Any:
        return iter([("role", "user"), ("content", "Hello")])


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(tuple(HELLO), id="a tuple"),
        pytest.param(dict.fromkeys([0], HELLO[0]).values(), id="a view"),
        pytest.param([{"role": Enumerated("user"), "content": "Hello"}], id="a kind of text"),
        pytest.param([Dumps()], id="a model of another library"),
    ],
)
def test_what_looks_like_json_is_sent_as_json(connect: Connect, messages: Any) -> None:
    assert json.loads(exchange(connect, messages=messages).body) == LEAST


UNSENDABLE: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"model": 5}, "model"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"messages": None}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": HELLO[0]}, "messages"),
    ({"messages": 7}, "messages"),
    ({"messages": ["Hello"]}, "messages[0]"),
    ({"messages": [*HELLO, None]}, "messages[1]"),
    ({"messages": [{"role": "user", "content": b"x"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": object()}]}, "messages[0].content"),
    ({"temperature": float("nan")}, "temperature"),
    ({"top_p": float("inf")}, "top_p"),
    ({"system": "\ud800"}, "system: half of a surrogate pair"),
    ({"stream": "yes"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"extra_headers": [1]}, "extra_headers"),
    ({"extra_headers": {"a b": "c"}}, "header"),
    ({"extra_headers": {"a": "b\nc"}}, "header"),
    ({"extra_headers": {"a": "☃"}}, "header"),
    ({"extra_headers": {"a": 1}}, "header"),
    ({"extra_query": [1]}, "extra_query"),
    ({"extra_query": {"a": {}}}, "a"),
    ({"extra_body": [1]}, "extra_body"),
    ({"betas": [1]}, "betas"),
    ({"betas": 5}, "betas"),
    ({"workspace_id": 5}, "workspace_id"),
]


@pytest.mark.parametrize(
    ("params", "said"), UNSENDABLE, ids=[f"{i}-{s}" for i, (_, s) in enumerate(UNSENDABLE)]
)
def test_what_cannot_be_sent_is_named_before_anything_is_sent(
    connect: Connect, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        exchange_refused(connect, **params)
    assert said in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_a_missing_parameter_is_named(connect: Connect, name: str) -> None:
    client = connect(api_key=KEY)
    params = {k: v for k, v in LEAST.items() if k != name}
    with pytest.raises(ParameterError, match=f"{name}: required, and missing") as caught:
        client.messages.create(**params)
    assert caught.value.param == name
    with pytest.raises(ParameterError, match=name):
        client.messages.stream(**params)


def test_a_conversation_in_a_circle_is_an_error(connect: Connect) -> None:
    circle: dict[str, Any] = {"role": "user"}
    circle["content"] = [circle]
    with pytest.raises(ParameterError):
        exchange_refused(connect, messages=[circle])


def test_max_tokens_may_be_zero_to_warm_the_cache(connect: Connect) -> None:
    assert json.loads(exchange(connect, max_tokens=0).body)["max_tokens"] == 0


def test_the_message_comes_back_with_what_was_told_of_it(connect: Connect) -> None:
    headers = {"request-id": "req_1", "x-ratelimit-remaining": "7"}
    with ScriptedServer([json_response(200, ANSWER, headers)]) as server:
        message = connect(api_key=KEY, base_url=server.base_url).messages.create(**LEAST)
    assert message.text == "Hi."
    assert message.to_dict() == ANSWER
    assert message.request_id == "req_1"
    assert (message.response.status, message.response.retries) == (200, 0)
    assert message.response.rate_limits["service"].remaining == 7
    assert message.response.elapsed > 0


# Two spaces, an escape, an order of keys and a number that no encoder of ours would write.
BLOCKS = (
    b'{"type":"thinking","signature":"EqQ=","thinking":"h\\u006dm"}',
    (
        b'{"type":"text",  "text":"\\u00e9\xe2\x80\xa8","citations":[{"type":"char_location",'
        b'"cited_text":"x","document_index":0,"document_title":null,"start_char_index":0,'
        b'"end_char_index":1,"new":1.50}]}'
    ),
    b'{"type":"hologram","z":1e2,"a":{"b":[1.0]}}',
    (
        b'{"type":"web_search_tool_result","tool_use_id":"t","content":[{"type":"web_search_result",'
        b'"url":"u","title":"t","encrypted_content":"e","page_age":null,"extra":1.0}]}'
    ),
    b'{"type":"tool_use","id":"toolu_1","name":"f","input":{"z":1,"a":1.0,"big":123456789012345678}}',
)


def test_an_answer_put_back_gives_the_bytes_that_came(connect: Connect) -> None:
    body = (
        b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":['
        + b" , ".join(BLOCKS)
        + b'],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}'
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with ScriptedServer([head % len(body) + body, json_response(200, ANSWER)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        message = client.messages.create(**LEAST)
        messages = [*HELLO, {"role": "assistant", "content": message.content}, message.to_param()]
        client.messages.create(**{**LEAST, "messages": messages})
        sent = server.requests[1].body
    for block in BLOCKS:
        assert sent.count(block) == 2


def test_an_answer_that_was_streamed_can_be_put_back(connect: Connect) -> None:
    with ScriptedServer([sse_response(EVENTS), json_response(200, ANSWER)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with client.messages.stream(**LEAST) as stream:
            message = stream.get_final_message()
        client.messages.create(**{**LEAST, "messages": [*HELLO, message.to_param()]})
        sent = json.loads(server.requests[1].body)
    assert sent["messages"][1] == {"role": "assistant", "content": ANSWER["content"]}


@pytest.mark.parametrize("max_tokens", [21_334, 64_000, 128_000])
def test_a_long_answer_is_streamed_underneath(connect: Connect, max_tokens: int) -> None:
    with ScriptedServer([sse_response(EVENTS, {"request-id": "req_9"})]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        message = client.messages.create(**{**LEAST, "max_tokens": max_tokens})
        sent = server.requests[0]
    assert json.loads(sent.body)["stream"] is True
    assert sent.headers["accept-encoding"] == "identity"
    assert message.to_dict() == ANSWER
    assert message.request_id == "req_9"
    assert message.response.status == 200


def test_a_server_that_cannot_stream_may_answer_whole(connect: Connect) -> None:
    with ScriptedServer([json_response(200, ANSWER)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert client.messages.create(**{**LEAST, "max_tokens": 64_000}).text == "Hi."


@pytest.mark.parametrize(
    "params", [{"max_tokens": 21_333}, {"max_tokens": 64_000, "stream": False}]
)
def test_what_is_short_or_wanted_whole_is_not_streamed(
    connect: Connect, params: dict[str, Any]
) -> None:
    assert json.loads(exchange(connect, **params).body).get("stream", False) is False


def test_stream_true_gives_the_events_as_they_are(connect: Connect) -> None:
    ping = {"type": "ping"}
    with ScriptedServer(
        [sse_response([EVENTS[0], ping, *EVENTS[1:]], {"request-id": "r"})]
    ) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with client.messages.create(**LEAST, stream=True) as stream:
            events = list(stream)
            assert stream.request_id == "r"
            assert stream.response.status == 200
        sent = server.requests[0]
    assert json.loads(sent.body) == {**LEAST, "stream": True}
    assert [event.to_dict() for event in events] == EVENTS


def test_a_whole_message_where_a_stream_was_asked_for_is_an_error(connect: Connect) -> None:
    with ScriptedServer([json_response(200, ANSWER, {"request-id": "req_1"})]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(APIResponseError, match="event stream") as caught:
            client.messages.create(**LEAST, stream=True)
    assert caught.value.request_id == "req_1"
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hi."


def test_a_timeout_of_the_call_counts_for_the_call(connect: Connect) -> None:
    with ScriptedServer([Exchange(AwaitDisconnect())]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, timeout=60, max_retries=5)
        with pytest.raises(APITimeoutError):
            client.messages.create(**LEAST, timeout=0.02, max_retries=0)
        server.wait_until_disconnected()


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0}, {"timeout": "1"}, {"max_retries": -1}, {"max_retries": "2"}],
    ids=str,
)
def test_wrong_options_of_a_call_are_named(connect: Connect, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        exchange_refused(connect, **wrong)


BAD_ANSWERS = [
    pytest.param(b"text/html", b"<html><body>Bad gateway</body></html>", "<html>", id="html"),
    pytest.param(b"application/json", b"", "it is empty", id="empty"),
    pytest.param(b"application/json", b'{"id": "msg_1", "type', "msg_1", id="cut"),
    pytest.param(b"application/json", b"[]", "\\[\\]", id="a list"),
    pytest.param(b"application/json", b'{"type":"message"}', "type", id="fields missing"),
    pytest.param(
        b"application/json",
        json.dumps({**ANSWER, "usage": None}).encode(),
        "usage",
        id="no usage",
    ),
    pytest.param(
        b"application/json",
        json.dumps({**ANSWER, "content": [{"type": "text"}]}).encode(),
        "content\\[0\\]",
        id="half a block",
    ),
    pytest.param(b"application/json", b"[" * 100_000, "\\[\\[", id="too deep"),
    pytest.param(b"application/json", b"\xff\xfe", "begins with", id="not UTF-8"),
]


@pytest.mark.parametrize(("kind", "body", "said"), BAD_ANSWERS)
def test_an_unreadable_success_is_an_error_that_shows_it(
    connect: Connect, kind: bytes, body: bytes, said: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\nrequest-id: req_7\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
    with ScriptedServer([head % (kind, len(body)) + body]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(APIResponseError, match=said) as caught:
            client.messages.create(**LEAST)
    error = caught.value
    assert (error.status, error.request_id) == (200, "req_7")
    assert len(str(error)) < 1000
    assert error.body[:100] == body.decode("utf-8", "replace")[:100]
