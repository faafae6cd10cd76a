"""A kept answer in the form that the caller asks for: a message as events, events as a message.

Events are put together from the very bytes of the message, so that whoever adds them up again has
its JSON value exactly, fields that nobody knows yet included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from apertis.models import Headers, Malformed
from apertis.models.json import UNREADABLE, on_one_line
from apertis.sansio.reading import EventReading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# An object as its names and the bytes of its values.
_Fields = dict[str, bytes]

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])

# What `message_delta` tells: inside `delta`, beside it, and in `usage`.
_ENDING = ("stop_reason", "stop_sequence", "stop_details", "container")
_BESIDE = ("context_management", "input_transformations")
_COUNTERS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)
# The fields of a block that grow, with what they hold when it starts.
_GROWING: Final[Mapping[str, Mapping[str, bytes]]] = {
    "text": {"text": b'""', "citations": b"[]"},
    "thinking": {"thinking": b'""', "signature": b'""'},
    "tool_use": {"input": b"{}"},
    "server_tool_use": {"input": b"{}"},
    "mcp_tool_use": {"input": b"{}"},
}


def events_of(message: bytes) -> bytes | None:
    """Return a message as an event stream; None when the bytes are not an API message."""
    # A line end in JSON can only be white space; in an event it would be more.
    message = message.replace(b"\n", b" ").replace(b"\r", b" ")
    try:
        fields = _fields(message)
        blocks = [_fields(block) for block in _ITEMS.decode(fields["content"])]
        usage = _fields(fields["usage"])
        return on_one_line(b"".join(_events(fields, blocks, usage)))
    except (KeyError, *UNREADABLE):
        return None


def message_of(events: bytes) -> bytes | None:
    """Build the message of an event stream; None when it is incomplete or invalid."""
    reading = EventReading(Headers([]))
    reading.keeps_parts = False
    heard = reading.receive(events) + reading.finish()
    if not reading.complete:
        return None
    try:
        for event in heard:
            reading.transcript.feed(event)
        return msgspec.json.encode(reading.transcript.message().to_dict())
    except Malformed:
        return None


def _events(fields: _Fields, blocks: list[_Fields], usage: _Fields) -> Iterator[bytes]:
    yield _event(b"message_start", message=_object(_beginning(fields, usage)))
    for index, block in enumerate(blocks):
        place = b"%d" % index
        kind = msgspec.json.decode(block["type"], type=str)
        growing = _growing(block, _GROWING.get(kind, {}))
        started = _object({name: growing.get(name, value) for name, value in block.items()})
        yield _event(b"content_block_start", index=place, content_block=started)
        for name in growing:
            for delta in _deltas(name, block[name]):
                yield _event(b"content_block_delta", index=place, delta=delta)
        yield _event(b"content_block_stop", index=place)
    ending = {name: fields[name] for name in _ENDING if name in fields}
    beside = {name: fields[name] for name in _BESIDE if name in fields}
    final = {name: usage[name] for name in _COUNTERS if usage.get(name, b"null") != b"null"}
    yield _event(b"message_delta", delta=_object(ending), **beside, usage=_object(final))
    yield _event(b"message_stop")


def _beginning(fields: _Fields, usage: _Fields) -> _Fields:
    changed: dict[str, bytes] = dict.fromkeys(_ENDING[:3], b"null")
    written = usage.get("output_tokens", b"")
    started = {"output_tokens": b"1"} if written.isdigit() and written != b"0" else {}
    changed |= {"content": b"[]", "usage": _object({**usage, **started})}
    return {name: changed.get(name, value) for name, value in fields.items()}


def _growing(block: _Fields, empty: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the fields of a block that arrive piece by piece, with what they start as.

    One that does not hold what it should, or nothing, is there from the start.
    """
    return {
        name: start
        for name, start in empty.items()
        if name in block and block[name][:1] == start[:1]
    }


def _deltas(name: str, raw: bytes) -> Iterator[bytes]:
    if name == "citations":
        for item in _ITEMS.decode(raw):
            yield b'{"type":"citations_delta","citation":' + bytes(item) + b"}"
    elif name == "input":
        # The API's first piece is always an empty one; an input without fields has no other.
        yield b'{"type":"input_json_delta","partial_json":""}'
        if _fields(raw):
            text = msgspec.json.encode(raw.decode())
            yield b'{"type":"input_json_delta","partial_json":' + text + b"}"
    elif raw != b'""':
        yield b'{"type":"%b_delta","%b":%b}' % (name.encode(), name.encode(), raw)


def _event(kind: bytes, **fields: bytes) -> bytes:
    data = _object({"type": b'"' + kind + b'"', **fields})
    return b"event: " + kind + b"\ndata: " + data + b"\n\n"


def _object(fields: Mapping[str, bytes]) -> bytes:
    members = [msgspec.json.encode(name) + b":" + raw for name, raw in fields.items()]
    return b"{" + b",".join(members) + b"}"


def _fields(data: bytes | msgspec.Raw) -> _Fields:
    return {name: bytes(raw) for name, raw in _FIELDS.decode(data).items()}
