"""A program that edits what came sends what it sees: never the bytes that came."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from apertis.models import decode_message
from apertis.sansio.request import render_body

CAME: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "text", "text": "Hi", "citations": None},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}},
        {"type": "hologram", "z": 1},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2, "future": {"x": 1}},
    "novelty": 5,
}


def came() -> Any:
    return decode_message(json.dumps(CAME).encode())


def sent(message: Any) -> Any:
    """The content as a request carries it."""
    return json.loads(render_body({"messages": [message]}))["messages"][0]["content"]


def test_a_field_that_is_set_is_what_is_dumped() -> None:
    message = came()
    message.stop_reason = "max_tokens"
    message.novelty = 6
    dumped = message.to_dict()
    assert (dumped["stop_reason"], dumped["novelty"]) == ("max_tokens", 6)
    assert dumped["content"] == CAME["content"]
    assert dumped["usage"] == CAME["usage"]


def test_a_part_that_is_edited_is_dumped_in_the_whole() -> None:
    message = came()
    message.usage.output_tokens += 40
    assert message.to_dict() == {**CAME, "usage": {**CAME["usage"], "output_tokens": 42}}
    assert message.model_dump()["usage"]["output_tokens"] == 42


@pytest.mark.parametrize("index", [0, 1])
def test_a_block_that_is_edited_is_sent_as_it_is(index: int) -> None:
    message = came()
    block = message.content[index]
    if index == 0:
        block.text += " there"
    else:
        block.input = {"b": 2}
    content = sent({"role": "assistant", "content": message.content})
    assert sent(message) == content
    told = {0: ("text", "Hi there"), 1: ("input", {"b": 2})}[index]
    assert content[index][told[0]] == told[1]
    assert message.to_dict()["content"][index][told[0]] == told[1]
    rest = [part for place, part in enumerate(content) if place != index]
    assert rest == [part for place, part in enumerate(CAME["content"]) if place != index]


def test_an_unknown_block_can_be_edited_too() -> None:
    message = came()
    message.content[2].data = {"type": "hologram", "z": 2}
    assert sent(message)[2] == {"type": "hologram", "z": 2}


def test_what_is_edited_compares_by_value_and_survives_a_pickle() -> None:
    message, other = came(), came()
    assert message == other
    message.usage.input_tokens = 9
    assert message != other
    copy = pickle.loads(pickle.dumps(message))
    assert copy == message
    assert copy.to_dict()["usage"]["input_tokens"] == 9


def test_nothing_edited_is_sent_as_the_bytes_that_came() -> None:
    assert sent(came()) == CAME["content"]
