"""Every recorded exchange with the real API goes through the SDK, over real sockets.

The request leaves as it was recorded, the answer is equal to the wire, and a stream accumulates to
what is expected of it.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from apertis import Apertis, APIStatusError, AsyncApertis
from apertis.testing import Exchange, ScriptedServer

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "recorded"
# Made by the transport, or for the person who looks at the recording.
NOT_OURS = {"content-length", "transfer-encoding", "connection", "content-encoding"}
TOO_LONG_FOR_SILENCE = 21_333


@dataclass(frozen=True)
class Recording:
    name: str
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes
    expected: dict[str, Any] | None

    @property
    def streamed(self) -> bool:
        return "text/event-stream" in self.headers.get("content-type", "")

    def wire(self) -> bytes:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in NOT_OURS}
        lines = [f"HTTP/1.1 {self.status} X"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


def load(path: Path) -> Recording:
    data = json.loads(path.read_text(encoding="utf-8"))
    response = data["response"]
    return Recording(
        path.stem,
        data["request"],
        response["status"],
        response["headers"],
        response["body_text"].encode(),
        data["expected"],
    )


RECORDINGS = [load(path) for path in sorted(RECORDED.glob("*-*.json"))]


def parameters(recording: Recording) -> dict[str, Any]:
    """What a caller passes to make the recorded request."""
    params = dict(
        recording.request["body"]
        or {"model": "m", "max_tokens": 1, "messages": [], "stream": recording.streamed}
    )
    params.pop("stream", None)
    query = dict(parse_qsl(urlsplit(recording.request["path"]).query))
    recorded = recording.request["headers"]
    named = ("anthropic-beta", "anthropic-version")
    headers = {k: recorded[k] for k in named if recorded.get(k, "**REDACTED**") != "**REDACTED**"}
    return {**params, "extra_query": query, "extra_headers": headers, "max_retries": 0}


def sent_is_recorded(recording: Recording, request: Any) -> None:
    body = recording.request["body"]
    assert request.method == recording.request["method"]
    assert request.target == recording.request["path"]
    for name in ("anthropic-version", "anthropic-beta", "accept", "content-type"):
        if recording.request["headers"].get(name, "**REDACTED**") != "**REDACTED**":
            assert request.headers[name] == recording.request["headers"][name]
    if body is None:
        return
    sent = json.loads(request.body)
    long = body.get("max_tokens", 0) > TOO_LONG_FOR_SILENCE and not body.get("stream")
    if not body.get("stream"):
        # Not streaming is said aloud, or by saying nothing.
        sent.pop("stream", None)
        body = {k: v for k, v in body.items() if k != "stream"}
    assert sent == body
    assert not long or "stream" not in sent


def deep_subset(expected: Any, actual: Any) -> bool:
    """What is expected is there; null stands for what is absent, or not kept by that SDK."""
    if expected is None:
        return True
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            deep_subset(value, actual.get(name)) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(expected) == len(actual)
            and all(map(deep_subset, expected, actual))
        )
    return bool(expected == actual)


# A second message_start inside a stream: what is expected there glues two answers to one that
# nobody sent. Here the second message replaces the first.
SPLICED = "ai-b31f986c2955"


def sent_events(recording: Recording) -> list[dict[str, Any]]:
    """The events of the stream up to message_stop, with which it ends, without its pings."""
    lines = recording.body.decode().split("\n")
    events = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    last = next(i for i, event in enumerate(events) if event["type"] == "message_stop")
    return [event for event in events[: last + 1] if event["type"] != "ping"]


def check_answer(recording: Recording, message: Any) -> None:
    document = json.loads(recording.body)
    assert message.to_dict() == document
    assert json.loads(message.to_json()) == document
    assert message.response.status == recording.status
    assert message.request_id == recording.headers.get("request-id")
    if "content" in document:
        assert [block.to_dict() for block in message.content] == document["content"]


def superseded(events: list[Any]) -> dict[str, Any]:
    """What a fallback changes of the message, which the recorder's expectation passes by."""
    changes: dict[str, Any] = {}
    for event in events:
        if event.type == "content_block_start" and event.content_block.type == "fallback":
            changes["model"] = event.content_block.to.model
        if event.type == "message_delta" and event.input_transformations is not None:
            changes["input_transformations"] = event.to_dict()["input_transformations"]
    return changes


def check_stream(recording: Recording, events: list[Any], message: Any) -> None:
    assert [event.to_dict() for event in events] == sent_events(recording)
    if recording.expected is not None and recording.name != SPLICED:
        expected = recording.expected | superseded(events)
        assert deep_subset(expected, message.to_dict())


def run_blocking(recording: Recording, client: Apertis) -> None:
    params = parameters(recording)
    if "count_tokens" in recording.request["path"]:
        counted = client.messages.count_tokens(**params)
        assert counted.to_dict() == json.loads(recording.body)
    elif recording.status != 200:
        stream = (recording.request["body"] or {}).get("stream") or False
        with pytest.raises(APIStatusError) as caught:
            client.messages.create(stream=stream, **params)
        assert caught.value.status == recording.status
        assert caught.value.body == json.loads(recording.body)
    elif recording.streamed:
        raw = list(client.messages.create(stream=True, **params))
        with client.messages.stream(**params) as stream:
            message = stream.get_final_message()
        check_stream(recording, raw, message)
    else:
        check_answer(recording, client.messages.create(stream=False, **params))


async def run_asyncio(recording: Recording, client: AsyncApertis) -> None:
    params = parameters(recording)
    if "count_tokens" in recording.request["path"]:
        counted = await client.messages.count_tokens(**params)
        assert counted.to_dict() == json.loads(recording.body)
    elif recording.status != 200:
        stream = (recording.request["body"] or {}).get("stream") or False
        with pytest.raises(APIStatusError) as caught:
            await client.messages.create(stream=stream, **params)
        assert caught.value.body == json.loads(recording.body)
    elif recording.streamed:
        raw = [event async for event in await client.messages.create(stream=True, **params)]
        async with client.messages.stream(**params) as stream:
            message = await stream.get_final_message()
        check_stream(recording, raw, message)
    else:
        check_answer(recording, await client.messages.create(stream=False, **params))


def served(recording: Recording) -> ScriptedServer:
    times = 2 if recording.streamed and recording.status == 200 else 1
    return ScriptedServer([Exchange(recording.wire()) for _ in range(times)])


@pytest.mark.corpus
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_a_recorded_exchange_goes_through_the_blocking_client(recording: Recording) -> None:
    with served(recording) as server:
        with Apertis(api_key="sk-test", base_url=server.base_url) as client:
            run_blocking(recording, client)
        sent_is_recorded(recording, server.requests[0])


@pytest.mark.corpus
def test_the_recorded_exchanges_go_through_the_asyncio_client() -> None:
    """One test for all of them: an event loop for each would cost more than what it runs."""

    async def run() -> None:
        for recording in RECORDINGS:
            with served(recording) as server:
                async with AsyncApertis(api_key="sk-test", base_url=server.base_url) as client:
                    await run_asyncio(recording, client)
                sent_is_recorded(recording, server.requests[0])

    asyncio.run(run())


CASES = sorted((RECORDED / "accumulator").glob("*/*.txt"))


@pytest.mark.corpus
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_an_accumulator_case_holds(case: Path) -> None:
    """The pairs that every official SDK is tested with; null is any absence."""
    head, _, body = case.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    wire = head.replace(b"\n", b"\r\n") + b"\r\nconnection: close\r\n\r\n" + body
    expected = json.loads(case.with_suffix(".json").read_text(encoding="utf-8"))
    params: Any = {"model": "m", "max_tokens": 1, "messages": []}
    with (
        ScriptedServer([Exchange(wire)]) as server,
        Apertis(api_key="sk-test", base_url=server.base_url) as client,
        client.messages.stream(**params) as stream,
    ):
        assert deep_subset(expected, stream.get_final_message().to_dict())
