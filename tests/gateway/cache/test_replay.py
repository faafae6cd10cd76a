"""A message as events, and events as a message, without a difference in a single value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.readers import StreamReader
from apertis.gateway.cache import Entry, Recording, events_of, message_of
from apertis.sansio.sse import EventDecoder

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "recorded"


def streamed(message: dict[str, Any]) -> bytes:
    events = events_of(json.dumps(message, ensure_ascii=False).encode())
    assert events is not None
    return events


def whole(events: bytes) -> Any:
    message = message_of(events)
    assert message is not None
    return json.loads(message)


def parsed(events: bytes) -> list[dict[str, Any]]:
    decoder = EventDecoder()
    found = []
    for name, data in decoder.feed(events) + decoder.finish():
        event = json.loads(data)
        assert event["type"] == name.decode()
        found.append(event)
    return found


def check_order(events: list[dict[str, Any]], blocks: int) -> None:
    """The order that the API promises: each block starts, grows and stops before the next one."""
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert events[0]["message"]["content"] == []
    assert events[0]["message"]["stop_reason"] is None
    inner = events[1:-2]
    for index in range(blocks):
        own = [event["type"] for event in inner if event["index"] == index]
        assert own[0] == "content_block_start"
        assert own[-1] == "content_block_stop"
        assert set(own[1:-1]) <= {"content_block_delta"}
    places = [event["index"] for event in inner]
    assert places == sorted(places)
    assert {*places} == {*range(blocks)}


def test_a_message_of_every_kind_of_block_survives(message: dict[str, Any]) -> None:
    events = streamed(message)
    check_order(parsed(events), len(message["content"]))
    assert whole(events) == message


def test_its_events_are_those_that_the_api_would_send(message: dict[str, Any]) -> None:
    events = parsed(streamed(message))
    deltas = [(e["index"], e["delta"]) for e in events if e["type"] == "content_block_delta"]
    assert deltas == [
        (0, {"type": "thinking_delta", "thinking": "Let me see…"}),
        (0, {"type": "signature_delta", "signature": "EqQBCg=="}),
        (2, {"type": "text_delta", "text": "It rains\u2028in\u0085Oslo.\n"}),
        (2, {"type": "citations_delta", "citation": message["content"][2]["citations"][0]}),
        (4, {"type": "input_json_delta", "partial_json": ""}),
        (4, {"type": "input_json_delta", "partial_json": '{"a": [1, {"b": "\u2029"}]}'}),
        (5, {"type": "input_json_delta", "partial_json": ""}),
    ]
    starts = [e["content_block"] for e in events if e["type"] == "content_block_start"]
    assert starts[0] == {"type": "thinking", "thinking": "", "signature": ""}
    assert starts[1] == message["content"][1]
    assert starts[2] == {"type": "text", "text": "", "citations": []}
    assert starts[3] == message["content"][3]
    assert starts[4]["input"] == {}
    assert starts[6] == message["content"][6]


def test_the_end_tells_the_reason_and_the_counters(message: dict[str, Any]) -> None:
    events = parsed(streamed(message))
    assert events[0]["message"]["usage"] == message["usage"] | {"output_tokens": 1}
    assert events[-2] == {
        "type": "message_delta",
        "delta": {
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
        },
        "context_management": {"applied_edits": []},
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 0,
            "output_tokens": 25,
            "server_tool_use": {"web_search_requests": 1},
        },
    }


def test_no_character_is_there_that_somebody_takes_for_a_line_end(message: dict[str, Any]) -> None:
    events = streamed(message)
    assert events.decode().splitlines() == events.decode().split("\n")[:-1]


def test_a_message_on_many_lines_becomes_events_of_one(message: dict[str, Any]) -> None:
    for separator in (b"\n", b"\r\n"):
        pretty = json.dumps(message, indent=2).encode().replace(b"\n", separator)
        events = events_of(pretty)
        assert events is not None
        assert whole(events) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"content":[]}',
        b'{"content":{},"usage":{}}',
        b'{"content":[{}],"usage":{}}',
        b'{"content":[{"type":1}],"usage":{}}',
        b'{"content":[],"usage":null}',
        b"\xff",
    ],
)
def test_what_is_no_message_has_no_events(data: bytes) -> None:
    assert events_of(data) is None


@pytest.mark.parametrize(
    "events",
    [
        b"",
        b"event: message_stop\n",
        b'data: {"type":"message_start"}\n\n',
        b'data: {"type":"error","error":{"type":"api_error","message":"m"}}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ],
)
def test_what_is_no_whole_stream_is_no_message(events: bytes) -> None:
    assert message_of(events) is None


def test_a_stream_that_breaks_the_order_is_no_message(message: dict[str, Any]) -> None:
    events = streamed(message)
    stray = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":9}\n\n'
    assert (
        message_of(events.replace(b"event: message_delta", stray + b"event: message_delta")) is None
    )


# Characters of one to four bytes, escapes, and what some readers take for line ends.
texts = st.text(st.sampled_from('ab \n\r\u2028\u0085\u000b\\"{}[]é☃𝄞:%'), max_size=12)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=3)
extras: dict[Any, Any] = {"of_next_year": values}
citations = st.fixed_dictionaries(
    {
        "type": st.just("char_location"),
        "cited_text": texts,
        "document_index": st.integers(0, 9),
        "document_title": st.none() | texts,
        "start_char_index": st.integers(0, 9),
        "end_char_index": st.integers(0, 9),
    },
    optional=extras,
)
text_blocks = st.fixed_dictionaries(
    {"type": st.just("text"), "text": texts},
    optional={"citations": st.none() | st.lists(citations, max_size=2), **extras},
)
thinking_blocks = st.fixed_dictionaries(
    {"type": st.just("thinking"), "thinking": texts},
    optional={"signature": st.sampled_from(["", "EqQB=="]), **extras},
)
tool_blocks = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["tool_use", "server_tool_use"]),
        "id": texts,
        "name": texts,
        "input": objects,
    },
    optional=extras,
)
other_blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
    st.fixed_dictionaries({"type": st.just("compaction"), "content": st.none() | texts}),
    st.fixed_dictionaries({"type": st.just("hologram"), "text": texts, "input": objects}),
    tool_blocks.map(lambda block: {**block, "type": "mcp_tool_use", "server_name": "s"}),
)
counters = st.integers(0, 10**6)
messages: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "id": texts,
        "type": st.just("message"),
        "role": st.just("assistant"),
        "model": texts,
        "content": st.lists(text_blocks | thinking_blocks | tool_blocks | other_blocks, max_size=4),
        "stop_reason": st.sampled_from(["end_turn", "tool_use", "refusal"]),
        "usage": st.fixed_dictionaries(
            {"input_tokens": counters, "output_tokens": counters},
            optional={
                "cache_read_input_tokens": st.none() | counters,
                "output_tokens_details": st.none() | st.just({"thinking_tokens": 3}),
                "service_tier": st.just("standard"),
                **extras,
            },
        ),
    },
    optional={
        "stop_sequence": st.none() | texts,
        "stop_details": st.none() | st.just({"type": "refusal", "category": None}),
        "container": st.none() | st.just({"id": "c", "expires_at": "2026-01-01T00:00:00Z"}),
        "context_management": st.none() | st.just({"applied_edits": []}),
        **extras,
    },
)


@settings(max_examples=200)
@given(messages, st.booleans(), st.sampled_from([None, 1]))
def test_any_message_survives_the_way_through_events(
    message: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    written = json.dumps(message, ensure_ascii=ascii_only, indent=indent).encode()
    events = events_of(written)
    assert events is not None
    check_order(parsed(events), len(message["content"]))
    assert whole(events) == message
    entry = Entry(written, False, 0.0)
    assert entry.replay(streamed=True) == events
    assert Entry(events, True, 0.0).replay(streamed=False) == message_of(events)


def recordings(*, events: bool) -> list[Any]:
    found = []
    for path in sorted(RECORDED.glob("*-*.json")):
        response = json.loads(path.read_text(encoding="utf-8"))["response"]
        data = response["body_text"].encode()
        kind = "text/event-stream" in response["headers"].get("content-type", "")
        if response["status"] == 200 and kind == events and b'"message' in data:
            found.append(pytest.param(data, id=path.stem))
    return found


@pytest.mark.corpus
@pytest.mark.parametrize("data", recordings(events=False))
def test_a_recorded_message_survives_the_way_through_events(data: bytes) -> None:
    events = events_of(data)
    assert events is not None
    assert whole(events) == json.loads(data)


@pytest.mark.corpus
@pytest.mark.parametrize("data", recordings(events=True))
def test_a_recorded_stream_is_the_message_whose_events_add_up_to_it(data: bytes) -> None:
    message = message_of(data)
    assert message is not None
    events = events_of(message)
    assert events is not None
    assert whole(events) == json.loads(message)


@pytest.mark.corpus
def test_recorded_streams_of_the_usual_form_are_kept() -> None:
    streams = [param.values[0] for param in recordings(events=True)]
    kept = 0
    for data in streams:
        recording, reader = Recording(len(data)), StreamReader()
        recording.add(data)
        reader.feed(data)
        entry = recording.finish(reader, 0.0)
        usual = data.count(b"event: message_start") == 1 and b"message_delta" in data
        assert (entry is not None) >= (usual and data.strip().endswith(b'"message_stop"}'))
        kept += entry is not None
    assert kept > 0.8 * len(streams)
