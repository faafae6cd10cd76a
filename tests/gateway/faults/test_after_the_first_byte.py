"""Streams that fail after content was handed out: one error event, and nothing else moves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Gate,
    Reset,
    http_chunk,
    sse_event,
    sse_head,
)
from tests.kit.faulty import BLOCK, START, delta

if TYPE_CHECKING:
    from apertis.testing import Step
    from tests.kit.faulty import Bench, Play

DELTA = delta("Hello")
CONTENT = [START, BLOCK, DELTA]
STALL = AwaitDisconnect(5)
SHORT = "first_byte_timeout_seconds = 0.15\nidle_timeout_seconds = 0.15"
BROKEN = ("api_error", "upstream_error")
LATE = ("timeout_error", "upstream_timeout")

FAULTS: dict[str, tuple[tuple[Step, ...], tuple[str, str]]] = {
    "closed": ((Close,), BROKEN),
    "ended": ((http_chunk(b""),), BROKEN),
    "reset": ((Reset,), BROKEN),
    "silence": ((STALL,), LATE),
    "silence of comments' halves": ((http_chunk(b": no"), STALL), LATE),
    "within an event": ((http_chunk(b"event: content_block_delta\ndata: {"), Close), BROKEN),
    "within an event, ended": ((http_chunk(b"event: message_stop\n"), http_chunk(b"")), BROKEN),
    "within a chunk": ((b"40\r\nevent: content_block_delta", Close), BROKEN),
    "a chunk of no size": ((b"zz\r\n", STALL), BROKEN),
    "no JSON": ((http_chunk(b"event: content_block_delta\ndata: nothing\n\n"), STALL), BROKEN),
    "a second message": ((http_chunk(sse_event(START)), STALL), BROKEN),
    "a block that was never begun": ((http_chunk(sse_event(DELTA | {"index": 7})), STALL), BROKEN),
}
ERROR = sse_event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("model", ["one", "pair"])
def test_the_stream_ends_in_one_error_event_and_nobody_else_answers(
    patient: Bench, play: Play, model: str, fault: str
) -> None:
    steps, (type_, code) = FAULTS[fault]
    gate = Gate()
    chunks = [http_chunk(sse_event(event)) for event in CONTENT]
    # The second upstream has no script: it must not be asked.
    play(patient, [Exchange(sse_head(), *chunks, gate, *steps)], [], SHORT)
    fallback: dict[str, Any] = {"fallback_models": ["other"], "fallback_enabled": True}
    with patient.stream(model, **fallback) as stream:
        assert stream.headers["x-fallback-used"] == "false"
        assert stream.headers["x-actual-model"] == model
        assert [stream.event() for _ in CONTENT] == [sse_event(event) for event in CONTENT]
        gate.open()
        name, data, *rest = stream.rest().split(b"\n")
        assert (name, rest) == (b"event: error", [b"", b""])
        document = json.loads(data.removeprefix(b"data: "))
        assert (document["error"]["type"], document["error"]["code"]) == (type_, code)
        assert document["request_id"] == stream.headers["request-id"]


@pytest.mark.parametrize("end", [Close, Reset, http_chunk(b""), AwaitDisconnect(5)])
def test_an_error_event_of_the_upstream_is_the_only_one(
    patient: Bench, play: Play, end: Step
) -> None:
    chunks = [http_chunk(sse_event(event)) for event in CONTENT]
    content_seen, error_seen = Gate(), Gate()
    play(patient, [Exchange(sse_head(), *chunks, content_seen, http_chunk(ERROR), error_seen, end)])
    fallback: dict[str, Any] = {"fallback_models": ["other"], "fallback_enabled": True}
    with patient.stream("pair", **fallback) as stream:
        assert stream.headers["x-fallback-used"] == "false"
        assert [stream.event() for _ in CONTENT] == [sse_event(event) for event in CONTENT]
        content_seen.open()
        assert stream.event() == ERROR
        error_seen.open()
        assert stream.rest() == b""


def test_an_error_right_behind_the_first_content_moves_while_nothing_was_handed_out(
    patient: Bench, play: Play
) -> None:
    at_once = b"".join(map(sse_event, CONTENT)) + ERROR
    upstreams = play(patient, [sse_head() + http_chunk(at_once) + http_chunk(b"")], [failing()])
    answer = patient.ask("one", stream=True, fallback_models=["other"], fallback_enabled=True)
    assert (answer.status, answer.body) == (200, ERROR)
    assert len(upstreams.second.requests) == 1


FAULTY = b"event: content_block_delta\ndata: nothing\n\n"


@pytest.mark.parametrize("behind", [b"", sse_event({"type": "message_stop"})])
@pytest.mark.parametrize("model", ["one", "pair"])
def test_how_the_bytes_fall_into_pieces_does_not_decide_what_a_fault_becomes(
    patient: Bench, play: Play, model: str, behind: bytes
) -> None:
    content = b"".join(map(sse_event, CONTENT))
    # All in one write; the second upstream has no script and must not be asked.
    piece = sse_head() + http_chunk(content + FAULTY + behind) + http_chunk(b"")
    play(patient, [piece], [])
    answer = patient.ask(model, stream=True)
    assert answer.status == 200
    name, data, *rest = answer.body.removeprefix(content).split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    assert json.loads(data.removeprefix(b"data: "))["error"]["code"] == "upstream_error"


def test_a_fault_before_the_content_moves_also_if_content_follows_in_the_same_piece(
    patient: Bench, play: Play
) -> None:
    piece = b"".join((sse_event(START), FAULTY, sse_event(BLOCK), sse_event(DELTA)))
    upstreams = play(patient, [sse_head() + http_chunk(piece) + http_chunk(b"")], [failing()])
    answer = patient.ask("pair", stream=True)
    assert (answer.status, answer.body) == (200, ERROR)
    assert len(upstreams.second.requests) == 1


def failing() -> Exchange:
    return Exchange(sse_head(), http_chunk(ERROR), http_chunk(b""))


def test_an_error_event_before_content_moves_to_another_model(patient: Bench, play: Play) -> None:
    first = Exchange(sse_head(), http_chunk(sse_event(START)), http_chunk(ERROR), Close)
    whole = [
        *CONTENT,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    second = Exchange(
        sse_head(), *[http_chunk(sse_event(event)) for event in whole], http_chunk(b"")
    )
    play(patient, [first], [second])
    answer = patient.ask("one", stream=True, fallback_models=["other"], fallback_enabled=True)
    assert answer.body == b"".join(map(sse_event, whole))
    assert answer.fallback == ("true", "one", "other", "primary_model_overloaded")


def test_an_error_event_before_content_is_passed_when_nothing_is_left(
    patient: Bench, play: Play
) -> None:
    failing = Exchange(sse_head({"request-id": "req_a"}), http_chunk(ERROR), Close)
    last = Exchange(sse_head({"request-id": "req_b"}), http_chunk(ERROR), Close)
    play(patient, [failing], [last])
    answer = patient.ask("one", stream=True, fallback_models=["other"], fallback_enabled=True)
    assert (answer.status, answer.body) == (200, ERROR)
    assert answer.headers["request-id"] == "req_b"
    assert answer.fallback == ("true", "one", "other", "primary_model_overloaded")


@pytest.mark.parametrize(
    ("type_", "moves"),
    [
        ("invalid_request_error", False),
        ("authentication_error", False),
        ("billing_error", False),
        ("permission_error", False),
        ("rate_limit_error", True),
        ("api_error", True),
    ],
)
def test_an_error_event_before_content_moves_as_its_status_would(
    patient: Bench, play: Play, type_: str, moves: bool
) -> None:
    event = sse_event({"type": "error", "error": {"type": type_, "message": "no"}})
    failing = Exchange(sse_head(), http_chunk(event), http_chunk(b""))
    play(patient, [failing], [failing] if moves else [])
    answer = patient.ask("one", stream=True, fallback_models=["other"], fallback_enabled=True)
    assert answer.headers["x-fallback-used"] == str(moves).lower()
    if type_ == "authentication_error":
        # The gateway's own key: the caller's is well.
        assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    else:
        assert (answer.status, answer.body) == (200, event)
