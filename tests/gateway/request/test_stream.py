"""A stream that passes: held back for its first content, and booked however it is cut."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.prices import PriceTable
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.request.body import Body, peek
from apertis.gateway.request.charge import Charge, Ledger, Prices
from apertis.gateway.request.context import Progress, RequestContext
from apertis.gateway.request.stream import Relay
from apertis.gateway.upstreams.outcome import Outcome, outcome_of_error
from tests.kit.asking import relayed
from tests.kit.chains import Books, quota_chain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apertis.accounting.record import UsageRecord

RECORDED = Path(__file__).parents[4] / "shared" / "recorded"

COMMENT = b": %b\n\n" % (b"." * 60_000)


CONTEXT = RequestContext("req_1", 0.0, 0.0, "POST", "/v1/messages")


class Chatter:
    """An upstream's answer that says nothing, without end."""

    status = 200
    headers = ()

    def __init__(self) -> None:
        self.said = 0

    async def read(self) -> bytes:
        self.said += len(COMMENT)
        return COMMENT

    async def pour(self, take: Callable[[bytes], bool], seconds: float | None = None) -> bool:  # noqa: ARG002
        while take(await self.read()):
            pass
        return False

    def whole(self) -> bytes | None:
        return None

    def close(self) -> None:
        return None


def test_a_stream_without_content_is_not_held_back_for_ever() -> None:
    answer = Chatter()
    relay = Relay(answer, Progress(CONTEXT), None, lambda _: None, outcome_of_error)
    outcome = asyncio.run(asyncio.wait_for(relay.hold(None), 10))
    assert outcome is Outcome.OK
    assert answer.said < 2 * 2**20


class Pieces:
    """An upstream's answer that comes in these pieces."""

    status = 200
    headers = ()

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read(self) -> bytes:
        return next((piece for piece in self._pieces if piece), b"")

    async def pour(self, take: Callable[[bytes], bool], seconds: float | None = None) -> bool:  # noqa: ARG002
        return all(take(piece) for piece in self._pieces if piece)

    def whole(self) -> bytes | None:
        return None

    def close(self) -> None:
        return None


KEY = KeyRecord(
    id="key_a", name="a", sha256="0" * 64, hint="sk-...a", quota_units=10**9, created_at=0
)
ASKED = b'{"model":"claude-opus-4-5","max_tokens":500,"messages":[{"role":"user","content":"hi"}]}'


def passed(pieces: Iterable[bytes], *, takes_all: bool = True) -> tuple[UsageRecord, bytes]:
    """What is booked of a stream that comes in these pieces, and what its caller gets."""
    record, received, _ = passed_and_logged(pieces, takes_all=takes_all)
    return record, received


def passed_and_logged(
    pieces: Iterable[bytes], *, takes_all: bool = True
) -> tuple[UsageRecord, bytes, str | None]:
    """The same, and the reason that the log has."""
    books = Books()
    ledger = Ledger(
        Prices(PriceTable(), unpriced_is_free=False),
        books,
        lambda: 1.0,
        lambda: 1.0,
    )
    key = Directory([KEY]).get("key_a")
    assert key is not None
    progress = Progress(CONTEXT)
    progress.asks("claude-opus-4-5")
    progress.answers(200)

    async def run(charge: Charge) -> bytes:
        relay = Relay(Pieces(pieces), progress, charge, lambda _: None, outcome_of_error)
        if await relay.begin(30) is not Outcome.OK:
            relay.discard()
            progress.ends(502, interrupted=False)
            charge.settle()
            return b""
        relay.committed()
        return await relayed(relay, takes_all=takes_all)

    body = peek(ASKED, needs_max_tokens=True)
    assert isinstance(body, Body)
    charge = ledger.open(progress, quota_chain(key), body, ("claude-opus-4-5",))
    assert isinstance(charge, Charge)
    received = asyncio.run(run(charge))
    (record,) = books.records
    return record, received, progress.reason


def booked(pieces: Iterable[bytes], *, takes_all: bool = True) -> tuple[Any, ...]:
    record = passed(pieces, takes_all=takes_all)[0]
    return record.model, record.tokens, record.cost_units, record.estimated


def one_event(type_: str, **fields: Any) -> bytes:
    data = json.dumps({"type": type_, **fields}).encode()
    return b"event: " + type_.encode() + b"\ndata: " + data + b"\n\n"


USED = {"input_tokens": 100, "output_tokens": 2}
START = one_event("message_start", message={"id": "m", "model": "claude-opus-4-5", "usage": USED})
BLOCK = one_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
PIECE = one_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "wxyz"})
DONE = one_event("content_block_stop", index=0)
LAST = one_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
STOP = one_event("message_stop")
FALLBACK = one_event(
    "content_block_start",
    index=1,
    content_block={"type": "fallback", "to": {"model": "claude-haiku-4-5"}},
)
MUCH = one_event(
    "message_delta",
    delta={"stop_reason": "end_turn"},
    usage={"input_tokens": 9000, "output_tokens": 9000},
)
SECOND = one_event(
    "message_start", message={"id": "n", "usage": {"input_tokens": 9000, "output_tokens": 9000}}
)
ERROR = one_event("error", error={"type": "overloaded_error", "message": "busy"})
ODD = PIECE.replace(b"wxyz", rb"\ud83d")
BEGUN = [START, BLOCK, PIECE, PIECE]
WHOLE = [*BEGUN, DONE, LAST, STOP]
STREAMS = {
    "whole": WHOLE,
    "half a pair": [START, BLOCK, ODD, PIECE, ODD, DONE, LAST, STOP],
    "more behind the end": [*WHOLE, MUCH, BLOCK, STOP],
    "an error behind the end": [*WHOLE, ERROR],
    "a second start": [*BEGUN, SECOND, MUCH, STOP],
    "the same start again": [*BEGUN, START, MUCH, STOP],
    "two starts": [START, SECOND, BLOCK, MUCH, STOP],
    "an unopened block": [*BEGUN, PIECE.replace(b'"index": 0', b'"index": 7'), MUCH, STOP],
    "an error": [*BEGUN, ERROR, MUCH, STOP],
    "an error at once": [START, ERROR],
    "damage": [*BEGUN, b"event: message_delta\ndata: {oops\n\n", MUCH, STOP],
    "cut off": BEGUN,
    "a fallback": [*BEGUN, DONE, FALLBACK, DONE.replace(b"0", b"1"), LAST, STOP],
    "a fallback that is cut off": [*BEGUN, DONE, FALLBACK],
    "no usage": [START.replace(b"_tokens", b"_token"), BLOCK, PIECE, DONE, STOP],
    "counts that cannot be": [*BEGUN, DONE, MUCH.replace(b"9000", b"1000000000000"), STOP],
    "without a last blank line": [*WHOLE[:-1], STOP.rstrip()],
}
ENDS = [b"\n", b"\r\n", b"\r"]


@given(st.sampled_from(sorted(STREAMS)), st.sampled_from(ENDS), st.booleans(), st.data())
@settings(max_examples=300, deadline=None)
def test_a_stream_is_booked_alike_however_its_bytes_fall_into_pieces(
    name: str, end: bytes, takes_all: bool, data: st.DataObject
) -> None:
    stream = b"".join(STREAMS[name]).replace(b"\n", end)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]
    assert booked(pieces, takes_all=takes_all) == booked([stream])


@given(st.sampled_from(["whole", "half a pair", "cut off", "an error"]), st.booleans(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_client_gets_the_same_bytes_however_they_fall_into_pieces(
    name: str, takes_all: bool, data: st.DataObject
) -> None:
    events = STREAMS[name]
    if name == "an error":
        # Nothing is promised of what stands behind it.
        events = events[: events.index(ERROR) + 1]
    stream = b"".join(events)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]
    received = passed(pieces, takes_all=takes_all)[1]
    assert received.startswith(stream)
    ending = received.removeprefix(stream)
    assert ending.startswith(b"event: error\n") if name == "cut off" else not ending


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_booked_alike_in_one_piece_and_event_by_event(name: str, end: bytes) -> None:
    events = [event.replace(b"\n", end) for event in STREAMS[name]]
    stream = b"".join(events)
    assert booked(events) == booked([stream])
    assert booked(stream[i : i + 1] for i in range(len(stream))) == booked([stream])


@pytest.mark.parametrize(
    "name", ["a second start", "the same start again", "an unopened block", "damage"]
)
def test_a_caller_who_gets_an_error_event_has_a_record_that_says_so(name: str) -> None:
    for pieces in (STREAMS[name], [b"".join(STREAMS[name])]):
        record, received = passed(pieces)
        assert received.startswith(b"".join(BEGUN) + b"event: error\n")
        assert record.code == "upstream_error"
        assert record.interrupted
        assert (record.tokens.input, record.tokens.output) == (100, 2)


@pytest.mark.parametrize("name", ["whole", "half a pair", "more behind the end"])
def test_a_whole_stream_passes_byte_for_byte(name: str) -> None:
    for pieces in (STREAMS[name], [b"".join(STREAMS[name])]):
        record, received = passed(pieces)
        assert received == b"".join(STREAMS[name])
        assert (record.code, record.estimated, record.interrupted) == (None, False, False)
        assert (record.tokens.input, record.tokens.output) == (100, 9)


def test_a_whole_stream_without_usage_costs_what_was_set_aside_for_it() -> None:
    record, _ = passed(STREAMS["no usage"])
    assert record.estimated
    assert not record.interrupted
    # 2 bytes a token and 100 besides, and `max_tokens`, at $5 and $25 a million.
    assert record.cost_units == -(-((-(-len(ASKED) // 2) + 100) * 5 + 500 * 25) // 2)


def test_counts_that_cannot_be_are_never_booked() -> None:
    record, received, reason = passed_and_logged(STREAMS["counts that cannot be"])
    assert received.endswith(STOP)
    assert reason is not None
    assert reason.endswith(": input_tokens, output_tokens")
    assert record.estimated
    assert record.cost_units < 5000
    assert record.tokens.output == 2


def test_each_model_of_a_chain_is_booked_at_its_own_price() -> None:
    record, _ = passed(STREAMS["a fallback"])
    assert record.model == "claude-haiku-4-5"
    assert record.tokens.output == 9
    # Opus: 100 in and 2 out, haiku: 100 in and 9 out, each rounded up.
    assert record.cost_units == -(-(100 * 5 + 2 * 25) // 2) + -(-(100 * 1 + 9 * 5) // 2)
    assert record.estimated, "nobody counted what the first one used"


@pytest.mark.corpus
def test_every_recorded_stream_is_booked_alike_in_every_cut() -> None:
    compared = 0
    for path in sorted(RECORDED.glob("*.json")):
        exchange = json.loads(path.read_bytes())
        text: str = exchange["response"]["body_text"] or ""
        if exchange["kind"] != "messages" or not text.startswith(("event:", "data:", ":")):
            continue
        stream = text.encode()
        whole = booked([stream])
        events = [event + b"\n\n" for event in stream.split(b"\n\n")]
        assert booked([*events[:-1], events[-1][:-2]]) == whole, path.name
        for size in (1, 7, 100):
            if size > 1 or len(stream) < 5000:
                pieces = (stream[i : i + size] for i in range(0, len(stream), size))
                assert booked(pieces) == whole, (path.name, size)
        compared += 1
    assert compared > 100
