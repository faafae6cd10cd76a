"""Events put together to the message so far."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.models import Malformed, build_event
from apertis.sansio.transcript import BlockProgress, Transcript
from tests.kit.responses import EVENTS, MESSAGE


def fed(*events: dict[str, Any]) -> tuple[Transcript, list[str]]:
    """A transcript of these events, and the types of what a reader sees of them."""
    transcript = Transcript()
    seen = transcript.tell(map(build_event, events))
    return transcript, [event.type for event in seen]


def start(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def blocks(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """The content of the message after these events."""
    transcript, _ = fed(EVENTS[0], *events)
    content: list[dict[str, Any]] = transcript.message().to_dict()["content"]
    return content


def test_a_whole_stream_is_the_message_that_came_whole() -> None:
    transcript, seen = fed(*EVENTS)
    assert transcript.message().to_dict() == MESSAGE
    assert (transcript.begun, transcript.ended) == (True, True)
    assert seen == [
        *("message_start", "content_block_start", "content_block_delta", "text"),
        *("content_block_stop", "message_delta", "message_stop"),
    ]


def test_there_is_no_message_before_its_start() -> None:
    transcript, seen = fed(EVENTS[2])
    assert seen == ["content_block_delta"]
    assert not transcript.begun
    with pytest.raises(Malformed, match="before message_start"):
        transcript.message()


TOOL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
THINKING = {"type": "thinking", "thinking": "", "signature": ""}


@pytest.mark.parametrize(
    ("pieces", "read"),
    [
        ([], {}),
        ([" "], {}),
        (['{"a":', "1}"], {"a": 1}),
        (['{"a": 1, "b": "ha'], {"a": 1}),
        (["[1]"], {"INVALID_JSON": "[1]"}),
        (["no"], {"INVALID_JSON": "no"}),
    ],
)
def test_an_input_is_what_is_whole_of_it(pieces: list[str], read: dict[str, Any]) -> None:
    deltas = [delta(type="input_json_delta", partial_json=piece) for piece in pieces]
    assert blocks(start(TOOL), *deltas) == [{**TOOL, "input": read}]


def test_thinking_grows_and_its_last_signature_counts() -> None:
    deltas = [
        delta(type="thinking_delta", thinking="a"),
        delta(type="thinking_delta", thinking="b"),
        delta(type="signature_delta", signature="one"),
        delta(type="signature_delta", signature="other"),
    ]
    grown = {**THINKING, "thinking": "ab", "signature": "other"}
    assert blocks(start(THINKING), *deltas) == [grown]


def test_citations_join_those_that_the_block_began_with() -> None:
    cited = [
        {"type": "page_location", "cited_text": text, "document_index": 0,
         "document_title": None, "start_page_number": 1, "end_page_number": 2}
        for text in "ab"
    ]  # fmt: skip
    text = {"type": "text", "text": "x", "citations": cited[:1]}
    (block,) = blocks(start(text), delta(type="citations_delta", citation=cited[1]))
    assert block["citations"] == cited


def test_blocks_stand_in_the_order_of_their_places() -> None:
    texts = [{"type": "text", "text": text} for text in "ab"]
    assert blocks(start(texts[1], 1), start(texts[0], 0)) == texts


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([delta(type="text_delta", text="x")], "content block 0, which has not started"),
        ([*EVENTS[1:4], EVENTS[2]], "content block 0, which has ended"),
        ([EVENTS[1], EVENTS[1]], "content block 0 starts a second time"),
    ],
)
def test_an_event_that_does_not_fit_is_malformed(events: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        fed(EVENTS[0], *events)


def test_a_block_of_the_start_may_start_once_more() -> None:
    early = {"type": "text", "text": "early"}
    opening = {"type": "message_start", "message": {**MESSAGE, "content": [early]}}
    transcript, _ = fed(opening, EVENTS[1], EVENTS[2])
    assert transcript.message().text == "hello"
    transcript, _ = fed(opening, delta(type="text_delta", text=" bird"))
    assert transcript.message().text == "early bird"


def test_the_last_stated_usage_counts_and_a_null_states_nothing() -> None:
    usage = {"output_tokens": 7, "input_tokens": None, "cache_read_input_tokens": 2}
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    transcript, _ = fed(EVENTS[0], ended)
    told = transcript.message().to_dict()["usage"]
    assert told == {"input_tokens": 1, "output_tokens": 7, "cache_read_input_tokens": 2}


def test_behind_a_fallback_the_message_is_of_the_other_model() -> None:
    hop = {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}
    transcript, _ = fed(EVENTS[0], start(hop))
    assert transcript.message().model == "b"


def test_a_block_keeps_the_fields_that_nobody_knows() -> None:
    progress = BlockProgress({"type": "text", "text": "a", "new": 1})
    progress.text.append("b")
    assert progress.data() == {"type": "text", "text": "ab", "new": 1}
    assert progress.block().to_dict() == progress.data()
