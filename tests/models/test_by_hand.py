"""Models that a program makes itself, as tests and replays do."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, cast

import msgspec
import pytest

from apertis.models import (
    ContentBlockDeltaEvent,
    ErrorDetail,
    FallbackBlock,
    Message,
    MessageDelta,
    MessageDeltaEvent,
    MessageDeltaUsage,
    MessageStartEvent,
    ModelInfo,
    Page,
    TextBlock,
    TextDelta,
    ToolUseBlock,
    UnknownBlock,
    Usage,
    WebSearchResult,
    WebSearchToolResultBlock,
    build_block,
    build_event,
    build_message,
    raw,
)

TEXT: dict[str, Any] = {"type": "text", "text": "hi"}
CALL: dict[str, Any] = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}}
MESSAGE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "x",
    "content": [TEXT, CALL],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def by_hand() -> Message:
    return Message(
        id="m",
        content=[
            TextBlock(type="text", text="hi"),
            ToolUseBlock(id="t", input={"a": 1}, name="n", type="tool_use"),
        ],
        model="x",
        role="assistant",
        stop_reason="tool_use",
        stop_sequence=None,
        type="message",
        usage=Usage(input_tokens=1, output_tokens=2),
    )


def test_a_model_made_by_hand_equals_the_one_that_came() -> None:
    assert by_hand() == build_message(MESSAGE)
    assert by_hand().to_dict() == MESSAGE
    assert TextBlock(text="hi") == TextBlock(type="text", text="hi") == build_block(TEXT)
    assert TextBlock(text="hi").type == "text"


def test_it_is_made_of_json_too() -> None:
    message = Message(**MESSAGE)
    assert message == by_hand()
    assert isinstance(message.content[1], ToolUseBlock)
    assert message.to_dict() == MESSAGE
    event = ContentBlockDeltaEvent(
        index=0, type="content_block_delta", delta=cast("Any", {"type": "text_delta", "text": "x"})
    )
    assert event.delta == TextDelta(text="x")
    unknown = Message(**{**MESSAGE, "content": [{"type": "hologram"}]})
    assert isinstance(unknown.content[0], UnknownBlock)


def test_events_are_made_by_hand() -> None:
    start = MessageStartEvent(type="message_start", message=by_hand())
    assert start == build_event({"type": "message_start", "message": MESSAGE})
    delta = MessageDeltaEvent(
        type="message_delta",
        delta=MessageDelta(stop_reason="end_turn", stop_sequence=None),
        usage=MessageDeltaUsage(output_tokens=3),
    )
    assert delta.to_dict() == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    }


def test_it_is_sent_as_it_was_made_and_as_it_was_edited() -> None:
    block = ToolUseBlock(id="t", name="n", input={"a": 1}, type="tool_use")
    assert json.loads(msgspec.json.encode(raw(block))) == CALL
    block.input["a"] = 2
    assert json.loads(msgspec.json.encode(raw(block))) == {**CALL, "input": {"a": 2}}
    assert json.loads(msgspec.json.encode(raw(TextBlock(text="hi", citations=None)))) == {
        **TEXT,
        "citations": None,
    }
    turn = json.loads(msgspec.json.encode(raw(by_hand())))
    assert turn == {"role": "assistant", "content": [TEXT, CALL]}


def test_it_is_made_again_of_what_it_dumps() -> None:
    kind: Any = Message
    for message in (by_hand(), build_message({**MESSAGE, "mood": {"calm": [1]}})):
        for dumped in (message.model_dump(), message.model_dump(mode="json"), message.to_dict()):
            assert kind(**dumped) == message


def test_it_is_pickled_and_compared() -> None:
    assert pickle.loads(pickle.dumps(by_hand())) == by_hand()
    assert pickle.loads(pickle.dumps(by_hand())).to_dict() == MESSAGE
    assert by_hand() != Message(**{**MESSAGE, "id": "other"})


def test_all_that_is_missing_is_named() -> None:
    kind: Any = Message
    with pytest.raises(ValueError, match=r"^Message: id, content, model, role: are missing$"):
        kind(usage={"input_tokens": 1, "output_tokens": 2})


def test_what_is_not_known_is_kept() -> None:
    kind: Any = TextBlock
    block = kind(type="text", text="hi", mood="calm", model_dump=1)
    assert block.mood == "calm"
    assert block.to_dict() == {**TEXT, "mood": "calm", "model_dump": 1}
    assert block.model_extra == {"mood": "calm", "model_dump": 1}
    assert block != TextBlock(text="hi")


def test_values_that_are_no_json_are_kept_too() -> None:
    value = object()
    block = ToolUseBlock(id="t", name="n", input={"a": value})
    assert block.input["a"] is value
    assert block.model_dump()["input"] == {"a": value}


def test_a_name_of_the_api_may_be_given_for_a_field() -> None:
    hops = {"to": {"model": "b"}}
    kind: Any = FallbackBlock
    for block in (kind(**hops, from_={"model": "a"}), kind(**hops, **{"from": {"model": "a"}})):
        assert block.from_.model == "a"
        assert block.to_dict() == {"type": "fallback", "to": {"model": "b"}, "from": {"model": "a"}}


def test_relatives_of_json_types_are_taken() -> None:
    kind: Any = WebSearchToolResultBlock
    result = WebSearchResult(title="t", url="u", encrypted_content="e")
    block = kind(tool_use_id="s", content=(result,))
    assert block.content == [result]
    info = ModelInfo(id="m", created_at=cast("Any", datetime(2025, 2, 19, tzinfo=UTC)))
    assert str(info.created_at) == "2025-02-19T00:00:00Z"
    assert info.to_dict()["created_at"] == "2025-02-19T00:00:00Z"


class Name(StrEnum):
    WEATHER = "weather"


def test_a_string_or_mapping_of_a_class_of_its_own_is_taken() -> None:
    call = ToolUseBlock(id="t", name=Name.WEATHER, input=OrderedDict(a=1))
    assert call == ToolUseBlock(id="t", name="weather", input={"a": 1})
    assert call.to_dict() == {**CALL, "name": "weather"}
    usage: Any = MappingProxyType({"input_tokens": 1, "output_tokens": 2})
    assert Message(**{**MESSAGE, "usage": usage}) == by_hand()


def test_a_page_and_models_without_a_type_are_made_by_hand() -> None:
    page = Page(data=[ModelInfo(id="m")], has_more=False)
    assert page.data[0].display_name == "m"
    assert ErrorDetail(type="x").to_dict() == {"type": "x"}
    assert UnknownBlock(type=cast("Any", "z"), data={"type": "z"}).to_dict() == {"type": "z"}


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda kind: kind(type="text"), "TextBlock: text: is missing"),
        (lambda kind: kind("hi"), "TextBlock: takes its fields by name: text, citations"),
        (lambda kind: kind(text=5), "TextBlock: text: expected str, got int"),
        (lambda kind: kind(type="q", text="a"), "TextBlock: type: expected 'text', got 'q'"),
        (
            lambda kind: kind(text="a", citations=[TextBlock(text="b")]),
            "TextBlock: citations[0]: expected object, got TextBlock",
        ),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(make: Any, problem: str) -> None:
    # Programs expect a `TypeError` of a class, and a `ValueError` of a pydantic model.
    for expected in (TypeError, ValueError):
        with pytest.raises(expected) as caught:
            make(TextBlock)
        assert str(caught.value) == problem
        assert str(pickle.loads(pickle.dumps(caught.value))) == problem
