"""Upstreams that fail before anything of their answer can be handed out."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Gate,
    Reset,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_event,
    sse_head,
    sse_response,
)
from tests.kit.faulty import BLOCK, END, START, delta

if TYPE_CHECKING:
    from apertis.testing import Step
    from tests.kit.faulty import Bench, Play

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
EVENTS = [START, BLOCK, delta("Hello"), *END]
WHOLE = b"".join(map(sse_event, EVENTS))
OPENING = http_chunk(sse_event(START))
SHORT = "first_byte_timeout_seconds = 0.15\nidle_timeout_seconds = 0.15"

BROKEN = (502, "upstream_error")
LATE = (504, "upstream_timeout")
STALL = AwaitDisconnect(5)
# What becomes of any answer, plain or streamed: how it goes, and what the caller is told.
ANY: dict[str, tuple[Exchange, tuple[int, str]]] = {
    "reset after the head": (Exchange(Reset, read="head"), BROKEN),
    "reset": (Exchange(Reset), BROKEN),
    "closed": (Exchange(Close), BROKEN),
    "garbage": (Exchange(b"\x16\x03\x01\x00\x02garbage\r\n\r\n", Close), BROKEN),
    "another protocol": (Exchange(b"SSH-2.0-OpenSSH_9.6\r\n", Close), BROKEN),
    "half a head": (Exchange(b"HTTP/1.1 200 OK\r\ncontent-ty", Close), BROKEN),
    "a lying length": (Exchange(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", Close), BROKEN),
    "a status that is none": (
        Exchange(b"HTTP/1.1 999 Denied\r\ncontent-length: 2\r\n\r\n{}"),
        BROKEN,
    ),
    "a control character": (
        Exchange(b"HTTP/1.1 200 OK\r\nx: a\x01b\r\ncontent-length: 2\r\n\r\n{}", Close),
        BROKEN,
    ),
    "two lengths": (
        Exchange(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", Close),
        BROKEN,
    ),
    "only 1xx": (Exchange(b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n", Close), BROKEN),
    "silence": (Exchange(STALL), LATE),
    "silence within the head": (Exchange(b"HTTP/1.1 200 OK\r\n", STALL), LATE),
    "silence after the head": (Exchange(sse_head(), STALL), LATE),
}
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
PLAIN: dict[str, tuple[Exchange, tuple[int, str]]] = {
    **ANY,
    "nothing in the body": (Exchange(JSON + b"content-length: 0\r\n\r\n"), BROKEN),
    "a page in the body": (Exchange(JSON + b"content-length: 6\r\n\r\n<html>"), BROKEN),
    "half the body": (Exchange(JSON + b'content-length: 9\r\n\r\n{"id"', Close), BROKEN),
    "half the body, reset": (Exchange(JSON + b'content-length: 9\r\n\r\n{"id"', Reset), BROKEN),
    "half the body, silence": (Exchange(JSON + b'content-length: 9\r\n\r\n{"i', STALL), LATE),
    "half the chunks": (
        Exchange(JSON + b"transfer-encoding: chunked\r\n\r\n" + http_chunk(b'{"id"'), Close),
        BROKEN,
    ),
    "a chunk of no size": (
        Exchange(JSON + b"transfer-encoding: chunked\r\n\r\nno size\r\n", Close),
        BROKEN,
    ),
    "a body that says gzip": (
        Exchange(JSON + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\n{}  ", Close),
        BROKEN,
    ),
}
STREAMED: dict[str, tuple[Exchange, tuple[int, str]]] = {
    **ANY,
    "no event": (Exchange(sse_head() + http_chunk(b"")), BROKEN),
    "closed after the head": (Exchange(sse_head(), Close), BROKEN),
    "half an event": (Exchange(sse_head(), http_chunk(b"event: message_st"), Close), BROKEN),
    "an event that cannot be read": (
        Exchange(sse_head(), http_chunk(b"event: message_start\ndata: {\n\n"), STALL),
        BROKEN,
    ),
    "content before the message": (
        Exchange(sse_head(), http_chunk(sse_event(EVENTS[2])), STALL),
        BROKEN,
    ),
    "events that say gzip": (
        Exchange(
            sse_head({"content-encoding": "gzip"}), http_chunk(gzip.compress(bytes(9))), STALL
        ),
        BROKEN,
    ),
    "a page instead of events": (
        Exchange(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"),
        BROKEN,
    ),
}
# What follows the first event, before any content: the caller without another upstream has a
# stream by then, and the others have not.
ERROR = ("api_error", "upstream_error")
OPENED: dict[str, tuple[tuple[Step, ...], tuple[str, str]]] = {
    "closed": ((Close,), ERROR),
    "ended": ((http_chunk(b""),), ERROR),
    "reset": ((Reset,), ERROR),
    "silence": ((STALL,), ("timeout_error", "upstream_timeout")),
    "half an event": ((http_chunk(b"event: content_b"), Close), ERROR),
    "an event that cannot be read": (
        (http_chunk(b"event: content_block_start\ndata: x\n\n"), STALL),
        ERROR,
    ),
    "a second message": ((OPENING, STALL), ERROR),
    "a chunk of no size": ((b"zz\r\n", STALL), ERROR),
}


@pytest.mark.parametrize("fault", PLAIN)
def test_a_plain_answer_that_fails_is_an_error(patient: Bench, play: Play, fault: str) -> None:
    exchange, (status, code) = PLAIN[fault]
    play(patient, [exchange], routing=SHORT)
    answer = patient.ask("one")
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.fallback == ("false", "one", "one", None)


@pytest.mark.parametrize("fault", PLAIN)
def test_another_upstream_answers_in_its_place(patient: Bench, play: Play, fault: str) -> None:
    play(patient, [PLAIN[fault][0]], [json_response(200, MESSAGE)], SHORT)
    answer = patient.ask("pair")
    assert (answer.status, json.loads(answer.body)) == (200, MESSAGE)
    assert answer.fallback == ("false", "pair", "pair", None)


@pytest.mark.parametrize("fault", STREAMED)
def test_a_stream_that_never_began_is_an_error(patient: Bench, play: Play, fault: str) -> None:
    exchange, (status, code) = STREAMED[fault]
    play(patient, [exchange], routing=SHORT)
    answer = patient.ask("one", stream=True)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("fault", STREAMED)
def test_another_model_streams_in_its_place(patient: Bench, play: Play, fault: str) -> None:
    play(patient, [STREAMED[fault][0]], [sse_response(EVENTS)], SHORT)
    answer = patient.ask("one", stream=True, fallback_models=["other"], fallback_enabled=True)
    assert (answer.status, answer.body) == (200, WHOLE)
    late = STREAMED[fault][1] == LATE
    reason = "primary_model_timeout" if late else "primary_model_failed"
    assert answer.fallback == ("true", "one", "other", reason)


@pytest.mark.parametrize("fault", OPENED)
def test_a_stream_without_content_ends_in_an_error_event(
    patient: Bench, play: Play, fault: str
) -> None:
    steps, (type_, code) = OPENED[fault]
    gate = Gate()
    play(patient, [Exchange(sse_head(), OPENING, gate, *steps)], routing=SHORT)
    with patient.stream("one") as stream:
        assert stream.event() == sse_event(START)
        gate.open()
        name, data, *rest = stream.rest().split(b"\n")
        assert (name, rest) == (b"event: error", [b"", b""])
        document = json.loads(data.removeprefix(b"data: "))
        assert (document["error"]["type"], document["error"]["code"]) == (type_, code)
        assert document["request_id"] == stream.headers["request-id"]


@pytest.mark.parametrize("fault", OPENED)
@pytest.mark.parametrize("model", ["one", "pair"])
def test_before_the_first_content_another_answer_takes_its_place_whole(
    patient: Bench, play: Play, model: str, fault: str
) -> None:
    exchange = Exchange(sse_head(), OPENING, *OPENED[fault][0])
    play(patient, [exchange], [sse_response(EVENTS)], SHORT)
    answer = patient.ask(model, stream=True, fallback_models=["other"], fallback_enabled=True)
    assert (answer.status, answer.body) == (200, WHOLE)
    assert answer.fallback[:3] == (
        ("true", "one", "other") if model == "one" else ("false", "pair", "pair")
    )


@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_connection_is_an_error(
    patient: Bench, play: Play, closed_port: str, stream: bool
) -> None:
    play(patient)
    patient.configure(closed_port, closed_port, "")
    answer = patient.ask("one", stream=stream)
    assert (answer.status, answer.error["code"]) == BROKEN
    assert answer.fallback == ("false", "one", "one", None)


@pytest.mark.parametrize("model", ["one", "pair"])
def test_a_refused_connection_moves_on(
    patient: Bench, play: Play, closed_port: str, model: str
) -> None:
    upstreams = play(patient, [], [sse_response(EVENTS)])
    patient.configure(closed_port, upstreams.second.base_url, "")
    answer = patient.ask(model, stream=True, fallback_models=["other"], fallback_enabled=True)
    assert (answer.status, answer.body) == (200, WHOLE)
    moved = ("true", "one", "other", "primary_model_unreachable")
    assert answer.fallback == (moved if model == "one" else ("false", "pair", "pair", None))


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_that_is_reset_at_once_moves_on(
    patient: Bench, play: Play, stream: bool
) -> None:
    upstreams = play(patient, [], [sse_response(EVENTS)])
    # One that is reset early enough was never made, and is tried once more.
    resets = [Exchange(Reset, read="nothing")] * 4
    with ScriptedServer(resets, require_all=False) as first:
        patient.configure(first.base_url, upstreams.second.base_url, "")
        answer = patient.ask("one", stream=stream)
        assert (answer.status, answer.error["code"]) == BROKEN
        answer = patient.ask("pair", stream=True)
        assert (answer.status, answer.body) == (200, WHOLE)


def test_a_kept_connection_that_was_closed_is_replaced(patient: Bench, play: Play) -> None:
    script = [Exchange(json_response(200, MESSAGE), Close), Exchange(json_response(200, MESSAGE))]
    upstreams = play(patient, script)
    for _ in range(2):
        assert patient.ask("one").status == 200
    assert upstreams.first.connection_count == 2


def test_interim_answers_are_passed_over(patient: Bench, play: Play) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    play(patient, [Exchange(interim, json_response(200, MESSAGE))])
    answer = patient.ask("one")
    assert (answer.status, json.loads(answer.body)) == (200, MESSAGE)
    assert "link" not in answer.headers


def test_a_failure_after_an_answer_is_told_under_an_id_of_its_own(
    patient: Bench, play: Play
) -> None:
    overloaded = json_response(529, {"type": "error"}, {"request-id": "req_upstream"})
    play(patient, [overloaded], [Exchange(Reset)])
    answer = patient.ask("pair")
    assert (answer.status, answer.error["code"]) == BROKEN
    assert answer.headers["request-id"] == answer.headers["x-apertis-request-id"]
