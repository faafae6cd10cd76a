"""The events of the stream helper."""

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.models import (
    CharLocation,
    CitationEvent,
    CompactionEvent,
    InputJsonEvent,
    SignatureEvent,
    TextEvent,
    ThinkingEvent,
    build_block,
    parse_partial_json,
)


def test_a_snapshot_is_what_had_come_at_its_event() -> None:
    parts: list[str] = []
    events = []
    for piece in ("Hel", "lo", "!"):
        parts.append(piece)
        events.append(TextEvent(piece, parts, len(parts)))
    assert [event.snapshot for event in events] == ["Hel", "Hello", "Hello!"]
    assert [event.text for event in events] == ["Hel", "lo", "!"]
    assert {event.type for event in events} == {"text"}


def test_thinking_and_input_have_snapshots_too() -> None:
    parts = ['{"city": "Ky', 'oto", "days": 3}']
    assert InputJsonEvent(parts[0], parts, 1).snapshot == {"city": "Ky"}
    assert InputJsonEvent(parts[1], parts, 2).snapshot == {"city": "Kyoto", "days": 3}
    assert InputJsonEvent(parts[1], parts, 2).partial_json == parts[1]
    assert ThinkingEvent("b", ["a", "b"], 2).snapshot == "ab"
    assert ThinkingEvent("b", ["a", "b"], 2).thinking == "b"


def test_a_text_can_be_read_as_json_while_it_arrives() -> None:
    assert TextEvent("1", ['{"a": [', "1"], 2).parsed_snapshot() == {"a": [1]}


def test_an_event_stays_the_same_when_its_block_grows() -> None:
    parts = ["a"]
    event = TextEvent("a", parts, 1)
    twin = pickle.loads(pickle.dumps(event))
    parts.append("b")
    assert event == twin
    assert hash(event) == hash(twin)
    assert event.snapshot == twin.snapshot == "a"
    assert event != TextEvent("a", ["x", "a"], 2)
    assert event != ThinkingEvent("a", ["a"], 1)


def test_the_repr_shows_the_piece_and_not_the_shared_list() -> None:
    assert repr(TextEvent("b", ["a", "b"], 2)) == "TextEvent(text='b')"
    assert repr(InputJsonEvent("b", ["a", "b"], 2)) == "InputJsonEvent(partial_json='b')"
    assert repr(ThinkingEvent("b", ["a", "b"], 2)) == "ThinkingEvent(thinking='b')"


def test_derived_events_match_by_pattern() -> None:
    seen: list[Any] = []
    cited = build_block({"type": "text", "text": "", "citations": [{"type": "x"}]})
    for event in (TextEvent("a", ["a"], 1), SignatureEvent("s"), CitationEvent(cited)):  # type: ignore[arg-type]
        match event:
            case TextEvent(text=text, snapshot=snapshot):
                seen.append((text, snapshot))
            case SignatureEvent(signature=signature):
                seen.append(signature)
            case CitationEvent(citation=citation):
                seen.append(citation)
    assert seen == [("a", "a"), "s", cited]


@given(st.recursive(st.integers() | st.text(max_size=3) | st.none(), st.lists, max_leaves=8))
def test_partial_json_can_end_anywhere(value: Any) -> None:
    text = json.dumps({"a": value})
    assert parse_partial_json(text) == {"a": value}
    for end in range(1, len(text)):
        assert "INVALID_JSON" not in parse_partial_json(text[:end])


@pytest.mark.parametrize("text", ["", "  "])
def test_no_input_is_an_empty_object(text: str) -> None:
    assert parse_partial_json(text) == {}


def test_what_is_no_json_comes_back_whole() -> None:
    assert parse_partial_json('{"a": nope}') == {"INVALID_JSON": '{"a": nope}'}
    assert parse_partial_json('{"a": "\ud800') == {"INVALID_JSON": '{"a": "\ud800'}


def test_events_of_the_helper_are_dumped_as_anthropics_are() -> None:
    parts = ['{"a":', " 1}"]
    citation = CharLocation(
        cited_text="x", document_index=0, start_char_index=0, end_char_index=1, document_title=None
    )
    for event, dumped in (
        (TextEvent("lo", ["hel", "lo"], 2), {"type": "text", "text": "lo", "snapshot": "hello"}),
        (
            InputJsonEvent(" 1}", parts, 2),
            {"type": "input_json", "partial_json": " 1}", "snapshot": {"a": 1}},
        ),
        (
            ThinkingEvent("m", ["h", "m"], 2),
            {"type": "thinking", "thinking": "m", "snapshot": "hm"},
        ),
        (SignatureEvent("s"), {"type": "signature", "signature": "s"}),
        (CompactionEvent(None), {"type": "compaction", "content": None}),
        (CitationEvent(citation), {"type": "citation", "citation": citation.model_dump()}),
    ):
        assert event.model_dump() == dumped
        assert json.loads(event.model_dump_json(indent=2)) == dumped
        assert event.model_dump(include={"type"}) == {"type": event.type}
    assert CitationEvent(citation).to_dict() == {"type": "citation", "citation": citation.to_dict()}
    assert TextEvent("a", ["a"], 1).to_json() == '{"type":"text","text":"a","snapshot":"a"}'
    with pytest.raises(TypeError, match="nothing"):
        TextEvent("a", ["a"], 1).model_dump(nothing=True)
