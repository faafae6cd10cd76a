"""Anthropic's own SDK takes every answer of the sandbox in its strict mode."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import sandbox_server

if TYPE_CHECKING:
    from collections.abc import Iterator

anthropic = pytest.importorskip("anthropic", reason="anthropic is not installed")
if int(anthropic.__version__.split(".")[0]) < 2:
    pytest.skip("anthropic before 2 has no threads", allow_module_level=True)

MODEL = "claude-opus-5"
HELLO = {"model": MODEL, "max_tokens": 400, "messages": [{"role": "user", "content": "Hello!"}]}
REFUSE = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        sandbox_server() as server,
        anthropic.Anthropic(
            api_key=server.api_key,
            base_url=server.base_url,
            max_retries=0,
            _strict_response_validation=True,
        ) as made,
    ):
        yield made


def said(question: str, **fields: Any) -> dict[str, Any]:
    return {**HELLO, "messages": [{"role": "user", "content": question}], **fields}


def weather_tool() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"name": "get_weather", "description": "The weather in a city", "input_schema": schema}


SETTINGS: list[dict[str, Any]] = [
    {},
    {"thinking": {"type": "adaptive"}},
    {"tools": [weather_tool()]},
    {"tools": [weather_tool()], "tool_choice": {"type": "any"}},
    {"system": 'Return JSON with a "title" field.'},
    {"output_config": {"effort": "xhigh"}},
    {"stop_sequences": ["stand-in"]},
    {"max_tokens": 3},
    {"inference_geo": "us", "service_tier": "standard_only"},
]


@pytest.mark.parametrize("fields", SETTINGS)
def test_messages_and_streams_of_them_are_the_same(client: Any, fields: dict[str, Any]) -> None:
    asked = said("What is the weather in Oslo?", **fields)
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for mine, other in zip(streamed.content, whole.content, strict=True):
        assert mine.model_dump(exclude={"parsed_output"}) == other.model_dump()
    assert (streamed.stop_reason, streamed.id) == (whole.stop_reason, whole.id)
    assert client.beta.messages.create(**asked).content
    for event in client.messages.create(**asked, stream=True):
        assert event.type


def test_an_asyncio_client_takes_them_too(client: Any) -> None:
    async def ask() -> str:
        async with anthropic.AsyncAnthropic(
            api_key=client.api_key, base_url=str(client.base_url), _strict_response_validation=True
        ) as other:
            async with other.messages.stream(**HELLO) as stream:
                streamed = await stream.get_final_text()
            created = await other.messages.create(**HELLO)
        assert created.content[0].text == streamed
        return str(streamed)

    assert "sandbox" in asyncio.run(ask())


def test_documents_are_cited(client: Any) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "Oslo is in Norway. It rains."}
    document = {"type": "document", "source": source, "citations": {"enabled": True}}
    content = [document, {"type": "text", "text": "Where is Oslo?"}]
    message = client.messages.create(**said(content))  # type: ignore[arg-type]
    assert any(block.citations for block in message.content)


def test_models_tokens_and_batches(client: Any) -> None:
    models = list(client.models.list())
    assert models[0].capabilities.server_tools.supported is False
    assert models[0].line == "fable"
    retired = list(client.models.list(lifecycle=["retired"]))
    assert retired
    assert all(model.retires_at for model in retired)
    beta = client.beta.models.retrieve("claude-haiku-5-5")
    assert "claude-opus-5-5" in beta.allowed_fallback_models
    counted = client.messages.count_tokens(model=MODEL, messages=HELLO["messages"])
    assert counted.input_tokens > 0
    params = {name: value for name, value in HELLO.items() if name != "stream"}
    made = client.messages.batches.create(
        requests=[
            {"custom_id": "good", "params": params},
            {"custom_id": "bad", "params": {**params, "max_tokens": 10**9}},
            {"custom_id": "thread", "params": {**params, "thread": {"type": "create"}}},
        ]
    )
    assert client.messages.batches.retrieve(made.id).processing_status == "ended"
    results = {line.custom_id: line.result for line in client.messages.batches.results(made.id)}
    assert results["good"].message.content
    assert results["bad"].error.error.type == "invalid_request_error"
    assert results["thread"].error.error.details == {"error_code": "thread_unsupported_request"}
    assert list(client.messages.batches.list())
    assert client.messages.batches.delete(made.id).type == "message_batch_deleted"


def test_structured_output_is_parsed(client: Any) -> None:
    pydantic = pytest.importorskip("pydantic")
    person = pydantic.create_model("Person", name=(str, ...), age=(int, ...))
    asked = said("Ann Lee is 36 years old.")
    parsed = client.messages.parse(**asked, output_format=person)
    assert parsed.parsed_output == person(name="Ann Lee", age=36)


@pytest.mark.parametrize("threads", [True, False])
def test_a_tool_runner_runs_to_the_end(client: Any, threads: bool) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return f"Rain in {city}"

    fields = {} if threads else {"thread": False}
    runner = client.beta.messages.tool_runner(
        **said("The weather in Oslo?"), tools=[anthropic.beta_tool(get_weather)], **fields
    )
    final = runner.until_done()
    assert asked == ["Oslo"]
    assert "Rain in Oslo" in "".join(getattr(block, "text", "") for block in final.content)


def test_a_thread_is_gone_on_with(client: Any) -> None:
    thread = client.beta.messages.thread(**said("My name is Ann."))
    first = thread.send()
    second = thread.send({"role": "user", "content": "What is my name?"})
    assert thread.previous_message_id == second.id != first.id
    text = "".join(block.text for block in second.content)
    assert "My name is Ann." in text
    assert "turn 2" in text
    with thread.stream({"role": "user", "content": "And again?"}) as stream:
        third = stream.get_final_message()
    assert "turn 3" in "".join(block.text for block in third.content)
    assert third.usage.input_tokens > second.usage.input_tokens > first.usage.input_tokens


def test_a_thread_that_is_not_there_is_told_in_the_words_of_the_api(client: Any) -> None:
    gone = {"type": "continue", "previous_message_id": "msg_gone"}
    with pytest.raises(anthropic.NotFoundError) as raised:
        client.beta.messages.create(**HELLO, thread=gone)
    assert raised.value.body["error"]["details"] == {"error_code": "thread_not_found"}
    assert type(raised.value).__name__ == "ThreadNotFoundError"


@pytest.mark.parametrize("declined", [0, 1, 2, 3])
@pytest.mark.parametrize("streamed", [False, True])
def test_fallbacks_answer_in_turn(client: Any, declined: int, streamed: bool) -> None:
    models = ["claude-fable-5", "claude-opus-4-8", "claude-opus-4-7"]
    asked = {
        **said("Hello! " + REFUSE * declined, model=models[0]),
        "fallbacks": [{"model": name} for name in models[1:]],
    }
    if streamed:
        with client.beta.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = client.beta.messages.create(**asked)
    last = min(declined, 2)
    iterations = message.usage.iterations
    assert [each.model for each in iterations] == models[: last + 1]
    kinds = [each.type for each in iterations]
    assert kinds[:-1] == ["message"] * last
    assert kinds[-1] == ("fallback_message" if declined in (1, 2) else "message")
    assert [each.output_tokens for each in iterations[:-1]] == [0] * last
    assert iterations[-1].output_tokens == message.usage.output_tokens
    blocks = [block for block in message.content if block.type == "fallback"]
    expected = list(pairwise(models[: last + 1]))
    assert [(each.from_.model, each.to.model) for each in blocks] == expected
    assert (message.stop_reason == "refusal") == (declined == 3)
    assert any(block.type == "text" for block in message.content) == (declined < 3)
