from __future__ import annotations

import base64
from typing import Any

from apertis.sandbox.thinking import sign, signature_is_broken

ENABLED = {"type": "enabled", "budget_tokens": 1024}


def ask(client: Any, thinking: Any, **fields: Any) -> dict[str, Any]:
    answer = client.ask("Is a tomato a fruit?", thinking=thinking, max_tokens=4000, **fields)
    assert answer.status == 200, answer.body
    message: dict[str, Any] = answer.json
    return message


def test_thinking_comes_first_with_a_signature(client: Any) -> None:
    for setting in (ENABLED, {"type": "adaptive"}):
        thought, words = ask(client, setting)["content"]
        assert thought["type"] == "thinking"
        assert "Is a tomato a fruit?" in thought["thinking"]
        assert len(base64.b64decode(thought["signature"])) > 100
        assert words["type"] == "text"


def test_no_thinking_is_given_unasked(client: Any) -> None:
    for setting in (None, {"type": "disabled"}):
        assert [block["type"] for block in ask(client, setting)["content"]] == ["text"]


def test_omitted_thinking_is_counted_but_not_shown(client: Any) -> None:
    shown = ask(client, {"type": "adaptive", "display": "summarized"})
    omitted = ask(client, {"type": "adaptive", "display": "omitted"})
    assert omitted["content"][0]["thinking"] == ""
    assert omitted["content"][0]["signature"] == shown["content"][0]["signature"]
    details = omitted["usage"]["output_tokens_details"]
    assert details == shown["usage"]["output_tokens_details"]
    assert 0 < details["thinking_tokens"] < omitted["usage"]["output_tokens"]


def test_thinking_between_tools_waits_for_a_result(client: Any) -> None:
    setting = {"type": "between_tools"}
    assert [block["type"] for block in ask(client, setting)["content"]] == ["text"]
    use = {"type": "tool_use", "id": "t", "name": "clock", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "noon"}
    messages = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    thought = ask(client, setting, messages=messages)["content"][0]
    assert "clock" in thought["thinking"]


def test_a_phrase_of_the_api_redacts_the_thinking(client: Any) -> None:
    phrase = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9"
    block = client.ask(phrase, thinking={"type": "adaptive"}).json["content"][0]
    assert block["type"] == "redacted_thinking"
    assert block["data"]


def test_thinking_that_was_cut_is_signed_as_it_is(client: Any) -> None:
    message = client.ask(thinking={"type": "adaptive"}, max_tokens=5).json
    (thought,) = message["content"]
    assert message["stop_reason"] == "max_tokens"
    assert not signature_is_broken(thought["thinking"], thought["signature"])


def test_thinking_that_was_changed_is_refused(client: Any) -> None:
    thought, words = ask(client, {"type": "adaptive"})["content"]
    for changed, status in ((thought["thinking"], 200), ("Something else", 400)):
        content = [{**thought, "thinking": changed}, words]
        messages = [
            {"role": "user", "content": "Is a tomato a fruit?"},
            {"role": "assistant", "content": content},
            {"role": "user", "content": "Sure?"},
        ]
        answer = client.ask(messages=messages)
        assert answer.status == status
        if status == 400:
            assert "Invalid `signature` in `thinking` block" in answer.error


def test_signatures_of_others_and_thinking_left_out_pass() -> None:
    assert not signature_is_broken("anything", "EuYDCmMIDBgC")
    assert not signature_is_broken("anything", "not base64!")
    assert not signature_is_broken("", sign("what was left out"))
    assert signature_is_broken("anything", "")
