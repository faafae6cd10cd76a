from __future__ import annotations

import asyncio
import http.client
import json
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.exchange import Answer, ConnectionCut, Request
from apertis.gateway.upstreams.sandbox import SandboxUpstream

if TYPE_CHECKING:
    from tests.gateway.conftest import Client

QUESTION = {
    "model": "claude-sonnet-4.5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello!"}],
}


def request(fault: str = "", *, stream: bool = True) -> Request:
    headers = {"x-sandbox-fault": fault} if fault else {}
    body = json.dumps(QUESTION | {"stream": stream}).encode()
    return Request("req_1", "POST", "/v1/messages", "", headers, body)


def upstream() -> SandboxUpstream:
    return SandboxUpstream(first_token_seconds=0, tokens_per_second=None)


async def chunks_of(answer: Answer, limit: int = 1000) -> list[bytes]:
    assert not isinstance(answer.body, bytes)
    chunks: list[bytes] = []
    async for chunk in answer.body:
        chunks.append(chunk)
        if len(chunks) == limit:
            break
    await answer.body.aclose()
    return chunks


def test_a_plain_answer_is_known_as_a_whole() -> None:
    answer = asyncio.run(upstream().send(request(stream=False)))
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["type"] == "message"


def test_a_stream_comes_event_by_event() -> None:
    async def main() -> list[bytes]:
        return await chunks_of(await upstream().send(request()))

    chunks = asyncio.run(main())
    assert len(chunks) > 5
    assert all(chunk.startswith(b"event: ") and chunk.endswith(b"\n\n") for chunk in chunks)


@pytest.mark.parametrize("stream", [True, False])
def test_a_pause_before_the_first_byte_holds_back_the_head(stream: bool) -> None:
    async def main() -> None:
        await asyncio.wait_for(upstream().send(request("stall", stream=stream)), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_a_pause_later_lets_what_came_before_through() -> None:
    async def main() -> list[bytes]:
        return await chunks_of(await upstream().send(request("stall after=2")), limit=2)

    assert len(asyncio.run(main())) == 2


def test_a_plain_body_that_pauses_is_sent_in_parts() -> None:
    async def main() -> list[bytes]:
        answer = await upstream().send(request("stall after=10", stream=False))
        return await chunks_of(answer, limit=1)

    [first] = asyncio.run(main())
    assert len(first) == 10


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_before_any_byte_is_no_answer(stream: bool) -> None:
    with pytest.raises(ConnectionCut):
        asyncio.run(upstream().send(request("cut", stream=stream)))


@pytest.mark.parametrize(("stream", "size"), [(True, 3), (False, 1)])
def test_a_cut_later_breaks_the_answer_off(stream: bool, size: int) -> None:
    chunks: list[bytes] = []

    async def main() -> None:
        answer = await upstream().send(request("cut after=3", stream=stream))
        assert not isinstance(answer.body, bytes)
        async for chunk in answer.body:
            chunks.append(chunk)  # noqa: PERF401  # What came before the error counts.

    with pytest.raises(ConnectionCut):
        asyncio.run(main())
    assert len(chunks) == size


def test_the_speed_is_the_servers() -> None:
    async def main() -> None:
        slow = SandboxUpstream(first_token_seconds=600, tokens_per_second=None)
        await asyncio.wait_for(slow.send(request(stream=False)), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def fault_at(client: Client, fault: str, *, stream: bool = True) -> tuple[int, bytes]:
    headers = {"x-api-key": client.api_key, "x-sandbox-fault": fault}
    asked = request(stream=stream)
    response = client.call("POST", "/v1/messages", asked.body, headers)
    return response.status, response.body


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_reaches_a_real_client(client: Client, stream: bool) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        fault_at(client, "cut", stream=stream)
    with pytest.raises(http.client.IncompleteRead) as caught:
        fault_at(client, "cut after=3", stream=stream)
    partial = caught.value.partial
    assert partial.count(b"event: ") == 3 if stream else len(partial) == 3


@pytest.mark.parametrize("fault", ["empty", "truncated"])
def test_a_body_that_ends_early_is_whole_for_http(client: Client, fault: str) -> None:
    status, body = fault_at(client, fault, stream=False)
    assert status == 200
    assert body == b"" or body.startswith(b"{")


def test_a_status_on_demand_passes_with_its_body(client: Client) -> None:
    status, body = fault_at(client, "status=529")
    assert status == 529
    assert json.loads(body)["error"]["type"] == "overloaded_error"
