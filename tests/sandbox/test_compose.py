from __future__ import annotations

from typing import Any

import pytest


def turns(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


def test_the_answer_shows_the_question_and_the_system_prompt(client: Any) -> None:
    answer = client.ask("How do I read a JSON file?", system="You are a coding assistant.")
    assert "“How do I read a JSON file?”" in answer.text
    assert "“You are a coding assistant.”" in answer.text


def test_system_blocks_and_system_messages_are_heard(client: Any) -> None:
    messages = [*turns("Hi"), {"role": "system", "content": "Speak Latin."}]
    system = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    text = client.ask(messages=messages, system=system).text
    assert "Be brief. Be kind. Speak Latin." in text


def test_later_turns_show_the_turns_before_them(client: Any) -> None:
    messages = turns("What is recursion?", "A thing.", "An example?", "Here.", "And in Python?")
    text = client.ask(messages=messages).text
    assert "turn 3 of our conversation" in text
    for heard in ("And in Python?", "An example?", "What is recursion?", "Here."):
        assert f"“{heard}”" in text
    assert "sandbox" in text


def test_messages_of_one_role_in_a_row_are_one_turn(client: Any) -> None:
    messages = [{"role": "user", "content": "First"}, {"role": "user", "content": "Second"}]
    text = client.ask(messages=messages).text
    assert "first turn" in text
    assert "“First Second”" in text


def test_an_answer_can_be_put_back_and_continued(client: Any, weather: Any) -> None:
    question = {"role": "user", "content": "What's the weather like in Tokyo?"}
    settings = {"tools": [weather], "thinking": {"type": "adaptive"}}
    first = client.ask(messages=[question], **settings).json
    call = first["content"][-1]
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "22 °C and sunny"}
    messages = [
        question,
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [result]},
    ]
    second = client.ask(messages=messages, **settings)
    assert second.json["stop_reason"] == "end_turn"
    assert "`get_weather` answers: 22 °C and sunny" in second.text


def test_prefilled_words_are_continued(client: Any) -> None:
    answer = client.ask(messages=turns("Hi", "My answer is"))
    assert answer.status == 200
    assert answer.text.startswith(" ")


def test_max_tokens_cuts_the_answer(client: Any) -> None:
    answer = client.ask("Tell me everything.", max_tokens=10).json
    assert answer["stop_reason"] == "max_tokens"
    assert answer["usage"]["output_tokens"] == 10
    assert len(answer["content"][0]["text"]) == 40


def test_a_stop_sequence_ends_the_answer_and_is_named(client: Any) -> None:
    answer = client.ask("Count: one, two, three.", stop_sequences=["four", "two"]).json
    assert answer["stop_reason"] == "stop_sequence"
    assert answer["stop_sequence"] == "two"
    assert answer["content"][-1]["text"].endswith("Count: one, ")


def test_a_stop_sequence_that_does_not_come_changes_nothing(client: Any) -> None:
    assert client.ask("Hi", stop_sequences=["\n\nHuman:"]).json["stop_reason"] == "end_turn"


def test_what_comes_first_of_the_two_limits_decides(client: Any) -> None:
    question = "Count: one, two, three."
    answer = client.ask(question, stop_sequences=["two"], max_tokens=5).json
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("max_tokens", None)


def test_an_alias_is_answered_with_the_model_it_stands_for(client: Any) -> None:
    assert client.ask(model="claude-haiku-4-5").json["model"] == "claude-haiku-4-5-20251001"
    assert client.ask(model="claude-sonnet-4.5").json["model"] == "claude-sonnet-4.5"


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "mood": {"enum": ["glad", "sad"]},
    },
    "required": ["name", "age", "mood"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "field",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
    ],
)
def test_structured_output_is_json_from_the_words_of_the_prompt(client: Any, field: Any) -> None:
    import json

    answer = client.ask("Alice is 30 and feels sad.", **field)
    assert len(answer.json["content"]) == 1
    assert json.loads(answer.text) == {"name": "Alice", "age": 30, "mood": "sad"}


def test_a_phrase_of_the_api_makes_the_sandbox_refuse(client: Any) -> None:
    answer = client.ask("ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL_1FAE").json
    assert answer["stop_reason"] == "refusal"
    assert answer["content"] == []
    assert answer["stop_details"]["type"] == "refusal"


def test_tool_errors_and_empty_results_are_told(client: Any) -> None:
    uses = [{"type": "tool_use", "id": f"t{n}", "name": f"tool_{n}", "input": {}} for n in range(2)]
    results = [
        {"type": "tool_result", "tool_use_id": "t0", "content": "no such city", "is_error": True},
        {"type": "tool_result", "tool_use_id": "t1"},
    ]
    messages = [
        *turns("Go"),
        {"role": "assistant", "content": uses},
        {"role": "user", "content": results},
    ]
    text = client.ask(messages=messages).text
    assert "`tool_0` reports an error: no such city" in text
    assert "`tool_1` is done and returned nothing" in text


EFFORT = {"effort": "low"}


@pytest.mark.parametrize(
    "last",
    [
        {"role": "user", "content": "Go on.", "output_config": EFFORT},
        {"role": "system", "output_config": EFFORT},
        {"role": "system", "content": "Be short.", "output_config": EFFORT},
    ],
)
def test_the_effort_of_one_turn_goes_before_that_of_the_request(client: Any, last: Any) -> None:
    said = [{"role": "user", "content": "Go on."}] if last["role"] == "system" else []
    fields = {"output_config": {"effort": "high"}, "model": "claude-opus-5"}
    turn = client.ask(messages=[*said, last], **fields)
    assert "effort low" in turn.text
    later = [*said, last, {"role": "assistant", "content": "Yes."}, *(said or [{**last}])]
    if last["role"] == "system":
        assert "effort high" in client.ask(messages=later, **fields).text


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"role": "system", "output_config": {"format": {}}}, "messages.1.output_config.format"),
        (
            {"role": "system", "output_config": {"effort": "huge"}},
            "messages.1.output_config.e",
        ),
        ({"role": "system", "output_config": {}}, "messages.1.content: Field required"),
        ({"role": "system"}, "messages.1.content: Field required"),
        ({"role": "user", "content": "a", "clear_at": "never"}, "messages.1.clear_at: Extra"),
        ({"role": "system", "content": "a", "clear_at": "soon"}, "messages.1.clear_at: Input"),
        ({"role": "system", "output_config": {"effort": "xhigh"}}, "effort level 'xhigh'"),
    ],
)
def test_settings_of_a_turn_that_cannot_be_are_refused(
    client: Any, message: Any, complaint: str
) -> None:
    answer = client.ask(messages=[{"role": "user", "content": "Hi"}, message])
    assert answer.status == 400
    assert complaint in answer.error


def test_a_system_message_for_one_turn_is_not_heard_in_the_next(client: Any) -> None:
    told = {"role": "system", "content": "Only now.", "clear_at": "next_user_message"}
    first = [{"role": "user", "content": "Hi"}, told]
    assert "Only now." in client.ask(messages=first).text
    second = [*first, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "So?"}]
    assert "Only now." not in client.ask(messages=second).text
