"""Streams to the byte: what the upstream sends is what other clients read, whatever it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import Exchange, Reset, http_chunk, sse_head

if TYPE_CHECKING:
    from tests.kit.driving import Ran, World

PARAMS: dict[str, Any] = {
    "model": "claude-scripted",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
# Some line splitters take these for line ends; others cut characters of several bytes in two.
UNUSUAL = "one\u2028two\u0085three\u2029 \U0001f98a\U0001f468\u200d\U0001f469 é\u000b!"
FUTURE = "event_of_next_year"


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *deltas,
        {"type": "content_block_stop", "index": index},
    ]


CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
    "file_id": None,
}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-scripted",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "cache_read_input_tokens": 90, "output_tokens": 1},
        "field_of_next_year": {"a": [1]},
    },
}
EVENTS: list[dict[str, Any]] = [
    START,
    {"type": "ping"},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        delta(0, "thinking_delta", thinking="Let me see."),
        delta(0, "signature_delta", signature="EqQBCkYIARgCKkBx=="),
    ),
    {"type": FUTURE, "index": 0, "news": UNUSUAL},
    *block(
        1,
        {"type": "text", "text": "", "citations": []},
        delta(1, "text_delta", text=UNUSUAL),
        delta(1, "text_delta", text=" And more."),
        delta(1, "citations_delta", citation=CITATION),
    ),
    *block(
        2,
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
        delta(2, "input_json_delta", partial_json=""),
        delta(2, "input_json_delta", partial_json='{"city": "Lis'),
        delta(2, "input_json_delta", partial_json='bon"}'),
    ),
    *block(3, {"type": "hologram_of_next_year", "light": {"hue": 3}}),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"input_tokens": 7, "cache_read_input_tokens": 90, "output_tokens": 33},
    },
    {"type": "message_stop"},
]
TEXT_ONLY = [
    START,
    *block(0, {"type": "text", "text": ""}, delta(0, "text_delta", text=UNUSUAL)),
    {**EVENTS[-2], "delta": {"stop_reason": "end_turn", "stop_sequence": None}},
    EVENTS[-1],
]


def on_the_wire(events: list[dict[str, Any]]) -> bytes:
    """The events with a comment among them, and with characters that JSON need not escape."""
    texts = [
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in events
    ]
    return "".join([texts[0], ": a comment\n\n", *texts[1:]]).encode()


def chunked(body: bytes, size: int, *, complete: bool = True) -> bytes:
    chunks = [http_chunk(body[at : at + size]) for at in range(0, len(body), size)]
    headers = {"request-id": "req_upstream", "header-of-next-year": "yes"}
    return sse_head(headers) + b"".join(chunks) + (http_chunk(b"") if complete else b"")


BYTES = on_the_wire(EVENTS)
ERROR = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded", "details": None},
    "request_id": "req_upstream",
}
FIRST_THREE = [START, *block(0, {"type": "text", "text": ""}, delta(0, "text_delta", text="a"))][:3]
GARBAGE = b'event: content_block_delta\ndata: {"type":"content_\xff<html>\n\n'


def case(do: str, **fields: Any) -> dict[str, Any]:
    return {"do": do, "params": PARAMS, **fields}


PINGED = {**PARAMS, "model": "claude-opus-5"}
STALL = {"x-sandbox-fault": "stall=2.5 after=3"}

CASES: dict[str, Any] = {
    **{f"events in pieces of {size}": case("stream") for size in (1, 7, 64, 100_000)},
    "exact bytes": case("bytes"),
    "split characters": case("accumulate"),
    "error event": case("stream"),
    "error event first": case("stream"),
    "cut": case("stream"),
    "garbage": case("stream"),
    "two messages in one": case("stream"),
    "no last blank line": case("bytes"),
    "leaving": {"do": "leave", "params": {**PARAMS, "model": "claude-leaving"}},
    "silence": {
        "do": "accumulate",
        "on": "sandbox",
        "params": PINGED,
        "headers": STALL,
        "waits": True,
        "through_only": True,
    },
    "pings": {
        "do": "bytes",
        "on": "sandbox",
        "params": PINGED,
        "headers": STALL,
        "waits": True,
        "through_only": True,
    },
    "no silence": {
        "do": "accumulate",
        "on": "sandbox",
        "params": PINGED,
        "through_only": True,
    },
}
SCRIPTS: dict[str, Any] = {
    **{f"events in pieces of {size}": chunked(BYTES, size) for size in (1, 7, 64, 100_000)},
    "exact bytes": chunked(BYTES, 5),
    "split characters": chunked(on_the_wire(TEXT_ONLY), 1),
    "error event": chunked(on_the_wire([*FIRST_THREE, ERROR]), 50),
    "error event first": chunked(on_the_wire([ERROR]), 50),
    "cut": Exchange(chunked(on_the_wire(FIRST_THREE), 50, complete=False), Reset),
    "two messages in one": chunked(on_the_wire([*TEXT_ONLY[:-1], *TEXT_ONLY]), 100_000),
    "no last blank line": chunked(BYTES.removesuffix(b"\n\n"), 50),
    "garbage": chunked(on_the_wire(FIRST_THREE) + GARBAGE, 50),
}
# Not every version shows events that it does not know; none shows pings.
KNOWN = [event for event in EVENTS if event["type"] not in {"ping", FUTURE}]


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_a_client_reads_the_events_that_the_upstream_sent(ran: Ran, size: int) -> None:
    events = ran[f"events in pieces of {size}"]["events"]
    assert [event for event in events if event["type"] != FUTURE] == KNOWN
    if ran.is_current:
        assert [event for event in events if event["type"] == FUTURE] == [EVENTS[6]]


def test_the_bytes_are_the_upstreams_own(ran: Ran) -> None:
    assert ran["exact bytes"]["text"].encode() == BYTES
    headers = ran["exact bytes"]["headers"]
    assert headers["request-id"] == "req_upstream"
    assert headers["header-of-next-year"] == "yes"
    assert headers["content-type"] == "text/event-stream; charset=utf-8"


def test_no_character_is_lost_however_the_bytes_are_split(ran: Ran) -> None:
    result = ran["split characters"]
    assert result["text"] == UNUSUAL
    assert result["message"]["content"][0]["text"] == UNUSUAL
    assert result["message"]["usage"]["output_tokens"] == 33
    assert result["id"] == "req_upstream"


def test_an_error_event_is_raised_as_it_was_sent(ran: Ran) -> None:
    result = ran.results["error event"]
    assert result["events"] == FIRST_THREE
    assert result["error"]["class"] in {"APIStatusError", "APIError"}
    assert result["error"]["body"] == ERROR
    assert ran.error("error event first")["body"] == ERROR
    assert ran.results["error event first"]["events"] == []


def test_a_cut_stream_is_raised_and_not_taken_for_whole(ran: Ran) -> None:
    result = ran.results["cut"]
    assert result["events"] == FIRST_THREE
    assert result["error"]["class"] in {"APIStatusError", "APIError"}
    error = result["error"]["body"]["error"]
    assert (error["type"], error["code"]) == ("api_error", "upstream_error")


def test_garbage_in_a_stream_never_reaches_a_client(ran: Ran) -> None:
    result = ran.results["garbage"]
    # What came with the garbage in one piece is not given out either.
    assert result["events"] == FIRST_THREE[: len(result["events"])]
    error = result["error"]["body"]["error"]
    assert (error["type"], error["code"]) == ("api_error", "upstream_error")


def test_a_fault_that_comes_with_all_else_in_one_piece_is_no_silence(ran: Ran) -> None:
    """What stood before it is given out, as it is where it comes event by event."""
    result = ran.results["two messages in one"]
    assert result["events"] == TEXT_ONLY[:-1]
    assert result["error"]["body"]["error"]["code"] == "upstream_error"


def test_an_end_without_its_blank_line_is_an_end(ran: Ran) -> None:
    assert ran["no last blank line"]["text"].encode() == BYTES.removesuffix(b"\n\n")


@pytest.mark.parametrize(
    ("script", "body", "is_whole"),
    [
        ("no last blank line", BYTES.removesuffix(b"\n\n"), True),
        ("two messages in one", on_the_wire(TEXT_ONLY[:-1]), False),
        ("exact bytes", BYTES, True),
    ],
)
def test_a_client_without_any_library_sees_the_same(
    world: World, script: str, body: bytes, is_whole: bool
) -> None:
    _, client = world.scripted.make_key()
    headers = {"x-api-key": client.api_key, "x-case": script, "x-run": "plain"}
    asked = json.dumps({**PARAMS, "stream": True}).encode()
    answer = client.call("POST", "/v1/messages", asked, headers)
    assert answer.status == 200
    assert answer.body.startswith(body)
    end = answer.body.removeprefix(body)
    assert end == b"" if is_whole else end.startswith(b"event: error\n")


def test_pings_keep_a_silent_stream_alive(ran: Ran) -> None:
    assert ran["silence"]["seconds"] >= 2.5
    assert ran["silence"]["message"]["content"] == ran["no silence"]["message"]["content"]
    events = ran["pings"]["text"].split("\n\n")
    assert events.count('event: ping\ndata: {"type": "ping"}') >= 3
    kinds = [event.partition("\n")[0] for event in events if not event.startswith("event: ping")]
    assert kinds[0] == "event: message_start"
    assert kinds[-2:] == ["event: message_stop", ""]


def test_a_client_that_leaves_ends_the_call_of_the_upstream(ran: Ran, world: World) -> None:
    assert ran["leaving"]["first"]["type"] == "message_start"
    world.leaving.wait_until_disconnected()
    assert 0 < world.leaving.connection_count == len(world.leaving.requests)
