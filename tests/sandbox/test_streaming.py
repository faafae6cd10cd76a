from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apertis.sandbox.streaming import encode_event, json_pieces, text_pieces

if TYPE_CHECKING:
    from collections.abc import Callable

SAME_SANDBOX = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("aA. ?\n“”\u0085\u2028\u2029é漢😀"), st.characters(codec="utf-8")
    ),
    max_size=60,
)
TOOL = {
    "name": "search_library",
    "description": "Search the library",
    "input_schema": {
        "type": "object",
        "properties": {"query": {"type": "string"}, "limit": {"type": "integer", "minimum": 1}},
        "required": ["query", "limit"],
    },
}
FIELDS = st.fixed_dictionaries(
    {"max_tokens": st.integers(0, 400)},
    optional={
        "system": TEXTS.filter(bool),
        "stop_sequences": st.lists(st.sampled_from(["stand", "e", "zzz", "\n\n"]), max_size=2).map(
            lambda found: [item for item in found if item.strip()]
        ),
        "thinking": st.sampled_from(
            [{"type": "adaptive"}, {"type": "adaptive", "display": "omitted"}]
        ),
        "tools": st.just([TOOL]),
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "none"}]),
        "output_config": st.just(
            {"format": {"type": "json_schema", "schema": TOOL["input_schema"]}}
        ),
    },
)


@given(question=TEXTS.filter(bool), fields=FIELDS, cited=st.booleans())
@SAME_SANDBOX
def test_a_stream_put_together_is_the_plain_message(
    client: Any,
    assemble: Callable[[list[dict[str, Any]]], dict[str, Any]],
    question: str,
    fields: dict[str, Any],
    cited: bool,
) -> None:
    if "tool_choice" in fields and "tools" not in fields:
        del fields["tool_choice"]
    content: Any = question
    if cited:
        source = {"type": "text", "media_type": "text/plain", "data": f"Library. {question}! End"}
        document = {"type": "document", "source": source, "citations": {"enabled": True}}
        content = [document, {"type": "text", "text": question}]
    plain = client.ask(content, **fields)
    assert plain.status == 200, plain.body
    streamed = client.ask(content, **fields, stream=True)
    assert assemble(streamed.events) == plain.json
    assert plain.json["usage"]["output_tokens"] <= fields["max_tokens"]


def test_the_events_come_in_the_order_of_the_api(client: Any) -> None:
    kinds = [event["type"] for event in client.ask(stream=True).events]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[3:-3]) == {"content_block_delta"}
    assert len(kinds) > 20


def test_the_first_event_holds_an_empty_message_with_its_usage(client: Any) -> None:
    message = client.ask(stream=True).events[0]["message"]
    assert message["content"] == []
    assert message["stop_reason"] is None
    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] == 1


def test_the_usage_at_the_end_is_the_whole_of_it(client: Any) -> None:
    delta = client.ask(stream=True).events[-2]
    assert delta["delta"]["stop_reason"] == "end_turn"
    assert delta["usage"]["output_tokens"] == client.ask().json["usage"]["output_tokens"]
    assert "cache_read_input_tokens" in delta["usage"]


def test_the_input_of_a_tool_comes_in_pieces_after_an_empty_one(client: Any, weather: Any) -> None:
    events = client.ask("How is the weather in Tokyo?", tools=[weather], stream=True).events
    start = next(e for e in events if e.get("content_block", {}).get("type") == "tool_use")
    assert start["content_block"]["input"] == {}
    pieces = [
        event["delta"]["partial_json"]
        for event in events
        if event["type"] == "content_block_delta" and event["index"] == start["index"]
    ]
    assert pieces[0] == ""
    assert len(pieces) > 3
    assert json.loads("".join(pieces)) == {"location": "Tokyo"}


def test_an_input_without_fields_is_one_empty_piece(client: Any) -> None:
    tool = {"name": "ping_host", "input_schema": {"type": "object"}}
    choice = {"type": "tool", "name": "ping_host"}
    events = client.ask("Go", tools=[tool], tool_choice=choice, stream=True).events
    pieces = [e["delta"] for e in events if e["type"] == "content_block_delta"]
    assert pieces == [{"type": "input_json_delta", "partial_json": ""}]


def test_thinking_comes_before_its_signature(client: Any) -> None:
    events = client.ask(thinking={"type": "adaptive"}, stream=True).events
    kinds = [e["delta"]["type"] for e in events if e.get("index") == 0 and "delta" in e]
    assert kinds[0] == "thinking_delta"
    assert kinds[-1] == "signature_delta"
    assert kinds.count("signature_delta") == 1
    assert events[1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}


def test_omitted_thinking_is_streamed_as_its_signature_alone(client: Any) -> None:
    thinking = {"type": "adaptive", "display": "omitted"}
    events = client.ask(thinking=thinking, stream=True).events
    kinds = [e["delta"]["type"] for e in events if e.get("index") == 0 and "delta" in e]
    assert kinds == ["signature_delta"]


def test_a_message_without_content_still_pings(client: Any) -> None:
    kinds = [event["type"] for event in client.ask(max_tokens=0, stream=True).events]
    assert kinds == ["message_start", "ping", "message_delta", "message_stop"]


@given(TEXTS)
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(text_pieces(text)) == text
    assert "".join(json_pieces(text)) == text
    assert all(text_pieces(text))
    assert all(json_pieces(text))


def test_separators_of_lines_are_escaped_in_events() -> None:
    event = {"type": "x", "text": "a\u0085b\u2028c\u2029d"}
    data = encode_event(event)
    assert len(data.decode().splitlines()) == 3
    assert json.loads(data.partition(b"data: ")[2]) == event


@pytest.mark.parametrize("words", [300, 5000])
def test_a_long_answer_can_be_asked_for(client: Any, words: int) -> None:
    events = client.ask(f"Write {words} words about rivers.", max_tokens=60_000, stream=True).events
    deltas = [e["delta"]["text"] for e in events if e["type"] == "content_block_delta"]
    assert len("".join(deltas).split()) == words
    assert len(deltas) > words / 4
