"""A valid request to the message that answers it: blocks first, then their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from apertis.sandbox.fallbacks import REFUSAL_TRIGGER, chain, fallback_blocks, iterations
from apertis.sandbox.limits import Limited, limit
from apertis.sandbox.prompt import Prompt, cited_sources, hear
from apertis.sandbox.prose import (
    cited_blocks,
    citing_opening,
    plain_answer,
    shows_thinking,
    think,
    tool_preamble,
)
from apertis.sandbox.schemas import fill
from apertis.sandbox.tokens import InputUsage, input_usage
from apertis.sandbox.toolcalls import choose_calls
from apertis.sandbox.values import JsonObject, choice_type, fingerprint, output_schema, stable_id
from apertis.sandbox.vocabulary import Words
from apertis.sandbox.wanted_json import json_answer, with_described

if TYPE_CHECKING:
    from apertis.sandbox.validation import Accepted


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
