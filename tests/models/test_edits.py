"""What a program edits in an answer is what is dumped and sent, and nothing else changes a byte."""

import json
import pickle
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.errors import ParameterError
from apertis.models import (
    Message,
    MessageBatchIndividualResponse,
    Model,
    SucceededResult,
    TextBlock,
    ToolUseBlock,
    Unknown,
    build_block,
    build_message,
    decode,
    decode_event,
    decode_message,
    raw,
)
from apertis.sansio.request import render_body
from apertis.sansio.transcript import Transcript

SEARCH: dict[str, Any] = {
    "type": "web_search_tool_result",
    "tool_use_id": "s",
    "content": [
        {"type": "web_search_result", "title": t, "url": "u", "encrypted_content": "e"}
        | {"page_age": None}
        for t in ("a", "b", "c")
    ],
}
CITATIONS: list[dict[str, Any]] = [
    {"type": "char_location", "cited_text": "x", "document_index": i, "document_title": None}
    | {"start_char_index": 0, "end_char_index": 1, "file_id": None}
    for i in range(3)
]
CALL: dict[str, Any] = {
    "type": "tool_use",
    "id": "t",
    "name": "send",
    "input": {"to": "you", "parts": [{"n": 1}, 2.0], "flag": True, "none": None},
    "caller": {"type": "direct"},
}
CONTENT: list[dict[str, Any]] = [
    {"type": "text", "text": "Hi", "citations": None},
    {"type": "text", "text": "cited", "citations": CITATIONS},
    {"type": "thinking", "thinking": "hm", "signature": "s"},
    CALL,
    SEARCH,
    {"type": "mcp_tool_result", "tool_use_id": "m", "content": [{"type": "text", "text": "m"}]},
    {"type": "mcp_tool_listing", "server_name": None, "tools": [{"name": "x", "schema": {}}]},
]
USAGE: dict[str, Any] = {
    "input_tokens": 3,
    "output_tokens": 1,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "service_tier": None,
    "iterations": [{"type": "message", "input_tokens": 3, "output_tokens": 1, "model": None}],
    "fallback_credit": {"a": [1]},
}
KNOWN: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": CONTENT,
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
    "container": {"id": "c", "expires_at": None, "skills": [{"type": "custom", "skill_id": "k"}]},
}
# With what no class knows at every level: fields, a block, a citation, a result; and fields that
# cannot be attributes.
UNKNOWN: dict[str, Any] = {
    **KNOWN,
    "content": [
        {"type": "hologram", "depth": {"z": [1]}, "text": "seen"},
        {"type": "text", "text": "a", "citations": [{"type": "smell", "of": ["x"]}, *CITATIONS]},
        {**CALL, "extra": {"list": [1, {"a": 2}]}, "to_dict": "hidden"},
        {**SEARCH, "content": [{**SEARCH["content"][0], "rank": {"n": 1}}, *SEARCH["content"]]},
    ],
    "mood": {"calm": [True]},
    "text": "hidden",
    "usage": {**USAGE, "water": {"ml": [5]}},
}


def as_bytes(document: object) -> bytes:
    # As no encoder of ours would write it.
    return json.dumps(document, separators=(" ,", ": ")).encode()


def streamed(document: dict[str, Any]) -> Message:
    transcript = Transcript()
    start = {**document, "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(document["content"]):
        begun = {"type": "content_block_start", "index": index, "content_block": block}
        events += [begun, {"type": "content_block_stop", "index": index}]
    events.append({"type": "message_delta", "delta": {"stop_reason": document["stop_reason"]}})
    for event in events:
        transcript.feed(decode_event(as_bytes(event)))
    return transcript.message()


def of_a_batch(document: dict[str, Any]) -> Message:
    line = as_bytes({"custom_id": "c", "result": {"type": "succeeded", "message": document}})
    result = decode(MessageBatchIndividualResponse, line).result
    assert isinstance(result, SucceededResult)
    return result.message


WAYS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "decoded": lambda document: decode_message(as_bytes(document)),
    "built": build_message,
    "streamed": streamed,
    "of a batch": of_a_batch,
    "pickled": lambda d: pickle.loads(pickle.dumps(decode_message(as_bytes(d)))),
    "copied": lambda document: deepcopy(decode_message(as_bytes(document))),
}
answers = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
documents = pytest.mark.parametrize("document", [KNOWN, UNKNOWN], ids=["known", "unknown"])


def sent(message: Message) -> list[Any]:
    body = render_body({"messages": [message, message.to_param(), list(message.content)]})
    whole, turn, blocks = json.loads(body)["messages"]
    assert whole == turn
    assert repr(whole["content"]) == repr(blocks)
    assert whole["role"] == message.role
    return list(blocks)


def in_order(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def places(value: Any) -> list[Any]:
    """Every list and dict that a program can reach from a value."""
    found: list[Any] = []
    if isinstance(value, Model):
        if not isinstance(value, Unknown):
            inside = [getattr(value, name) for name in value.__struct_fields__]
            inside += [item for name, item in value.__dict__.items() if name[0] != "_"]
        else:
            # Its type is what says which class it is of.
            inside = list(value.data.values())
    elif isinstance(value, dict):
        found, inside = [value], list(value.values())
    elif isinstance(value, list):
        found, inside = [value], list(value)
    else:
        return []
    return found + [place for item in inside for place in places(item)]


plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, -0.0, 2**70, "", "é", "to"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
by_hand = st.sampled_from(
    [TextBlock(text="Hi"), ToolUseBlock(id="t", name="n", input={"a": 1}), build_block(CALL)]
).map(deepcopy)


def edit(data: st.DataObject, message: Message) -> None:
    place = data.draw(st.sampled_from(places(message)))
    of_models = place is message.content or any(isinstance(item, Model) for item in place)
    if isinstance(place, dict):
        match data.draw(st.sampled_from(["set", "delete", "reorder", "clear"])):
            case "set":
                keys = st.sampled_from([*place, "new"])
                place[data.draw(keys)] = data.draw(plain)
            case "delete" if place:
                del place[data.draw(st.sampled_from([*place]))]
            case "reorder" if place:
                key = next(iter(place))
                place[key] = place.pop(key)
            case _:
                place.clear()
        return
    if not place and place is not message.content:
        # Nothing in it says any more what it may hold.
        return
    if place is message.content:
        items: Any = by_hand | st.sampled_from([*place, TextBlock(text="")])
    elif of_models:
        items = st.sampled_from([*place, *[copy(item) for item in place], *deepcopy(place)])
    elif place and isinstance(place[0], dict):
        items = st.just({}) | st.sampled_from(place)
    else:
        items = plain
    match data.draw(st.sampled_from(["append", "insert", "pop", "reverse", "replace", "slice"])):
        case "append":
            place.append(data.draw(items))
        case "insert":
            place.insert(0, data.draw(items))
        case "pop" if place:
            place.pop(data.draw(st.integers(0, len(place) - 1)))
        case "replace" if place:
            place[data.draw(st.integers(0, len(place) - 1))] = data.draw(items)
        case "slice":
            place[:] = place[1:] + place[:1]
        case _:
            place.reverse()


@answers
@documents
def test_what_is_seen_is_what_is_dumped_and_sent(way: Any, document: dict[str, Any]) -> None:
    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        message = way(document)
        for _ in range(data.draw(st.integers(1, 4))):
            edit(data, message)
        dumped = message.to_dict()
        assert in_order(sent(message)) == in_order(dumped["content"])
        assert in_order([block.to_dict() for block in message.content]) == in_order(
            dumped["content"]
        )
        assert json.loads(message.to_json()) == dumped
        again = decode_message(msgspec.json.encode(dumped))
        assert again == message
        assert repr(again) == repr(message)
        for twin in (copy(message), deepcopy(message), pickle.loads(pickle.dumps(message))):
            assert in_order(twin.to_dict()) == in_order(dumped)
            assert in_order(sent(twin)) == in_order(dumped["content"])
        # A dump is no door into the message.
        for place in places(dumped):
            place.clear()
        assert in_order(sent(message)) == in_order(message.to_dict()["content"])
        assert again == message

    check()


@answers
@documents
def test_an_answer_that_was_only_read_is_as_it_came(way: Any, document: dict[str, Any]) -> None:
    message = way(document)
    assert places(message)
    assert in_order(message.to_dict()) == in_order({**document})
    assert in_order(sent(message)) == in_order(document["content"])
    assert str(message)
    assert message == way(document)
    assert in_order(message.to_dict()) == in_order(document)


@pytest.mark.parametrize("way", ["decoded", "of a batch", "pickled", "copied"])
@documents
def test_untouched_blocks_are_sent_as_the_bytes_that_came(
    way: str, document: dict[str, Any]
) -> None:
    message = WAYS[way](document)
    for block, part in zip(message.content, document["content"], strict=True):
        assert bytes(raw(block)) == as_bytes(part)  # type: ignore[arg-type]


@documents
def test_an_edit_that_is_undone_costs_no_byte(document: dict[str, Any]) -> None:
    """Lists are the same list again, and a value that is equal is not always the same JSON."""

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        message = decode_message(as_bytes(document))
        place = data.draw(st.sampled_from(places(message)))
        before = copy(place)
        place.clear()
        sent(message)
        message.to_dict()
        place.extend(before) if isinstance(place, list) else place.update(before)
        for block, part in zip(message.content, document["content"], strict=True):
            assert bytes(raw(block)) == as_bytes(part)  # type: ignore[arg-type]

    check()


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        (0.0, -0.0),
        (None, "null"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_equal_values_that_are_other_json_are_edits(was: Any, now: Any) -> None:
    block = decode_message(as_bytes({**KNOWN, "content": [{**CALL, "input": {"x": was}}]})).content[
        0
    ]
    assert isinstance(block, ToolUseBlock)
    block.input["x"] = now
    assert in_order(json.loads(msgspec.json.encode(raw(block)))["input"]["x"]) == in_order(now)
    assert in_order(block.to_dict()["input"]["x"]) == in_order(now)


@pytest.mark.parametrize("value", [float("nan"), b"x", {1, 2}, object()])
def test_an_edit_that_json_has_no_words_for_is_refused_with_its_place(value: Any) -> None:
    message = decode_message(as_bytes({**KNOWN, "content": [{**CALL, "input": {"x": None}}]}))
    message.content[0].input["x"] = value  # type: ignore[union-attr]
    for turn in (message, message.to_param()):
        if isinstance(value, set):
            assert b'"x":[1,2]' in render_body({"messages": [turn]})
            continue
        with pytest.raises(ParameterError) as caught:
            render_body({"messages": [turn]})
        assert caught.value.param == "messages[0].content[0].input.x"


def test_what_is_left_of_an_edited_block_is_as_it_came() -> None:
    message = decode_message(as_bytes(UNKNOWN))
    call: Any = message.content[2]
    call.input["to"] = "me"
    call.extra["list"].append(3)
    expected = deepcopy(UNKNOWN["content"][2])
    expected["input"]["to"] = "me"
    expected["extra"]["list"].append(3)
    assert in_order(call.to_dict()) == in_order(expected)
    found: Any = message.content[3]
    del found.content[0]
    found.content.reverse()
    kept = [*reversed(UNKNOWN["content"][3]["content"][1:])]
    assert in_order(found.to_dict()["content"]) == in_order(kept)


def test_blocks_of_any_kind_can_join_an_answer() -> None:
    message = decode_message(as_bytes(KNOWN))
    joined: list[Any] = [TextBlock(text="by hand"), {"type": "text", "text": "plain"}]
    message.content.extend(joined)
    said = [{"type": "text", "text": "by hand"}, {"type": "text", "text": "plain"}]
    assert message.to_dict()["content"][-2:] == said
    assert sent(message)[-2:] == said
    assert message.text == "Hicitedby hand"


def test_the_caller_of_build_keeps_what_is_his() -> None:
    mapping = deepcopy(KNOWN)
    message = build_message(mapping)
    message.content[3].input["to"] = "me"  # type: ignore[union-attr]
    message.content.clear()
    mapping["usage"]["input_tokens"] = 9
    assert message.usage.input_tokens == 3
    assert mapping["content"] == CONTENT


def test_an_edited_snapshot_leaves_the_stream_alone() -> None:
    transcript = Transcript()
    start = {**UNKNOWN, "content": []}
    block = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}, "more": {"b": []}}
    for event in (
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
    ):
        transcript.feed(decode_event(as_bytes(event)))
    snapshot: Any = transcript.message()
    snapshot.content[0].input["a"] = 2
    snapshot.content[0].more["b"].append(1)
    snapshot.mood["calm"].clear()
    assert sent(snapshot) == [{**block, "input": {"a": 2}, "more": {"b": [1]}}]
    assert transcript.message().to_dict() == {**start, "content": [block]}


def test_a_copy_with_other_fields_says_them_and_keeps_what_is_not_known() -> None:
    block: Any = decode_message(as_bytes(UNKNOWN)).content[2]
    # What `copy.replace` calls, from Python 3.13 on.
    twin = block.__replace__(name="other")
    assert (twin.name, twin.extra, block.name) == ("other", block.extra, "send")
    assert sent_block(twin)["name"] == twin.to_dict()["name"] == "other"
    assert sent_block(twin)["extra"] == UNKNOWN["content"][2]["extra"]


def sent_block(block: Any) -> Any:
    return json.loads(render_body({"content": [block]}))["content"][0]
