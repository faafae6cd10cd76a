"""What an upstream's answer is read as, and how long its wish to rest is heeded."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.request.body import NO_EDITS, Body, Edits, peek
from apertis.gateway.request.forward import OutgoingRequest
from apertis.gateway.routing import Target
from apertis.testing import ScriptedServer, http_chunk, json_response, sse_event
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord
    from tests.kit.gateways import RunningGateway

    Start = Callable[..., RunningGateway]

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Hello"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 200},
    },
    {"type": "message_stop"},
]
STREAM = b"".join(map(sse_event, EVENTS))
ASK = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 500,
    "stream": True,
    "messages": [{"role": "user", "content": "Hi"}],
}
SENT = {"content-type": "application/json"}


def config(*upstreams: ScriptedServer) -> str:
    return "".join(
        f'[[upstreams]]\nname = "u{place}"\nbase_url = "{upstream.base_url}"\npriority = {place}\n'
        for place, upstream in enumerate(upstreams)
    )


def labeled(label: str | None, body: bytes, *, pieces: int = 0) -> bytes:
    """A 200 with this content-type, its body whole or in chunks of so many bytes."""
    head = "HTTP/1.1 200 OK\r\n" + (f"content-type: {label}\r\n" if label is not None else "")
    if not pieces:
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    chunks = [http_chunk(body[at : at + pieces]) for at in range(0, len(body), pieces)]
    return f"{head}transfer-encoding: chunked\r\n\r\n".encode() + b"".join(chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("pieces", [0, 1, 1000])
@pytest.mark.parametrize("before", [b"", b": a comment\n\n", b"\xef\xbb\xbf", b"\n\n"])
@pytest.mark.parametrize(
    "label", [None, "application/json", "application/octet-stream", "text/plain; charset=utf-8", ""]
)
def test_a_stream_is_one_whatever_it_is_called_and_its_usage_is_booked(
    start_gateway: Start, label: str | None, before: bytes, pieces: int
) -> None:
    with ScriptedServer([labeled(label, before + STREAM, pieces=pieces)]) as upstream:
        running = start_gateway(config(upstream))
        _, client = running.make_key(quota_usd="1")
        key = SENT | {"x-api-key": client.api_key}
        answer = client.call("POST", "/v1/messages", json.dumps(ASK).encode(), key)
        used = client.call("GET", "/api/user/token", headers=key)
    assert (answer.status, answer.body) == (200, before + STREAM)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    # 3 of input at $3 and 200 of output at $15 a million, in units of $0.000002.
    assert json.loads(used.body)["data"]["used_quota"] == pytest.approx(1504.5, abs=1)


@pytest.mark.parametrize("body", [b"error: down", b"<html>", b"", b"even", b"  "])
def test_what_is_neither_json_nor_a_stream_is_no_answer(start_gateway: Start, body: bytes) -> None:
    with ScriptedServer([labeled("text/plain", body)]) as upstream:
        client = start_gateway(config(upstream)).client
        answer = client.call("POST", "/v1/messages", json.dumps(ASK).encode())
    assert answer.status == 502


def test_a_whole_message_in_place_of_a_stream_passes(start_gateway: Start) -> None:
    message = MESSAGE | {"stop_reason": "end_turn"}
    for pieces in (0, 1):
        body = json.dumps(message).encode()
        with ScriptedServer([labeled("application/json", body, pieces=pieces)]) as upstream:
            client = start_gateway(config(upstream), folder=f"of{pieces}").client
            answer = client.call("POST", "/v1/messages", json.dumps(ASK).encode())
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "wait",
    [
        {"retry-after": "60"},
        {"retry-after": "60.0"},
        {"retry-after": "59.5"},
        {"retry-after-ms": "60000"},
        {"retry-after": "date"},
    ],
)
@pytest.mark.parametrize("status", [429, 503, 529])
def test_an_upstream_rests_as_long_as_it_asks(
    start_gateway: Start, wait: dict[str, str], status: int
) -> None:
    told = {
        name: email.utils.formatdate(time.time() + 60, usegmt=True) if value == "date" else value
        for name, value in wait.items()
    }
    limited = json_response(status, {"type": "error", "error": {"type": "rate_limit_error"}}, told)
    good = json_response(200, MESSAGE | {"stop_reason": "end_turn"})
    with ScriptedServer([limited]) as first, ScriptedServer([good] * 3) as second:
        running = start_gateway(config(first, second))
        for question in ("one", "two", "three"):
            body = ASK | {"stream": False, "messages": [{"role": "user", "content": question}]}
            answer = running.client.call("POST", "/v1/messages", json.dumps(body).encode())
            assert answer.status == 200
        assert len(first.requests) == 1
        router = running.gateway._router
        ((_, rests_until),) = router._rests.items()
        assert rests_until - time.time() == pytest.approx(60, abs=5)


OVERLOADED = json_response(529, {"type": "error", "error": {"type": "overloaded_error"}})
HAIKU = "claude-haiku-4-5"


@pytest.mark.parametrize("stream", [False, True])
def test_the_record_says_how_often_it_was_sent_and_why_another_model_answered(
    start_gateway: Start, stream: bool
) -> None:
    whole = json_response(200, MESSAGE | {"model": HAIKU, "stop_reason": "end_turn"})
    good = labeled("text/event-stream", STREAM.replace(b"claude-sonnet-4-5", HAIKU.encode()))
    with ScriptedServer([OVERLOADED, good if stream else whole]) as upstream:
        running = start_gateway(config(upstream))
        key_id, client = running.make_key(
            quota_usd="1", fallback_models=[HAIKU], fallback_enabled=True
        )
        body = json.dumps(ASK | {"stream": stream}).encode()
        answer = client.call("POST", "/v1/messages", body)
        assert answer.status == 200
        record = booked(running, answer.headers["x-apertis-request-id"])
    assert (record.key_id, record.requested_model, record.model) == (key_id, ASK["model"], HAIKU)
    assert (record.attempts, record.fallback_reason) == (2, "primary_model_overloaded")
    # At most: 500 of output at $15, in units of $0.000002, and the input.
    assert record.reserved_units is not None
    assert 3750 < record.reserved_units < 4000
    assert record.cost_units < record.reserved_units


def test_the_record_of_a_request_that_all_upstreams_failed_says_so(start_gateway: Start) -> None:
    with ScriptedServer([OVERLOADED]) as first, ScriptedServer([OVERLOADED]) as second:
        running = start_gateway(config(first, second))
        answer = running.client.call("POST", "/v1/messages", json.dumps(ASK).encode())
        record = booked(running, answer.headers["x-apertis-request-id"])
    assert (record.status, record.code) == (529, "overloaded_error")
    assert (record.attempts, record.fallback_reason, record.reserved_units) == (2, None, 0)


def test_a_response_from_the_cache_was_sent_nowhere(start_gateway: Start) -> None:
    good = json_response(200, MESSAGE | {"stop_reason": "end_turn"})
    with ScriptedServer([good]) as upstream:
        running = start_gateway(config(upstream))
        _, client = running.make_key(quota_usd="1", response_cache=True)
        body = json.dumps(ASK | {"stream": False}).encode()
        answers = [client.call("POST", "/v1/messages", body) for _ in range(2)]
        records = [booked(running, each.headers["x-apertis-request-id"]) for each in answers]
    assert [record.cached for record in records] == [False, True]
    assert [record.attempts for record in records] == [1, 0]
    assert (records[1].reserved_units, records[1].fallback_reason) == (0, None)


def booked(running: RunningGateway, request_id: str) -> UsageRecord:
    """The record of a request, as soon as the store has it."""
    gateway = running.gateway

    def ask() -> UsageRecord | None:
        reading = gateway.store.usage.get(request_id)
        return asyncio.run_coroutine_threadsafe(reading, gateway._loop).result(30)

    until(ask)
    record = ask()
    assert record is not None
    return record


@pytest.mark.parametrize("edits", [NO_EDITS, Edits(remove=("stop",))])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "another"])
def test_an_upstream_is_told_the_model_beside_the_bytes(model: str, edits: Edits) -> None:
    body = peek(json.dumps(ASK).encode(), needs_max_tokens=True)
    assert isinstance(body, Body)
    outgoing = OutgoingRequest("POST", "/v1/messages", [], body, edits)
    sent = outgoing.to(Target("here", model, "claude-sonnet-4-5"))
    assert sent.model == model == json.loads(sent.body)["model"]
