"""The two roads from JSON to models, and the JSON that is kept."""

import json
import pickle
from copy import copy, deepcopy
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.models import (
    ContentBlockDeltaEvent,
    ContentBlockStartEvent,
    ContentBlockStopEvent,
    FallbackBlock,
    FallbackHop,
    Malformed,
    Message,
    MessageBatchIndividualResponse,
    MessageDeltaEvent,
    MessageStartEvent,
    ModelInfo,
    StreamEvent,
    TextBlock,
    Timestamp,
    ToolUseBlock,
    UnknownBlock,
    UnknownCitation,
    UnknownDelta,
    UnknownEvent,
    UnknownResult,
    build,
    build_block,
    build_event,
    build_message,
    decode,
    decode_event,
    decode_message,
    decode_page,
    raw,
)
from apertis.models.building import _plan, built
from apertis.models.wire import _decoder

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


def as_bytes(document: object) -> bytes:
    return json.dumps(document).encode()


def message(**changes: Any) -> bytes:
    return as_bytes({**MESSAGE, **changes})


# Recorded data


@pytest.mark.corpus
def test_recorded_messages_keep_every_byte_of_meaning(recorded_messages: list[bytes]) -> None:
    for body in recorded_messages:
        decoded = decode_message(body)
        assert decoded.to_dict() == json.loads(body)
        assert json.loads(decoded.to_json()) == json.loads(body)
        parts = json.loads(body)["content"]
        assert [block.to_dict() for block in decoded.content] == parts


@pytest.mark.corpus
def test_recorded_events_keep_every_byte_of_meaning(recorded_events: list[bytes]) -> None:
    for data in recorded_events:
        assert decode_event(data).to_dict() == json.loads(data)


@pytest.mark.corpus
def test_recorded_answers_need_the_slow_road_only_for_invented_events(
    recorded_messages: list[bytes], recorded_events: list[bytes]
) -> None:
    for body in recorded_messages:
        fast(Message).decode(body)
    slow = [data for data in recorded_events if isinstance(decode_event(data), UnknownEvent)]
    assert {json.loads(data)["type"] for data in slow} == {"future_event"}


@pytest.mark.corpus
def test_both_roads_agree_on_recorded_data(
    recorded_messages: list[bytes], recorded_events: list[bytes]
) -> None:
    for body in recorded_messages:
        assert built(Message, json.loads(body)) == fast(Message).decode(body)
    for data in recorded_events:
        if json.loads(data)["type"] != "future_event":
            assert build_event(json.loads(data)) == decode_event(data)


@pytest.mark.corpus
def test_a_recorded_answer_goes_back_as_the_bytes_that_came(
    recorded_messages: list[bytes],
) -> None:
    for body in recorded_messages:
        for block in decode_message(body).content:
            part: Any = raw(block)
            assert bytes(part) in body


def fast(kind: Any) -> msgspec.json.Decoder[Any]:
    """The fast road's decoder."""
    return _decoder(kind)


# Made-up data


def values(plan: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """JSON that an annotation allows."""
    scalars: dict[type, st.SearchStrategy[Any]] = {
        str: st.text(max_size=5),
        int: st.integers(-(2**70), 2**70),
        bool: st.booleans(),
        type(None): st.none(),
        object: st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists),
        dict: st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        Timestamp: st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat()),
    }
    choices = [scalars[kind] for kind in plan.scalars]
    if plan.item is not None:
        choices.append(st.lists(st.deferred(lambda: values(plan.item, depth + 1)), max_size=2))
    kinds = [*plan.variants.values(), *([plan.single] if plan.single else [])]
    choices += [_deferred(kind, depth + 1) for kind in kinds]
    return st.one_of(choices)


def _deferred(kind: Any, depth: int) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: objects(kind, depth))


def objects(kind: Any, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(kind):
        target = required if field.required else optional
        target[field.encode_name] = values(_plan(field.type), depth)
    tag = kind.__struct_config__.tag
    if tag is not None:
        required["type"] = st.just(tag)
    return st.fixed_dictionaries(required, optional=optional if depth < 3 else {})


junk: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=2) | st.just([]) | st.just({})
)


@st.composite
def damaged(draw: st.DrawFn, documents: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """A document with one place changed: a value replaced, a key removed or added."""
    document: dict[str, Any] = json.loads(json.dumps(draw(documents)))
    places: list[tuple[Any, Any]] = []

    def visit(value: Any) -> None:
        steps = list(value) if isinstance(value, dict) else range(len(value))
        for step in steps:
            places.append((value, step))
            if isinstance(value[step], dict | list):
                visit(value[step])

    visit(document)
    container, step = draw(st.sampled_from(places))
    change = draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "replace":
        container[step] = draw(junk)
    elif change == "remove":
        del container[step]
    elif isinstance(container, dict):
        container["brand_new"] = draw(junk)
    return document


KINDS: list[Any] = [StreamEvent, Message, MessageBatchIndividualResponse, ModelInfo]


@pytest.mark.parametrize("kind", KINDS, ids=["events", "messages", "results", "models"])
def test_both_roads_give_equal_objects(kind: Any) -> None:
    decoder = fast(kind)

    @settings(max_examples=150, deadline=None)
    @given(values(_plan(kind)))
    def check(document: Any) -> None:
        assert decoder.decode(as_bytes(document)) == built(kind, json.loads(as_bytes(document)))

    check()


@pytest.mark.parametrize("kind", KINDS, ids=["events", "messages", "results", "models"])
def test_what_the_fast_road_takes_the_slow_road_takes_too(kind: Any) -> None:
    decoder = fast(kind)

    @settings(max_examples=200, deadline=None)
    @given(damaged(values(_plan(kind))))
    def check(document: Any) -> None:
        try:
            model = decoder.decode(as_bytes(document))
        except msgspec.ValidationError:
            return
        assert built(kind, document) == model

    check()


@settings(max_examples=150, deadline=None)
@given(damaged(objects(Message)))
def test_a_damaged_message_is_decoded_whole_or_refused(document: dict[str, Any]) -> None:
    try:
        decoded = decode_message(as_bytes(document))
    except Malformed:
        return
    assert decoded.to_dict() == document
    assert build_message(document) == decoded
    assert build_message(document).to_dict() == document


@settings(max_examples=150, deadline=None)
@given(damaged(values(_plan(StreamEvent))))
def test_a_damaged_event_is_decoded_whole_or_refused(document: dict[str, Any]) -> None:
    try:
        decoded = decode_event(as_bytes(document))
    except Malformed:
        return
    assert decoded.to_dict() == document
    assert build_event(document) == decoded


# What is not known


def test_an_unknown_field_is_an_attribute_and_survives() -> None:
    decoded = decode_message(message(mood="calm", usage={**MESSAGE["usage"], "water_ml": 5}))
    assert decoded.mood == "calm"  # type: ignore[attr-defined]
    assert decoded.usage.water_ml == 5  # type: ignore[attr-defined]
    assert decoded.to_dict()["mood"] == "calm"
    assert decoded.usage.to_dict()["water_ml"] == 5
    assert decoded != decode_message(message(mood="wild", usage=decoded.usage.to_dict()))


def test_an_unknown_field_cannot_take_the_place_of_a_method_or_of_private_state() -> None:
    data = message(to_dict="x", text="x", _wire="x", _response="x", response="x")
    decoded = decode_message(data)
    assert decoded.to_dict() == json.loads(data)
    assert decoded.text == "Hi"
    assert decoded.request_id is None


def test_an_unknown_block_arrives_with_its_data() -> None:
    part = {"type": "hologram", "depth": 3, "text": "seen"}
    decoded = decode_message(message(content=[part, *MESSAGE["content"]]))
    block = decoded.content[0]
    assert isinstance(block, UnknownBlock)
    assert (block.type, block.data) == ("hologram", part)
    assert (block.depth, block.text) == (3, "seen")
    assert decoded.text == "Hi"
    assert not hasattr(block, "signature")
    assert block.to_dict() == part
    with pytest.raises(AttributeError, match=r"`hologram` has no 'width'; it has type, depth"):
        _ = block.width


def test_an_unknown_citation_delta_event_and_result_arrive_with_their_data() -> None:
    cited = {"type": "text", "text": "a", "citations": [{"type": "smell", "strength": 1}]}
    block = decode_message(message(content=[cited])).content[0]
    assert isinstance(block, TextBlock)
    assert block.citations is not None
    assert isinstance(block.citations[0], UnknownCitation)
    assert block.citations[0].strength == 1

    found = {"type": "web_search_tool_result", "tool_use_id": "t", "content": {"type": "fog"}}
    result = decode_message(message(content=[found])).content[0]
    assert isinstance(result.content, UnknownResult)  # type: ignore[union-attr]

    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "x_delta", "x": 1}}
    event = decode_event(as_bytes(delta))
    assert isinstance(event, ContentBlockDeltaEvent)
    assert isinstance(event.delta, UnknownDelta)
    assert event.delta.x == 1

    event = decode_event(b'{"type": "future", "when": [1]}')
    assert isinstance(event, UnknownEvent)
    assert event.when == [1]
    assert event.to_dict() == {"type": "future", "when": [1]}


def test_an_unknown_stop_reason_is_text() -> None:
    assert decode_message(message(stop_reason="bored")).stop_reason == "bored"


# What is wrong


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (message(id=None), "id: expected str, got null"),
        (message(usage={"input_tokens": 1}), "usage.output_tokens: is missing"),
        (
            message(usage={"input_tokens": 1, "output_tokens": "5"}),
            "usage.output_tokens: expected int, got str",
        ),
        (
            message(usage={"input_tokens": True, "output_tokens": 5}),
            "usage.input_tokens: expected int, got bool",
        ),
        (message(content="Hi"), "content: expected list, got str"),
        (message(content=[{"text": "Hi"}]), "content[0].type: is missing"),
        (message(content=[{"type": 3}]), "content[0].type: expected str, got int"),
        (message(content=["Hi"]), "content[0]: expected object, got str"),
        (
            message(content=[{"type": "text", "text": "a"}, {"type": "text"}]),
            "content[1].text: is missing",
        ),
        (b'{"type": "error", "error": {}}', "type: expected message, got 'error'"),
        (b"[]", "expected object, got list"),
        (b"null", "expected object, got null"),
    ],
)
def test_a_malformed_message_names_the_place(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_message(data)
    assert caught.value.reason == reason
    assert str(caught.value) == reason


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"id": ', b'{"id": "\xff"}', b"[" * 10**5])
def test_what_is_no_json_is_malformed(data: bytes) -> None:
    for read in (decode_message, decode_event, lambda d: decode_page(ModelInfo, d)):
        with pytest.raises(Malformed, match="not JSON"):
            read(data)


def test_a_malformed_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(Malformed("is missing", ("a", 0))))
    assert error.reason == "a[0]: is missing"


# What is kept


def test_explicit_nulls_are_kept_and_absent_keys_stay_absent() -> None:
    decoded = decode_message(message())
    assert "stop_sequence" in decoded.to_dict()
    assert "container" not in decoded.to_dict()
    assert decoded == decode_message(message(container=None))


def test_to_dict_gives_a_copy() -> None:
    for decoded in (decode_message(message()), build_message(MESSAGE)):
        decoded.to_dict()["content"].clear()
        assert decoded.to_dict() == MESSAGE


def test_to_json_can_be_indented() -> None:
    text = decode_message(message()).to_json(indent=2)
    assert text.startswith('{\n  "id": "msg_1"')
    assert json.loads(text) == MESSAGE


def test_a_block_goes_back_as_its_own_bytes() -> None:
    part = (
        b'{"type":"tool_use", "id":"t","name":"n", "input":{"b":1e2,"a":"\\u00e9"},"caller":null}'
    )
    data = message().replace(as_bytes(MESSAGE["content"][0]), part)
    assert bytes(raw(decode_message(data).content[0])) == part  # type: ignore[arg-type]


def test_a_message_goes_back_as_a_turn_of_the_conversation() -> None:
    turn = {"role": "assistant", "content": MESSAGE["content"]}
    for answer in (decode_message(message(new=1)), build_message(MESSAGE)):
        assert json.loads(msgspec.json.encode(raw(answer))) == turn
        answer.content.clear()
        assert raw(answer) == {"role": "assistant", "content": []}


def test_events_know_the_json_of_what_is_in_them() -> None:
    started = decode_event(as_bytes({"type": "message_start", "message": MESSAGE}))
    assert isinstance(started, MessageStartEvent)
    assert started.message.to_dict() == MESSAGE
    assert started.message.content[0].to_dict() == MESSAGE["content"][0]
    block = {"type": "text", "text": "", "citations": None}
    begun = {"type": "content_block_start", "index": 0, "content_block": block}
    for event in (decode_event(as_bytes(begun)), build_event(begun)):
        assert isinstance(event, ContentBlockStartEvent)
        assert event.content_block.to_dict() == block


def test_the_message_of_a_start_event_that_was_built_knows_its_json() -> None:
    event = build_event({"type": "message_start", "message": {**MESSAGE, "new": 1}})
    assert isinstance(event, MessageStartEvent)
    assert event.message.to_dict() == {**MESSAGE, "new": 1}


def test_a_message_can_be_built_of_blocks_that_are_built_already() -> None:
    block = build_block({"type": "text", "text": "Hi"})
    both = build_message({**MESSAGE, "content": [{"type": "text", "text": "Hi"}] * 2}, [block])
    assert both.content[0] is block
    assert both.content[1] == block
    with pytest.raises(Malformed, match=r"content\[1\]\.text: is missing"):
        build_message({**MESSAGE, "content": [{"type": "text"}] * 2}, [block])


def test_a_model_made_by_hand_says_its_set_fields() -> None:
    block = ToolUseBlock(id="t", name="n", input={"a": [1]})
    assert block.to_dict() == {"type": "tool_use", "id": "t", "name": "n", "input": {"a": [1]}}
    assert json.loads(msgspec.json.encode(raw(block))) == block.to_dict()
    assert UnknownBlock(type="x", data={"y": 1}).to_dict() == {"type": "x", "y": 1}  # type: ignore[arg-type]
    hop = FallbackBlock(from_=FallbackHop(model="a"), to=FallbackHop(model="b"))
    said = {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}
    assert hop.to_dict() == said
    assert build_block(said) == hop


def test_copies_and_pickles_are_equal_and_keep_the_json() -> None:
    data = message(mood="calm", content=[{"type": "hologram"}, *MESSAGE["content"]])
    for original in (decode_message(data), build_message(json.loads(data))):
        for twin in (copy(original), deepcopy(original), pickle.loads(pickle.dumps(original))):
            assert twin == original
            assert twin.to_dict() == json.loads(data)
            assert twin.content[1].to_dict() == MESSAGE["content"][0]
            assert getattr(twin, "mood") == "calm"  # noqa: B009 - checkers do not know it.


def test_what_a_model_came_from_is_no_part_of_its_value() -> None:
    decoded = decode_message(message())
    assert decoded == decode_message(json.dumps(MESSAGE, indent=1).encode())
    assert "_wire" not in repr(decoded)
    assert repr(decoded.content[0]) == "TextBlock(citations=None, text='Hi', type='text')"
    assert hash(decoded.content[0]) == hash(TextBlock(text="Hi"))
    assert decoded != MESSAGE
    assert TextBlock(text="a") != TextBlock(text="b")


# Pages


def test_a_page_holds_decoded_items() -> None:
    document = {"data": [{"id": "a"}, {"id": "b", "new": 1}], "has_more": True, "last_id": "b"}
    page = decode_page(ModelInfo, as_bytes(document))
    assert [item.id for item in page.data] == ["a", "b"]
    assert (page.has_more, page.first_id, page.last_id) == (True, None, "b")
    assert page.to_dict() == document
    assert page.data[1].to_dict() == {"id": "b", "new": 1}


def test_a_malformed_page_names_the_place() -> None:
    with pytest.raises(Malformed, match=r"^data\[1\]\.id: is missing$"):
        decode_page(ModelInfo, b'{"data": [{"id": "a"}, {}]}')
    with pytest.raises(Malformed, match=r"^data: is missing$"):
        decode_page(ModelInfo, b'{"object": "list"}')
    with pytest.raises(Malformed, match=r"^has_more: expected bool, got str$"):
        decode_page(ModelInfo, b'{"data": [], "has_more": "yes"}')


def test_decode_and_build_take_any_model() -> None:
    count = decode(ModelInfo, b'{"id": "a"}')
    assert count == build(ModelInfo, {"id": "a"})
    assert count.to_dict() == {"id": "a"}


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"a\ud83d", "a\ufffd"),
        (r"\uDE00b", "\ufffdb"),
        (r"\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (r"\\\ud83d\"", '\\\ufffd"'),
    ],
)
def test_half_a_character_is_replaced_and_costs_no_answer(escaped: str, text: str) -> None:
    """A gateway that counts in UTF-16 may cut a character in two."""
    data = message(content=[{"type": "text", "text": "@"}]).replace(b"@", escaped.encode())
    decoded = decode_message(data)
    assert decoded.text == decoded.to_dict()["content"][0]["text"] == text
    assert json.loads(msgspec.json.encode(raw(decoded.content[0]))) == {
        "type": "text",
        "text": text,
    }
    delta = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}'
    event: Any = decode_event(delta % escaped.encode())
    assert event.delta.text == event.to_dict()["delta"]["text"] == text
    page = decode_page(ModelInfo, b'{"data":[{"id":"%s"}]}' % escaped.encode())
    assert page.data[0].id == page.to_dict()["data"][0]["id"] == text


def test_null_for_what_may_be_left_out_is_as_if_it_were_left_out() -> None:
    thinking = {"type": "thinking", "thinking": "Hm", "signature": None}
    usage = {"input_tokens": 1, "output_tokens": 2, "server_tool_use": {"web_fetch_requests": None}}
    data = message(content=[thinking], usage=usage)
    decoded: Any = decode_message(data)
    assert decoded.content[0].signature == ""
    assert decoded.usage.server_tool_use.web_fetch_requests == 0
    assert decoded.to_dict() == json.loads(data)


@pytest.mark.parametrize("number", [b"1000.0", b"1e3", b"100E1", b"0.1e4"])
def test_a_count_in_any_form_of_number_is_a_count(number: bytes) -> None:
    data = message().replace(b'"input_tokens": 3', b'"input_tokens": ' + number)
    decoded = decode_message(data)
    assert decoded.usage.input_tokens == 1000
    assert type(decoded.usage.input_tokens) is int
    assert decoded.to_dict() == json.loads(data)
    delta = (
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%b}}'
    )
    event = decode_event(delta % number)
    assert isinstance(event, MessageDeltaEvent)
    assert event.usage.output_tokens == 1000


def test_a_place_in_any_form_of_number_is_a_place() -> None:
    delta = b'{"type":"content_block_stop","index":1.0}'
    event = decode_event(delta)
    assert isinstance(event, ContentBlockStopEvent)
    assert event.index == 1


@pytest.mark.parametrize("number", [b"1.5", b'"1"', b"true"])
def test_what_is_no_whole_number_is_no_count(number: bytes) -> None:
    data = message().replace(b'"input_tokens": 3', b'"input_tokens": ' + number)
    with pytest.raises(Malformed, match=r"usage\.input_tokens: expected int"):
        decode_message(data)
