"""What the stub answers: a message as JSON, and streams of any length, each built once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["text", "tool", "fields"]
Fields: TypeAlias = dict[str, object]

BURST_BYTES = 16 * 1024
_MODEL = "claude-sonnet-4-6"
_USAGE: Fields = {
    "input_tokens": 24,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 128,
    "service_tier": "standard",
}
_SENTENCE = "The tide turns twice a day because the Earth turns under two bulges of water. "
MESSAGE_TEXT = _SENTENCE * 8
CALLED: Fields = {"place": "Lisbon"}


@dataclass(frozen=True, slots=True)
class CannedStream:
    """A stream's HTTP head, its events one by one, and the text or tool input that they spell."""

    head: bytes
    events: tuple[bytes, ...]
    spelled: str

    def packets(self) -> tuple[bytes, ...]:
        """Each event as one HTTP chunk, so that one write is one event; then the body's end."""
        return (*map(_chunk, self.events), b"0\r\n\r\n")

    def bursts(self) -> tuple[bytes, ...]:
        """The same bytes in pieces of 16 KB, cut without regard to the events."""
        body = b"".join(self.events)
        cuts = range(0, len(body), BURST_BYTES)
        return (*(_chunk(body[cut : cut + BURST_BYTES]) for cut in cuts), b"0\r\n\r\n")


@cache
def message_response() -> bytes:
    """A whole HTTP response with a message of about 1 KB."""
    message: Fields = _message_fields() | {
        "content": [{"type": "text", "text": MESSAGE_TEXT}],
        "stop_reason": "end_turn",
        "usage": _USAGE,
    }
    body = _json(message)
    return _head("application/json", f"content-length: {len(body)}") + body


@cache
def call_response() -> bytes:
    """A whole HTTP response with one call of the tool `look`."""
    call: Fields = {"type": "tool_use", "id": "toolu_01Benchmark", "name": "look", "input": CALLED}
    message: Fields = _message_fields() | {
        "content": [call],
        "stop_reason": "tool_use",
        "usage": _USAGE,
    }
    body = _json(message)
    return _head("application/json", f"content-length: {len(body)}") + body


@cache
def stream(kind: Kind, deltas: int) -> CannedStream:
    """A streamed message with this many deltas of text, or of the JSON input of one tool call.

    For `fields` the number is that of the fields in the JSON that the text is.
    """
    pieces = _PIECES[kind](deltas)
    field = "partial_json" if kind == "tool" else "text"
    delta_type = "input_json_delta" if kind == "tool" else "text_delta"
    events = [
        _event({"type": "message_start", "message": _message_fields()}),
        _event({"type": "content_block_start", "index": 0, "content_block": _empty_block(kind)}),
        _event({"type": "ping"}),
    ]
    for piece in pieces:
        delta: Fields = {"type": delta_type, field: piece}
        events.append(_event({"type": "content_block_delta", "index": 0, "delta": delta}))
    stop_reason = "tool_use" if kind == "tool" else "end_turn"
    stopped: Fields = {"stop_reason": stop_reason, "stop_sequence": None}
    events += [
        _event({"type": "content_block_stop", "index": 0}),
        _event({"type": "message_delta", "delta": stopped, "usage": {"output_tokens": deltas}}),
        _event({"type": "message_stop"}),
    ]
    head = _head("text/event-stream; charset=utf-8", "transfer-encoding: chunked")
    return CannedStream(head, tuple(events), "".join(pieces))


def spelled(kind: Kind, deltas: int) -> str:
    """The text that a client must have read at the end; a tool's input as canonical JSON."""
    text = stream(kind, deltas).spelled
    return json.dumps(json.loads(text), sort_keys=True) if kind == "tool" else text


def _text_pieces(deltas: int) -> list[str]:
    words = [f"{word} " for word in _SENTENCE.split()]
    return [words[number % len(words)] for number in range(deltas)]


def _tool_pieces(deltas: int) -> list[str]:
    """The input of a tool that writes a file, in pieces of six characters."""
    opening, line, closing = '{"path":"tides.py","content":"', r"print(tide)  # \"high\"\n", '"}'
    room = deltas * 6 - len(opening) - len(closing)
    lines = line * (room // len(line))
    document = opening + lines + " " * (room - len(lines)) + closing
    return [document[cut : cut + 6] for cut in range(0, len(document), 6)]


def _fields_pieces(fields: int) -> list[str]:
    """An order of so many fields, four an item, in pieces of six characters."""
    items = [
        {"name": f"item {number}", "price": number / 4, "count": number, "note": "left of the door"}
        for number in range(fields // 4)
    ]
    document = json.dumps({"items": items})
    return [document[cut : cut + 6] for cut in range(0, len(document), 6)]


_PIECES = {"text": _text_pieces, "tool": _tool_pieces, "fields": _fields_pieces}


def _message_fields() -> Fields:
    return {
        "id": "msg_01ApertisBenchmark0000000",
        "type": "message",
        "role": "assistant",
        "model": _MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _USAGE | {"output_tokens": 1},
    }


def _empty_block(kind: Kind) -> Fields:
    if kind != "tool":
        return {"type": "text", "text": ""}
    return {"type": "tool_use", "id": "toolu_01Benchmark", "name": "write_file", "input": {}}


def _event(data: Fields) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(data["type"]).encode(), _json(data))


def _json(data: Fields) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(content_type: str, framing: str) -> bytes:
    lines = (
        "HTTP/1.1 200 OK",
        "date: Wed, 01 Oct 2025 12:00:00 GMT",
        f"content-type: {content_type}",
        framing,
        "request-id: req_011CBenchmark000000000",
        "anthropic-ratelimit-requests-limit: 4000",
        "anthropic-ratelimit-requests-remaining: 3999",
        "anthropic-ratelimit-requests-reset: 2025-10-01T12:00:01Z",
        "server: stub",
    )
    return "\r\n".join((*lines, "", "")).encode()
