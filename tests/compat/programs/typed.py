"""Types of requests and responses by their names, their deep paths, and those of the beta."""

from typing import get_args, get_type_hints

import anthropic
from anthropic import types
from anthropic.types import (
    CacheControlEphemeralParam,
    MessageParam,
    RawContentBlockDeltaEvent,
    RawMessageStreamEvent,
    StopReason,
    TextBlockParam,
    TextDelta,
    ThinkingConfigAdaptiveParam,
    ToolChoiceAutoParam,
    ToolParam,
    ToolResultBlockParam,
    UserMessageParam,
)
from anthropic.types.beta import BetaMessage, BetaMessageParam, BetaTextBlock, BetaToolParam
from anthropic.types.beta.beta_text_block_param import BetaTextBlockParam
from anthropic.types.cache_creation import CacheCreation
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.parsed_message import ParsedMessage, ParsedTextBlock
from anthropic.types.raw_message_delta_event import Delta, RawMessageDeltaEvent
from anthropic.types.tool_param import InputSchema

client = anthropic.Anthropic()
schema: InputSchema = {"type": "object", "properties": {"city": {"type": "string"}}}
tool = ToolParam(name="weather", description="Weather of a city.", input_schema=schema)
turn = UserMessageParam(
    role="user",
    content=[
        TextBlockParam(
            type="text",
            text="Say hello.",
            cache_control=CacheControlEphemeralParam(type="ephemeral"),
        )
    ],
)
call = MessageCreateParamsNonStreaming(
    model="claude-sonnet-5-5",
    max_tokens=64,
    messages=[turn],
    tools=[tool],
    tool_choice=ToolChoiceAutoParam(type="auto"),
    thinking=ThinkingConfigAdaptiveParam(type="adaptive"),
)
turns: list[MessageParam] = [turn]
print(tool, turn["content"][0]["text"])
message = client.messages.create(**call)
print(isinstance(message, types.Message), message.stop_reason in get_args(StopReason))
print(ToolResultBlockParam(type="tool_result", tool_use_id="toolu_1", content="sunny"))

turns: list[BetaMessageParam] = [
    {"role": "user", "content": [BetaTextBlockParam(type="text", text="Hi")]}
]
beta = client.beta.messages.create(
    model="claude-sonnet-5-5",
    max_tokens=64,
    messages=turns,
    tools=[BetaToolParam(name="weather", input_schema=schema)],
    betas=["token-efficient-tools-2025-02-19"],
)
print(isinstance(beta, BetaMessage), isinstance(beta.content[-1], BetaTextBlock))
print(anthropic.types.beta.BetaUsage(input_tokens=1, output_tokens=2).output_tokens)


def text_of(event: RawMessageStreamEvent) -> str:
    if isinstance(event, RawContentBlockDeltaEvent) and isinstance(event.delta, TextDelta):
        return event.delta.text
    return event.delta.stop_reason or "" if isinstance(event, RawMessageDeltaEvent) else ""


print("".join(text_of(event) for event in client.messages.create(**call, stream=True)))
delta = RawContentBlockDeltaEvent(
    type="content_block_delta", index=0, delta=TextDelta(type="text_delta", text="Hi")
)
print(text_of(delta), delta.model_dump_json())
print(Delta(stop_reason="end_turn", stop_sequence=None).stop_reason)
print(CacheCreation(ephemeral_1h_input_tokens=1, ephemeral_5m_input_tokens=2).model_dump())
print(issubclass(ParsedMessage, types.Message), issubclass(ParsedTextBlock, types.TextBlock))
print(sorted(get_type_hints(TextBlockParam))[:2], types.text_block.TextBlock is types.TextBlock)
for name in ("ToolUnionParam", "ContentBlock", "ModelInfo", "WebSearchTool20250305Param", "Model"):
    print(name, hasattr(types, name))
