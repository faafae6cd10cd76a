"""A valid request to the message that answers it: blocks first, then their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from apertis.sandbox.fallbacks import REFUSAL_TRIGGER, chain, fallback_blocks, iterations
from apertis.sandbox.prompt import Prompt, cited_sources, hear
from apertis.sandbox.prose import (
    cited_blocks,
    citing_opening,
    plain_answer,
    shows_thinking,
    sign,
    think,
    tool_preamble,
)
from apertis.sandbox.schemas import fill
from apertis.sandbox.tokens import CHARACTERS_PER_TOKEN, InputUsage, input_usage, text_tokens
from apertis.sandbox.toolcalls import choose_calls
from apertis.sandbox.values import JsonObject, choice_type, fingerprint, output_schema, stable_id
from apertis.sandbox.vocabulary import Words
from apertis.sandbox.wanted_json import json_answer, with_described

if TYPE_CHECKING:
    from apertis.sandbox.validation import Accepted
    from apertis.sandbox.values import JsonObject


@dataclass(frozen=True, slots=True)
class _Draft:
    blocks: list[JsonObject]
    stop_reason: str


def compose(accepted: Accepted) -> JsonObject:
    """Return the whole message, as `POST /v1/messages` answers it without `stream`."""
    request = accepted.request
    heard = hear(request, accepted.attachments)
    seed = fingerprint(request)
    hops = chain(request, accepted.model)
    declined = heard.question.count(REFUSAL_TRIGGER)
    refused = declined >= len(hops)
    hops = hops[: declined + 1]
    answering = hops[-1].request
    draft = _Draft([], "refusal") if refused else _draft(accepted, answering, heard, seed)
    limited = limit(draft.blocks, answering["max_tokens"], request.get("stop_sequences") or [])
    if not shows_thinking(request):
        limited.blocks[:] = [_without_thinking(block) for block in limited.blocks]
    given = input_usage(request, accepted.attachments)
    usage = _usage(request, given, limited)
    if request.get("fallbacks"):
        usage["iterations"] = list(iterations(hops, given, limited.tokens, refused))
    message: JsonObject = {
        "model": hops[-1].model.id,
        "id": stable_id("msg_01", seed),
        "type": "message",
        "role": "assistant",
        "content": [*fallback_blocks(hops), *limited.blocks],
        "stop_reason": limited.stop_reason or draft.stop_reason,
        "stop_sequence": limited.stop_sequence,
        "stop_details": None,
        "usage": usage,
    }
    if draft.stop_reason == "refusal":
        explanation = "The prompt holds the phrase that makes Claude, and the sandbox, refuse."
        message["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
    return message


def _draft(accepted: Accepted, request: JsonObject, heard: Prompt, seed: bytes) -> _Draft:
    thought = think(request, heard)
    blocks = [thought] if thought else []
    calls = choose_calls(request, heard)
    if calls:
        if choice_type(request) not in ("any", "tool"):
            blocks.append(_text(tool_preamble(heard, [call.name for call in calls])))
        for number, call in enumerate(calls):
            block = {
                "type": "tool_use",
                "id": stable_id("toolu_01", seed, f"tool {number}"),
                "name": call.name,
                "input": call.input,
                "caller": {"type": "direct"},
            }
            blocks.append(block)
        return _Draft(blocks, "tool_use")
    return _Draft([*blocks, *_words(accepted, request, heard)], "end_turn")


def _words(accepted: Accepted, request: JsonObject, heard: Prompt) -> list[JsonObject]:
    schema = output_schema(request)
    if schema is not None:
        value = fill(with_described(schema), Words(heard.question))
        return [_text(msgspec.json.encode(value).decode())]
    asked = json_answer(heard)
    if asked is not None:
        return [_text(asked)]
    cited = cited_blocks(
        citing_opening(heard), heard.question, cited_sources(request, accepted.attachments)
    )
    if cited and not heard.tool_answers:
        return cited
    # What continues the caller's own beginning does not begin anew.
    joint = " " if heard.prefill else ""
    return [_text(joint + plain_answer(request, heard))]


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _without_thinking(block: JsonObject) -> JsonObject:
    return {**block, "thinking": ""} if block["type"] == "thinking" else block


def _usage(request: JsonObject, given: InputUsage, limited: Limited) -> JsonObject:
    usage: JsonObject = {
        **given.counts(),
        "output_tokens": limited.tokens,
        "service_tier": "standard",
        "inference_geo": request.get("inference_geo") or "not_available",
    }
    if limited.thinking_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": limited.thinking_tokens}
    return usage


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
