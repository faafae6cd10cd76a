"""Events -> the message so far.

What one delta costs does not depend on how many came before: pieces are kept in lists and joined
when somebody looks. The message is put together as the JSON that the API would have sent for it,
so fields that this library does not know are in it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from apertis.models import (
    CitationEvent,
    CitationsDelta,
    CompactionDelta,
    CompactionEvent,
    ContentBlockDeltaEvent,
    ContentBlockStartEvent,
    ContentBlockStopEvent,
    FallbackBlock,
    InputJSONDelta,
    InputJsonEvent,
    Malformed,
    Message,
    MessageDeltaEvent,
    MessageStartEvent,
    MessageStopEvent,
    SignatureDelta,
    SignatureEvent,
    TextDelta,
    TextEvent,
    ThinkingDelta,
    ThinkingEvent,
    attach_response,
    build_block,
    build_message,
    parse_partial_json,
)
from apertis.models.json import json_or_none, without_half_characters
from apertis.models.model import made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from apertis.models import ContentBlock, MessageStreamEvent, ResponseInfo, StreamEvent


class BlockProgress:
    """One content block while it arrives: as it started, and the pieces since."""

    __slots__ = ("citations", "early", "finished", "json", "signature", "start", "text", "thinking")

    def __init__(self, start: dict[str, Any], *, early: bool = False) -> None:
        self.start = start
        # It stood in message_start already, and may start once more.
        self.early = early
        self.text: list[str] = [start["text"]] if start.get("text") else []
        self.thinking: list[str] = [start["thinking"]] if start.get("thinking") else []
        self.json: list[str] = []
        self.signature: list[str] = []
        self.citations: list[Any] = []
        self.finished: ContentBlock | None = None

    def data(self) -> dict[str, Any]:
        """Return the block as the API would have sent it whole."""
        block = dict(self.start)
        if self.text:
            block["text"] = "".join(self.text)
        if self.thinking:
            block["thinking"] = "".join(self.thinking)
        if self.signature:
            block["signature"] = "".join(self.signature)
        if self.citations:
            block["citations"] = [*(block.get("citations") or []), *self.citations]
        if self.json:
            block["input"] = _parsed("".join(self.json), block.get("input"))
        return block

    def block(self) -> ContentBlock:
        """Return the block so far."""
        return self.finished or build_block(self.data())


def _parsed(text: str, start: object) -> object:
    if not text.strip():
        return start
    value = json_or_none(without_half_characters(text.encode()), object)
    if value is None:
        # The model was cut off inside the input: what is whole of it is kept.
        value = parse_partial_json(text, trailing_strings=False)
    # An input is an object. What else a model writes goes back in the form that the API takes.
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    return {"INVALID_JSON": text}


class Transcript:
    """A message while it arrives. Feed it each event once, in order."""

    __slots__ = ("_blocks", "_message", "_open", "ended", "last", "response")

    def __init__(self) -> None:
        self.response: ResponseInfo | None = None
        self._message: dict[str, Any] | None = None
        self._blocks: dict[int, BlockProgress] = {}
        # Those that may still grow.
        self._open: dict[int, BlockProgress] = {}
        self.ended = False
        # The block that started last.
        self.last: BlockProgress | None = None

    @property
    def begun(self) -> bool:
        """True once `message_start` has come."""
        return self._message is not None

    @property
    def told(self) -> tuple[str, dict[str, Any], bool] | None:
        """The model, the usage, and whether it is that of the end; None before it has begun."""
        message = self._message
        if message is None:
            return None
        return message["model"], message.get("usage") or {}, message.get("stop_reason") is not None

    def tell(self, events: Iterable[StreamEvent]) -> Iterator[MessageStreamEvent]:
        """Yield the helper's events for these events, one step at a time."""
        for event in events:
            yield from self.feed(event)

    def feed(self, event: StreamEvent) -> tuple[MessageStreamEvent, ...]:
        """Return the helper's events for this event: itself, and what follows from it.

        Raises:
            Malformed: The event does not fit those before it.
        """
        if self._message is None and not isinstance(event, MessageStartEvent | MessageStopEvent):
            # Nothing that comes before the message can be part of it.
            return (event,)
        if isinstance(event, ContentBlockDeltaEvent):
            return self._delta(event)
        if isinstance(event, ContentBlockStartEvent):
            self._start(event)
        elif isinstance(event, ContentBlockStopEvent):
            progress = self._open_block(event.index)
            progress.finished = progress.block()
            del self._open[event.index]
            return (
                made(ContentBlockStopEvent, index=event.index, content_block=progress.finished),
            )
        elif isinstance(event, MessageDeltaEvent):
            self._update(event.to_dict())
        elif isinstance(event, MessageStartEvent):
            self._message = event.message.to_dict()
            content: list[dict[str, Any]] = self._message.get("content") or []
            self._blocks = {i: BlockProgress(block, early=True) for i, block in enumerate(content)}
            self._open = dict(self._blocks)
        elif isinstance(event, MessageStopEvent):
            self.ended = True
            return (made(MessageStopEvent, message=self.message()),)
        return (event,)

    def message(self) -> Message:
        """Return the message as far as received.

        Raises:
            Malformed: There was no `message_start`.
        """
        data = dict(self._opened())
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        data["content"] = [progress.data() for progress in blocks]
        message = build_message(data, [progress.finished for progress in blocks])
        if self.response is not None:
            attach_response(message, self.response)
        return message

    def last_block(self, wanted: Callable[[dict[str, Any]], bool]) -> BlockProgress | None:
        """Return the last block whose start is wanted."""
        blocks = reversed(self._blocks.values())
        return next((block for block in blocks if wanted(block.start)), None)

    def _delta(self, event: ContentBlockDeltaEvent) -> tuple[MessageStreamEvent, ...]:
        progress = self._open.get(event.index) or self._open_block(event.index)
        delta = event.delta
        if isinstance(delta, TextDelta):
            progress.text.append(delta.text)
            return event, TextEvent(delta.text, progress.text, len(progress.text))
        if isinstance(delta, InputJSONDelta):
            progress.json.append(delta.partial_json)
            return event, InputJsonEvent(delta.partial_json, progress.json, len(progress.json))
        if isinstance(delta, ThinkingDelta):
            progress.thinking.append(delta.thinking)
            return event, ThinkingEvent(delta.thinking, progress.thinking, len(progress.thinking))
        return self._rare_delta(event, progress)

    def _rare_delta(
        self, event: ContentBlockDeltaEvent, progress: BlockProgress
    ) -> tuple[MessageStreamEvent, ...]:
        delta = event.delta
        if isinstance(delta, SignatureDelta):
            progress.signature = [delta.signature]
            return event, SignatureEvent(delta.signature)
        if isinstance(delta, CitationsDelta):
            progress.citations.append(event.to_dict()["delta"]["citation"])
            return event, CitationEvent(delta.citation)
        if isinstance(delta, CompactionDelta):
            changes = event.to_dict()["delta"]
            progress.start |= {k: v for k, v in changes.items() if k != "type"}
            return event, CompactionEvent(delta.content)
        return (event,)

    def _update(self, event: dict[str, Any]) -> None:
        message = self._opened()
        usage: dict[str, Any] = event.pop("usage", None) or {}
        message.update(event.pop("delta", None) or {})
        for name, value in event.items():
            # What message_start stated stands unless another value comes: a null is none.
            if name != "type" and value is not None:
                message[name] = value
        # Cumulative counters: the last value that was stated wins, nothing is added up.
        stated = {k: v for k, v in usage.items() if v is not None}
        message["usage"] = {**(message.get("usage") or {}), **stated}

    def _opened(self) -> dict[str, Any]:
        if self._message is None:
            raise Malformed("an event came before message_start")
        return self._message

    def _start(self, event: ContentBlockStartEvent) -> None:
        # What was given out already cannot be taken back by a block in its place.
        if event.index in self._blocks and not self._blocks[event.index].early:
            raise Malformed(f"content block {event.index} starts a second time")
        progress = BlockProgress(event.to_dict()["content_block"])
        self._blocks[event.index] = self._open[event.index] = self.last = progress
        if isinstance(event.content_block, FallbackBlock):
            # As in a response that comes whole, the message is of the model that answered it.
            self._opened()["model"] = event.content_block.to.model

    def _open_block(self, index: int) -> BlockProgress:
        if index in self._open:
            return self._open[index]
        what = "has ended" if index in self._blocks else "has not started"
        raise Malformed(f"an event for content block {index}, which {what}")
