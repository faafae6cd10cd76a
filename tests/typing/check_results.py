"""Read by type checkers, never run: what a call gives, and how its parts are told apart."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_never, assert_type

from apertis import (
    Apertis,
    APIError,
    APIStatusError,
    AsyncApertis,
    AsyncMessageStream,
    AsyncStream,
    BatchRun,
    BudgetExceededError,
    Message,
    MessageStream,
    RateLimitError,
    Spent,
    Stream,
    StreamTruncatedError,
)
from apertis.models import (
    CitationEvent,
    ContentBlock,
    ContentBlockDeltaEvent,
    ContentBlockStopEvent,
    InputJSONDelta,
    InputJsonEvent,
    MessageStopEvent,
    MessageStreamEvent,
    RedactedThinkingBlock,
    ResponseInfo,
    StreamEvent,
    TextBlock,
    TextDelta,
    TextEvent,
    ThinkingBlock,
    ThinkingEvent,
    ToolUseBlock,
    UnknownBlock,
    WebSearchToolResultBlock,
)

if TYPE_CHECKING:
    from apertis.params import MessageParam

client = Apertis()
aio = AsyncApertis()
hello: MessageParam = {"role": "user", "content": "Hello"}


def stream_decides_what_comes(flag: bool) -> None:
    create = client.messages.create
    assert_type(create(model="m", max_tokens=5, messages=[hello]), Message)
    assert_type(create(model="m", max_tokens=5, messages=[hello], stream=False), Message)
    assert_type(create(model="m", max_tokens=5, messages=[hello], stream=True), Stream)
    assert_type(create(model="m", max_tokens=5, messages=[hello], stream=flag), Message | Stream)
    _ = create(model="m", max_tokens=5, messages=[hello], stream=True).text  # type: ignore[attr-defined]  # ty: ignore[missing-attribute]
    create(model="m", max_tokens=5, messages=[hello], stream="yes")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]


async def it_does_so_in_both_clients(flag: bool) -> None:
    create = aio.messages.create
    assert_type(await create(model="m", max_tokens=5, messages=[hello]), Message)
    assert_type(await create(model="m", max_tokens=5, messages=[hello], stream=False), Message)
    assert_type(await create(model="m", max_tokens=5, messages=[hello], stream=True), AsyncStream)
    either = await create(model="m", max_tokens=5, messages=[hello], stream=flag)
    assert_type(either, Message | AsyncStream)


def a_message_has_its_parts(message: Message) -> None:
    assert_type(message.text, str)
    assert_type(message.thinking, str)
    assert_type(message.tool_uses, list[ToolUseBlock])
    assert_type(message.usage.input_tokens, int)
    assert_type(message.usage.cache_read_input_tokens, int | None)
    assert_type(message.to_dict(), dict[str, Any])
    assert_type(message.to_json(indent=2), str)
    assert_type(message.response, ResponseInfo)
    assert_type(message.request_id, str | None)
    _ = message.txt  # type: ignore[attr-defined]  # ty: ignore[missing-attribute]
    message.text = "x"  # type: ignore[misc]  # ty: ignore[invalid-assignment]


def blocks_are_told_apart_by_type(block: ContentBlock) -> None:
    if block.type == "text":
        assert_type(block, TextBlock)
        assert_type(block.text, str)
    elif block.type == "thinking":
        assert_type(block, ThinkingBlock)
    elif block.type == "redacted_thinking":
        assert_type(block, RedactedThinkingBlock)
    elif block.type == "tool_use":
        assert_type(block, ToolUseBlock)
        assert_type(block.input, dict[str, Any])
    elif block.type == "web_search_tool_result":
        assert_type(block, WebSearchToolResultBlock)
    if isinstance(block, UnknownBlock):
        assert_type(block.data, dict[str, Any])
    _ = block.input  # type: ignore[union-attr]  # ty: ignore[missing-union-attribute]


def blocks_are_matched_by_class(block: TextBlock | ToolUseBlock) -> str:
    match block:
        case TextBlock():
            return block.text
        case ToolUseBlock():
            return block.name
        case _:
            assert_never(block)


def events_are_told_apart_by_type(event: StreamEvent) -> None:
    if event.type == "content_block_delta":
        assert_type(event, ContentBlockDeltaEvent)
        if event.delta.type == "text_delta":
            assert_type(event.delta, TextDelta)
        elif event.delta.type == "input_json_delta":
            assert_type(event.delta, InputJSONDelta)
    elif event.type == "message_start":
        assert_type(event.message, Message)
    elif event.type == "message_delta":
        assert_type(event.usage.output_tokens, int)
    elif event.type == "text":  # type: ignore[comparison-overlap]
        pass


def the_events_of_the_helper_too(event: MessageStreamEvent) -> None:
    if event.type == "text":
        assert_type(event, TextEvent)
        assert_type(event.text, str)
        assert_type(event.snapshot, str)
    elif event.type == "input_json":
        assert_type(event, InputJsonEvent)
        assert_type(event.partial_json, str)
    elif event.type == "thinking":
        assert_type(event, ThinkingEvent)
    elif event.type == "citation":
        assert_type(event, CitationEvent)
    elif event.type == "content_block_stop":
        assert_type(event, ContentBlockStopEvent)
    elif event.type == "message_stop":
        assert_type(event, MessageStopEvent)


def the_helper_has_its_types() -> None:
    with client.messages.stream(model="m", max_tokens=5, messages=[hello]) as stream:
        assert_type(stream, MessageStream)
        for event in stream:
            assert_type(event, MessageStreamEvent)
        for text in stream.text_stream:
            assert_type(text, str)
        assert_type(stream.get_final_message(), Message)
        assert_type(stream.get_final_text(), str)
        assert_type(stream.current_message_snapshot, Message)
        assert_type(stream.request_id, str | None)
        assert_type(stream.until_done(), None)
    _ = client.messages.stream(model="m", max_tokens=5, messages=[hello]).text_stream  # type: ignore[attr-defined]  # ty: ignore[missing-attribute]


async def the_helper_of_asyncio_has_them_too() -> None:
    async with aio.messages.stream(model="m", max_tokens=5, messages=[hello]) as stream:
        assert_type(stream, AsyncMessageStream)
        async for event in stream:
            assert_type(event, MessageStreamEvent)
        async for text in stream.text_stream:
            assert_type(text, str)
        assert_type(await stream.get_final_message(), Message)
        assert_type(await stream.get_final_text(), str)
    with aio.messages.stream(model="m", max_tokens=5, messages=[hello]):  # type: ignore[attr-defined]  # ty: ignore[invalid-context-manager]
        pass


async def raw_streams_have_their_types() -> None:
    with client.messages.create(model="m", max_tokens=5, messages=[hello], stream=True) as stream:
        for event in stream:
            assert_type(event, StreamEvent)
    async with await aio.messages.create(
        model="m", max_tokens=5, messages=[hello], stream=True
    ) as aio_stream:
        async for event in aio_stream:
            assert_type(event, StreamEvent)


def errors_have_their_fields() -> None:
    try:
        client.models.list()
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except APIStatusError as error:
        assert_type(error.status, int)
        assert_type(error.code, str | None)
    except StreamTruncatedError as error:
        assert_type(error.partial, Message | None)
    except APIError as error:
        assert_type(error.request_id, str | None)


async def money_has_its_types(client: Apertis, aio: AsyncApertis) -> None:
    assert_type(client.spent, Spent)
    assert_type(aio.spent.known, Decimal)
    assert_type(client.spent.left, Decimal | None)
    assert_type(client.messages.batches.run([]), BatchRun)
    run = await aio.messages.batches.run([])
    assert_type(run.cost, Decimal | None)
    try:
        client.messages.create(model="m", max_tokens=5, messages=[])
    except BudgetExceededError as error:
        assert_type(error.left_usd, Decimal | None)
