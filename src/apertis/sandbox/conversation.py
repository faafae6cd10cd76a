"""Rules between the messages of a request: their order, empty ones, and pairs of tool blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.sandbox.prose import signature_is_broken
from apertis.sandbox.values import JsonObject, blocks_of, is_object, objects_of

if TYPE_CHECKING:
    from apertis.sandbox.rules import Complaints

_MAX_BREAKPOINTS = 4


def conversation_problems(messages: list[JsonObject], takes_prefill: bool) -> Complaints:
    """Check messages against each other that are each valid by themselves."""
    if not messages:
        yield "messages: at least one message is required"
        return
    yield from _order_problems(messages, takes_prefill)
    for place, message in enumerate(messages):
        yield from _empty_problems(place, message, last=place == len(messages) - 1)
        yield from _role_problems(place, message)
    yield from _pair_problems(messages)


def version_problems(messages: list[JsonObject]) -> Complaints:
    """Check for content in messages that `anthropic-version: 2026-10-21` no longer takes."""
    for place, message in enumerate(messages):
        for number, block in enumerate(blocks_of(message.get("content"))):
            where = f"messages.{place}.content.{number}"
            kind = block.get("type")
            if message["role"] == "assistant" and kind == "document":
                yield f"{where}: `document` blocks are not permitted in `assistant` messages"
            if message["role"] == "user" and kind == "text" and block.get("citations"):
                yield f"{where}.text.citations: Extra inputs are not permitted"


def breakpoint_problems(request: JsonObject) -> Complaints:
    """Check for too many `cache_control` breakpoints."""
    marked = int(is_object(request.get("cache_control")))
    holders = [*objects_of(request.get("tools")), *blocks_of(request.get("system"))]
    for message in request["messages"]:
        holders.extend(blocks_of(message.get("content")))
    marked += sum(is_object(holder.get("cache_control")) for holder in holders)
    if marked > _MAX_BREAKPOINTS:
        yield (
            f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {marked}."
        )


def _order_problems(messages: list[JsonObject], takes_prefill: bool) -> Complaints:
    if messages[0]["role"] != "user":
        yield 'messages: first message must use the "user" role'
    last = messages[-1]
    if last["role"] != "assistant":
        return
    if not takes_prefill:
        yield (
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    blocks = blocks_of(last.get("content"))
    text = blocks[-1].get("text", "") if blocks else ""
    if isinstance(text, str) and text != text.rstrip():
        yield "messages: final assistant content cannot end with trailing whitespace"


def _empty_problems(place: int, message: JsonObject, last: bool) -> Complaints:
    if message["role"] == "system" and "output_config" in message:
        return
    if not message.get("content") and not (last and message["role"] == "assistant"):
        yield (
            f"messages.{place}: all messages must have non-empty content "
            "except for the optional final assistant message"
        )


def _role_problems(place: int, message: JsonObject) -> Complaints:
    role = message["role"]
    for number, block in enumerate(blocks_of(message.get("content"))):
        kind = block.get("type")
        if role != "assistant" and kind in ("tool_use", "thinking", "redacted_thinking"):
            yield f"messages.{place}: `{kind}` blocks can only be in `assistant` messages"
        if role != "user" and kind == "tool_result":
            yield f"messages.{place}: `tool_result` blocks can only be in `user` messages"
        if kind == "thinking" and signature_is_broken(block["thinking"], block["signature"]):
            yield (f"messages.{place}.content.{number}: Invalid `signature` in `thinking` block")


def _pair_problems(messages: list[JsonObject]) -> Complaints:
    """Check that every tool use has its result in the next message, and every result its use."""
    open_ids: list[str] = []
    for place, message in enumerate(messages):
        blocks = blocks_of(message.get("content"))
        results = [
            (number, block["tool_use_id"])
            for number, block in enumerate(blocks)
            if block.get("type") == "tool_result"
        ]
        for number, result_id in results:
            if result_id not in open_ids:
                yield (
                    f"messages.{place}.content.{number}: unexpected `tool_use_id` found in "
                    f"`tool_result` blocks: {result_id}. Each `tool_result` block must have a "
                    "corresponding `tool_use` block in the previous message."
                )
        if message["role"] == "user":
            answered = {result_id for _, result_id in results}
            yield from _unanswered(place - 1, [use for use in open_ids if use not in answered])
            open_ids = []
        ids = [block["id"] for block in blocks if block.get("type") == "tool_use"]
        if len(set(ids)) < len(ids):
            yield f"messages.{place}: `tool_use` ids must be unique"
        open_ids += ids
    yield from _unanswered(len(messages) - 1, open_ids)


def _unanswered(place: int, ids: list[str]) -> Complaints:
    if ids:
        yield (
            f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(ids)}. Each `tool_use` block must have a corresponding "
            "`tool_result` block in the next message."
        )
