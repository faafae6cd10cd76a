from __future__ import annotations

from typing import Any

import pytest


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": description, "input_schema": schema}


TEXT = {"type": "string"}
WEATHER = tool("get_weather", "Current weather in a place", location=TEXT)
CLOCK = tool("get_time", "The time of day in a place", city=TEXT)
SUM = tool("calculator", "Evaluate arithmetic", expression=TEXT)
EMAIL = {"type": "string", "format": "email"}
CONTACT = tool("find_contact", "Find a contact", address=EMAIL, note=TEXT)


def calls(client: Any, prompt: str, *tools: Any, **fields: Any) -> list[tuple[str, Any]]:
    answer = client.ask(prompt, tools=list(tools), **fields)
    assert answer.status == 200, answer.body
    found = [block for block in answer.json["content"] if block["type"] == "tool_use"]
    assert (answer.json["stop_reason"] == "tool_use") == bool(found)
    assert len({block["id"] for block in found}) == len(found)
    return [(block["name"], block["input"]) for block in found]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What's the weather like in Tokyo?", ("get_weather", {"location": "Tokyo"})),
        ("weather in tokyo please", ("get_weather", {"location": "tokyo"})),
        ("Weather for San Francisco, CA?", ("get_weather", {"location": "San Francisco, CA"})),
        ("What time is it in New York?", ("get_time", {"city": "New York"})),
        ("Use the calculator: 12 * (3 + 4)", ("calculator", {"expression": "12 * (3 + 4)"})),
        (
            'Find the contact ann@example.com with the note "See you"',
            ("find_contact", {"address": "ann@example.com", "note": "See you"}),
        ),
    ],
)
def test_the_tool_that_fits_is_called_with_the_words_of_the_prompt(
    client: Any, prompt: str, expected: Any
) -> None:
    assert calls(client, prompt, CONTACT, SUM, CLOCK, WEATHER) == [expected]


def test_the_page_of_the_documentation_gets_its_call(client: Any, weather: Any) -> None:
    prompt = "What's the weather like in Tokyo?"
    assert calls(client, prompt, weather) == [("get_weather", {"location": "Tokyo"})]


def test_words_come_before_a_call_of_its_own_choice_only(client: Any) -> None:
    prompt = "What's the weather in Rome?"
    first, _ = client.ask(prompt, tools=[WEATHER]).json["content"]
    assert "stand-in" in first["text"]
    forced = client.ask(prompt, tools=[WEATHER], tool_choice={"type": "any"}).json["content"]
    assert [block["type"] for block in forced] == ["tool_use"]


def test_an_optional_value_is_given_when_the_prompt_names_it(client: Any, weather: Any) -> None:
    ((_, given),) = calls(client, "The weather in Tokyo in Fahrenheit?", weather)
    assert given == {"location": "Tokyo", "unit": "fahrenheit"}


def test_no_tool_is_called_when_none_fits(client: Any) -> None:
    assert calls(client, "Tell me a joke.", WEATHER, CLOCK) == []


def test_the_choice_is_kept(client: Any) -> None:
    prompt = "What's the weather in Rome?"
    none = calls(client, prompt, WEATHER, tool_choice={"type": "none"})
    assert none == []
    named = calls(client, prompt, WEATHER, SUM, tool_choice={"type": "tool", "name": "calculator"})
    assert [name for name, _ in named] == ["calculator"]
    unfit = calls(client, "Tell me a joke.", WEATHER, SUM, tool_choice={"type": "any"})
    assert len(unfit) == 1


@pytest.mark.parametrize("alone", [False, True])
def test_several_places_are_several_calls_unless_parallel_use_is_off(
    client: Any, alone: bool
) -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": alone}
    prompt = "Compare the weather in Oslo, Rome and New York."
    found = calls(client, prompt, WEATHER, tool_choice=choice)
    expected = ["Oslo"] if alone else ["Oslo", "Rome", "New York"]
    assert [given["location"] for _, given in found] == expected


def test_several_tools_that_the_prompt_names_are_all_called(client: Any) -> None:
    found = calls(client, "The weather and the time in Oslo?", WEATHER, CLOCK)
    assert found == [("get_weather", {"location": "Oslo"}), ("get_time", {"city": "Oslo"})]


def test_after_a_result_words_follow_unless_a_call_is_forced(client: Any) -> None:
    use = {"type": "tool_use", "id": "t", "name": "get_weather", "input": {"location": "Rome"}}
    messages = [
        {"role": "user", "content": "The weather in Rome?"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "Ok"}]},
    ]
    assert calls(client, "", WEATHER, messages=messages) == []
    forced = calls(client, "", WEATHER, messages=messages, tool_choice={"type": "any"})
    assert forced == [("get_weather", {"location": "Rome"})]


@pytest.mark.parametrize(
    "nobody", [{"enum": []}, {"type": "integer", "minimum": 5, "maximum": 3}, {"not": {}}]
)
def test_an_input_that_nothing_fits_is_an_object_all_the_same(client: Any, nobody: Any) -> None:
    forced = {"type": "tool", "name": "strange"}
    assert calls(client, "Go!", tool("strange", x=nobody), tool_choice=forced) == [("strange", {})]


@pytest.mark.parametrize("pattern", ["[a-z]{1000000000}", "a{99999999999999999999}", "(" * 5000])
def test_a_monstrous_pattern_is_answered(client: Any, pattern: str) -> None:
    strange = tool("strange", x={"type": "string", "pattern": pattern})
    assert client.ask("Go!", tools=[strange], tool_choice={"type": "any"}).status in (200, 400)


def test_a_call_that_does_not_fit_into_max_tokens_is_left_out(client: Any) -> None:
    choice = {"type": "tool", "name": "get_weather"}
    answer = client.ask("Rome?", tools=[WEATHER], tool_choice=choice, max_tokens=3).json
    assert (answer["content"], answer["stop_reason"]) == ([], "max_tokens")


def test_tools_of_the_api_at_the_callers_side_are_called(client: Any) -> None:
    found = calls(client, "Run bash", {"type": "bash_20250124", "name": "bash"})
    assert found == [("bash", {"command": "true"})]


def test_tools_of_the_service_are_never_called(client: Any) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert calls(client, "Do a web search for cats", search) == []
