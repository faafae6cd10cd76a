"""Read by type checkers, never run: programs for `anthropic` by their names for ours."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import apertis as anthropic
from apertis import (
    NOT_GIVEN,
    Anthropic,
    APIResponse,
    AsyncAnthropic,
    AsyncAPIResponse,
    AsyncStream,
    Message,
    MessageStream,
    Stream,
    omit,
)
from apertis.aio.pages import AsyncPage
from apertis.models import MessageBatch, MessageTokensCount, ModelInfo, StreamEvent, TextBlock

if TYPE_CHECKING:
    from apertis.params import MessageParam

client: Anthropic = anthropic.Client()
aio: AsyncAnthropic = anthropic.AsyncClient()
hello: MessageParam = {"role": "user", "content": "Hello"}


def log(request: anthropic.APIRequest, call_next: anthropic.CallNext) -> Any:
    return call_next(request.copy(headers={"x-a": "1"}))


async def log_later(request: anthropic.APIRequest, call_next: anthropic.AsyncCallNext) -> Any:
    return await call_next(request)


def clients_take_middleware_of_their_own() -> None:
    assert_type(Anthropic(middleware=[log]).with_middleware(log), Anthropic)
    AsyncAnthropic(middleware=[log_later])
    Anthropic(middleware=[5])  # type: ignore[list-item]  # ty: ignore[invalid-argument-type]


def marks_stand_for_any_value() -> None:
    create = client.beta.messages.create
    assert_type(
        create(
            model="m", max_tokens=5, messages=[hello], system=NOT_GIVEN, tools=omit, betas=["a"]
        ),
        Message,
    )


def raw_responses_know_what_they_hold() -> None:
    raw = client.messages.with_raw_response
    response = raw.create(model="m", max_tokens=5, messages=[hello])
    assert_type(response, APIResponse[Message])
    assert_type(response.parse(), Message)
    assert_type(response.http_request.method, str)
    events = raw.create(model="m", max_tokens=5, messages=[hello], stream=True).parse()
    assert_type(events, Stream[StreamEvent])
    assert_type(raw.count_tokens(model="m", messages=[hello]).parse(), MessageTokensCount)
    assert_type(raw.batches.retrieve("b").parse(), MessageBatch)
    stream = raw.stream(model="m", max_tokens=5, messages=[hello]).parse()
    assert_type(stream, MessageStream[Any])


async def raw_responses_are_awaited() -> None:
    raw = aio.with_raw_response
    response = await raw.messages.create(model="m", max_tokens=5, messages=[hello])
    assert_type(response, AsyncAPIResponse[Message])
    assert_type(await response.parse(), Message)
    assert_type(await response.text(), str)
    events = await raw.messages.create(model="m", max_tokens=5, messages=[hello], stream=True)
    assert_type(await events.parse(), AsyncStream[StreamEvent])
    assert_type(await (await raw.models.list()).parse(), AsyncPage[ModelInfo])


def errors_tell_of_request_and_response() -> None:
    try:
        client.messages.create(model="m", max_tokens=5, messages=[hello])
    except anthropic.RateLimitError as error:
        assert_type(error.response.headers.get("retry-after"), str | None)
        assert_type(error.request.method, str)
        assert_type(error.error_code, str | None)
    except anthropic.AnthropicError as error:
        assert_type(error.message, str)
    raise anthropic.APIStatusError("m", response=object(), body={})


def a_block_is_told_by_its_class(message: Message) -> None:
    for block in message.content:
        if isinstance(block, TextBlock):
            assert_type(block.text, str)
