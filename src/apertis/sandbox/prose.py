"""The words of a response: what the sandbox is, what it heard, and nothing that it cannot know."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.sandbox.prompt import Prompt, shorten, summary
from apertis.sandbox.tokens import CHARACTERS_PER_TOKEN
from apertis.sandbox.values import JsonObject, is_object
from apertis.sandbox.vocabulary import stems, words_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.sandbox.attachments import Attachment

_GREETING = re.compile(r"\s*(hello|hi|hey|good (morning|afternoon|evening))\b", re.IGNORECASE)
_LENGTH = re.compile(
    r"\b(\d{1,3}(?:,\d{3})+|\d{1,7})[\s-]*(words?|tokens?|paragraphs?)\b", re.IGNORECASE
)
_POEM = re.compile(r"\b(poem|haiku|verse|sonnet)\b", re.IGNORECASE)
_WORDS_PER = {"word": 1.0, "token": 0.7, "paragraph": 60.0}
_MAX_WORDS = 120_000
# How far into a prompt its wishes are looked for.
_FAR_ENOUGH = 4_000

_FIRST = (
    "I am the Apertis sandbox, a stand-in for Claude. I run offline and no model has read your "
    "words, so this is no answer: it tells you what arrived."
)
_AGAIN = "Still the sandbox here, standing in for Claude."
_VERSE = """\
A bracket opens, waits its turn,
for what a function has to learn;
the cursor blinks, a patient light,
the tests were red, and now turn bright.

No model wrote these lines for you:
a stand-in keeps the meter true."""
_FILLER = (
    "You asked for a longer answer, and here it is, though a stand-in has little to tell.",
    "Words arrive one after the other, just as they would from the real service.",
    "If you watch them stream in, every one of them came in an event of its own or near it.",
    "A long answer is a good test for a program that reads while the answer is being written.",
    "It shows whether the screen keeps up, whether memory stays flat, and whether the end is seen.",
    "The end comes in one of two ways: the length you asked for is reached, or `max_tokens` is.",
    "Nothing here was drawn by chance, so the same request gives the same words every time.",
)


def plain_answer(request: JsonObject, heard: Prompt) -> str:
    """Return the response in words to a turn that leads to no tool and asks for no form."""
    opening = _FIRST if heard.first_answer else _AGAIN
    if heard.first_answer and _GREETING.match(heard.question):
        opening = f"Hello! {opening}"
    parts = [opening, *_answer_parts(request, heard)]
    text = "\n\n".join(parts)
    return text + _more(heard.question, text)


def _answer_parts(request: JsonObject, heard: Prompt) -> list[str]:
    parts = [_tool_words(heard)] if heard.tool_answers else []
    if heard.question:
        verb = "asked" if heard.question.endswith("?") else "said"
        when = " now" if heard.earlier else ""
        parts.append(f"You{when} {verb}: “{shorten(heard.question, 600)}”")
    if heard.earlier:
        parts.append(_looking_back(heard))
    if _POEM.search(heard.question[:_FAR_ENOUGH]):
        parts.append(f"For a poem I keep a few lines at hand:\n\n{_VERSE}")
    facts = "\n".join(f"- {ended(line)}" for line in summary(request, heard))
    # The opening of a first response leads to the facts already.
    parts.append(facts if heard.first_answer else f"This is what I heard:\n\n{facts}")
    return parts


def _looking_back(heard: Prompt) -> str:
    """Return the question before this one, the very first, and how the last response began."""
    before = f"“{shorten(heard.earlier[-1], 200)}”"
    text = f"Before that, your words were {before}"
    if len(heard.earlier) > 1:
        text += f", and you began our conversation with “{shorten(heard.earlier[0], 200)}”"
    if not heard.last_answer:
        return text
    return f"{ended(text)} My last answer began: “{shorten(heard.last_answer, 80)}”"


def _tool_words(heard: Prompt) -> str:
    lines: list[str] = []
    for answer in heard.tool_answers:
        if answer.is_error:
            lines.append(f"The tool `{answer.name}` reports an error: {answer.content}")
        elif answer.content:
            lines.append(f"The tool `{answer.name}` answers: {answer.content}")
        else:
            lines.append(f"The tool `{answer.name}` is done and returned nothing.")
    return "\n\n".join(lines)


def tool_preamble(heard: Prompt, names: list[str]) -> str:
    """Return the text before a tool call of the sandbox's own choice."""
    who = "I am the Apertis sandbox, a stand-in for Claude. " if heard.first_answer else ""
    called = " and ".join(f"`{name}`" for name in dict.fromkeys(names))
    return f"{who}Your words fit {called}, so that is what I call, with what I found in them."


def citing_opening(heard: Prompt) -> str:
    """Return the text before quoted passages."""
    who = _FIRST if heard.first_answer else _AGAIN
    asked = shorten(heard.question, 300)
    return f"{who}\n\nIn your sources, these passages come closest to “{asked}”:"


def ended(line: str) -> str:
    """Return the line with a full stop, if it does not end in one."""
    return line if line.rstrip("”").endswith((".", "!", "?", "…")) else f"{line}."


def _more(question: str, text: str) -> str:
    """Add paragraphs when the prompt asks for a response of so many words."""
    asked = _LENGTH.search(question[:_FAR_ENOUGH])
    if asked is None:
        return ""
    unit = asked.group(2).lower().rstrip("s")
    wanted = min(int(asked.group(1).replace(",", "")) * _WORDS_PER[unit], _MAX_WORDS)
    missing = int(wanted) - len(text.split())
    parts: list[str] = []
    number = 0
    while missing > 0:
        sentence = _FILLER[number % len(_FILLER)].split()[:missing]
        missing -= len(sentence)
        parts.append(("\n\n" if number % 4 == 0 else " ") + " ".join(sentence))
        number += 1
    return "".join(parts)


_MARK = b"apertis-sandbox\x00"
REDACTED_TRIGGER = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"


def sign(thinking: str) -> str:
    """Return the signature of a thinking text: base64, opaque to clients as the API's own is."""
    digest = hashlib.sha256(_MARK + thinking.encode()).digest()
    rest = b"".join(hashlib.sha256(digest + bytes([n])).digest() for n in range(4))
    return base64.b64encode(_MARK + digest + rest).decode()


def signature_is_broken(thinking: str, signature: str) -> bool:
    """Return whether a thinking block is not as the sandbox gave it.

    Signatures of others cannot be checked and pass; a text that was left out cannot either.
    """
    if not signature:
        return True
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return raw.startswith(_MARK) and bool(thinking) and signature != sign(thinking)


def think(request: JsonObject, heard: Prompt) -> JsonObject | None:
    """Return the thinking block that comes before the response, or None when none is asked for.

    The text is the whole of it, also where `display` is `omitted`: it is counted, and left out
    when the response is written down.
    """
    setting = request.get("thinking")
    if not is_object(setting) or setting["type"] == "disabled":
        return None
    kind = setting["type"]
    if kind == "between_tools" and not heard.tool_answers:
        return None
    if REDACTED_TRIGGER in heard.question:
        return {"type": "redacted_thinking", "data": sign(heard.question)}
    text = _thoughts(request, heard)
    if kind == "enabled":
        text = text[: setting["budget_tokens"] * CHARACTERS_PER_TOKEN]
    return {"type": "thinking", "thinking": text, "signature": sign(text)}


def shows_thinking(request: JsonObject) -> bool:
    """Return whether the thinking is to be read; `omitted` leaves only its signature."""
    setting = request.get("thinking")
    return not is_object(setting) or setting.get("display") != "omitted"


def _thoughts(request: JsonObject, heard: Prompt) -> str:
    said = shorten(heard.question, 200)
    lines = ["Let me look at what has arrived before I answer."]
    if heard.tool_answers:
        names = ", ".join(answer.name for answer in heard.tool_answers)
        lines.append(f"There is a result from {names}; the answer has to rest on it.")
    elif said:
        lines.append(f"The question is: “{said}”")
        told = [word for word in words_in(heard.question) if stems(word)][:6]
        if told:
            lines.append(f"The words that seem to matter: {', '.join(dict.fromkeys(told))}.")
    if heard.system:
        lines.append("There is a system prompt, so I keep to it and say that I have read it.")
    if request.get("tools"):
        lines.append("Tools are on offer. I compare their names with the words of the question.")
    lines.append(
        "I am a stand-in and cannot weigh the matter itself. The honest way is to say so, show "
        "what I heard, and keep to the form that the real answer would have."
    )
    return "\n\n".join(lines)


_SENTENCE = re.compile(r"\S[^.!?\n]*[.!?]*")
_MAX_PASSAGES = 3
_MAX_QUOTE_LENGTH = 400


@dataclass(frozen=True, slots=True)
class _Passage:
    text: str
    citation: JsonObject


def cited_blocks(opening: str, question: str, sources: list[Attachment]) -> list[JsonObject]:
    """Return the text blocks of a response that quotes the sources; none if none may be cited."""
    passages = list(_passages(sources))
    if not passages:
        return []
    blocks: list[JsonObject] = [{"type": "text", "text": opening}]
    for passage in _closest(passages, question):
        blocks.append({"type": "text", "text": "\n\n- "})
        quote = passage.text[:_MAX_QUOTE_LENGTH]
        blocks.append({"type": "text", "text": quote, "citations": [passage.citation]})
    return blocks


def _closest(passages: list[_Passage], question: str) -> list[_Passage]:
    """Return the passages that share most words with the question, in the order of the sources."""
    asked = stems(question)
    scores = [len(stems(passage.text) & asked) for passage in passages]
    ranked = sorted(range(len(passages)), key=lambda place: (-scores[place], place))
    telling = [place for place in ranked if scores[place]] or ranked[:1]
    return [passages[place] for place in sorted(telling[:_MAX_PASSAGES])]


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
