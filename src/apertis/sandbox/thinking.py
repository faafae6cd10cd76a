"""Thinking: when the stand-in thinks, what it thinks, and how it signs that."""

from __future__ import annotations

import base64
import binascii
import hashlib

from apertis.sandbox.heard import Heard, shorten
from apertis.sandbox.tokens import CHARACTERS_PER_TOKEN
from apertis.sandbox.values import JsonObject, is_object
from apertis.sandbox.words import stems, words_in

_MARK = b"apertis-sandbox\x00"
REDACTED_TRIGGER = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"


def sign(thinking: str) -> str:
    """The signature of a thinking text: base64, opaque to clients as the API's own is."""
    digest = hashlib.sha256(_MARK + thinking.encode()).digest()
    rest = b"".join(hashlib.sha256(digest + bytes([n])).digest() for n in range(4))
    return base64.b64encode(_MARK + digest + rest).decode()


def signature_is_broken(thinking: str, signature: str) -> bool:
    """Whether a thinking block is not as the sandbox gave it.

    Signatures of others cannot be checked and pass; a text that was left out cannot either.
    """
    if not signature:
        return True
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return raw.startswith(_MARK) and bool(thinking) and signature != sign(thinking)


def think(request: JsonObject, heard: Heard) -> JsonObject | None:
    """The thinking block that comes before the answer, or None when none is asked for.

    The text is the whole of it, also where `display` is `omitted`: it is counted, and left out
    when the answer is written down.
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
    """Whether the thinking is to be read; `omitted` leaves only its signature."""
    setting = request.get("thinking")
    return not is_object(setting) or setting.get("display") != "omitted"


def _thoughts(request: JsonObject, heard: Heard) -> str:
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
