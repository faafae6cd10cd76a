from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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
