"""JSON -> models, by one of two roads that give equal objects.

The fast road decodes bytes straight into the classes; it is open to what the classes describe
exactly. Whatever it refuses takes the slow road: plain JSON first, then a converter that keeps
fields which no class knows, lets `Unknown...` stand for variants that no class knows, and names the
place of what is wrong. See `apertis.models.building` for the converter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from apertis.models.batches import MessageBatchIndividualResponse, SucceededResult
from apertis.models.blocks import ContentBlock
from apertis.models.building import Malformed, built
from apertis.models.events import (
    ContentBlockDeltaEvent,
    ContentBlockStartEvent,
    ContentBlockStopEvent,
    InputJSONDelta,
    MessageDeltaEvent,
    MessageStartEvent,
    MessageStopEvent,
    PingEvent,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)
from apertis.models.json import UNREADABLE, without_half_characters
from apertis.models.message import Message
from apertis.models.model import (
    Model,
    Unknown,
    attach_wire,
    attach_wires,
    embedded,
    made,
    plain,
)
from apertis.models.pages import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

M = TypeVar("M", bound=Model)

# Their JSON can be said from their fields alone, so it need not be kept.
_TELLING: frozenset[type[Model]] = frozenset(
    (TextDelta, InputJSONDelta, ThinkingDelta, SignatureDelta)
)

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


class _MessageParts(msgspec.Struct):
    content: list[msgspec.Raw]
    usage: msgspec.Raw


class _BlockPart(msgspec.Struct):
    content_block: msgspec.Raw


class _MessagePart(msgspec.Struct):
    message: msgspec.Raw


class _DeltaParts(msgspec.Struct):
    delta: msgspec.Raw
    usage: msgspec.Raw = msgspec.Raw()


class _ResultParts(msgspec.Struct):
    result: _MessagePart


class _PageParts(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    # Made at first use: a program that streams nothing pays for no event decoder.
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_moment)
    return decoder


def _moment(kind: type[Any], said: Any) -> Any:
    if not isinstance(said, str):
        raise ValueError("expected str")
    return kind(said)


def _make_decoder_and_decode(data: bytes) -> StreamEvent:
    global _decode_known_event  # noqa: PLW0603 - the next event goes to the decoder at once.
    decode: Callable[[bytes], StreamEvent] = _decoder(StreamEvent).decode
    _decode_known_event = decode
    return decode(data)


_decode_known_event: Callable[[bytes], StreamEvent] = _make_decoder_and_decode


def decode_event(data: bytes) -> StreamEvent:
    """Return the event of a stream that stands in the `data:` of one server-sent event.

    Raises:
        Malformed: It is no JSON, or a known event lacks what it must have.
    """
    try:
        event = _decode_known_event(data)
    except UNREADABLE:
        data = without_half_characters(data)
        return _with_event_wire(_by_slow_road(StreamEvent, data), data)
    if isinstance(event, ContentBlockDeltaEvent):
        if type(event.delta) not in _TELLING:
            attach_wire(event, data)
        return event
    return event if isinstance(event, PingEvent) else _with_event_wire(event, data)


def decode_message(data: bytes) -> Message:
    """Return the message that the body of a response holds.

    Raises:
        Malformed: It is no JSON, no message, or lacks what a message must have.
    """
    return decode(Message, data)


def decode(kind: type[M], data: bytes) -> M:
    """Return the model of a class that some JSON holds.

    Raises:
        Malformed: It is no JSON, or lacks what the class must have.
    """
    try:
        model = _decoder(kind).decode(data)
    except UNREADABLE:
        data = without_half_characters(data)
        model = _by_slow_road(kind, data)
    if type(model) is Message:
        _attach_message_wires(model, data)
        return model  # type: ignore[return-value]  # M is Message here.
    attach_wire(model, data)
    if isinstance(model, MessageBatchIndividualResponse):
        _attach_result_wires(model, data)
    return model  # type: ignore[no-any-return]


def decode_page(item: type[M], data: bytes) -> Page[M]:
    """Return a page of a list, with its items decoded.

    Raises:
        Malformed: It is no JSON or no list, or an item lacks what it must have.
    """
    data = without_half_characters(data)
    try:
        parts: _PageParts = _decoder(_PageParts).decode(data)
    except UNREADABLE:
        raise Malformed(_what_is_wrong_with_page(data)) from None
    items: list[M] = []
    for index, part in enumerate(parts.data):
        try:
            items.append(decode(item, part))
        except Malformed as error:
            raise error.inside(index).inside("data") from None
    kind: Any = Page
    page: Page[M] = made(
        kind,
        data=items,
        has_more=bool(parts.has_more),
        first_id=parts.first_id,
        last_id=parts.last_id,
    )
    attach_wire(page, data)
    return page


def build(kind: type[M], mapping: Mapping[str, Any]) -> M:
    """Return the model of a class, from JSON that is decoded already.

    Raises:
        Malformed: It lacks what the class must have, or has it in the wrong type.
    """
    if issubclass(kind, Unknown):
        data: dict[str, Any] = msgspec.json.decode(_encoded(mapping))
        if not isinstance(data.get("type"), str):
            raise Malformed("is missing", ("type",))
        return made(kind, type=data["type"], data=data)
    return decode(kind, _encoded(mapping))


def validated(kind: type[M], value: Any) -> M:
    """Return the model of a class that decoded JSON stands for, or that the value is already.

    Raises:
        Malformed: As `build`; or it is of another `type`, or no object.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise Malformed(f"expected {kind.__name__} or an object, got {type(value).__name__}")
    return _of_kind(kind, build(kind, plain(value)))


def validated_json(kind: type[M], data: bytes) -> M:
    """Return the model of a class that JSON text stands for; as `validated`."""
    return _of_kind(kind, decode(kind, data))


def _of_kind(kind: type[M], model: M) -> M:
    if not isinstance(model, kind):
        found: Any = model
        raise Malformed(f"expected {kind.__name__}, got {found.type!r}", ("type",))
    return model


def build_block(mapping: Mapping[str, Any]) -> ContentBlock:
    """Return the content block that decoded JSON stands for; as `build`."""
    block: Any = decode(cast("Any", ContentBlock), _encoded(mapping))
    return block  # type: ignore[no-any-return]


def build_event(mapping: Mapping[str, Any]) -> StreamEvent:
    """Return the event that decoded JSON stands for; as `build`."""
    return decode_event(_encoded(mapping))


def build_message(
    mapping: Mapping[str, Any], blocks: Sequence[ContentBlock | None] = ()
) -> Message:
    """Return the message that decoded JSON stands for; as `build`.

    `blocks` are those of its content that are built already, at their places.
    """
    message = build(Message, {**mapping, "content": []})
    for index, part in enumerate(mapping.get("content") or []):
        block = blocks[index] if index < len(blocks) else None
        try:
            message.content.append(block or build_block(part))
        except Malformed as error:
            raise error.inside(index).inside("content") from None
    return message


def raw(model: Model) -> msgspec.Raw | dict[str, Any]:
    """Return a model for use inside a request: the bytes received, if it is unchanged.

    A message becomes a turn of the conversation: of all that it holds, a request takes its role
    and its content.
    """
    return model.to_param() if isinstance(model, Message) else embedded(model)


def _encoded(mapping: Mapping[str, Any]) -> bytes:
    try:
        try:
            return msgspec.json.encode(mapping)
        except UnicodeEncodeError:
            return msgspec.json.encode(_of_whole_characters(mapping))
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None


def _of_whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {_of_whole_characters(key): _of_whole_characters(item) for key, item in items}
    if isinstance(value, list):
        return [_of_whole_characters(item) for item in cast("list[object]", value)]
    return value


def _by_slow_road(kind: Any, data: bytes) -> Any:
    try:
        document = msgspec.json.decode(data)
    except UNREADABLE as error:
        raise Malformed(f"not JSON: {error}") from None
    return built(kind, document)


def _attach_message_wires(message: Message, data: bytes | msgspec.Raw) -> None:
    parts: _MessageParts = _decoder(_MessageParts).decode(data)
    models = [message, message.usage, *message.content]
    attach_wires(models, [data, parts.usage, *parts.content])


def _attach_result_wires(response: MessageBatchIndividualResponse, data: bytes) -> None:
    if isinstance(response.result, SucceededResult):
        parts: _ResultParts = _decoder(_ResultParts).decode(data)
        _attach_message_wires(response.result.message, parts.result.message)


def _with_event_wire(event: StreamEvent, data: bytes) -> StreamEvent:
    attach_wire(event, data)
    if isinstance(event, ContentBlockStartEvent | ContentBlockStopEvent):
        if event.content_block is not None:
            attach_wire(event.content_block, _decoder(_BlockPart).decode(data).content_block)
    elif isinstance(event, MessageStartEvent | MessageStopEvent) and event.message is not None:
        part: msgspec.Raw = _decoder(_MessagePart).decode(data).message
        _attach_message_wires(event.message, part)
    elif isinstance(event, MessageDeltaEvent):
        parts: _DeltaParts = _decoder(_DeltaParts).decode(data)
        attach_wire(event.delta, parts.delta)
        if bytes(parts.usage) not in {b"", b"null"}:
            attach_wire(event.usage, parts.usage)
    return event


def _what_is_wrong_with_page(data: bytes) -> str:
    try:
        built(Page, msgspec.json.decode(data))
    except UNREADABLE as error:
        return f"not JSON: {error}"
    except Malformed as error:
        return error.reason
    return "not a list"
