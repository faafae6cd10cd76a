"""Responses as HTTP: `with_raw_response` and `with_streaming_response`, in both clients."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

import httpx2
import pytest

from apertis import (
    APIConnectionError,
    APIResponseError,
    AsyncApertis,
    Message,
    OutputInvalidError,
    RateLimitError,
)
from apertis.models import MessageTokensCount
from apertis.testing import Close, Exchange, ScriptedServer, json_response, sse_response
from tests.kit.exchanges import ANSWER, EVENTS, KEY, LEAST, OVERLOADED

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis

    Connect = Callable[..., Apertis]

HEADERS = {"request-id": "req_1", "x-Thing": "a"}
BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "ended",
    "request_counts": dict.fromkeys(
        ("processing", "succeeded", "errored", "canceled", "expired"), 0
    ),
    "created_at": "2026-11-28T00:00:00Z",
    "expires_at": "2026-11-29T00:00:00Z",
    "ended_at": None,
    "archived_at": None,
    "cancel_initiated_at": None,
    "results_url": None,
}
LINE = {"custom_id": "a", "result": {"type": "succeeded", "message": ANSWER}}
MODEL = {"type": "model", "id": "m", "display_name": "M", "created_at": "2026-01-01T00:00:00Z"}


def page(item: dict[str, Any], *, more: bool = False) -> dict[str, Any]:
    return {"data": [item], "has_more": more, "first_id": item["id"], "last_id": item["id"]}


def test_a_raw_response_tells_of_the_http_around_a_message(connect: Connect) -> None:
    with ScriptedServer([json_response(200, ANSWER, headers=HEADERS)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        response = client.messages.with_raw_response.create(**LEAST, betas=["one", "two"])
        assert response.status_code == 200
        assert response.headers["X-THING"] == response.headers.get("x-thing") == "a"
        assert response.request_id == "req_1"
        assert response.retries_taken == 0
        assert timedelta(0) < response.elapsed < timedelta(seconds=30)
        assert response.http_version == "HTTP/1.1"
        assert (response.method, response.url) == (
            "POST",
            f"{server.base_url}/v1/messages?beta=true",
        )
        request = response.http_request
        assert request.headers["anthropic-beta"] == "one,two"
        assert request.url.path == "/v1/messages"
        assert request.url.host == "127.0.0.1"
        assert request.url.params == {"beta": "true"}
        assert json.loads(request.content) == LEAST
        assert response.http_response.request is request
        assert response.http_response.json() == ANSWER
        message = response.parse()
        assert message.text == "Hi."
        assert message.response.request_id == "req_1"
        assert response.parse() == message
        assert json.loads(response.text()) == response.json() == ANSWER
        assert response.read() == response.content == b"".join(response.iter_bytes())
        assert "".join(response.iter_text()) == response.text()
        assert KEY not in f"{response!r} {request!r} {request.headers!r} {response.headers!r}"


def test_what_is_parsed_may_be_another_type(connect: Connect) -> None:
    with ScriptedServer([json_response(200, ANSWER)]) as server:
        response = connect(api_key=KEY, base_url=server.base_url).messages.with_raw_response.create(
            **LEAST
        )
        assert response.parse(to=dict) == ANSWER
        assert json.loads(response.parse(to=str)) == ANSWER
        assert isinstance(response.parse(to=Message), Message)


def test_a_response_that_cannot_be_read_still_has_its_text(connect: Connect) -> None:
    with ScriptedServer([json_response(200, {"surprise": 1}, headers=HEADERS)]) as server:
        response = connect(api_key=KEY, base_url=server.base_url).messages.with_raw_response.create(
            **LEAST
        )
        assert json.loads(response.text()) == {"surprise": 1}
        with pytest.raises(APIResponseError, match="surprise") as caught:
            response.parse()
        assert caught.value.request_id == "req_1"
        assert caught.value.request.url == response.url


@pytest.mark.usefixtures("quick")
def test_retries_and_errors_are_those_of_every_call(connect: Connect) -> None:
    script = [
        json_response(529, OVERLOADED),
        json_response(200, ANSWER),
        json_response(429, {"error": {"type": "rate_limit_error", "message": "Slow"}}),
    ]
    with ScriptedServer(script) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=1)
        assert client.messages.with_raw_response.create(**LEAST).retries_taken == 1
        with pytest.raises(RateLimitError, match="Slow"):
            client.with_options(max_retries=0).messages.with_raw_response.create(**LEAST)


def test_a_raw_stream_is_parsed_into_events(connect: Connect) -> None:
    with ScriptedServer([sse_response(EVENTS), sse_response(EVENTS)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        response = client.messages.with_raw_response.create(**LEAST, stream=True)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert json.loads(response.http_request.content)["stream"] is True
        assert [event.type for event in response.parse()] == [event["type"] for event in EVENTS]
        helper = client.messages.with_raw_response.stream(**LEAST).parse()
        assert helper.get_final_message().text == "Hi."


def test_a_raw_stream_gives_its_bytes_as_they_came(connect: Connect) -> None:
    """The beginning was read already, to know that the stream begins well."""
    with ScriptedServer([sse_response(EVENTS)] * 3) as server:
        raw = connect(api_key=KEY, base_url=server.base_url).messages.with_raw_response
        lines = list(raw.create(**LEAST, stream=True).iter_lines())
        assert [line for line in lines if line.startswith("event")] == [
            f"event: {event['type']}" for event in EVENTS
        ]
        text = raw.create(**LEAST, stream=True).text()
        assert text.splitlines() == lines
        pieces = list(raw.create(**LEAST, stream=True).iter_bytes(7))
        assert {len(piece) for piece in pieces[:-1]} == {7}
        assert b"".join(pieces).decode() == text


def test_a_long_answer_is_streamed_underneath_and_comes_whole(connect: Connect) -> None:
    with ScriptedServer([sse_response(EVENTS)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        response = client.messages.with_raw_response.create(**{**LEAST, "max_tokens": 64_000})
        assert response.parse().text == "Hi."
        assert response.status_code == 200


class Order(TypedDict):
    item: str
    count: int


def test_a_raw_response_may_hold_a_value_of_a_type(connect: Connect) -> None:
    text = '{"item": "tea", "count": 2}'
    told = {**ANSWER, "content": [{"type": "text", "text": text}]}
    wrong = {**ANSWER, "content": [{"type": "text", "text": "{}"}]}
    events = [
        event
        if event["type"] != "content_block_delta"
        else {**event, "delta": {"type": "text_delta", "text": text}}
        for event in EVENTS
    ]
    script = [
        json_response(200, told),
        json_response(200, wrong),
        sse_response(events),
        json_response(200, {"input_tokens": 7}),
    ]
    asked = {**LEAST, "model": "claude-sonnet-5-5"}
    with ScriptedServer(script) as server:
        raw = connect(api_key=KEY, base_url=server.base_url).messages.with_raw_response
        response = raw.parse(**asked, output_format=Order)
        assert response.parse().parsed_output == {"item": "tea", "count": 2}
        assert response.parse() is response.parse()
        wrong_response = raw.parse(**asked, output_format=Order)
        with pytest.raises(OutputInvalidError):
            wrong_response.parse()
        assert wrong_response.json() == wrong
        stream = raw.stream(**asked, output_format=Order).parse()
        assert stream.get_final_message().parsed_output["count"] == 2
        prompt = {k: v for k, v in asked.items() if k != "max_tokens"}
        assert raw.count_tokens(**prompt, output_format=Order).parse().input_tokens == 7
        for request in server.requests:
            assert "output_config" in json.loads(request.body)


def test_the_other_methods_have_raw_responses_too(connect: Connect) -> None:
    line = json.dumps(LINE).encode()
    results = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(line), line)
    script = [
        json_response(200, {"input_tokens": 7}),
        *[json_response(200, BATCH)] * 3,
        json_response(200, page(BATCH)),
        results,
        results,
        json_response(200, {"id": "msgbatch_1", "type": "message_batch_deleted"}),
        json_response(200, page(MODEL, more=True)),
        json_response(200, page({**MODEL, "id": "n"})),
        json_response(200, MODEL),
    ]
    with ScriptedServer(script) as server:
        raw = connect(api_key=KEY, base_url=server.base_url).with_raw_response
        prompt = {k: v for k, v in LEAST.items() if k != "max_tokens"}
        assert raw.messages.count_tokens(**prompt).parse() == MessageTokensCount(input_tokens=7)
        batches = raw.messages.batches
        wanted: list[Any] = [{"custom_id": "a", "params": LEAST}]
        assert batches.create(requests=wanted).parse().id == "msgbatch_1"
        assert batches.retrieve("msgbatch_1").parse().processing_status == "ended"
        assert batches.cancel("msgbatch_1").http_request.url.path.endswith("/cancel")
        assert batches.list(limit=1).parse().data[0].id == "msgbatch_1"
        (result,) = batches.results("msgbatch_1").parse()
        assert result.custom_id == "a"
        response = batches.results("msgbatch_1")
        assert [json.loads(line) for line in response.iter_lines()] == [LINE]
        assert response.retries_taken == 0
        assert batches.delete("msgbatch_1").parse().id == "msgbatch_1"
        assert [model.id for model in raw.models.list(limit=1).parse()] == ["m", "n"]
        assert raw.models.retrieve("m").parse().display_name == "M"


def test_a_resource_has_the_same_raw_methods_as_the_client(connect: Connect) -> None:
    client = connect(api_key=KEY, base_url="http://127.0.0.1:1")
    for raw, own in (
        (client.with_raw_response.messages, client.messages.with_raw_response),
        (client.with_raw_response.beta.messages, client.beta.messages.with_raw_response),
        (client.with_raw_response.models, client.models.with_raw_response),
        (client.messages.with_raw_response.batches, client.messages.batches.with_raw_response),
    ):
        assert repr(raw).partition(" at ")[0] == repr(own).partition(" at ")[0]


def test_a_method_that_a_test_replaces_stays_replaced(connect: Connect) -> None:
    client: Any = connect(api_key=KEY)
    for owner in (client.messages, client.beta.messages, client.messages.batches, client.models):
        for name in ("with_raw_response", "with_streaming_response"):
            made = getattr(owner, name)
            assert repr(getattr(owner, name)) == repr(made)
    for owner in (client, client.beta):
        assert repr(owner.with_raw_response) == repr(owner.with_raw_response)
        assert repr(owner.with_streaming_response) == repr(owner.with_streaming_response)


def test_a_streaming_response_is_open_for_a_block(connect: Connect) -> None:
    with ScriptedServer([json_response(200, ANSWER), sse_response(EVENTS)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with client.messages.with_streaming_response.create(**LEAST) as response:
            assert response.status_code == 200
            assert response.is_closed
            assert json.loads("".join(response.iter_lines())) == ANSWER
            assert response.parse().text == "Hi."
        with client.with_streaming_response.messages.create(**LEAST, stream=True) as response:
            assert not response.is_closed
            first = next(iter(response.iter_lines()))
        assert response.is_closed
        assert first == "event: message_start"


def test_parse_may_be_awaited_or_not() -> None:
    """`anthropic` made it a coroutine late: programs of both kinds are about."""

    async def both() -> None:
        client = AsyncApertis(api_key=KEY, base_url=server.base_url)
        response = await client.messages.with_raw_response.create(**LEAST)
        seen: Any = response.parse()
        assert seen.text == (await response.parse()).text == "Hi."
        assert isinstance(seen, Message)
        assert seen == await response.parse()
        stream: Any = (await client.messages.with_raw_response.create(**LEAST, stream=True)).parse()
        assert [event.type async for event in stream][-1] == "message_stop"
        await client.close()

    with ScriptedServer([json_response(200, ANSWER), sse_response(EVENTS)]) as server:
        asyncio.run(both())


def test_a_client_of_the_callers_gives_raw_responses_too() -> None:
    async def asked() -> None:
        async with httpx2.AsyncClient() as mine:
            plain = AsyncApertis(api_key=KEY, base_url=server.base_url, http_client=mine)
            seen: list[int] = []

            async def note(request: Any, call_next: Any) -> Any:
                response = await call_next(request)
                seen.append(response.status_code)
                assert (await response.json())["id"] == "msg_1"
                return response

            for client in (plain, plain.with_middleware(note)):
                response = await client.messages.with_raw_response.create(**LEAST)
                assert (await response.parse()).text == "Hi."
                assert response.http_request.headers["authorization"] == f"Bearer {KEY}"
            streamed = await plain.messages.with_raw_response.create(**LEAST, stream=True)
            lines = [line async for line in streamed.iter_lines()]
            assert lines[0] == "event: message_start"
            assert lines[-2].startswith('data: {"type":"message_stop"')
            assert seen == [200]

    script = [json_response(200, ANSWER), json_response(200, ANSWER), sse_response(EVENTS)]
    with ScriptedServer(script) as server:
        asyncio.run(asked())


def test_a_body_that_breaks_is_an_error_of_the_connection(connect: Connect) -> None:
    broken = sse_response(EVENTS[:3], complete=False)
    with ScriptedServer([Exchange(broken, Close())]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        response = client.messages.with_raw_response.create(**LEAST, stream=True)
        with pytest.raises(APIConnectionError) as caught:
            response.text()
        assert caught.value.request.url == response.url
