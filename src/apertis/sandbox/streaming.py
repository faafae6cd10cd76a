"""A message as the events that build it up (https://docs.claude.com/en/docs/build-with-claude/streaming)."""

from __future__ import annotations

import re
from itertools import cycle
from typing import TYPE_CHECKING

import msgspec

from apertis.sandbox.reply import Speed, Step, Wait, json_bytes
from apertis.sandbox.tokens import text_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.sandbox.values import JsonObject

# The text of a delta: so many words, or so many characters of JSON, in turn.
_WORDS_PER_DELTA = (1, 3, 2, 4, 2)
_CHARACTERS_PER_DELTA = (5, 9, 3, 12, 7)
_WORD = re.compile(r"\s*\S{1,24}|\s+")

_PING: JsonObject = {"type": "ping"}


def event_stream(message: JsonObject, speed: Speed) -> Iterator[Step]:
    """Yield the events of a message as server-sent events, at the given speed."""
    for event in message_events(message):
        kind = event["type"]
        if kind == "content_block_delta":
            seconds = speed.seconds_for(_delta_tokens(event["delta"]))
            if seconds:
                yield Wait(seconds)
        yield encode_event(event)
        if kind == "message_start" and speed.first_token_seconds:
            yield Wait(speed.first_token_seconds)


def encode_event(event: JsonObject) -> bytes:
    """Return one server-sent event, named by its type."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json_bytes(event))


def message_events(message: JsonObject) -> Iterator[JsonObject]:
    """Yield the events of a message. Put together again they are the message, field for field."""
    usage: JsonObject = message["usage"]
    late = ("output_tokens_details", "iterations")
    started = {name: value for name, value in usage.items() if name not in late}
    beginning: JsonObject = {
        **message,
        "model": _first_model(message),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**started, "output_tokens": min(1, usage["output_tokens"])},
    }
    yield {"type": "message_start", "message": beginning}
    for index, block in enumerate(message["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _opening(block)}
        if index == 0:
            yield _PING
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    if not message["content"]:
        yield _PING
    ending = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    told = (
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
        *late,
    )
    final = {name: usage[name] for name in told if name in usage}
    yield {"type": "message_delta", "delta": ending, "usage": final}
    yield {"type": "message_stop"}


def _first_model(message: JsonObject) -> str:
    """Return the model that begins the response: the requested one, also when others go on."""
    first = message["content"][0] if message["content"] else message
    return str(first["from"]["model"] if first["type"] == "fallback" else message["model"])


def _opening(block: JsonObject) -> JsonObject:
    empty: JsonObject = {"text": "", "thinking": "", "signature": "", "input": {}, "citations": []}
    return {name: empty.get(name, value) for name, value in block.items()}


def _deltas(block: JsonObject) -> Iterator[JsonObject]:
    kind = block["type"]
    if kind == "text":
        for citation in block.get("citations", ()):
            yield {"type": "citations_delta", "citation": citation}
        for piece in text_pieces(block["text"]):
            yield {"type": "text_delta", "text": piece}
    elif kind == "thinking":
        for piece in text_pieces(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif kind == "tool_use":
        # The API's first piece is always an empty one; an input without fields has no other.
        yield {"type": "input_json_delta", "partial_json": ""}
        if block["input"]:
            written = msgspec.json.encode(block["input"]).decode()
            for piece in json_pieces(written):
                yield {"type": "input_json_delta", "partial_json": piece}


def text_pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces of a few words each, spaces before the words they belong to."""
    words = _WORD.findall(text)
    place = 0
    for size in cycle(_WORDS_PER_DELTA):
        if place >= len(words):
            return
        yield "".join(words[place : place + size])
        place += size


def json_pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces of a few characters each, wherever that cuts it."""
    place = 0
    for size in cycle(_CHARACTERS_PER_DELTA):
        if place >= len(text):
            return
        yield text[place : place + size]
        place += size


def _delta_tokens(delta: JsonObject) -> int:
    said = delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
    return text_tokens(said)
