"""`stream(output_format=)` and what becomes of a response; both clients."""

from __future__ import annotations

import json
import pickle
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis import (
    NOT_GIVEN,
    ApertisError,
    OutputError,
    OutputInvalidError,
    OutputPausedError,
    OutputRefusedError,
    OutputTruncatedError,
    ParameterError,
    omit,
)
from apertis.models import Message, TextBlock, decode_event
from apertis.sansio.transcript import Transcript
from apertis.structured.output import TOOL, OutputFormat, takes_format
from apertis.testing import Exchange, ScriptedServer, json_response, sse_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.testing import RunningServer
    from tests.kit.gateways import RunningGateway

    # Programs give what no checker would let pass, too.
    Connect = Callable[..., Any]

CLAUDE = "claude-sonnet-4-5"
OLDER = "claude-sonnet-4-20250514"
ASKED: dict[str, Any] = {
    "model": CLAUDE,
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "List what I bought."}],
}


@dataclass
class Item:
    name: str
    price: float


@dataclass
class Order:
    items: list[Item]


class Model(pydantic.BaseModel):
    items: list[Item]


TEXT = '{"items": [{"name": "tea", "price": 4.5}, {"name": "a \\"cup\\"", "price": 9}]}'
ORDER = Order([Item("tea", 4.5), Item('a "cup"', 9.0)])


def body(*content: Any, stop_reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "content": [{"type": "text", "text": c} if isinstance(c, str) else c for c in content],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 20},
        **fields,
    }


def call(input: Any, name: str = TOOL) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": input}


def events(text: str, size: int = 7, stop_reason: str = "end_turn") -> list[dict[str, Any]]:
    """The events of a text, or of a call of the tool when it begins with one."""
    tool = text.startswith("tool:")
    text = text.removeprefix("tool:")
    start = call({}) if tool else {"type": "text", "text": ""}
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    deltas = [
        {"type": "input_json_delta", "partial_json": piece}
        if tool
        else {"type": "text_delta", "text": piece}
        for piece in pieces
    ]
    return [
        {"type": "message_start", "message": body(stop_reason="")},
        {"type": "content_block_start", "index": 0, "content_block": start},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason},
            "usage": {"output_tokens": 30},
        },
        {"type": "message_stop"},
    ]


def asked(server: ScriptedServer, number: int = 0) -> dict[str, Any]:
    sent: Any = server.requests[number].json()
    return dict(sent)


@pytest.mark.parametrize("kind", [Order, Model])
def test_a_response_becomes_a_value(connect: Connect, kind: Any) -> None:
    with ScriptedServer([json_response(200, body(TEXT))]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        message = client.messages.parse(
            output_format=kind, output_config={"effort": "low"}, cache_control=None, **ASKED
        )
    assert message.parsed_output == kind(items=ORDER.items)
    assert type(message.parsed_output) is kind
    block = message.content[0]
    assert isinstance(block, TextBlock)
    assert block.parsed_output is message.parsed_output
    assert message.to_dict() == body(TEXT)
    assert message.attempts == (message,)
    assert message.total_usage == message.usage
    copy: Any = pickle.loads(pickle.dumps(message))
    assert copy.parsed_output == message.parsed_output
    sent = asked(server)
    assert sent["output_config"]["effort"] == "low"
    assert sent["output_config"]["format"]["type"] == "json_schema"
    schema = sent["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert sent.keys() == {*ASKED, "output_config", "cache_control"}


@pytest.mark.parametrize(
    "more", [{}, *({"output_format": none, "via": none} for none in (None, NOT_GIVEN, omit))]
)
def test_without_a_type_the_message_has_no_value(connect: Connect, more: dict[str, Any]) -> None:
    with ScriptedServer([json_response(200, body("Hello"))]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        message = client.messages.parse(**more, **ASKED)
    assert (message.text, message.parsed_output) == ("Hello", None)
    assert asked(server) == ASKED


@pytest.mark.parametrize("absent", [None, NOT_GIVEN, omit])
def test_a_stream_may_be_told_that_there_is_no_type(connect: Connect, absent: Any) -> None:
    with ScriptedServer([sse_response(events("Hello"))]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with client.messages.stream(output_format=absent, **ASKED) as stream:
            assert stream.get_final_text() == "Hello"
    assert asked(server) == {**ASKED, "stream": True}


def test_a_long_answer_is_streamed_underneath_and_parsed(connect: Connect) -> None:
    with ScriptedServer([sse_response(events(TEXT))]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        message = client.messages.parse(output_format=Order, **{**ASKED, "max_tokens": 30_000})
    assert message.parsed_output == ORDER
    assert asked(server)["stream"] is True


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        (Order, json.loads(TEXT), json.loads(TEXT)),
        (list[Item], json.loads(TEXT)["items"], {"value": json.loads(TEXT)["items"]}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (int | None, 3, {"value": 3}),
    ],
)
def test_a_model_without_formats_is_made_to_call_a_tool(
    connect: Connect, kind: Any, value: Any, sent: Any
) -> None:
    message = body("I'll answer.", call(sent), stop_reason="tool_use")
    with ScriptedServer([json_response(200, message)]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        parsed = client.messages.parse(output_format=kind, **{**ASKED, "model": OLDER})
    assert msgspec.to_builtins(parsed.parsed_output) == value
    request = asked(server)
    assert request["tool_choice"]["name"] == TOOL
    assert request["tools"][0]["input_schema"]["type"] == "object"
    assert "output_config" not in request


def test_tools_of_the_caller_come_first(connect: Connect) -> None:
    tool: Any = {"name": "look", "input_schema": {"type": "object"}}
    wanted = body("Let me look.", call({}, "look"), stop_reason="tool_use")
    with ScriptedServer([json_response(200, wanted)] * 2) as server:
        client = connect(base_url=server.base_url, api_key="k")
        for via in ("tool", "output_config"):
            message = client.messages.parse(output_format=Order, via=via, tools=[tool], **ASKED)
            assert message.parsed_output is None
            assert message.tool_uses[0].name == "look"
    request = asked(server)
    assert [tool["name"] for tool in request["tools"]] == ["look", TOOL]
    assert request["tool_choice"]["type"] == "any"


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        *((name, True) for name in ("claude-sonnet-5-5", "claude-opus-4-1-20250805")),
        *((name, True) for name in ("claude-haiku-4.5", "us.anthropic.claude-opus-4-5-v1:0")),
        *((name, False) for name in (OLDER, "claude-opus-4-0", "claude-3-7-sonnet-20250219")),
        *((name, False) for name in ("anthropic/claude-3.5-haiku", "claude-2.1", "other-model")),
    ],
)
def test_a_model_is_known_to_take_formats(model: str, takes: bool) -> None:
    assert takes_format(model) is takes


SECRET = "a secret of mine"
FAULTS: list[tuple[dict[str, Any], type[OutputError], str, str, str]] = [
    (
        body('{"items": [{"name": "tea", "price": 1}, {"name": "a se', stop_reason="max_tokens"),
        OutputTruncatedError,
        "$.items[1].name",
        "the rest of a string",
        "the answer was cut off at $.items[1].name (max_tokens); raise max_tokens",
    ),
    (
        body(TEXT, stop_reason="model_context_window_exceeded"),
        OutputTruncatedError,
        "$",
        "nothing after the value",
        "the answer was cut off at $ (model_context_window_exceeded)",
    ),
    (
        body('{"items": [', stop_reason="stop_sequence"),
        OutputTruncatedError,
        "$.items[0]",
        "a value or `]`",
        "a stop sequence cut the answer off at $.items[0]",
    ),
    (
        body(stop_reason="refusal", stop_details={"type": "refusal", "category": "cyber"}),
        OutputRefusedError,
        "$",
        "a value",
        "the model refused to answer (cyber)",
    ),
    (
        body("Let me ", stop_reason="pause_turn"),
        OutputPausedError,
        "$",
        "a value",
        "the model paused (pause_turn); send the message back to let it go on",
    ),
    (
        body('{"items": [{"name": "tea", "price": "a secret of mine"}]}'),
        OutputInvalidError,
        "$.items[0].price",
        "`float`",
        "the answer is invalid at $.items[0].price: expected `float`, found a string",
    ),
    (
        body(f"{SECRET}: {TEXT}"),
        OutputInvalidError,
        "$",
        "a value",
        "the answer is invalid at $: expected a value, found other text",
    ),
    (
        body('{"items": [1,'),
        OutputInvalidError,
        "$.items[1]",
        "a value",
        "the answer is invalid at $.items[1]: expected a value, found the end",
    ),
    (
        body(),
        OutputInvalidError,
        "$",
        "JSON",
        "the answer is invalid at $: expected JSON, found no text",
    ),
]


@pytest.mark.parametrize(("message", "kind", "path", "expected", "text"), FAULTS)
def test_an_answer_that_is_no_value_is_an_error_with_message_usage_and_place(
    connect: Connect,
    message: dict[str, Any],
    kind: type[OutputError],
    path: str,
    expected: str,
    text: str,
) -> None:
    with ScriptedServer([json_response(200, message, {"request-id": "req_1"})]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with pytest.raises(OutputError) as caught:
            client.messages.parse(output_format=Order, **ASKED)
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, ApertisError)
    assert isinstance(error, ValueError)
    assert (str(error), error.path, error.expected) == (text, path, expected)
    assert error.partial is not None
    assert error.partial.to_dict() == message
    assert error.attempts == (error.partial,)
    assert error.usage == error.partial.usage
    assert error.request_id == "req_1"
    assert SECRET not in repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.attempts) == (text, path, error.attempts)


@pytest.mark.parametrize("input", [{"items": 3}, {}, None])
def test_a_call_of_the_tool_that_is_no_value_is_an_error(connect: Connect, input: Any) -> None:
    content = "No." if input is None else call(input)
    with ScriptedServer([json_response(200, body(content, stop_reason="tool_use"))]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with pytest.raises(OutputInvalidError):
            client.messages.parse(output_format=Order, via="tool", **ASKED)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"output_format": {"type": "object"}}, "output_format: expected a type, got a schema"),
    ({"output_format": len}, "output_format: len has no JSON Schema"),
    ({"output_format": Order, "via": "prompt"}, "via: expected 'output_config' or 'tool'"),
    (
        {"output_format": Order, "output_config": {"format": {"type": "json_schema"}}},
        "output_format: output_config has a format too",
    ),
    (
        {"output_format": Order, "output_config": {"format": {}}, "via": "tool"},
        "output_format: output_config has a format too",
    ),
    ({"output_format": Order, "via": "tool", "tool_choice": {"type": "auto"}}, "tool_choice: "),
    ({"output_format": Order, "via": "tool", "thinking": {"type": "adaptive"}}, "thinking: "),
    ({"output_format": dict[str, int], "via": "output_config"}, "an object of any keys"),
]


@pytest.mark.parametrize(("params", "text"), BAD)
def test_what_cannot_be_asked_is_an_error_before_anything_is_sent(
    connect: Connect, params: dict[str, Any], text: str
) -> None:
    with ScriptedServer([]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        for method in (client.messages.parse, client.messages.stream):
            with pytest.raises(ParameterError) as caught:
                method(**params, **ASKED)
            assert text in str(caught.value)


@pytest.mark.parametrize("tool", [False, True])
def test_a_stream_gives_the_value_as_it_grows(connect: Connect, tool: bool) -> None:
    script = events(f"tool:{TEXT}" if tool else TEXT)
    with ScriptedServer([sse_response(script)] * 2) as server:
        client = connect(base_url=server.base_url, api_key="k")
        via = "tool" if tool else None
        with client.messages.stream(output_format=Order, via=via, **ASKED) as stream:
            assert stream.partial_output is None
            grown = [deepcopy(value) for value in stream.partial_outputs()]
            message = stream.get_final_message()
        assert grown[0] == {}
        assert {"items": [{"name": "te"}]} in grown or {"items": [{"name": "tea"}]} in grown
        assert grown[-1] == json.loads(TEXT)
        assert message.parsed_output == ORDER
        assert message.usage.output_tokens == 30
        with client.messages.stream(output_format=Order, via=via, **ASKED) as stream:
            ends = [event for event in stream if event.type == "message_stop"]
        assert ends[0].message.parsed_output == ORDER
    assert asked(server)["stream"] is True


def test_a_block_that_ends_has_its_value(connect: Connect) -> None:
    with ScriptedServer([sse_response(events(TEXT))]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with client.messages.stream(output_format=Order, **ASKED) as stream:
            stops: list[Any] = [e for e in stream if e.type == "content_block_stop"]
    assert stops[0].content_block.parsed_output == ORDER


@pytest.mark.parametrize("reads_events", [True, False])
def test_a_stream_that_is_cut_off_raises_at_its_end(connect: Connect, reads_events: bool) -> None:
    script = events(TEXT[:30], stop_reason="max_tokens")
    with ScriptedServer([sse_response(script)]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with client.messages.stream(output_format=Order, **ASKED) as stream:
            if reads_events:
                with pytest.raises(OutputTruncatedError):
                    for _ in stream:
                        pass
                assert stream.partial_output == {"items": [{"name": "tea"}]}
            with pytest.raises(OutputTruncatedError) as caught:
                stream.get_final_message()
    assert caught.value.path == "$.items[0].price" or caught.value.path == "$.items[0]"
    assert caught.value.usage.output_tokens == 30


def test_a_stream_without_a_type_has_no_value(connect: Connect) -> None:
    with ScriptedServer([sse_response(events("Hello"))]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with client.messages.stream(**ASKED) as stream:
            with pytest.raises(ParameterError, match="opened without it"):
                _ = stream.partial_output
            message: Any = stream.get_final_message()
    assert message.parsed_output is None


def test_tokens_are_counted_with_the_schema(connect: Connect) -> None:
    with ScriptedServer([json_response(200, {"input_tokens": 9})]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        count = client.messages.count_tokens(
            model=CLAUDE, messages=ASKED["messages"], output_format=Order
        )
    assert count.input_tokens == 9
    assert asked(server)["output_config"]["format"]["schema"]["title"] == "Order"


@pytest.mark.parametrize("model", ["claude-sonnet-4.5", OLDER])
@pytest.mark.parametrize("kind", [Order, Model, list[Item], Item | None, int])
def test_the_sandbox_answers_with_a_value_alone_and_through_the_gateway(
    connect: Connect,
    service: RunningServer,
    sandbox_gateway: RunningGateway,
    model: str,
    kind: Any,
) -> None:
    places = (
        (service.base_url, service.api_key),
        (
            sandbox_gateway.base_url,
            sandbox_gateway.client.api_key,
        ),
    )
    for base_url, key in places:
        client = connect(base_url=base_url, api_key=key)
        params = {**ASKED, "model": model}
        message = client.messages.parse(output_format=kind, **params)
        assert message.parsed_output is not None or kind == Item | None
        with client.messages.stream(output_format=kind, **params) as stream:
            for _ in stream.partial_outputs():
                pass
            assert stream.get_final_message().parsed_output == message.parsed_output
            assert stream.partial_output is not None or kind in (int, Item | None)


def test_the_beta_resource_parses_too(connect: Connect, service: RunningServer) -> None:
    client = connect(base_url=service.base_url, api_key=service.api_key)
    message = client.beta.messages.parse(
        output_format=Order, betas=["structured-outputs-2025-11-13"], **ASKED
    )
    assert isinstance(message.parsed_output, Order)


@given(st.integers(1, 90), st.booleans())
def test_any_cut_of_a_stream_gives_the_same_value(size: int, tool: bool) -> None:
    output = OutputFormat(Order, ASKED, "tool" if tool else None)
    transcript = Transcript()
    tell = output.telling(transcript)
    seen: list[Any] = []
    for event in events(f"tool:{TEXT}" if tool else TEXT, size):
        list(tell([decode_event(msgspec.json.encode(event))]))
        seen.append(msgspec.json.encode(output.partial(transcript)))
    assert output.read(transcript.message()).__dict__["_parsed_output"] == ORDER
    lengths = [len(one) for one in seen if one != b"null"]
    assert lengths == sorted(lengths)
    assert msgspec.json.decode(seen[-1]) == json.loads(TEXT)


def test_reading_each_partial_value_is_linear_in_the_answer() -> None:
    work: list[float] = []
    for count in (500, 1_000, 2_000):
        text = json.dumps({"items": [{"name": f"item {i}", "price": i} for i in range(count)]})
        output = OutputFormat(Order, ASKED)
        transcript = Transcript()
        for event in events(text, 4):
            transcript.feed(decode_event(msgspec.json.encode(event)))
            output.partial(transcript)
        work.append(output.work / len(text))
    # Characters looked at, for each character of the answer.
    assert max(work) <= 10
    assert work[2] <= work[0] * 1.1


def test_the_message_of_an_exchange_without_a_stop_reason_is_read(connect: Connect) -> None:
    message = body(TEXT)
    message["stop_reason"] = None
    with ScriptedServer([Exchange(json_response(200, message))]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        assert client.messages.parse(output_format=Order, **ASKED).parsed_output == ORDER


def test_texts_around_a_call_of_the_service_are_no_part_of_the_value() -> None:
    search = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "tea"},
    }
    message = Message.model_validate(body("I will search.", search, TEXT[:20], TEXT[20:]))
    OutputFormat(Order, ASKED).read(message)
    assert message.__dict__["_parsed_output"] == ORDER


def test_a_raw_response_parses_into_a_value(connect: Connect) -> None:
    script = [json_response(200, body(TEXT)), json_response(200, body("No."))]
    script += [sse_response(events(TEXT)), json_response(200, {"input_tokens": 9})]
    with ScriptedServer(script) as server:
        raw = connect(base_url=server.base_url, api_key="k").messages.with_raw_response
        response = raw.parse(output_format=Order, **ASKED)
        assert response.status_code == 200
        assert response.parse().parsed_output == ORDER
        assert response.parse().parsed_output == ORDER
        with pytest.raises(OutputInvalidError):
            raw.parse(output_format=Order, **ASKED).parse()
        stream = raw.stream(output_format=Order, **ASKED).parse()
        assert stream.get_final_message().parsed_output == ORDER
        counted = raw.count_tokens(
            model=CLAUDE, messages=ASKED["messages"], output_format=Order
        ).parse()
        assert counted.input_tokens == 9
    for number in range(4):
        assert asked(server, number)["output_config"]["format"]["schema"]["title"] == "Order"
