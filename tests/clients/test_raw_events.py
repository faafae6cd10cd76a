"""The events of a stream before their data is read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from apertis import Apertis, AsyncApertis, OverloadedError, StreamTruncatedError
from apertis.testing import Close, Exchange, ScriptedServer, sse_response

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
START: dict[str, Any] = {"type": "message_start", "message": MESSAGE}
PING: dict[str, Any] = {"type": "ping"}
BLOCK: dict[str, Any] = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "text", "text": ""},
}
DELTA: dict[str, Any] = {
    "type": "content_block_delta",
    "index": 0,
    "delta": {"type": "text_delta", "text": "Hi"},
}
STOP: dict[str, Any] = {"type": "message_stop"}
ERROR: dict[str, Any] = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded"},
}
CALL: Any = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}


def read(base_url: str, into: list[Any]) -> None:
    with Apertis(api_key="sk-test", base_url=base_url, max_retries=0) as client:
        into.extend(client.messages.create(**CALL, stream=True).raw_events())


def read_async(base_url: str, into: list[Any]) -> None:
    async def run() -> None:
        async with AsyncApertis(api_key="sk-test", base_url=base_url, max_retries=0) as client:
            stream = await client.messages.create(**CALL, stream=True)
            # One by one: what came before an error is kept.
            async for event in stream.raw_events():
                into.append(event)  # noqa: PERF401

    asyncio.run(run())


@pytest.fixture(params=[read, read_async], ids=["sync", "async"])
def reader(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_they_come_with_names_and_pings_as_they_were_sent(reader: Any) -> None:
    events = [START, PING, BLOCK, DELTA, STOP]
    came: list[Any] = []
    with ScriptedServer([Exchange(sse_response(events))]) as server:
        reader(server.base_url, came)
    assert [event.event for event in came] == [event["type"] for event in events]
    assert [event.json() for event in came] == events
    assert json.loads(came[0].data) == START


def test_an_error_event_is_shown_and_then_raised(reader: Any) -> None:
    came: list[Any] = []
    with (
        ScriptedServer([Exchange(sse_response([START, BLOCK, DELTA, ERROR]))]) as server,
        pytest.raises(OverloadedError) as caught,
    ):
        reader(server.base_url, came)
    assert [event.event for event in came][-1] == "error"
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hi"


def test_they_do_not_end_in_silence_either(reader: Any) -> None:
    came: list[Any] = []
    script = Exchange(sse_response([START, BLOCK, DELTA], complete=False), Close)
    with ScriptedServer([script]) as server, pytest.raises(StreamTruncatedError) as caught:
        reader(server.base_url, came)
    assert [event.event for event in came][-1] == "content_block_delta"
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hi"
