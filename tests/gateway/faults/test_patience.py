"""How long a model keeps its turn: the caller's `fallback_timeout`, up to the first content."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.config import RoutingSettings, UpstreamSettings
from apertis.gateway.request.body import Body, Edits, peek
from apertis.gateway.request.context import Progress, RequestContext
from apertis.gateway.request.forward import Forwarder, OutgoingRequest, StreamedAnswer, WholeAnswer
from apertis.gateway.routing import FallbackPlan, RouteAttempts, Router
from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.gateway.upstreams.contract import UpstreamTimeouts
from apertis.testing import (
    AwaitDisconnect,
    Exchange,
    Gate,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_event,
    sse_head,
    sse_response,
)
from tests.kit.asking import relayed

if TYPE_CHECKING:
    from collections.abc import Generator

    from apertis.gateway.errors import Refusal

EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_stop"},
]
WHOLE = b"".join(map(sse_event, EVENTS))
PING = http_chunk(b"event: ping\ndata: {}\n\n")
STALL = AwaitDisconnect(5)


@contextlib.contextmanager
def opened_after(gate: Gate, seconds: float) -> Generator[None]:
    """Open a gate long after a model's turn would be over."""
    timer = threading.Timer(seconds, gate.open)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def ask(
    script: list[Exchange | bytes], fallbacks: tuple[str, ...]
) -> tuple[Any, RouteAttempts, bytes]:
    """Ask for `m` with a patience of 0.2 s; give the answer, the attempts and the stream."""

    async def run(url: str) -> tuple[WholeAnswer | StreamedAnswer | Refusal, RouteAttempts, bytes]:
        settings = (UpstreamSettings(name="a", kind="anthropic", base_url=url),)
        router = Router(settings, RoutingSettings())
        upstream = AnthropicUpstream("a", url)
        timeouts = UpstreamTimeouts(5.0, 5.0, 5.0)
        forwarder = Forwarder({"a": upstream}, router, timeouts, 60.0, time.time, time.monotonic)
        body = peek(b'{"model":"m","max_tokens":1,"messages":[]}', needs_max_tokens=True)
        assert isinstance(body, Body)
        attempts = RouteAttempts(
            "m",
            FallbackPlan(fallbacks, 0.2, 0.2),
            lambda model: router.candidates(model, None, time.time(), 0.0),
            lambda: False,
        )
        message = OutgoingRequest("POST", "/v1/messages", [], body, Edits())
        progress = Progress(
            RequestContext("req_1", time.time(), time.monotonic(), "POST", "/v1/messages")
        )
        step = attempts.start(time.time())
        answer = await forwarder.send(progress, message, attempts, step, None)
        stream = await relayed(answer.relay) if isinstance(answer, StreamedAnswer) else b""
        await upstream.close()
        return answer, attempts, stream

    with ScriptedServer(script) as server:
        return asyncio.run(run(server.base_url))


SILENCES: dict[str, Exchange] = {
    "nothing": Exchange(STALL),
    "half a head": Exchange(b"HTTP/1.1 200 OK\r\n", STALL),
    "the head": Exchange(sse_head(), STALL),
    "the message": Exchange(sse_head(), http_chunk(sse_event(EVENTS[0])), STALL),
    "pings": Exchange(sse_head(), http_chunk(sse_event(EVENTS[0])), *[PING] * 5, STALL),
    "half an event": Exchange(sse_head(), http_chunk(b"event: content"), STALL),
    "half a plain answer": Exchange(json_response(200, {"type": "message"})[:-3], STALL),
}


@pytest.mark.parametrize("silence", SILENCES.values(), ids=SILENCES)
def test_a_model_without_content_loses_its_turn(silence: Exchange) -> None:
    answer, attempts, stream = ask([silence, sse_response(EVENTS)], ("x",))
    assert isinstance(answer, StreamedAnswer)
    assert stream == WHOLE
    assert dict(attempts.headers)[b"x-fallback-reason"] == b"primary_model_timeout"
    assert dict(attempts.headers)[b"x-actual-model"] == b"x"


def test_content_keeps_the_turn_however_long_the_rest_takes() -> None:
    rest = [http_chunk(sse_event(event)) for event in EVENTS[2:]]
    began = [http_chunk(sse_event(event)) for event in EVENTS[:2]]
    gate = Gate()
    with opened_after(gate, 0.4):
        answer, attempts, stream = ask(
            [Exchange(sse_head(), *began, gate, *rest, http_chunk(b""))], ("x",)
        )
    assert isinstance(answer, StreamedAnswer)
    assert stream == WHOLE
    assert dict(attempts.headers)[b"x-fallback-used"] == b"false"


def test_the_last_model_has_all_the_time_that_the_gateway_gives() -> None:
    gate = Gate()
    with opened_after(gate, 0.4):
        answer, _, stream = ask([Exchange(STALL), Exchange(gate, sse_response(EVENTS))], ("x",))
    assert isinstance(answer, StreamedAnswer)
    assert stream == WHOLE
