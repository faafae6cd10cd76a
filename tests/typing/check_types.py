# ruff: noqa: TC001 - as programs import them.
"""Read by type checkers, never run: the names of `anthropic.types` are real types."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportMissingModuleSource=false

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, assert_type

import apertis as anthropic
import apertis.types
import apertis.types.beta
import apertis.types.beta.beta_message_param as message_param_module
import apertis.types.messages
from apertis import Apertis, models, params
from apertis.types import (
    CacheControlEphemeralParam,
    ContentBlock,
    Message,
    MessageParam,
    ModelInfo,
    RawContentBlockDeltaEvent,
    StopReason,
    TextBlock,
    TextBlockParam,
    TextDelta,
    ThinkingConfigParam,
    ToolParam,
    ToolUnionParam,
    ToolUseBlock,
    Usage,
    WebSearchResultBlockParam,
    WebSearchToolResultBlockParam,
)
from apertis.types.beta import BetaMessage, BetaMessageParam, BetaTextBlock
from apertis.types.beta.messages import BetaMessageBatch
from apertis.types.beta.parsed_beta_message import ParsedBetaMessage
from apertis.types.message_create_params import MessageCreateParamsNonStreaming
from apertis.types.messages import MessageBatch
from apertis.types.messages.batch_create_params import Request
from apertis.types.model_param import ModelParam
from apertis.types.parsed_message import ParsedTextBlock
from apertis.types.raw_message_delta_event import Delta
from apertis.types.text_block import TextBlock as DeepTextBlock
from apertis.types.tool_param import InputSchema

client = Apertis()


def names_are_our_classes() -> None:
    assert_type(TextBlock(type="text", text="hi"), models.TextBlock)
    assert_type(BetaTextBlock(text="hi"), models.TextBlock)
    assert_type(DeepTextBlock(text="hi"), models.TextBlock)
    assert_type(Delta(stop_reason="end_turn"), models.MessageDelta)
    assert_type(apertis.types.Usage(input_tokens=1, output_tokens=2), models.Usage)
    batch: type[models.MessageBatch] = apertis.types.messages.MessageBatch
    message: type[models.Message] = apertis.types.beta.BetaMessage
    print(batch, message)
    TextBlock(type="other", text="hi")  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]
    TextBlock(type="text")  # type: ignore[call-arg]  # ty: ignore[missing-argument]
    TextBlock(text="hi", mood="calm")  # type: ignore[call-arg]  # ty: ignore[unknown-argument]


def a_message_is_made_by_hand(block: ContentBlock) -> Message:
    message = Message(
        id="m",
        content=[block, ToolUseBlock(id="t", name="n", input={}, type="tool_use")],
        model="x",
        role="assistant",
        stop_reason="end_turn",
        stop_sequence=None,
        type="message",
        usage=Usage(input_tokens=1, output_tokens=2),
    )
    RawContentBlockDeltaEvent(
        type="content_block_delta", index=0, delta=TextDelta(type="text_delta", text="x")
    )
    return message


def blocks_are_told_apart(block: ContentBlock) -> None:
    if block.type == "text":
        assert_type(block, models.TextBlock)
    elif isinstance(block, ToolUseBlock):
        assert_type(block.input, dict[str, Any])
    assert_type(TextBlock(text="a").type, Literal["text"])


def parameters_are_typed() -> None:
    text: TextBlockParam = {"type": "text", "text": "hi"}
    cache: CacheControlEphemeralParam = {"type": "ephemeral"}
    text["cache_control"] = cache
    turn: MessageParam = {"role": "user", "content": [text]}
    beta: BetaMessageParam = {"role": "user", "content": "hi"}
    deep: message_param_module.BetaMessageParam = beta
    schema: InputSchema = {"type": "object"}
    tool: ToolParam = {"name": "n", "input_schema": schema}
    tools: list[ToolUnionParam] = [tool]
    thinking: ThinkingConfigParam = {"type": "enabled", "budget_tokens": 1024}
    model: ModelParam = "claude-sonnet-5-5"
    call: MessageCreateParamsNonStreaming = {
        "model": model,
        "max_tokens": 5,
        "messages": [turn, deep],
        "tools": tools,
        "thinking": thinking,
    }
    assert_type(client.messages.create(**call), models.Message)
    request: Request = {
        "custom_id": "c",
        "params": {"model": model, "max_tokens": 5, "messages": [turn]},
    }
    assert_type(client.messages.batches.create(requests=[request]), models.MessageBatch)
    page: WebSearchResultBlockParam = {
        "type": "web_search_result",
        "title": "t",
        "url": "u",
        "encrypted_content": "e",
    }
    found: WebSearchToolResultBlockParam = {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": [page],
    }
    turns: list[MessageParam] = [{"role": "assistant", "content": [found]}]
    print(turns)
    wrong: MessageParam = {"role": "robot", "content": "hi"}  # type: ignore[typeddict-item]  # ty: ignore[invalid-argument-type]
    _: params.MessageParam = wrong


def models_have_the_methods_of_anthropics(
    message: BetaMessage, parsed: ParsedBetaMessage[int], block: ParsedTextBlock[int]
) -> None:
    assert_type(message.model_dump(mode="json", exclude_none=True), dict[str, Any])
    assert_type(message.model_dump_json(indent=2), str)
    assert_type(message.model_copy(update={"id": "x"}), models.Message)
    assert_type(Message.model_validate({}), models.Message)
    assert_type(parsed.to_dict(), dict[str, Any])
    assert_type(block.model_fields_set, set[str])
    assert_type(block.parsed_output, int | None)
    assert_type(parsed.parsed_output, int | None)
    assert_type(message._request_id, str | None)  # pyright: ignore[reportPrivateUsage]


def times_are_datetimes(batch: MessageBatch, beta: BetaMessageBatch, model: ModelInfo) -> None:
    assert_type(batch.created_at.isoformat(), str)
    assert_type(datetime.now().astimezone() - batch.created_at, timedelta)
    assert_type(beta.created_at - datetime.now().astimezone(), timedelta)
    assert_type(batch.created_at + timedelta(days=1), datetime)
    if model.created_at is not None:
        print(model.created_at.year)


def reasons_keep_their_literals(message: Message) -> StopReason:
    assert_type(message.stop_reason, StopReason | str | None)
    if message.stop_reason in ("max_tokens", "refusal"):
        raise SystemExit(message.stop_reason)
    reason: StopReason = "end_turn"
    return reason


def types_are_an_attribute_of_the_package(
    message: anthropic.types.Message, turn: anthropic.types.MessageParam
) -> None:
    assert_type(message.content[0], models.ContentBlock)
    assert_type(turn["role"], Literal["user", "assistant", "system"])
    usage = anthropic.types.beta.BetaUsage(input_tokens=1, output_tokens=2)
    assert_type(usage, models.Usage)
