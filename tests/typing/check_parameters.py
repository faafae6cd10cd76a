"""Read by type checkers, never run: what a call may be given.

A line that must be wrong carries the checkers' own ignore comments, and an ignore that is not
needed is an error: so a mistake that is no longer noticed fails here.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from apertis import Apertis, AsyncApertis, Message, Timeout, document, image
from apertis.models import MessageBatch, MessageTokensCount

if TYPE_CHECKING:
    from apertis.params import CreateParams, MessageParam, ToolParam

client = Apertis(api_key="k", timeout=Timeout(total=5), default_headers={"x-a": None})
hello: MessageParam = {"role": "user", "content": "Hello"}
weather: ToolParam = {"name": "weather", "input_schema": {"type": "object"}}


def every_parameter_has_its_type() -> None:
    message = client.messages.create(
        model="m",
        max_tokens=1024,
        messages=[
            hello,
            {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]},
            {
                "role": "user",
                "content": [
                    image("photo.png"),
                    document(b"%PDF"),
                    {"type": "tool_result", "tool_use_id": "t", "content": "x", "is_error": True},
                ],
            },
        ],
        system=[{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END"],
        thinking={"type": "enabled", "budget_tokens": 2000},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": {}}},
        tools=[weather, {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
        tool_choice={"type": "tool", "name": "weather"},
        metadata={"user_id": "u"},
        service_tier="auto",
        container={"id": "c"},
        betas=["b"],
        fallback_models=["m2"],
        fallback_timeout=30_000,
        fallback_enabled=True,
        compression={"enabled": True, "strategy": "on"},
        extra_headers={"x-a": "b", "user-agent": None},
        extra_query={"a": 1},
        extra_body={"of_next_year": [1]},
        timeout=Timeout(idle=5),
        max_retries=0,
    )
    assert_type(message, Message)


def an_answer_goes_back_as_it_came(message: Message) -> None:
    client.messages.create(
        model="m",
        max_tokens=5,
        messages=[
            hello,
            {"role": "assistant", "content": message.content},
            message,
        ],
    )
    client.messages.count_tokens(
        model="m", messages=[{"role": "assistant", "content": message.content}]
    )


def parameters_can_be_kept_in_a_variable() -> None:
    params: CreateParams = {"model": "m", "max_tokens": 5, "messages": [hello]}
    assert_type(client.messages.create(**params), Message)


def a_misspelled_parameter_is_an_error() -> None:
    client.messages.create(model="m", max_tokens=5, messages=[hello], temprature=0.5)  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    client.messages.create(model="m", max_tokens=5, messages=[hello], stop_sequence=["a"])  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    client.messages.stream(model="m", max_token=5, messages=[hello])  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    client.messages.count_tokens(model="m", message=[hello])  # type: ignore[call-arg]  # ty: ignore[missing-argument, unknown-argument]
    client.messages.batches.create(request=[])  # type: ignore[call-arg]  # ty: ignore[missing-argument, unknown-argument]
    client.models.list(limits=5)  # type: ignore[call-arg]  # ty: ignore[unknown-argument]
    client.request("GET", "/v1/files", timout=5)  # type: ignore[call-arg]  # ty: ignore[unknown-argument]
    client.with_options(max_retrys=5)  # type: ignore[call-arg]  # ty: ignore[unknown-argument]
    Apertis(apikey="k")  # type: ignore[call-arg]  # ty: ignore[unknown-argument]
    AsyncApertis(base="k")  # type: ignore[call-arg]  # ty: ignore[unknown-argument]


def a_missing_parameter_is_an_error() -> None:
    client.messages.create(model="m", messages=[hello])  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    client.messages.create(max_tokens=5, messages=[hello])  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    client.messages.create(model="m", max_tokens=5)  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    client.messages.create(model="m", max_tokens=5, stream=True)  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    client.messages.stream(model="m", messages=[hello])  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    client.messages.count_tokens(model="m")  # type: ignore[call-arg]  # ty: ignore[missing-argument]
    client.messages.batches.create()  # type: ignore[call-arg]  # ty: ignore[missing-argument]


def a_value_of_the_wrong_type_is_an_error() -> None:
    client.messages.create(model="m", max_tokens="5", messages=[hello])  # type: ignore[call-overload]  # ty: ignore[invalid-argument-type]
    client.messages.create(model=None, max_tokens=5, messages=[hello])  # type: ignore[call-overload]  # ty: ignore[invalid-argument-type]
    client.messages.create(model="m", max_tokens=5, messages="Hello")  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]
    client.messages.create(model="m", max_tokens=5, messages=[hello], top_k=0.5)  # type: ignore[call-overload]  # ty: ignore[invalid-argument-type]
    client.messages.stream(model="m", max_tokens=5, messages=[hello], timeout="5")  # type: ignore[call-overload]  # ty: ignore[invalid-argument-type]
    client.messages.stream(model="m", max_tokens=5, messages=[hello], service_tier="fast")  # type: ignore[call-overload]  # ty: ignore[invalid-argument-type]


def what_is_inside_is_checked_too() -> None:
    client.messages.stream(model="m", max_tokens=5, messages=[{"role": "usr", "content": "x"}])  # type: ignore[list-item]  # ty: ignore[invalid-argument-type]
    client.messages.stream(model="m", max_tokens=5, messages=[{"role": "user"}])  # type: ignore[list-item]  # ty: ignore[invalid-argument-type, missing-typed-dict-key]
    client.messages.stream(model="m", max_tokens=5, messages=[hello], thinking={"type": "on"})  # type: ignore[call-overload]  # ty: ignore[invalid-argument-type]
    client.messages.stream(model="m", max_tokens=5, messages=[hello], tool_choice={"type": "tool"})  # type: ignore[call-overload]  # ty: ignore[invalid-argument-type]


def the_other_calls_have_their_types(options: dict[str, Any]) -> None:
    assert_type(client.messages.count_tokens(model="m", messages=[hello]).input_tokens, int)
    batch = client.messages.batches.create(
        requests=[
            {"custom_id": "a", "params": {"model": "m", "max_tokens": 5, "messages": [hello]}}
        ]
    )
    assert_type(batch, MessageBatch)
    assert_type(client.messages.batches.wait("b", poll_interval=1, max_wait=5), MessageBatch)
    assert_type(client.models.retrieve("m", timeout=5).id, str)
    assert_type([model.display_name for model in client.models.list(limit=5)], list[str])
    assert_type(client.with_options(timeout=None, max_retries=0), Apertis)
    for result in client.messages.batches.results("b"):
        if result.result.type == "succeeded":
            assert_type(result.result.message, Message)
        elif result.result.type == "errored":
            assert_type(result.result.error.error.message, str | None)
    with Apertis() as inner:
        assert_type(inner, Apertis)
    client.request("POST", "/v1/files", json=options, extra_query={"a": True})


async def the_asyncio_client_has_them_too() -> None:
    async with AsyncApertis() as aio:
        assert_type(await aio.messages.create(model="m", max_tokens=5, messages=[hello]), Message)
        count = await aio.messages.count_tokens(model="m", messages=[hello])
        assert_type(count, MessageTokensCount)
        assert_type([model.id async for model in aio.models.list()], list[str])
        assert_type([model.id for model in (await aio.models.list()).data], list[str])
        async for result in await aio.messages.batches.results("b"):
            assert_type(result.custom_id, str)
        await aio.messages.create(model="m", max_tokens=5, messages=[hello], temprature=0.5)  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
        await aio.messages.create(model="m", messages=[hello])  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
        aio.messages.stream(model="m", messages=[hello])  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
