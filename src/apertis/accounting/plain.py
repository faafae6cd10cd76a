"""Bodies that hide nothing: nearly all, and read faster than those that may.

Of a name that stands twice in an object an upstream may take the first value, and of two that
differ in case either one; a decoder takes the last of those that it knows. Here a body counts as
plain when no value that was decoded on the way, the hidden ones included, can change its price
unseen: all names are known, all kinds are those that cost what their text does, and what asks for
the cache is counted where it is made. All other bodies are for the careful reader.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Literal, TypeAlias, TypeVar

import msgspec

from apertis.models.json import UNREADABLE, json_or_none

T = TypeVar("T")


class PlainBody(msgspec.Struct, frozen=True, gc=False):
    """The contents of a plain body besides text."""

    cached: bool
    hour: bool
    tools: bool
    schema: bool

    def with_messages(self, messages: PlainBody) -> PlainBody:
        """Return the contents of the body and of messages that were read apart from it."""
        return PlainBody(
            self.cached or messages.cached, self.hour or messages.hour, self.tools, self.schema
        )


class _Asked(msgspec.Struct):
    """Cache control found in the objects of a body, and messages whose content was not read."""

    cached: bool = False
    hour: bool = False
    unread: list[_TextMessage] = []


# Of the body that is decoded now: an object knows no more than itself when it is made.
_ASKED: ContextVar[_Asked] = ContextVar("asked of the cache")


class _CacheControl(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["ephemeral"] | None = None
    # Neither null nor another time may stand behind an hour, and so hide it.
    ttl: Literal["1h"] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        asked = _ASKED.get()
        asked.cached = True
        asked.hour = asked.hour or self.ttl == "1h"


_RAW = msgspec.Raw()
_Kind: TypeAlias = Literal[
    "text", "tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use"
]


class _Block(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: _Kind | None = None
    cache_control: _CacheControl | None = None
    citations: None = None
    content: _Content = None
    data: msgspec.Raw = _RAW
    id: msgspec.Raw = _RAW
    input: msgspec.Raw = _RAW
    is_error: msgspec.Raw = _RAW
    name: msgspec.Raw = _RAW
    signature: msgspec.Raw = _RAW
    text: msgspec.Raw = _RAW
    thinking: msgspec.Raw = _RAW
    tool_use_id: msgspec.Raw = _RAW


_Content: TypeAlias = "list[_Block] | str | None"


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: _Content = None
    role: msgspec.Raw = _RAW


class _TextMessage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A message that may be a text: it hides nothing, and need not be made to see that."""

    content: msgspec.Raw
    role: msgspec.Raw

    def __post_init__(self) -> None:
        _ASKED.get().unread.append(self)


class _Tool(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["custom"] | None = None
    cache_control: _CacheControl | None = None
    description: msgspec.Raw = _RAW
    eager_input_streaming: msgspec.Raw = _RAW
    input_schema: msgspec.Raw = _RAW
    name: msgspec.Raw = _RAW
    strict: msgspec.Raw = _RAW


class _Body(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """At the top no name occurs twice: such a body is rejected before its price is asked for."""

    cache_control: _CacheControl | None = None
    compression: msgspec.Raw = _RAW
    context_management: msgspec.Raw = _RAW
    fallback_enabled: msgspec.Raw = _RAW
    fallback_models: msgspec.Raw = _RAW
    fallback_timeout: msgspec.Raw = _RAW
    frequency_penalty: msgspec.Raw = _RAW
    inference_geo: Literal["global"] | None = None
    logit_bias: msgspec.Raw = _RAW
    max_tokens: msgspec.Raw = _RAW
    messages: list[_Message] | None = None
    metadata: msgspec.Raw = _RAW
    model: msgspec.Raw = _RAW
    n: msgspec.Raw = _RAW
    output_config: msgspec.Raw = _RAW
    presence_penalty: msgspec.Raw = _RAW
    response_format: msgspec.Raw = _RAW
    seed: msgspec.Raw = _RAW
    service_tier: msgspec.Raw = _RAW
    speed: Literal["standard"] | None = None
    stop: msgspec.Raw = _RAW
    stop_sequences: msgspec.Raw = _RAW
    stream: msgspec.Raw = _RAW
    system: _Content = None
    temperature: msgspec.Raw = _RAW
    thinking: msgspec.Raw = _RAW
    tool_choice: msgspec.Raw = _RAW
    tools: list[_Tool] | None = None
    top_k: msgspec.Raw = _RAW
    top_p: msgspec.Raw = _RAW
    user: msgspec.Raw = _RAW


_BODY = msgspec.json.Decoder(_Body)
_MESSAGE = msgspec.json.Decoder(_Message)
_MESSAGES = msgspec.json.Decoder(list[_Message])
_TEXTS = msgspec.json.Decoder(list[_TextMessage])
_TEXT_MESSAGE_BYTES = len('{"role":,"content":},')
_BEGINNING_BYTES = 64
_QUOTE = b'"'[0]
_CLOSING = b"]"[0]
# The decoder says so of what follows a value that it took.
_VALUE_ENDED = re.compile(r"JSON is malformed: trailing characters \(byte (\d+)\)")
_TOOL = msgspec.json.Decoder(_Tool)


def read_plain(body: bytes) -> PlainBody | None:
    """Read a body that hides nothing; None for any other one."""
    asked = _Asked()
    _ASKED.set(asked)
    try:
        fields = _BODY.decode(body)
    except UNREADABLE:
        return None
    return PlainBody(asked.cached, asked.hour, bool(fields.tools), bool(fields.output_config))


def read_plain_part(part: msgspec.Raw, *, is_tool: bool) -> PlainBody | None:
    """Read a message, or a tool, that hides nothing; None for any other one."""
    asked = _Asked()
    _ASKED.set(asked)
    read = json_or_none(part, _TOOL) if is_tool else json_or_none(part, _MESSAGE)
    if read is None:
        return None
    return PlainBody(asked.cached, asked.hour, is_tool, schema=False)


def read_plain_messages(data: memoryview) -> tuple[PlainBody, int] | None:
    """Read the messages that `data` begins with, up to what follows them; say how long they are.

    None where they may hide something, or are no list of messages.
    """
    # A conversation of texts begins with one.
    begins_with_text = b'"content":"' in bytes(data[:_BEGINNING_BYTES])
    return (_read_texts(data) if begins_with_text else None) or _read_messages(data)


def _read_messages(data: memoryview) -> tuple[PlainBody, int] | None:
    asked = _Asked()
    _ASKED.set(asked)
    length = _length(data, _MESSAGES)
    if length is None:
        return None
    return PlainBody(asked.cached, asked.hour, tools=False, schema=False), length


def _read_texts(data: memoryview) -> tuple[PlainBody, int] | None:
    """Read messages of which each is a role and a text, each once, and nothing in between."""
    asked = _Asked()
    _ASKED.set(asked)
    length = _length(data, _TEXTS)
    # Whoever keeps the context is not to keep the body.
    messages, asked.unread = asked.unread, []
    if length is None or not messages:
        return None
    contents = [message.content for message in messages]
    said = sum(map(len, contents)) + sum(len(message.role) for message in messages)
    if length != 1 + said + len(messages) * _TEXT_MESSAGE_BYTES:
        # Of a name that stands twice the decoder dropped a value.
        return None
    if {memoryview(content)[0] for content in contents} != {_QUOTE}:
        return None
    return PlainBody(cached=False, hour=False, tools=False, schema=False), length


def _length(data: memoryview, decoder: msgspec.json.Decoder[list[T]]) -> int | None:
    """Return the length of the list that `data` begins with; None where it is not such a list."""
    try:
        decoder.decode(data)
    except UNREADABLE as error:
        ended = _VALUE_ENDED.fullmatch(str(error))
        if ended is None:
            return None
        # It counts from one; and white space behind the value is not its own.
        length = int(ended[1]) - 1
        while data[length - 1] != _CLOSING:
            length -= 1
        return length
    return None
