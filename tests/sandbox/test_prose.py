from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from apertis.sandbox.prose import sign, signature_is_broken

if TYPE_CHECKING:
    from collections.abc import Callable

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


QUESTION = {"type": "text", "text": "What color is the grass and the sky?"}
FACTS = "Water is wet. The grass is green. The sky is blue. Snow is cold."


def cited(client: Any, *sources: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.ask([*sources, QUESTION])
    assert answer.status == 200, answer.body
    blocks = [block for block in answer.json["content"] if block.get("citations")]
    return [block["citations"][0] for block in blocks]


def document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, "citations": {"enabled": True}, **fields}


def text_source(text: str = FACTS) -> dict[str, Any]:
    return {"type": "text", "media_type": "text/plain", "data": text}


def test_a_text_is_cited_by_characters(client: Any) -> None:
    citations = cited(client, document(text_source(), title="Facts"))
    assert [found["cited_text"] for found in citations] == [
        "The grass is green.",
        "The sky is blue.",
    ]
    for found in citations:
        start, end = found["start_char_index"], found["end_char_index"]
        assert FACTS[start:end] == found["cited_text"]
        assert found["type"] == "char_location"
        assert (found["document_index"], found["document_title"]) == (0, "Facts")


def test_the_quoted_words_stand_in_blocks_of_their_own(client: Any) -> None:
    blocks = client.ask([document(text_source()), QUESTION]).json["content"]
    assert "stand-in" in blocks[0]["text"]
    assert "citations" not in blocks[0]
    assert [b["text"] for b in blocks if "citations" in b] == [
        "The grass is green.",
        "The sky is blue.",
    ]


def test_blocks_are_cited_by_their_numbers(client: Any) -> None:
    parts = [{"type": "text", "text": text} for text in ("Snow is cold.", "The sky is blue.")]
    (found,) = cited(client, document({"type": "content", "content": parts}))
    assert found["type"] == "content_block_location"
    assert (found["start_block_index"], found["end_block_index"]) == (1, 2)


def test_a_pdf_is_cited_by_pages(client: Any, pdf: Callable[..., bytes]) -> None:
    data = base64.b64encode(pdf("Snow is cold.", "The sky is blue.")).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    (found,) = cited(client, document(text_source("Nothing.")), document(source))
    assert found["type"] == "page_location"
    assert found["cited_text"] == "The sky is blue."
    assert (found["start_page_number"], found["end_page_number"]) == (2, 3)
    assert found["document_index"] == 1


def test_a_search_result_is_cited_by_its_source(client: Any) -> None:
    result = {
        "type": "search_result",
        "source": "https://example.com/sky",
        "title": "Sky",
        "content": [{"type": "text", "text": "The sky is blue."}],
        "citations": {"enabled": True},
    }
    (found,) = cited(client, result)
    assert found["type"] == "search_result_location"
    assert (found["source"], found["title"]) == ("https://example.com/sky", "Sky")
    assert found["search_result_index"] == 0


def test_nothing_is_cited_unasked(client: Any) -> None:
    assert cited(client, {"type": "document", "source": text_source()}) == []
    off = {"enabled": False}
    assert cited(client, {"type": "document", "source": text_source(), "citations": off}) == []
