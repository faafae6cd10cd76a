"""A response held to `max_tokens` and `stop_sequences`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from apertis.sandbox.prose import sign
from apertis.sandbox.tokens import CHARACTERS_PER_TOKEN, text_tokens

if TYPE_CHECKING:
    from apertis.sandbox.values import JsonObject


@dataclass(frozen=True, slots=True)
class Limited:
    """The blocks that remain, why they end (None: of themselves), and what they come to."""

    blocks: list[JsonObject]
    stop_reason: str | None
    stop_sequence: str | None
    tokens: int
    thinking_tokens: int


def limit(blocks: list[JsonObject], max_tokens: int, stop_sequences: list[str]) -> Limited:
    """Return the blocks up to the first stop sequence in their text or the token limit.

    A tool call that is not finished in time is left out: half an input is nobody's input.
    """
    blocks, found = _until_sequence(blocks, stop_sequences)
    kept: list[JsonObject] = []
    left, thought = max_tokens, 0
    for block in blocks:
        needed = block_tokens(block)
        if needed > left:
            part = _shortened(block, left)
            thought += block_tokens(part) if part and part["type"] == "thinking" else 0
            kept += [part] if part else []
            return Limited(kept, "max_tokens", None, max_tokens, thought)
        kept.append(block)
        left -= needed
        thought += needed if block["type"] in ("thinking", "redacted_thinking") else 0
    reason = "stop_sequence" if found is not None else None
    return Limited(kept, reason, found, max_tokens - left, thought)


def block_tokens(block: JsonObject) -> int:
    """Return the estimate for a block of a response."""
    kind = block["type"]
    if kind == "text":
        return text_tokens(block["text"])
    if kind == "thinking":
        return text_tokens(block["thinking"])
    if kind == "redacted_thinking":
        return text_tokens(block["data"])
    return 8 + text_tokens(block["name"] + msgspec.json.encode(block["input"]).decode())


def _shortened(block: JsonObject, tokens: int) -> JsonObject | None:
    most = tokens * CHARACTERS_PER_TOKEN
    if block["type"] == "text" and most:
        return {**block, "text": block["text"][:most]}
    if block["type"] == "thinking" and most:
        text = block["thinking"][:most]
        return {**block, "thinking": text, "signature": sign(text)}
    return None


def _until_sequence(
    blocks: list[JsonObject], sequences: list[str]
) -> tuple[list[JsonObject], str | None]:
    """Return the blocks before the earliest sequence, which may span two blocks."""
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    places = [(text.find(sequence), -len(sequence), sequence) for sequence in sequences]
    earliest = min((found for found in places if found[0] >= 0), default=None)
    if earliest is None:
        return blocks, None
    left = earliest[0]
    kept: list[JsonObject] = []
    for block in blocks:
        if block["type"] != "text":
            kept.append(block)
            continue
        if left < len(block["text"]):
            if left:
                kept.append({**block, "text": block["text"][:left]})
            return kept, earliest[2]
        kept.append(block)
        left -= len(block["text"])
    return kept, earliest[2]
