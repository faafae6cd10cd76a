"""What `model_dump` and its relations give: for each expected value, anthropic gives the same."""

from __future__ import annotations

import json
import pickle
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings

from apertis.models import (
    FallbackBlock,
    Malformed,
    Message,
    MessageBatch,
    Model,
    TextBlock,
    Timestamp,
    ToolUseBlock,
    UnknownBlock,
    build_block,
    decode,
    decode_event,
    decode_message,
)
from apertis.models.building import _plan
from tests.models.test_wire import values

WIRE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "text", "text": "Hi", "citations": None},
        {
            "type": "text",
            "text": "c",
            "citations": [
                {"type": "char_location", "cited_text": "x", "document_index": 0}
                | {"document_title": None, "start_char_index": 0, "end_char_index": 1}
            ],
        },
        {"type": "tool_use", "id": "t", "name": "n", "input": {"a": None, "b": [1, {"c": 2}]}}
        | {"extra": [1]},
        {"type": "hologram", "depth": {"z": [1]}},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "container": {"id": "c", "expires_at": "2024-09-24T18:37:24.100435Z"},
    "usage": {
        "input_tokens": 3,
        "output_tokens": 1,
        "cache_read_input_tokens": None,
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 1},
        "water": {"ml": 5},
    },
    "mood": {"calm": [True, None]},
}
MESSAGE = decode_message(json.dumps(WIRE).encode())
CITATION = {
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "end_char_index": 1,
    "file_id": None,
    "start_char_index": 0,
    "type": "char_location",
}
CALL = {
    "id": "t",
    "caller": None,
    "input": {"a": None, "b": [1, {"c": 2}]},
    "name": "n",
    "toolset_name": None,
    "type": "tool_use",
    "extra": [1],
}
DUMPED: dict[str, Any] = {
    "id": "msg_1",
    "container": {"id": "c", "expires_at": "2024-09-24T18:37:24.100435Z", "skills": None},
    "content": [
        {"citations": None, "text": "Hi", "type": "text"},
        {"citations": [CITATION], "text": "c", "type": "text"},
        CALL,
        {"type": "hologram", "depth": {"z": [1]}},
    ],
    "diagnostics": None,
    "model": "m",
    "role": "assistant",
    "stop_details": None,
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "type": "message",
    "usage": {
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 1},
        "cache_creation_input_tokens": None,
        "cache_read_input_tokens": None,
        "inference_geo": None,
        "input_tokens": 3,
        "output_tokens": 1,
        "output_tokens_details": None,
        "server_tool_use": None,
        "service_tier": None,
        "speed": None,
        "water": {"ml": 5},
    },
    "mood": {"calm": [True, None]},
}


def test_all_fields_are_dumped_in_the_order_of_anthropics() -> None:
    dumped = MESSAGE.model_dump(mode="json")
    assert dumped == DUMPED
    assert json.loads(MESSAGE.model_dump_json(), object_pairs_hook=list) == json.loads(
        json.dumps(DUMPED), object_pairs_hook=list
    )
    assert MESSAGE.model_dump_json(indent=1).startswith('{\n "id": "msg_1",\n "container": {\n')


def test_python_mode_keeps_moments() -> None:
    at = MESSAGE.model_dump()["container"]["expires_at"]
    assert isinstance(at, Timestamp)
    assert MESSAGE.model_dump() == {
        **DUMPED,
        "container": {"id": "c", "expires_at": at, "skills": None},
    }


def test_what_was_not_sent_is_left_out_on_request() -> None:
    assert MESSAGE.model_dump(exclude_unset=True, mode="json") == WIRE
    assert MESSAGE.usage.model_dump(exclude_unset=True) == WIRE["usage"]
    assert MESSAGE.to_dict() == MESSAGE.to_dict(mode="python", exclude_unset=True) | {
        "container": WIRE["container"]
    }
    assert MESSAGE.to_dict(exclude_unset=False) == DUMPED


def test_nulls_are_left_out_on_request_but_not_inside_free_objects() -> None:
    dumped = MESSAGE.model_dump(exclude_none=True, mode="json")
    assert dumped["content"] == [
        {"text": "Hi", "type": "text"},
        {
            "citations": [{k: v for k, v in CITATION.items() if v is not None}],
            "text": "c",
            "type": "text",
        },
        {k: v for k, v in CALL.items() if v is not None},
        {"type": "hologram", "depth": {"z": [1]}},
    ]
    assert dumped["mood"] == {"calm": [True, None]}
    assert "stop_sequence" not in dumped
    assert MESSAGE.model_dump(exclude_defaults=True, mode="json") == dumped


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"include": {"id", "mood"}}, {"id": "msg_1", "mood": {"calm": [True, None]}}),
        ({"include": ["model"]}, {"model": "m"}),
        (
            {"include": {"content": {0: {"text"}, -2: True}}},
            {"content": [{"text": "Hi"}, CALL]},
        ),
        (
            {"include": {"content": {"__all__": {"type"}}}},
            {"content": [{"type": t} for t in ("text", "text", "tool_use", "hologram")]},
        ),
        (
            {"include": {"content": {0, 1}}, "exclude": {"content": {1: ..., 0: {"text": True}}}},
            {"content": [{"citations": None, "type": "text"}]},
        ),
        (
            {
                "include": {"content"},
                "exclude": {"content": {"__all__": {"type", "extra"}, 2: {"input": {"b": {0}}}}},
            },
            {
                "content": [
                    {"citations": None, "text": "Hi"},
                    {"citations": [CITATION], "text": "c"},
                    {k: v for k, v in CALL.items() if k not in {"type", "extra"}}
                    | {"input": {"a": None, "b": [{"c": 2}]}},
                    {"depth": {"z": [1]}},
                ]
            },
        ),
        ({"include": {"id", "model"}, "exclude": {"id": False, "model": True}}, {"id": "msg_1"}),
        ({"include": set()}, {}),
    ],
)
def test_parts_are_included_and_excluded_as_by_pydantic(
    choice: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert MESSAGE.model_dump(**choice) == expected


def test_a_field_that_is_a_word_of_python_has_two_names() -> None:
    block = build_block({"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}})
    assert isinstance(block, FallbackBlock)
    assert block.model_dump(exclude_none=True) == {
        "from_": {"model": "a"},
        "to": {"model": "b"},
        "type": "fallback",
    }
    assert block.model_dump(by_alias=True)["from"] == {"model": "a"}
    assert block.model_fields_set == {"from_", "to", "type"}
    assert FallbackBlock.model_fields["from_"].alias == "from"


def test_what_was_edited_is_what_is_dumped() -> None:
    message = deepcopy(MESSAGE)
    assert isinstance(message.content[2], ToolUseBlock)
    message.content[2].input["a"] = "new"
    del message.content[0]
    message.content.append(TextBlock(text="more"))
    for dumped in (message.model_dump(), message.model_dump(exclude_unset=True)):
        assert [part["type"] for part in dumped["content"]][-1] == "text"
        assert dumped["content"][1]["input"] == {"a": "new", "b": [1, {"c": 2}]}
    assert message.model_dump(exclude_unset=True)["content"][-1] == {"type": "text", "text": "more"}


def test_what_is_set_and_what_is_not_known_is_told() -> None:
    assert MESSAGE.model_fields_set == WIRE.keys() - {"mood"}
    assert MESSAGE.model_extra == {"mood": {"calm": [True, None]}}
    assert MESSAGE.content[2].model_extra == {"extra": [1]}
    assert MESSAGE.usage.model_fields_set == WIRE["usage"].keys() - {"water"}
    hidden = decode(TextBlock, b'{"type":"text","text":"a","model_dump":1}')
    assert hidden.model_extra == {"model_dump": 1}
    assert hidden.model_dump(exclude_none=True) == {"text": "a", "type": "text", "model_dump": 1}


def test_the_fields_of_a_class_are_told_by_the_class_and_its_objects() -> None:
    assert list(TextBlock.model_fields) == ["citations", "text", "type"]
    assert TextBlock.model_fields["text"].is_required()
    assert not TextBlock.model_fields["citations"].is_required()
    assert TextBlock.model_fields["citations"].default is None
    assert TextBlock(text="a").model_fields == TextBlock.model_fields
    assert dict(TextBlock(text="a")) == {"citations": None, "text": "a", "type": "text"}


@pytest.mark.parametrize("deep", [False, True])
def test_a_copy_has_what_was_changed_and_keeps_the_rest(deep: bool) -> None:
    twin = MESSAGE.model_copy(deep=deep)
    assert twin == MESSAGE
    assert (twin.content is MESSAGE.content) is not deep
    changed = MESSAGE.model_copy(update={"stop_reason": "x", "new": 1}, deep=deep)
    assert changed.stop_reason == "x"
    assert changed.model_extra == {"mood": {"calm": [True, None]}, "new": 1}
    assert changed.to_dict() == {**WIRE, "stop_reason": "x", "new": 1}
    assert MESSAGE.stop_reason == "end_turn"
    usage = MESSAGE.usage.model_copy(update={"output_tokens": 7})
    assert usage.to_dict() == {**WIRE["usage"], "output_tokens": 7}
    odd: Any = MESSAGE.model_copy(update={"model": object})
    assert odd.model is object


def test_json_is_validated_into_a_model() -> None:
    for model in (
        Message.model_validate(WIRE),
        Message.model_validate_json(json.dumps(WIRE)),
        Message.model_validate_json(json.dumps(WIRE).encode()),
        Message.model_validate({**WIRE, "content": MESSAGE.content, "usage": MESSAGE.usage}),
    ):
        assert model == MESSAGE
        assert model.to_dict() == WIRE
    assert Message.model_validate(MESSAGE) is MESSAGE


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"type": "text"}, "text: is missing"),
        ({"type": "text", "text": 5}, "text: expected str, got int"),
        ({"type": "hologram"}, "type: expected TextBlock, got 'hologram'"),
        ({"type": "tool_use", "text": "a"}, "type: expected TextBlock, got 'tool_use'"),
        ("text", "expected TextBlock or an object, got str"),
        (MESSAGE, "expected TextBlock or an object, got Message"),
    ],
)
def test_what_is_no_such_model_is_refused_with_the_place(value: Any, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        TextBlock.model_validate(value)
    assert isinstance(caught.value, Malformed)
    assert str(caught.value) == problem
    if isinstance(value, dict):
        with pytest.raises(ValueError, match=problem):
            TextBlock.model_validate_json(json.dumps(value))


def test_json_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        TextBlock.model_validate_json("{")


def test_values_are_taken_unchecked_where_that_is_asked_for() -> None:
    kind: Any = Message
    message = kind.construct(**WIRE)
    assert message == MESSAGE
    assert message.to_dict() == WIRE
    assert message.model_dump(mode="json") == DUMPED
    partial = kind.model_construct(id="x", content=[{"type": "text"}], odd=object)
    assert partial.id == "x"
    assert partial.content == [{"type": "text"}]
    assert partial.stop_reason is None
    assert partial.model_extra == {"odd": object}
    told = TextBlock.model_construct({"text"}, text="a", citations=None)
    assert told.model_fields_set == {"text"}


def test_text_is_escaped_on_request() -> None:
    assert (
        TextBlock(text="é😀").model_dump_json() == '{"citations":null,"text":"é😀","type":"text"}'
    )
    assert (
        TextBlock(text="é😀").model_dump_json(ensure_ascii=True)
        == '{"citations":null,"text":"\\u00e9\\ud83d\\ude00","type":"text"}'
    )


def test_the_older_names_work_and_say_that_they_are_deprecated() -> None:
    block = TextBlock(text="a")
    with pytest.warns(DeprecationWarning, match="use `model_dump`"):
        assert block.dict(exclude_none=True) == {"text": "a", "type": "text"}
    with pytest.warns(DeprecationWarning, match="use `model_dump_json`"):
        assert block.json(exclude_none=True) == '{"text":"a","type":"text"}'
    with pytest.warns(DeprecationWarning, match="use `model_copy`"):
        assert block.copy(update={"text": "b"}) == TextBlock(text="b")
    with pytest.warns(DeprecationWarning, match="use `model_validate`"):
        assert TextBlock.parse_obj({"type": "text", "text": "a"}) == block
    with pytest.warns(DeprecationWarning, match="use `model_validate_json`"):
        assert TextBlock.parse_raw('{"type": "text", "text": "a"}') == block


def test_what_has_no_effect_is_taken_and_what_is_mistyped_is_not() -> None:
    assert MESSAGE.model_dump(warnings=False, round_trip=True) == MESSAGE.model_dump()
    assert Message.model_validate(WIRE, strict=True, context={}) == MESSAGE
    for call in (
        lambda: MESSAGE.model_dump(exlude_none=True),
        lambda: MESSAGE.model_dump_json(exlude_none=True),
        lambda: Message.model_validate(WIRE, exlude_none=True),
        lambda: Message.model_validate_json("{}", exlude_none=True),
    ):
        with pytest.raises(TypeError, match="has no parameter 'exlude_none'"):
            call()


def test_unknown_variants_have_the_methods_too() -> None:
    block = build_block({"type": "hologram", "depth": {"z": [1]}})
    assert isinstance(block, UnknownBlock)
    assert block.model_dump() == block.to_dict() == {"type": "hologram", "depth": {"z": [1]}}
    assert block.model_dump(include={"depth"}) == {"depth": {"z": [1]}}
    assert block.model_dump_json() == '{"type":"hologram","depth":{"z":[1]}}'
    assert block.model_copy() == block


def test_events_have_the_methods_too() -> None:
    event = decode_event(
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}'
    )
    assert event.model_dump() == {
        "delta": {"text": "x", "type": "text_delta"},
        "index": 0,
        "type": "content_block_delta",
    }
    stop = decode_event(b'{"type":"content_block_stop","index":0}')
    assert stop.model_dump() == {"index": 0, "type": "content_block_stop"}


def test_the_end_of_a_stream_knows_what_was_sent() -> None:
    wire = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 0, "input_tokens": None},
    }
    event: Any = decode_event(json.dumps(wire).encode())
    assert event.delta.model_dump(exclude_unset=True) == wire["delta"]
    assert event.usage.to_dict() == wire["usage"]
    assert event.model_dump(exclude_unset=True) == event.to_dict() == wire
    for usage in ({}, {"usage": None}):
        bare: Any = decode_event(json.dumps({**wire, "usage": None} | usage).encode())
        assert bare.usage.to_dict() == {}


def test_only_the_result_of_a_call_has_a_request_id() -> None:
    assert MESSAGE._request_id is None
    assert MESSAGE.usage._request_id is None


def test_moments_are_dumped_as_they_came() -> None:
    wire = {
        "id": "b",
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": {"processing": 0, "succeeded": 1},
        "created_at": "2024-09-24T18:37:24.1Z",
        "expires_at": "2024-09-25T18:37:24+00:00",
        "ended_at": None,
    }
    batch = MessageBatch.model_validate(wire)
    assert batch.to_dict() == wire
    dumped = batch.model_dump(mode="json")
    assert dumped["created_at"] == "2024-09-24T18:37:24.1Z"
    assert dumped["expires_at"] == "2024-09-25T18:37:24+00:00"
    assert dumped["archived_at"] is None
    assert batch.model_dump()["created_at"].year == 2024
    assert pickle.loads(pickle.dumps(batch)) == batch
    assert deepcopy(batch).to_dict() == wire


@settings(max_examples=150, deadline=None)
@given(values(_plan(Message)))
def test_what_was_sent_is_dumped_and_nothing_else(document: dict[str, Any]) -> None:
    model: Model = decode_message(json.dumps(document).encode())
    dumped = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert dumped == model.to_dict()
    assert Message.model_validate(model.model_dump(mode="json", by_alias=True)) == model


RARE_NULL = {**WIRE["usage"], "iterations": None}
ENVELOPE = {key: WIRE[key] for key in ("id", "type", "role", "model")}
SMALL: dict[str, Any] = {
    **ENVELOPE,
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "content": WIRE["content"][:2],
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
CALLED = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": [None, {"b": 1}]}}
WIRES: list[dict[str, Any]] = [
    SMALL,
    WIRE,
    {**SMALL, "usage": RARE_NULL},
    {**SMALL, "usage": {**SMALL["usage"], "iterations": []}},
    {**SMALL, "context_management": None, "model_dump": 1, "_hidden": 2},
    {**SMALL, "to_dict": 1},
    {**SMALL, "container": WIRE["container"]},
    {**SMALL, "content": [{**CALLED, "caller": {"type": "direct"}}, CALLED]},
    {**SMALL, "content": [{**CALLED, "caller": {"type": "direct", "tool_id": None}}]},
]
DUMPS: list[dict[str, Any]] = [{}, {"mode": "json"}, {"exclude_none": True}, {"by_alias": True}]


def edited(message: Message) -> Message:
    message.content.append(TextBlock(type="text", text="more"))
    setattr(message.usage, "output_tokens", 5)  # noqa: B010 - checkers take it for frozen.
    return message


@pytest.mark.parametrize("options", DUMPS)
@pytest.mark.parametrize("wire", WIRES)
def test_the_short_road_gives_what_the_long_one_gives(
    wire: dict[str, Any], options: dict[str, Any]
) -> None:
    """Anything to exclude takes the long one, which asks what was sent."""
    data = json.dumps(wire).encode()
    for message in (
        decode_message(data),
        Message.model_validate(wire),
        Message(**wire),
        pickle.loads(pickle.dumps(decode_message(data))),
        edited(decode_message(data)),
    ):
        long = message.model_dump(exclude=set(), **options)
        assert message.model_dump(**options) == long
        assert [*message.model_dump(**options)] == [*long]
        assert message.usage.model_dump(**options) == message.usage.model_dump(
            exclude=set(), **options
        )
