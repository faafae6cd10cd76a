"""Streams in time: chunks leave when they come, silences are filled, and nobody is waited for."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import (
    AwaitDisconnect,
    Exchange,
    Gate,
    http_chunk,
    json_response,
    sse_event,
    sse_head,
)
from tests.kit.faulty import BLOCK, END, START, delta

if TYPE_CHECKING:
    from apertis.testing import Step
    from tests.kit.faulty import Bench, Play

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
# How soon an upstream must see that nobody waits any more.
AT_ONCE = AwaitDisconnect(1.0)
FALLBACK: dict[str, Any] = {"fallback_models": ["other"], "fallback_enabled": True}


@pytest.mark.parametrize("fields", [{}, FALLBACK])
def test_an_event_leaves_when_it_came(patient: Bench, play: Play, fields: dict[str, Any]) -> None:
    events = [BLOCK, delta("Hello"), delta(", world"), *END]
    gates = [Gate() for _ in events]
    steps: list[Step] = [step for gate, event in zip(gates, events, strict=True)
             for step in (gate, http_chunk(sse_event(event)))]  # fmt: skip
    play(patient, [Exchange(sse_head(), http_chunk(sse_event(START)), *steps, http_chunk(b""))])
    if fields:
        # What decides whether another model answers is the first content.
        gates[0].open()
    with patient.stream("one", **fields) as stream:
        assert stream.event() == sse_event(START)
        for gate, event in zip(gates, events, strict=True):
            gate.open()
            assert stream.event() == sse_event(event)
        assert stream.event() == b""


def test_half_an_event_waits_for_its_end(patient: Bench, play: Play) -> None:
    gate = Gate()
    whole = sse_event(delta("caf\u00e9 \u2028 \U0001f600"))
    cut = whole.index("\U0001f600".encode()) + 2
    pieces: list[Step] = [http_chunk(whole[:cut]), gate, http_chunk(whole[cut:])]
    opening = http_chunk(sse_event(START) + sse_event(BLOCK))
    closing = http_chunk(b"".join(map(sse_event, END))) + http_chunk(b"")
    play(patient, [Exchange(sse_head(), opening, *pieces, closing)])
    with patient.stream("one") as stream:
        assert [stream.event(), stream.event()] == [sse_event(START), sse_event(BLOCK)]
        assert gate.reached.wait(60)
        gate.open()
        assert stream.event() == whole


def test_comments_pings_and_unknown_events_pass_byte_for_byte(patient: Bench, play: Play) -> None:
    body = b"".join(
        [
            b": welcome\n\n",
            sse_event(START),
            b"event: ping\r\ndata: {}\r\n\r\n",
            b"id: 7\nretry: 5\nevent: of_next_year\ndata: anything\ndata: at all\n\n",
            sse_event(BLOCK),
            b':\n\nevent: ping\ndata:{"type":"ping"}\n\n\n\n',
            sse_event(delta("Hello")),
            *map(sse_event, END),
            b": bye",
        ]
    )
    play(
        patient,
        [Exchange(sse_head(), http_chunk(body[:100]), http_chunk(body[100:]), http_chunk(b""))],
    )
    answer = patient.ask("one", stream=True)
    assert (answer.status, answer.body) == (200, body)


def test_what_follows_the_message_keeps_its_order(patient: Bench, play: Play) -> None:
    gate = Gate()
    whole = b"".join(map(sse_event, [START, BLOCK, *END]))
    steps: list[Step] = [
        http_chunk(whole + b": a"),
        gate,
        http_chunk(b"b\n"),
        http_chunk(b"\n"),
        http_chunk(b""),
    ]
    play(patient, [Exchange(sse_head(), *steps)])
    with patient.stream("one") as stream:
        assert b"".join(stream.event() for _ in range(5)) == whole
        gate.open()
        assert stream.rest() == b": ab\n\n"


@pytest.mark.parametrize("sent", [b"", sse_event(START), sse_event(START) + sse_event(BLOCK)])
def test_a_silence_is_filled_with_pings(impatient: Bench, play: Play, sent: bytes) -> None:
    gate = Gate()
    closing = b"".join(map(sse_event, [START, BLOCK, *END])).removeprefix(sent)
    first = [http_chunk(sent)] if sent else []
    play(impatient, [Exchange(sse_head(), *first, gate, http_chunk(closing), http_chunk(b""))])
    with impatient.stream("one") as stream:
        for _ in range(2):
            while (event := stream.event()) != PING:
                assert event in sent
                assert event
        gate.open()
        body = stream.rest()
    assert body.replace(PING, b"") == closing


def test_a_ping_never_stands_within_an_event(impatient: Bench, play: Play) -> None:
    gate = Gate()
    opening = sse_event(START) + sse_event(BLOCK)
    whole = sse_event(delta("Hello"))
    closing = whole[20:] + b"".join(map(sse_event, END))
    steps: list[Step] = [
        http_chunk(opening + whole[:20]),
        gate,
        http_chunk(closing),
        http_chunk(b""),
    ]
    play(impatient, [Exchange(sse_head(), *steps)])
    with impatient.stream("one") as stream:
        assert [stream.event(), stream.event(), stream.event()] == [
            sse_event(START),
            sse_event(BLOCK),
            PING,
        ]
        gate.open()
        assert stream.rest().replace(PING, b"") == whole + b"".join(map(sse_event, END))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [10, 300_000])
def test_a_client_that_leaves_before_the_answer_ends_it(
    patient: Bench, play: Play, stream: bool, size: int
) -> None:
    reached = Gate()
    reached.open()
    upstreams = play(patient, [Exchange(reached, AT_ONCE)])
    with contextlib.closing(patient.connect()) as connection:
        messages = [{"role": "user", "content": "x" * size}]
        patient.post(connection, "one", stream=stream, messages=messages)
        assert reached.reached.wait(60)
    upstreams.first.wait_until_disconnected(1.0)


@pytest.mark.parametrize("fields", [{}, FALLBACK])
@pytest.mark.parametrize("events", [[START], [START, BLOCK], [START, BLOCK, delta("Hello")]])
def test_a_client_that_leaves_a_stream_ends_it(
    patient: Bench, play: Play, events: list[dict[str, Any]], fields: dict[str, Any]
) -> None:
    reached = Gate()
    reached.open()
    chunks = [http_chunk(sse_event(event)) for event in events]
    upstreams = play(patient, [Exchange(sse_head(), *chunks, reached, AT_ONCE)])
    with contextlib.closing(patient.connect()) as connection:
        patient.post(connection, "one", stream=True, **fields)
        assert reached.reached.wait(60)
    upstreams.first.wait_until_disconnected(1.0)


def test_a_client_that_leaves_a_plain_answer_ends_it(patient: Bench, play: Play) -> None:
    reached = Gate()
    reached.open()
    half = json_response(200, {"type": "message"})[:-5]
    upstreams = play(patient, [Exchange(half, reached, AT_ONCE)])
    with contextlib.closing(patient.connect()) as connection:
        patient.post(connection, "one")
        assert reached.reached.wait(60)
    upstreams.first.wait_until_disconnected(1.0)


def test_a_client_that_leaves_keeps_nobody_from_another_upstream(
    patient: Bench, play: Play
) -> None:
    reached = Gate()
    reached.open()
    upstreams = play(patient, [Exchange(json_response(529, {}))], [Exchange(reached, AT_ONCE)])
    with contextlib.closing(patient.connect()) as connection:
        patient.post(connection, "one", **FALLBACK)
        assert reached.reached.wait(60)
    upstreams.second.wait_until_disconnected(1.0)


def test_a_slow_client_slows_its_own_upstream_only(patient: Bench, play: Play) -> None:
    # More than all buffers on the way hold: sockets' own on four sides, and a few of the gateway's.
    piece = b"".join(sse_event(delta("x" * 1000)) for _ in range(1000))
    count = 48
    gates = [Gate() for _ in range(count)]
    for gate in gates:
        gate.open()
    steps: list[Step] = [step for gate in gates for step in (http_chunk(piece), gate)]
    opening = http_chunk(sse_event(START) + sse_event(BLOCK))
    closing = http_chunk(b"".join(map(sse_event, END))) + http_chunk(b"")
    script = Exchange(sse_head(), opening, *steps, closing)
    play(patient, [script], [json_response(200, {"type": "message"})])
    with patient.stream("one") as stream:
        assert stream.event() == sse_event(START)
        sent = next((n for n, gate in enumerate(gates) if not gate.reached.wait(0.4)), count)
        assert sent < count * 3 // 4
        assert patient.ask("other").status == 200
        assert stream.rest() == (sse_event(BLOCK) + piece * count + b"".join(map(sse_event, END)))


def test_a_slow_client_that_leaves_ends_its_stream(patient: Bench, play: Play) -> None:
    piece = http_chunk(b"".join(sse_event(delta("x" * 1000)) for _ in range(1000)))
    opening = http_chunk(sse_event(START) + sse_event(BLOCK))
    upstreams = play(patient, [Exchange(sse_head(), opening, *[piece] * 48)])
    with contextlib.closing(patient.connect()) as connection:
        patient.post(connection, "one", stream=True)
        sock = connection.sock
        assert isinstance(sock, socket.socket)
        # The answer has begun, and none of it is taken.
        assert sock.recv(1, socket.MSG_PEEK)
    upstreams.first.wait_until_disconnected(1.0)


def test_streams_of_one_connection_follow_each_other(patient: Bench, play: Play) -> None:
    whole = http_chunk(b"".join(map(sse_event, [START, BLOCK, *END])))
    exchange = Exchange(sse_head(), whole, http_chunk(b""))
    upstreams = play(patient, [exchange] * 3)
    with contextlib.closing(patient.connect()) as connection:
        for _ in range(3):
            patient.post(connection, "one", stream=True)
            response = connection.getresponse()
            assert response.read() == b"".join(map(sse_event, [START, BLOCK, *END]))
    assert upstreams.first.connection_count == 1


def test_a_client_of_http_1_0_gets_the_stream_up_to_its_end(patient: Bench, play: Play) -> None:
    whole = b"".join(map(sse_event, [START, BLOCK, *END]))
    play(patient, [Exchange(sse_head(), http_chunk(whole), http_chunk(b""))])
    body = b'{"model":"one","max_tokens":1,"messages":[],"stream":true}'
    head = (
        f"POST /v1/messages HTTP/1.0\r\nx-api-key: {patient.api_key}\r\ncontent-length: {len(body)}"
    )
    with socket.create_connection(("127.0.0.1", patient.port), timeout=60) as sock:
        sock.sendall(head.encode() + b"\r\n\r\n" + body)
        with sock.makefile("rb") as file:
            answer = file.read()
    assert answer.partition(b"\r\n\r\n")[2] == whole
    assert b"transfer-encoding" not in answer


def test_who_could_still_go_elsewhere_is_not_kept_in_silence(impatient: Bench, play: Play) -> None:
    gate = Gate()
    closing = b"".join(map(sse_event, [BLOCK, *END]))
    opening = http_chunk(sse_event(START))
    # The second upstream has no script: whoever heard something stays.
    play(impatient, [Exchange(sse_head(), opening, gate, http_chunk(closing), http_chunk(b""))])
    with impatient.stream("pair") as stream:
        assert [stream.event(), stream.event()] == [sse_event(START), PING]
        gate.open()
        assert stream.rest().replace(PING, b"") == closing
