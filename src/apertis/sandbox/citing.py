"""Citations: passages of the caller's documents, with where they stand in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.sandbox.words import stems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.sandbox.attachments import Attachment
    from apertis.sandbox.values import JsonObject

_SENTENCE = re.compile(r"\S[^.!?\n]*[.!?]*")
_MOST_PASSAGES = 3
_LONGEST_QUOTE = 400


@dataclass(frozen=True, slots=True)
class _Passage:
    text: str
    citation: JsonObject


def cited_blocks(opening: str, question: str, sources: list[Attachment]) -> list[JsonObject]:
    """The text blocks of an answer that quotes the sources; nothing when none may be cited."""
    passages = list(_passages(sources))
    if not passages:
        return []
    blocks: list[JsonObject] = [{"type": "text", "text": opening}]
    for passage in _closest(passages, question):
        blocks.append({"type": "text", "text": "\n\n- "})
        quote = passage.text[:_LONGEST_QUOTE]
        blocks.append({"type": "text", "text": quote, "citations": [passage.citation]})
    return blocks


def _closest(passages: list[_Passage], question: str) -> list[_Passage]:
    """The passages that share most words with the question, in the order of the sources."""
    asked = stems(question)
    scores = [len(stems(passage.text) & asked) for passage in passages]
    ranked = sorted(range(len(passages)), key=lambda place: (-scores[place], place))
    telling = [place for place in ranked if scores[place]] or ranked[:1]
    return [passages[place] for place in sorted(telling[:_MOST_PASSAGES])]


def _passages(sources: list[Attachment]) -> Iterator[_Passage]:
    documents = [source for source in sources if source.kind == "document"]
    results = [source for source in sources if source.kind == "search_result"]
    for number, source in enumerate(documents):
        if source.citations:
            yield from _document_passages(number, source)
    for number, source in enumerate(results):
        if source.citations:
            yield from _result_passages(number, source)


def _document_passages(number: int, source: Attachment) -> Iterator[_Passage]:
    shared = {"document_index": number, "document_title": source.title or None, "file_id": None}
    for place, text in enumerate(source.texts):
        for found in _SENTENCE.finditer(text):
            quote = found.group()
            if source.source == "text":
                where: JsonObject = {
                    "type": "char_location",
                    "start_char_index": found.start(),
                    "end_char_index": found.end(),
                }
            elif source.source == "content":
                quote = text
                where = {
                    "type": "content_block_location",
                    "start_block_index": place,
                    "end_block_index": place + 1,
                }
            else:
                where = {
                    "type": "page_location",
                    "start_page_number": place + 1,
                    "end_page_number": place + 2,
                }
            yield _Passage(found.group(), {**where, "cited_text": quote, **shared})


def _result_passages(number: int, source: Attachment) -> Iterator[_Passage]:
    for place, text in enumerate(source.texts):
        citation = {
            "type": "search_result_location",
            "cited_text": text,
            "search_result_index": number,
            "source": source.where,
            "title": source.title,
            "start_block_index": place,
            "end_block_index": place + 1,
        }
        yield _Passage(text, citation)
