"""Real exchanges, if they are there: what is read of them is what the official SDK reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from apertis.accounting.counts import completed
from apertis.accounting.estimate import Estimate
from apertis.accounting.prices import PriceTable
from apertis.accounting.readers import Reading, StreamReader, read_message

RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
pytestmark = pytest.mark.corpus
TABLE = PriceTable()

OWN_TOOLS = (b"code_execution", b"web_fetch", b"web_search", b'"mcp_servers"', b'"container"')
# Damaged on purpose by whoever wrote them: message_start twice; a content block before it.
DAMAGED = {"ai-b31f986c2955", "anthropic-sdk-python-dbe20b943bc6"}
SERVED = {
    "ai-d93a8861ecfe": "claude-opus-4-8",
    "anthropic-sdk-python-a30ed3dad635": "claude-sonnet-4-5",
}


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    exchanges = [msgspec.json.decode(path.read_bytes()) for path in RECORDED.glob("*.json")]
    return [
        exchange
        for exchange in exchanges
        if exchange["kind"] == "messages" and exchange["response"]["status"] == 200
    ]


def is_stream(answer: dict[str, Any]) -> bool:
    return bool(answer["response"]["body_text"].lstrip().startswith(("event:", "data:", ":")))


def read_stream(answer: dict[str, Any], step: int = 0) -> StreamReader:
    body = answer["response"]["body_text"].encode()
    reader = StreamReader()
    if not step:
        reader.feed(body.rstrip() + b"\n\n")
    else:
        for event in body.replace(b"\r\n", b"\n").split(b"\n\n"):
            reader.feed(event + b"\n\n")
    return reader


def read(answer: dict[str, Any]) -> StreamReader | Reading:
    if is_stream(answer):
        return read_stream(answer)
    return read_message(answer["response"]["body_text"].encode())


def test_every_answer_says_what_the_official_sdk_says(answers: list[dict[str, Any]]) -> None:
    compared = 0
    for answer in answers:
        expected = answer["expected"]
        if expected is None or answer["id"] in DAMAGED:
            continue
        if "compaction" in answer["response"]["body_text"]:
            continue
        reading = read(answer)
        usage = {name: count or 0 for name, count in expected["usage"].items()}
        tokens = reading.tokens
        assert tokens is not None, answer["id"]
        assert tokens.input == usage["input_tokens"], answer["id"]
        assert tokens.output == usage["output_tokens"], answer["id"]
        assert tokens.cache_read == usage.get("cache_read_input_tokens", 0), answer["id"]
        written = tokens.cache_write_5m + tokens.cache_write_1h
        assert written == usage.get("cache_creation_input_tokens", 0), answer["id"]
        # The model that answers changes with a `fallback` block, also where the SDK missed it.
        model = SERVED.get(answer["id"], expected["model"])
        assert (reading.model, reading.id) == (model, expected["id"]), answer["id"]
        assert reading.stop_reason == expected["stop_reason"], answer["id"]
        compared += 1
    assert compared > 250


def test_every_stream_is_whole_and_in_order_but_the_damaged_ones(
    answers: list[dict[str, Any]],
) -> None:
    streams = [answer for answer in answers if is_stream(answer)]
    assert len(streams) > 100
    for answer in streams:
        reader = read_stream(answer)
        assert (reader.malformed is not None) == (answer["id"] in DAMAGED), answer["id"]
        assert reader.stopped != (answer["id"] in DAMAGED), answer["id"]
        assert reader.tokens == read_stream(answer, step=1).tokens
        # Some that were written by hand have no counts.
        assert reader.final or answer["origin"] == "fixture", answer["id"]


def test_the_estimate_of_a_cut_stream_stays_near_the_truth(answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        if not is_stream(answer) or answer["origin"] != "recorded":
            continue
        body = answer["response"]["body_text"]
        cut = {**answer, "response": {"body_text": body[: body.rindex("event: message_delta")]}}
        whole, reader = read_stream(answer), read_stream(cut)
        assert not reader.final
        assert reader.use is not None
        most = max(reader.output_seen, reader.use.tokens.output)
        assert whole.tokens is not None
        assert most <= whole.tokens.output * 1.25 + 2, answer["id"]


def test_no_recorded_request_uses_more_than_would_have_been_reserved(
    answers: list[dict[str, Any]],
) -> None:
    checked, with_tools = 0, 0
    for answer in answers:
        request: dict[str, Any] = answer["request"]["body"]
        reading = read(answer)
        if type(request) is not dict or reading.tokens is None or reading.model is None:
            continue
        price = TABLE.find(reading.model)
        if price is None:
            assert answer["origin"] == "fixture", reading.model
            continue
        body = msgspec.json.encode(request)
        cost = TABLE.cost(reading.tokens, reading.model, others=reading.others)
        assert cost is not None
        most = request.get("max_tokens", reading.tokens.output)
        assert Estimate(body).reservation_units(most, (price,)) >= cost, answer["id"]
        # Not only because nobody used all of `max_tokens`: each half is a bound by itself.
        assert Estimate(body).input_tokens >= reading.tokens.prompt, answer["id"]
        checked += 1
        with_tools += any(name in body for name in OWN_TOOLS)
    assert checked > 200
    assert with_tools > 50


def test_no_recorded_answer_has_a_count_that_cannot_be(answers: list[dict[str, Any]]) -> None:
    checked = 0
    for answer in answers:
        if answer["origin"] != "recorded":
            continue
        reading = read(answer)
        assert reading.use is not None, answer["id"]
        price = TABLE.find(reading.use.model or reading.model or "")
        assert price is not None, answer["id"]
        used = completed(
            reading.use, price, max_tokens=0, likely_input=lambda: 10**9, output_seen=10**9
        )
        assert used == (reading.tokens, ()), answer["id"]
        checked += 1
    assert checked > 200
