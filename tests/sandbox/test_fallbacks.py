from __future__ import annotations

from typing import Any

import pytest

PHRASE = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"
TWO = [{"model": "claude-opus-4-8"}, {"model": "claude-opus-4-7"}]


def test_the_first_model_answers_and_says_what_it_used(client: Any) -> None:
    message = client.ask(model="claude-fable-5", fallbacks=TWO).json
    assert message["model"] == "claude-fable-5"
    (only,) = message["usage"]["iterations"]
    assert (only["type"], only["model"]) == ("message", "claude-fable-5")
    for name in ("input_tokens", "output_tokens", "cache_creation"):
        assert only[name] == message["usage"][name]


def test_without_fallbacks_there_are_no_iterations(client: Any) -> None:
    assert "iterations" not in client.ask().json["usage"]


def test_the_next_model_answers_when_one_declines(client: Any) -> None:
    message = client.ask(f"Why? {PHRASE}", model="claude-opus-4-5", fallbacks=TWO).json
    block, *rest = message["content"]
    assert block == {
        "type": "fallback",
        "from": {"model": "claude-opus-4-5"},
        "to": {"model": "claude-opus-4-8"},
        "trigger": {"type": "refusal", "category": None},
    }
    assert [each["type"] for each in rest] == ["text"]
    assert message["model"] == "claude-opus-4-8"
    first, second = message["usage"]["iterations"]
    assert (first["type"], first["model"]) == ("message", "claude-opus-4-5-20251101")
    assert (first["output_tokens"], second["type"]) == (0, "fallback_message")
    assert second["output_tokens"] == message["usage"]["output_tokens"]


def test_when_all_decline_the_last_refusal_is_the_answer(client: Any) -> None:
    message = client.ask(f"{PHRASE} " * 3, fallbacks=TWO).json
    assert message["stop_reason"] == "refusal"
    assert [each["type"] for each in message["content"]] == ["fallback", "fallback"]
    assert {each["type"] for each in message["usage"]["iterations"]} == {"message"}
    alone = client.ask(PHRASE).json
    assert (alone["stop_reason"], alone["content"]) == ("refusal", [])


def test_default_stands_for_one_model(client: Any) -> None:
    for name in ("claude-fable-5", "claude-opus-4-8"):
        message = client.ask(PHRASE, model=name, fallbacks="default").json
        assert message["stop_reason"] == "end_turn"
        assert message["model"] != name


def test_an_entry_has_its_own_limits_and_settings(client: Any) -> None:
    entry = {"model": "claude-opus-4-8", "max_tokens": 7, "output_config": {"effort": "xhigh"}}
    message = client.ask(PHRASE, fallbacks=[entry]).json
    assert (message["usage"]["output_tokens"], message["stop_reason"]) == (7, "max_tokens")
    told = client.ask(PHRASE, fallbacks=[{**entry, "max_tokens": None}], max_tokens=900)
    assert "effort xhigh" in told.text
    assert "model `claude-opus-4-8`" in told.text


def test_thinking_that_a_fallback_does_not_take_is_left_out(client: Any) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked = {"thinking": thinking, "max_tokens": 4000, "fallbacks": TWO}
    kinds = [block["type"] for block in client.ask(PHRASE, **asked).json["content"]]
    assert kinds == ["fallback", "text"]


@pytest.mark.parametrize("declined", range(4))
def test_the_stream_is_the_message_but_begins_as_the_requested_model(
    client: Any, assemble: Any, declined: int
) -> None:
    fields = {"model": "claude-fable-5", "fallbacks": TWO}
    prompt = f"Hello! {PHRASE * declined}"
    whole = client.ask(prompt, **fields).json
    events = client.ask(prompt, stream=True, **fields).events
    start = events[0]["message"]
    assert start["model"] == "claude-fable-5"
    assert "iterations" not in start["usage"]
    assert {**assemble(events), "model": whole["model"]} == whole
    deltas = {each["index"] for each in events if each["type"] == "content_block_delta"}
    assert not deltas & set(range(min(declined, 2)))


@pytest.mark.parametrize(
    ("fallbacks", "message"),
    [
        ([{"model": "gpt-4"}], "fallbacks.0.model: 'gpt-4' is not a fallback model"),
        ([{"model": "claude-3-haiku-20240307"}], "fallbacks.0.model"),
        ([{}], "fallbacks.0.model: Field required"),
        ([{"model": "claude-opus-5", "temperature": 1}], "fallbacks.0.temperature: Extra inputs"),
        ([{"model": "claude-opus-5", "max_tokens": 10**6}], "fallbacks.0.max_tokens: 1000000 >"),
        ("none", "fallbacks: Input should be 'default'"),
        (3, "fallbacks: Input should be a valid list"),
    ],
)
def test_fallbacks_that_cannot_be_are_refused(client: Any, fallbacks: Any, message: str) -> None:
    answer = client.ask(fallbacks=fallbacks)
    assert answer.status == 400
    assert message in answer.error


def test_a_fallback_block_goes_back_and_counts_as_nothing(client: Any) -> None:
    message = client.ask(PHRASE, fallbacks=TWO).json
    user = {"role": "user", "content": "More?"}
    both = [{"role": "assistant", "content": message["content"]}, user]
    words = [{"role": "assistant", "content": message["content"][1:]}, user]
    counts = [client.count(messages=[user, *rest]).json["input_tokens"] for rest in (both, words)]
    assert counts[0] == counts[1]
