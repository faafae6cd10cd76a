from __future__ import annotations

import asyncio
import http.client
import json
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamRequest, UpstreamTimeouts
from apertis.gateway.upstreams.outcome import Fault
from apertis.gateway.upstreams.sandbox import SandboxUpstream

if TYPE_CHECKING:
    from tests.kit.http import Client

QUESTION = {
    "model": "claude-sonnet-4.5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello!"}],
}


FOR_EVER = UpstreamTimeouts(3600.0, 3600.0, 3600.0)


def request(fault: str = "", *, stream: bool = True) -> UpstreamRequest:
    headers = [(b"x-sandbox-fault", fault.encode())] if fault else []
    body = json.dumps(QUESTION | {"stream": stream}).encode()
    return UpstreamRequest("POST", "/v1/messages", headers, body)


def read(fault: str = "", *, stream: bool = True, limit: int = 1000) -> list[bytes]:
    """The pieces of an answer, up to its end or to the limit; a failure is raised."""

    async def main() -> list[bytes]:
        upstream = SandboxUpstream(first_token_seconds=0, tokens_per_second=None)
        answer = await upstream.open(request(fault, stream=stream), FOR_EVER)
        assert not isinstance(answer, UpstreamFailure), answer
        pieces: list[bytes] = []
        while len(pieces) < limit and (piece := await answer.read()):
            assert not isinstance(piece, UpstreamFailure), (len(pieces), piece.kind)
            pieces.append(piece)
        answer.close()
        return pieces

    return asyncio.run(main())


def first_failure(fault: str, *, stream: bool) -> tuple[int, Fault]:
    """How many pieces came before the failure, and its kind; -1 when there was no answer."""

    async def main() -> tuple[int, Fault]:
        upstream = SandboxUpstream(first_token_seconds=0, tokens_per_second=None)
        answer = await upstream.open(request(fault, stream=stream), FOR_EVER)
        if isinstance(answer, UpstreamFailure):
            return -1, answer.kind
        pieces = 0
        while True:
            piece = await answer.read()
            if isinstance(piece, UpstreamFailure):
                return pieces, piece.kind
            assert piece
            pieces += 1

    return asyncio.run(main())


def test_a_plain_answer_is_a_message() -> None:
    assert json.loads(b"".join(read(stream=False)))["type"] == "message"


def test_a_pause_that_is_longer_than_anybody_waits_goes_on_with_the_next_wait() -> None:
    async def main() -> tuple[bytes, int]:
        upstream = SandboxUpstream(first_token_seconds=0, tokens_per_second=500)
        answer = await upstream.open(request(), FOR_EVER)
        assert not isinstance(answer, UpstreamFailure), answer
        pieces: list[bytes] = []
        waits = 0

        def take(piece: bytes) -> bool:
            pieces.append(piece)
            return True

        while not await answer.pour(take, 0.0005):
            waits += 1
        answer.close()
        return b"".join(pieces), waits

    poured, waits = asyncio.run(main())
    assert poured == b"".join(read())
    assert waits > 1


def test_a_stream_comes_event_by_event() -> None:
    pieces = read()
    assert len(pieces) > 5
    assert all(piece.startswith(b"event: ") and piece.endswith(b"\n\n") for piece in pieces)


@pytest.mark.parametrize("stream", [True, False])
def test_silence_before_the_first_byte_is_a_timeout(stream: bool) -> None:
    async def main() -> UpstreamFailure | object:
        upstream = SandboxUpstream(first_token_seconds=0, tokens_per_second=None)
        timeouts = UpstreamTimeouts(1.0, 0.01, 1.0)
        return await upstream.open(request("stall", stream=stream), timeouts)

    failure = asyncio.run(main())
    assert isinstance(failure, UpstreamFailure)
    assert failure.kind is Fault.TIMEOUT


def test_a_pause_later_lets_what_came_before_through() -> None:
    assert len(read("stall after=2", limit=2)) == 2


def test_a_plain_body_that_pauses_is_given_in_parts() -> None:
    [first] = read("stall after=10", stream=False, limit=1)
    assert len(first) == 10


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_before_any_byte_is_no_answer(stream: bool) -> None:
    assert first_failure("cut", stream=stream) == (-1, Fault.BROKEN)


@pytest.mark.parametrize(("stream", "size"), [(True, 3), (False, 1)])
def test_a_cut_later_breaks_the_answer_off(stream: bool, size: int) -> None:
    assert first_failure("cut after=3", stream=stream) == (size, Fault.BROKEN)


def test_the_speed_is_the_sandboxs() -> None:
    async def main() -> None:
        slow = SandboxUpstream(first_token_seconds=600, tokens_per_second=None)
        await asyncio.wait_for(slow.open(request(stream=False), FOR_EVER), 0.01)

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


def test_a_whole_answer_says_its_length() -> None:
    async def main() -> tuple[bytes, bytes | UpstreamFailure]:
        upstream = SandboxUpstream(first_token_seconds=0, tokens_per_second=None)
        answer = await upstream.open(request(stream=False), FOR_EVER)
        assert not isinstance(answer, UpstreamFailure)
        return dict(answer.headers)[b"content-length"], await answer.read()

    length, body = asyncio.run(main())
    assert isinstance(body, bytes)
    assert int(length) == len(body)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("fault", "opened"), [("stall=60", False), ("stall=60 after=2", True)])
def test_a_pause_beyond_the_deadline_is_a_timeout(fault: str, opened: bool, stream: bool) -> None:
    async def main() -> None:
        upstream = SandboxUpstream(first_token_seconds=0, tokens_per_second=None)
        soon = UpstreamTimeouts(connect=0.01, first_byte=0.01, idle=0.01)
        found = await upstream.open(request(fault, stream=stream), soon)
        assert isinstance(found, UpstreamFailure) is not opened
        while not isinstance(found, UpstreamFailure):
            data = await found.read()
            assert data
            if isinstance(data, UpstreamFailure):
                found = data
        assert found.kind is Fault.TIMEOUT

    asyncio.run(main())
