"""Any message, split into events and bytes in any way, accumulates to itself."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apertis import APIError, StreamTruncatedError
from apertis.models import Headers, Malformed, decode_message
from apertis.sansio.reading import EventReading

if TYPE_CHECKING:
    from types import FrameType

# Separators that some line splitters take for line ends, and characters of one to four bytes.
texts = st.text(st.sampled_from('ab \n\r\u2028\u0085\u000b\\"{}[]é☃𝄞:'), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3), max_leaves=6
)
objects = st.dictionaries(texts, values, max_size=3)
counters = st.integers(0, 10**6)

citations = st.fixed_dictionaries(
    {
        "type": st.just("char_location"),
        "cited_text": texts,
        "document_index": counters,
        "document_title": st.none() | texts,
        "start_char_index": counters,
        "end_char_index": counters,
    },
    optional={"of_next_year": values},
)
ids = st.sampled_from(["toolu_1", "toolu_2"])
text_blocks = st.fixed_dictionaries(
    {"type": st.just("text"), "text": texts},
    optional={"citations": st.lists(citations, min_size=1, max_size=2), "of_next_year": values},
)
thinking_blocks = st.fixed_dictionaries(
    {"type": st.just("thinking"), "thinking": texts, "signature": st.sampled_from(["", "EqQB=="])}
)
tool_blocks = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["tool_use", "server_tool_use"]),
        "id": ids,
        "name": st.sampled_from(["f", "g"]),
        "input": objects,
    }
)
mcp_blocks = tool_blocks.map(lambda b: {**b, "type": "mcp_tool_use", "server_name": "s"})
whole_blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
    st.fixed_dictionaries(
        {
            "type": st.just("web_search_tool_result"),
            "tool_use_id": ids,
            "content": st.lists(
                st.fixed_dictionaries(
                    {
                        "type": st.just("web_search_result"),
                        "title": texts,
                        "url": texts,
                        "encrypted_content": texts,
                    },
                    optional={"of_next_year": values},
                ),
                max_size=2,
            ),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("container_upload"), "file_id": texts}, optional={"of_next_year": values}
    ),
    objects.map(lambda o: {**o, "type": "hologram"}),
)
blocks = st.one_of(text_blocks, thinking_blocks, tool_blocks, mcp_blocks, whole_blocks)
usages = st.fixed_dictionaries(
    {"input_tokens": counters, "output_tokens": counters},
    optional={
        "cache_read_input_tokens": st.none() | counters,
        "cache_creation_input_tokens": counters,
        "service_tier": st.just("standard"),
        "of_next_year": values,
    },
)
messages: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "id": st.just("msg_1"),
        "type": st.just("message"),
        "role": st.just("assistant"),
        "model": texts,
        "content": st.lists(blocks, max_size=4),
        "stop_reason": st.sampled_from(["end_turn", "tool_use", "a_reason_of_next_year"]),
        "stop_sequence": st.none() | texts,
        "usage": usages,
    },
    optional={"of_next_year": values},
)
noise: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"type": "ping"}, {"type": "an_event_of_next_year", "x": {"y": 1}}, {"type": "ping", "z": 1}]
)


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """The text, cut anywhere; empty pieces too."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def block_events(draw: st.DrawFn, index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    start = dict(block)
    deltas: list[dict[str, Any]] = []
    if block["type"] == "text":
        start["text"] = ""
        start.pop("citations", None)
        deltas = [{"type": "text_delta", "text": p} for p in pieces(draw, block["text"])]
        found = block.get("citations", [])
        deltas += [{"type": "citations_delta", "citation": c} for c in found]
    elif block["type"] == "thinking":
        start |= {"thinking": "", "signature": ""}
        thoughts = pieces(draw, block["thinking"])
        deltas = [{"type": "thinking_delta", "thinking": p} for p in thoughts]
        if block["signature"]:
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif "input" in block and block["type"].endswith("tool_use"):
        start["input"] = {}
        written = json.dumps(block["input"], ensure_ascii=draw(st.booleans()))
        if block["input"]:
            deltas = [
                {"type": "input_json_delta", "partial_json": p} for p in pieces(draw, written)
            ]
    if draw(st.booleans()):
        deltas.append({"type": "a_delta_of_next_year", "x": 1})
    events: list[dict[str, Any]] = [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]
    return events


@st.composite
def split(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A message, and events that it can be split into."""
    message = draw(messages)
    end = {name: message[name] for name in ("stop_reason", "stop_sequence")}
    final: dict[str, Any] = message["usage"]
    first = {**final, "output_tokens": draw(counters)}
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": first}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(message["content"]):
        events += block_events(draw, index, block)
    for _ in range(draw(st.integers(0, 2))):
        # Counters of an earlier moment: the last value wins, whatever it is.
        earlier = {"output_tokens": draw(counters), "cache_read_input_tokens": None}
        events.append({"type": "message_delta", "delta": {}, "usage": earlier})
    last: dict[str, Any] = {"output_tokens": final["output_tokens"]}
    events.append({"type": "message_delta", "delta": end, "usage": last})
    events.append({"type": "message_stop"})
    for _ in range(draw(st.integers(0, 3))):
        events.insert(draw(st.integers(0, len(events) - 1)), draw(noise))
    return message, events


@st.composite
def written(draw: st.DrawFn, events: list[dict[str, Any]]) -> bytes:
    """The events as bytes, in one of the ways that servers write them."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    ascii_only = draw(st.booleans())
    named, space = draw(st.booleans()), draw(st.sampled_from(["", " "]))
    out = []
    for event in events:
        name = f"event:{space}{event['type']}{end}" if named else ""
        out.append(f"{name}data:{space}{json.dumps(event, ensure_ascii=ascii_only)}{end}{end}")
    return "".join(out).encode()


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def accumulated(chunks: list[bytes]) -> EventReading:
    reading = EventReading(Headers({"request-id": "req_1"}))
    for chunk in chunks:
        for event in reading.receive(chunk):
            reading.transcript.feed(event)
    for event in reading.finish():
        reading.transcript.feed(event)
    return reading


@settings(max_examples=200)
@given(split(), st.data())
def test_a_message_that_was_split_accumulates_to_itself(
    case: tuple[dict[str, Any], list[dict[str, Any]]], data: st.DataObject
) -> None:
    message, events = case
    stream = data.draw(written(events))
    reading = accumulated(data.draw(chunked(stream)))
    assert reading.failure is None
    assert reading.transcript.ended
    found = reading.transcript.message()
    assert found.to_dict() == message
    assert found == decode_message(json.dumps(message).encode())


@settings(max_examples=30)
@given(split())
def test_a_stream_may_be_cut_at_every_byte(
    case: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    message, events = case
    stream = "".join(
        f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events
    ).encode()
    reading = accumulated([stream[i : i + 1] for i in range(len(stream))])
    assert reading.transcript.message().to_dict() == message


@settings(max_examples=100)
@given(split(), st.data())
def test_a_stream_that_stops_anywhere_is_never_taken_for_a_whole_one(
    case: tuple[dict[str, Any], list[dict[str, Any]]], data: st.DataObject
) -> None:
    _, events = case
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    # The last two line ends may be missing: the event is whole without them.
    length = data.draw(st.integers(0, len(stream) - 3))
    reading = accumulated([stream[:length]])
    assert not reading.transcript.ended
    error = reading.error(now=0.0, retries=0)
    assert isinstance(error, APIError)
    assert error.request_id == "req_1"
    assert (error.partial is None) == (not reading.transcript.begun)


@settings(max_examples=200)
@given(st.binary(max_size=200) | texts.map(lambda t: f"data: {t}\n\n".encode()))
def test_any_bytes_give_events_or_an_error_that_is_ours(stream: bytes) -> None:
    reading = EventReading(Headers())
    try:
        for event in [*reading.receive(stream), *reading.finish()]:
            reading.transcript.feed(event)
        error = reading.error(now=0.0, retries=0)
    except Malformed as cause:
        error = reading.unreadable(cause, now=0.0, retries=0)
    assert isinstance(error, APIError)


@settings(max_examples=60)
@given(split())
def test_every_snapshot_is_a_message(case: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    _, events = case
    reading = EventReading(Headers())
    for event in events:
        for item in reading.receive(f"data: {json.dumps(event)}\n\n".encode()):
            reading.transcript.feed(item)
            if reading.transcript.begun:
                assert reading.transcript.message().id == "msg_1"


def looks_back(count: int) -> int:
    """How often the pieces so far are joined or parsed while so many deltas of an input are fed."""
    reading = EventReading(Headers())
    start = (
        b'data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
        b'"model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use",'
        b'"id":"t","name":"f","input":{}}}\n\n'
    )
    delta = (
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta",'
        b'"partial_json":"%s"}}\n\n'
    )
    looked = 0

    def profile(frame: FrameType, event: str, function: Any) -> None:
        nonlocal looked
        if event == "c_call" and function.__name__ in {"join", "from_json"}:
            # Joining bytes is the decoder's work on one event.
            looked += not isinstance(function.__self__, bytes)

    sys.setprofile(profile)
    try:
        for chunk in [start, delta % rb"{\"a\":[", *[delta % b"1,"] * count, delta % b"1]}"]:
            for event in reading.receive(chunk):
                reading.transcript.feed(event)
    finally:
        sys.setprofile(None)
    message = reading.transcript.message()
    assert message.tool_uses[0].input == {"a": [1] * (count + 1)}
    return looked


def test_the_work_of_a_delta_does_not_grow_with_what_came_before() -> None:
    """Counted, not timed: what came is joined and parsed when somebody looks, and then once."""
    assert looks_back(1000) == looks_back(10)


def test_a_truncated_stream_keeps_its_class() -> None:
    reading = accumulated([b'data: {"type":"ping"}\n\n'])
    assert type(reading.error(now=0.0, retries=0)) is StreamTruncatedError
