"""The prompt as the sandbox understands it: a request read as a conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.sandbox.attachments import Attachment, count
from apertis.sandbox.values import JsonObject, blocks_of, effort, objects_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a client says to the model in the user's name, and the user does not.
_ASIDES = ("system-reminder", "local-command-caveat", "ide_opened_file", "ide_selection")


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """A tool's result."""

    name: str
    content: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """The conversation so far, from its last turn backwards.

    `question` is the text of the last turn of the user, `earlier` the texts of the turns before it,
    `prefill` what the caller has already put into the mouth of the assistant.
    """

    question: str
    earlier: tuple[str, ...]
    last_answer: str
    first_answer: bool
    system: str
    shown: tuple[Attachment, ...]
    shown_earlier: tuple[Attachment, ...]
    tool_answers: tuple[ToolAnswer, ...]
    prefill: str

    @property
    def turns(self) -> int:
        """The number of the user's turns."""
        return len(self.earlier) + 1


def hear(request: JsonObject, attachments: Mapping[int, Attachment]) -> Prompt:
    """Read an accepted request."""
    messages = objects_of(request["messages"])
    prefill = text_of(messages[-1].get("content")) if messages[-1]["role"] == "assistant" else ""
    turns = _turns(messages)
    last = turns[-1] if turns else []
    earlier = turns[:-1]
    names = _tool_names(messages)
    answers = tuple(
        _tool_answer(block, names, attachments)
        for block in last
        if block.get("type") == "tool_result"
    )
    spoken = [_text(blocks) for blocks in earlier]
    replies = [
        text_of(message.get("content"))
        for message in messages[: _last_user(messages)]
        if message["role"] == "assistant"
    ]
    return Prompt(
        question=_text(last),
        earlier=tuple(text for text in spoken if text),
        last_answer=next((text for text in reversed(replies) if text), ""),
        first_answer=not replies,
        system=_system(request, messages),
        shown=_shown(last, attachments),
        shown_earlier=tuple(item for turn in earlier for item in _shown(turn, attachments)),
        tool_answers=answers,
        prefill=prefill,
    )


def _last_user(messages: list[JsonObject]) -> int:
    places = [place for place, message in enumerate(messages) if message["role"] == "user"]
    return places[-1] if places else 0


def _turns(messages: list[JsonObject]) -> list[list[JsonObject]]:
    """Return the blocks of each user turn; messages in a row are one, as the API reads them."""
    turns: list[list[JsonObject]] = []
    before = "assistant"
    for message in messages:
        role = str(message["role"])
        if role == "user":
            if before != "user":
                turns.append([])
            turns[-1] += blocks_of(message.get("content"))
        if role != "system":
            before = role
    return turns


def _text(blocks: list[JsonObject]) -> str:
    texts = (block["text"] for block in blocks if block.get("type") == "text")
    return "\n".join(filter(None, (_spoken(text) for text in texts))).strip()


def _spoken(text: str) -> str:
    """Return a text without the asides that clients such as Claude Code put into a user's turn."""
    for name in _ASIDES:
        text = _without(text, f"<{name}>", f"</{name}>")
    return text.strip()


def _without(text: str, opening: str, closing: str) -> str:
    """Return the text without what is between the two; an unclosed part ends with the block."""
    kept: list[str] = []
    place = 0
    while (start := text.find(opening, place)) >= 0:
        end = text.find(closing, start)
        kept.append(text[place:start])
        if end < 0:
            return "".join(kept) + (text[start:] if text[:start].strip() else "")
        place = end + len(closing)
    return "".join((*kept, text[place:]))


def _system(request: JsonObject, messages: list[JsonObject]) -> str:
    texts = [text_of(request.get("system"))]
    last = _last_user(messages)
    texts += [
        text_of(message.get("content"))
        for place, message in enumerate(messages)
        if message["role"] == "system"
        and not (place < last and message.get("clear_at") == "next_user_message")
    ]
    return "\n".join(text for text in texts if text).strip()


def _shown(
    blocks: list[JsonObject], attachments: Mapping[int, Attachment]
) -> tuple[Attachment, ...]:
    return tuple(attachments[id(block)] for block in blocks if id(block) in attachments)


def _tool_names(messages: list[JsonObject]) -> dict[str, str]:
    return {
        str(block["id"]): str(block["name"])
        for message in messages
        for block in blocks_of(message.get("content"))
        if block.get("type") == "tool_use"
    }


def _tool_answer(
    block: JsonObject, names: Mapping[str, str], attachments: Mapping[int, Attachment]
) -> ToolAnswer:
    content = blocks_of(block.get("content"))
    parts = [text_of(content), *(item.describe() for item in _shown(content, attachments))]
    name = names.get(str(block["tool_use_id"]), str(block["tool_use_id"]))
    text = "\n".join(part for part in parts if part)
    return ToolAnswer(name, text, block.get("is_error") is True)


def cited_sources(request: JsonObject, attachments: Mapping[int, Attachment]) -> list[Attachment]:
    """Return all documents and search results of the conversation, in citation order."""
    found: list[Attachment] = []
    for message in objects_of(request["messages"]):
        for block in blocks_of(message.get("content")):
            inner = blocks_of(block.get("content")) if block.get("type") == "tool_result" else []
            found += _shown([block, *inner], attachments)
    return [item for item in found if item.kind != "image"]


def summary(request: JsonObject, heard: Prompt) -> list[str]:
    """Return the lines of what was heard, one fact each, without their full stops."""
    lines = [_conversation_line(heard)]
    if heard.system:
        lines.append(f"The system prompt says: “{shorten(heard.system, 160)}”")
    lines += [item.describe() for item in heard.shown]
    if heard.shown_earlier:
        lines.append(f"Earlier you showed me {count(len(heard.shown_earlier), 'attachment')}")
        lines += [item.describe() for item in heard.shown_earlier[-3:]]
    tools = objects_of(request.get("tools"))
    if tools:
        names = ", ".join(f"`{tool.get('name', tool.get('type'))}`" for tool in tools[:8])
        lines.append(f"You offer {count(len(tools), 'tool')}: {names}")
    if objects_of(request.get("mcp_servers")):
        lines.append("MCP servers are named, and I contact none of them")
    lines.append(_settings_line(request))
    return lines


def _conversation_line(heard: Prompt) -> str:
    if heard.turns == 1:
        return "This is the first turn of our conversation"
    return f"This is turn {heard.turns} of our conversation, and I have all of it"


def _settings_line(request: JsonObject) -> str:
    settings = [f"model `{request['model']}`", f"`max_tokens` {request['max_tokens']}"]
    given = (name for name in ("temperature", "top_p", "top_k") if request.get(name) is not None)
    settings += [f"`{name}` {request[name]}" for name in given]
    if request.get("stop_sequences"):
        settings.append(count(len(request["stop_sequences"]), "stop sequence"))
    level = effort(request)
    if level:
        settings.append(f"effort {level}")
    return "The request asks for " + ", ".join(settings)


def shorten(text: str, most: int) -> str:
    """Return the text on one line, cut at a word when it is longer than so many characters."""
    line = " ".join(text[: 8 * most].split())
    if len(line) <= most and len(text) <= 8 * most:
        return line
    return line[:most].rsplit(" ", 1)[0].rstrip(",;:.") + " …"
