"""Which conversations stay with their model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertis.gateway.routing import is_bound

EPHEMERAL = {"type": "ephemeral"}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 1, **fields}).encode()


def turns(*blocks: dict[str, Any], role: str = "assistant") -> bytes:
    return body(messages=[{"role": "user", "content": "hi"}, {"role": role, "content": [*blocks]}])


BOUND = {
    "signed thinking": turns({"type": "thinking", "thinking": "…", "signature": "EqQB"}),
    "redacted thinking": turns({"type": "redacted_thinking", "data": "EqQB"}),
    "a cached prefix": body(messages=[], cache_control=EPHEMERAL),
    "a cached system prompt": body(
        system=[{"type": "text", "text": "s", "cache_control": EPHEMERAL}], messages=[]
    ),
    "cached tools": body(tools=[{"name": "t", "cache_control": EPHEMERAL}], messages=[]),
    "a cached turn": turns({"type": "text", "text": "t", "cache_control": EPHEMERAL}, role="user"),
    "a cached part of a tool's result": turns(
        {
            "type": "tool_result",
            "content": [{"type": "text", "text": "t", "cache_control": EPHEMERAL}],
        },
        role="user",
    ),
    "an escaped name": body(messages=[]).replace(b'"model"', b'"cache\\u005fcontrol": {}, "model"'),
    "what cannot be read": b'{"messages": "redacted_thinking',
    "what is no object": b'["cache_control"]',
}

FREE = {
    "plain turns": turns({"type": "text", "text": "t"}),
    "unsigned thinking": turns({"type": "thinking", "thinking": "…", "signature": ""}),
    "text that speaks of it": turns({"type": "text", "text": '"cache_control" "signature"'}),
    "a tool's own argument": turns(
        {"type": "tool_use", "input": {"cache_control": 1, "signature": "x"}}
    ),
    "a tool's own schema": body(
        tools=[{"name": "t", "input_schema": {"properties": {"cache_control": {}}}}], messages=[]
    ),
    "null": body(system=[{"type": "text", "text": "s", "cache_control": None}], messages=[]),
    "strange shapes": body(
        system="cache_control", tools={"cache_control": 1}, messages=[1, {"content": "x"}, None]
    ),
    "a signature elsewhere": turns({"type": "text", "text": "t", "signature": "x"}),
}


@pytest.mark.parametrize("data", BOUND.values(), ids=BOUND.keys())
def test_a_conversation_is_bound_by(data: bytes) -> None:
    assert is_bound(data)


@pytest.mark.parametrize("data", FREE.values(), ids=FREE.keys())
def test_a_conversation_is_not_bound_by(data: bytes) -> None:
    assert not is_bound(data)
