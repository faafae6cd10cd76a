"""Messages against each other: order, roles, empty ones, pairs of tool blocks."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.sandbox.validation import (
    breakpoint_problems,
    conversation_problems,
    version_problems,
)


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if len(content) == 1 else list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "f", "input": {}}


def result(name: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": name}


def problems(*messages: dict[str, Any], takes_prefill: bool = True) -> str:
    return "\n".join(conversation_problems(list(messages), takes_prefill))


@pytest.mark.parametrize(
    "messages",
    [
        [user("Hi")],
        [user("Hi"), user("Again")],
        [user("Hi"), assistant("Hel")],
        [user("Hi"), assistant("")],
        [user("Hi"), assistant([use("a"), use("b")]), user([result("b"), result("a")])],
        [user("Hi"), {"role": "system", "output_config": {"effort": "low"}}, user("So?")],
    ],
)
def test_a_conversation_as_people_have_it_has_no_problems(messages: list[Any]) -> None:
    assert problems(*messages) == ""


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "at least one message is required"),
        ([assistant("Hi")], 'first message must use the "user" role'),
        ([user("Hi"), assistant("Hel ")], "cannot end with trailing whitespace"),
        ([user(""), user("Hi")], "messages.0: all messages must have non-empty content"),
        ([user("Hi"), assistant(""), user("Hi")], "messages.1: all messages must have non-empty"),
        ([user([use("a")])], "messages.0: `tool_use` blocks can only be in `assistant`"),
        ([user("Hi"), assistant([result("a")])], "messages.1: `tool_result` blocks can only be"),
        ([user("Hi"), assistant([use("a")])], "messages.1: `tool_use` ids were found without"),
        ([user("Hi"), assistant([use("a")]), user("So?")], "immediately after: a."),
        ([user("Hi"), assistant([use("a"), use("a")])], "messages.1: `tool_use` ids must be uni"),
        ([user([result("a")])], "messages.0.content.0: unexpected `tool_use_id` found"),
    ],
)
def test_what_the_api_refuses_is_named(messages: list[Any], said: str) -> None:
    assert said in problems(*messages)


def test_only_some_models_take_the_beginning_of_their_answer() -> None:
    told = problems(user("Hi"), assistant("Hel"), takes_prefill=False)
    assert "does not support assistant message prefill" in told
    assert problems(user("Hi"), takes_prefill=False) == ""


def test_four_breakpoints_are_the_most() -> None:
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    request = {"tools": [marked], "system": [marked], "messages": [user([marked, marked])]}
    assert [*breakpoint_problems(request)] == []
    (told,) = breakpoint_problems(request | {"cache_control": {"type": "ephemeral"}})
    assert told.endswith("Found 5.")


def test_what_the_newest_version_no_longer_takes_is_named() -> None:
    cited = {"type": "text", "text": "x", "citations": [{}]}
    messages = [user([cited]), assistant([{"type": "document"}, cited])]
    assert [*version_problems(messages)] == [
        "messages.0.content.0.text.citations: Extra inputs are not permitted",
        "messages.1.content.0: `document` blocks are not permitted in `assistant` messages",
    ]
