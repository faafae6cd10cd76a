from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox import Sandbox

TITLE = (
    "Generate a concise, sentence-case title (3-7 words) that captures the main topic of this "
    'coding session. Return JSON with a single "title" field.\n\nGood examples:\n'
    '{"title": "Fix login button on mobile"}\n{"title": "Add OAuth authentication"}'
)


@pytest.mark.parametrize(
    ("system", "keys"),
    [
        (TITLE, {"title"}),
        ('Return JSON with a single "title" field.', {"title"}),
        ("Respond only with valid JSON.", {"answer"}),
        ("Answer in JSON with the keys `name` and `age`.", {"name", "age"}),
        ("Reply in JSON. Fields: title, body", {"title", "body"}),
        ('Output a JSON object: {"name": string, "size": number}', {"name", "size"}),
        ('Reply with JSON like {"level": "low|high", "sure": true, "tags": ["a"]}.', None),
        ("You must always produce your reply as JSON, nothing else.", {"answer"}),
    ],
)
def test_json_that_a_system_prompt_asks_for_is_the_answer(
    client: Any, system: str, keys: set[str] | None
) -> None:
    answer = client.ask("Mend the parser, high priority", system=system)
    value = json.loads(answer.text)
    if keys is not None:
        assert set(value) == keys
    else:
        assert value["level"] == "high"
        assert isinstance(value["sure"], bool)
        assert isinstance(value["tags"], list)


@pytest.mark.parametrize(
    "system",
    [
        "Be kind.",
        "Never return JSON.",
        "Answer in words, do not use JSON.",
        "You read JSON files.",
        "Respond in prose rather than JSON.",
    ],
)
def test_json_that_nobody_asked_for_is_not_the_answer(client: Any, system: str) -> None:
    text = client.ask("Hi!", system=system).text
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(text)


def test_a_list_is_a_list(client: Any) -> None:
    text = client.ask('"Ann" and "Bob"', system="Return a JSON array of names.").text
    assert json.loads(text) == ["Ann", "Bob"]


def test_what_the_caller_has_begun_is_gone_on_with(client: Any) -> None:
    begun = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{"}]
    text = client.ask(messages=begun, system='Return JSON with a "title" field.').text
    assert set(json.loads("{" + text)) == {"title"}


def test_a_schema_and_a_tool_go_before_what_is_asked_in_words(client: Any, weather: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"const": 1}}, "required": ["n"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert client.ask("Hi", system=TITLE, output_config=config).text == '{"n":1}'
    called = client.ask("The weather in Rome?", system=TITLE, tools=[weather]).json
    assert called["stop_reason"] == "tool_use"


def test_no_command_of_the_prompt_is_in_it(client: Any) -> None:
    text = client.ask("rm -rf /", system='Return JSON with a "command" field.').text
    assert text == '{"command":"true"}'


@given(st.text(alphabet='{}[]":,ab| \n', max_size=80), st.text(max_size=40))
def test_any_system_prompt_that_asks_for_json_gets_json(prompt: str, said: str) -> None:
    request = {
        "model": "claude-opus-5-5",
        "max_tokens": 5000,
        "system": f"Return JSON: {prompt}",
        "messages": [{"role": "user", "content": "a" + said}],
    }
    body = json.dumps(request).encode()
    reply = Sandbox().reply("POST", "/v1/messages", {}, body)
    answer = json.loads(b"".join(step for step in reply.steps if isinstance(step, bytes)))
    if reply.status == 200:
        json.loads(answer["content"][0]["text"])
