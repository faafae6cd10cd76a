"""The words of an answer: what the sandbox is, what it heard, and nothing that it cannot know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from apertis.sandbox.heard import Heard, shorten, summary

if TYPE_CHECKING:
    from apertis.sandbox.values import JsonObject

_GREETING = re.compile(r"\s*(hello|hi|hey|good (morning|afternoon|evening))\b", re.IGNORECASE)
_LENGTH = re.compile(
    r"\b(\d{1,3}(?:,\d{3})+|\d{1,7})[\s-]*(words?|tokens?|paragraphs?)\b", re.IGNORECASE
)
_POEM = re.compile(r"\b(poem|haiku|verse|sonnet)\b", re.IGNORECASE)
_WORDS_PER = {"word": 1.0, "token": 0.7, "paragraph": 60.0}
_MOST_WORDS = 120_000
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


def plain_answer(request: JsonObject, heard: Heard) -> str:
    """The answer in words to a turn that leads to no tool and asks for no form."""
    opening = _FIRST if heard.first_answer else _AGAIN
    if heard.first_answer and _GREETING.match(heard.question):
        opening = f"Hello! {opening}"
    parts = [opening, *_answer_parts(request, heard)]
    text = "\n\n".join(parts)
    return text + _more(heard.question, text)


def _answer_parts(request: JsonObject, heard: Heard) -> list[str]:
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
    # The opening of a first answer leads to the facts already.
    parts.append(facts if heard.first_answer else f"This is what I heard:\n\n{facts}")
    return parts


def _looking_back(heard: Heard) -> str:
    """The question before this one, the very first, and how the last answer began."""
    before = f"“{shorten(heard.earlier[-1], 200)}”"
    text = f"Before that, your words were {before}"
    if len(heard.earlier) > 1:
        text += f", and you began our conversation with “{shorten(heard.earlier[0], 200)}”"
    if not heard.last_answer:
        return text
    return f"{ended(text)} My last answer began: “{shorten(heard.last_answer, 80)}”"


def _tool_words(heard: Heard) -> str:
    lines: list[str] = []
    for answer in heard.tool_answers:
        if answer.is_error:
            lines.append(f"The tool `{answer.name}` reports an error: {answer.content}")
        elif answer.content:
            lines.append(f"The tool `{answer.name}` answers: {answer.content}")
        else:
            lines.append(f"The tool `{answer.name}` is done and returned nothing.")
    return "\n\n".join(lines)


def tool_preamble(heard: Heard, names: list[str]) -> str:
    """What is said before a tool is called of the sandbox's own choice."""
    who = "I am the Apertis sandbox, a stand-in for Claude. " if heard.first_answer else ""
    called = " and ".join(f"`{name}`" for name in dict.fromkeys(names))
    return f"{who}Your words fit {called}, so that is what I call, with what I found in them."


def citing_opening(heard: Heard) -> str:
    """What is said before passages are quoted."""
    who = _FIRST if heard.first_answer else _AGAIN
    asked = shorten(heard.question, 300)
    return f"{who}\n\nIn your sources, these passages come closest to “{asked}”:"


def ended(line: str) -> str:
    """The line with a full stop, if it does not end in one."""
    return line if line.rstrip("”").endswith((".", "!", "?", "…")) else f"{line}."


def _more(question: str, text: str) -> str:
    """Further paragraphs, when the prompt asks for an answer of so many words."""
    asked = _LENGTH.search(question[:_FAR_ENOUGH])
    if asked is None:
        return ""
    unit = asked.group(2).lower().rstrip("s")
    wanted = min(int(asked.group(1).replace(",", "")) * _WORDS_PER[unit], _MOST_WORDS)
    missing = int(wanted) - len(text.split())
    parts: list[str] = []
    number = 0
    while missing > 0:
        sentence = _FILLER[number % len(_FILLER)].split()[:missing]
        missing -= len(sentence)
        parts.append(("\n\n" if number % 4 == 0 else " ") + " ".join(sentence))
        number += 1
    return "".join(parts)
