"""Readers of usage from a stream or message whose bytes pass by untouched.

Most events are pieces of text. Such a piece is recognized by its first bytes, which are learned
from the first piece of its block, and only counted; everything else is decoded.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, cast

import msgspec

from apertis.accounting.counts import USAGE, UsageCounts
from apertis.accounting.tokens import MAX_COUNT, Tokens, Use, classes_of
from apertis.models.json import UNREADABLE
from apertis.sansio.slices import Shape, read_or_none, slices
from apertis.sansio.sse import BYTE_ORDER_MARK, parse_events, split_events, start_of_event


class _Start(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: Any = None


class _Delta(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Error(msgspec.Struct):
    type: str | None = None


class _Block(msgspec.Struct):
    type: Any = None
    # Where a `fallback` block leads. Other blocks may have anything in a field of this name.
    to: Any = None


class _Event(msgspec.Struct):
    type: str | None = None
    message: _Start | None = None
    index: int | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: _Error | str | None = None


_EVENT = msgspec.json.Decoder(_Event)
_SHAPE: Final[Shape] = {
    "type": None,
    "message": {**dict.fromkeys(("id", "model", "stop_reason")), "usage": USAGE},
    "index": None,
    "content_block": {"type": None, "to": {"model": None}},
    "delta": dict.fromkeys(("text", "thinking", "partial_json", "stop_reason")),
    "usage": USAGE,
    "error": {"type": None},
}
# `ping` is missing: it may stand anywhere and says nothing.
_KINDS = frozenset(
    (
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    )
)
# It becomes a code in records and a label in metrics.
_MAX_TYPE_LENGTH = 64
# It is kept with the record.
_MAX_MODEL_LENGTH = 256
# No event starts with it: it stands for "no piece is expected".
_NONE = b"\xff"
# Where the text of a piece begins, when nothing but its text changes from piece to piece.
_PIECE = re.compile(
    rb'"delta"\s*:\s*\{\s*"type"\s*:\s*"\w+"\s*,\s*"(?:text|thinking|partial_json)"\s*:\s*"'
)

# How a piece ends that nobody pads.
_PIECE_END = b'"}}\n\n'


class StreamReader:
    """A reader of whole events, any number at a time, that knows what they said.

    `model`, `id` and `stop_reason` are the message's own. `content_started`: a first block has
    begun, so that the caller has seen content. `stopped`: `message_stop` came. `error_type`: the
    type of an error event. `malformed`: what was against the protocol, in words without content;
    `sound_bytes` is then how much of the last block came before that. Nothing is taken behind the
    first of these three: there the reader `is_over`. So facts do not depend on how events are
    grouped into blocks, but for `ends_block`: nothing but comments and pings stood behind
    `message_stop`.
    """

    __slots__ = (
        "_bytes",
        "_counts",
        "_final",
        "_hop_bytes",
        "_hop_deltas",
        "_hops",
        "_open",
        "_prefix",
        "_prefix_index",
        "_prefix_lines",
        "_serving",
        "_started",
        "content_started",
        "deltas",
        "ends_block",
        "error_type",
        "id",
        "is_over",
        "malformed",
        "model",
        "sound_bytes",
        "stop_reason",
        "stopped",
    )

    def __init__(self) -> None:
        self.model: str | None = None
        self.id: str | None = None
        self.stop_reason: str | None = None
        self.content_started = False
        self.stopped = False
        self.error_type: str | None = None
        self.malformed: str | None = None
        self.sound_bytes = 0
        self.ends_block = False
        self.deltas = 0
        self._bytes = 0
        self.is_over = False
        self._counts = UsageCounts()
        self._final = False
        self._started = False
        # Blocks by index: True while they are open, False afterwards.
        self._open: dict[int, bool] = {}
        self._prefix = _NONE
        self._prefix_index = -1
        self._prefix_lines = 0
        # Models that gave up for another one, the one that answers now (None: the one that was
        # asked), and what was seen before it took over.
        self._hops: list[Use] = []
        self._serving: str | None = None
        self._hop_deltas = 0
        self._hop_bytes = 0

    def feed(self, block: bytes) -> None:
        """Take whole events: the block ends in a blank line. Lines may end in LF, CR LF or CR."""
        if self.is_over:
            return
        if (
            block.startswith(self._prefix)
            and block.endswith(_PIECE_END)
            and block.count(b"\n") == self._prefix_lines
            and b"\r" not in block
        ):
            # One piece by itself, which is what nearly every block is: nothing need be cut.
            self.deltas += 1
            self._bytes += len(block) - len(self._prefix) - len(_PIECE_END)
            return
        events = split_events(block)
        for place, event in enumerate(events):
            if event.startswith(self._prefix):
                # A piece ends in its text's quote and two braces; some upstreams pad with spaces.
                text = event.rstrip(b"} ")
                if text.endswith(b'"') and len(event) - len(text) > 1:
                    self.deltas += 1
                    self._bytes += len(text) - len(self._prefix) - 1
                    continue
            if event:
                self._read(event)
                if self.is_over:
                    if self.malformed is not None:
                        self.sound_bytes = start_of_event(block, place)
                    elif self.stopped:
                        self.ends_block = not any(map(_says_something, events[place + 1 :]))
                    return

    @property
    def use(self) -> Use | None:
        """Usage so far of the model that answers; None when the upstream never reported it."""
        if not self._counts.seen:
            return None
        use = self._counts.use()
        unknown = use.unknown if self._final else use.unknown | {"output"}
        if use.model is None and self._serving is None and unknown is use.unknown:
            return use
        return msgspec.structs.replace(use, model=use.model or self._serving, unknown=unknown)

    @property
    def others(self) -> tuple[Use, ...]:
        """Usage of other models: advisors, and those that declined before this one answered."""
        others = self._counts.others()
        return (*others, *self._hops) if self._hops_are_guessed else others

    @property
    def estimated(self) -> bool:
        """True if part of the usage is estimated, as the upstream's final count is missing."""
        return not self._final or self._hops_are_guessed

    @property
    def _hops_are_guessed(self) -> bool:
        return bool(self._hops) and self._counts.use().model is None

    @property
    def tokens(self) -> Tokens | None:
        """The upstream's count so far; None when it never reported one."""
        return self._counts.use().tokens if self._counts.seen else None

    @property
    def context(self) -> int:
        """Count all tokens of the conversation at its end; 0 if it is not reported."""
        return self._counts.context()

    @property
    def final(self) -> bool:
        """True once the stop reason's count has come: nothing is left to estimate."""
        return self._final

    @property
    def output_seen(self) -> int:
        """Output tokens of the model that answers, by what was seen of it.

        The number of pieces (each is a token or more), or a token for every four bytes of them.
        """
        return max(self.deltas - self._hop_deltas, (self._bytes - self._hop_bytes + 3) // 4)

    def _read(self, event: bytes) -> None:
        if event.startswith(b"\n"):
            # Blank lines between events mean nothing, also to the first bytes of a piece.
            event = event.lstrip(b"\n")
            if event:
                self.feed(event + b"\n\n")
            return
        if not self._started:
            event = event.removeprefix(BYTE_ORDER_MARK)
        for name, data in parse_events(event + b"\n\n"):
            if data:
                self._take(name.decode("utf-8", "replace"), data, event)

    def _take(self, name: str, data: bytes, event: bytes) -> None:
        decoded = read_or_none(_EVENT, data, _SHAPE)
        if decoded is None:
            # An unknown event may carry what it likes; `[DONE]` is another API's farewell.
            if name in _KINDS or (not name and data != b"[DONE]"):
                self._damaged(f"the data of {_article(name)} is not what its type promises")
            return
        kind = decoded.type or name
        if kind not in _KINDS:
            return
        if self._started == (kind == "message_start") and kind != "error":
            self._damaged(
                "a second message_start" if self._started else f"{kind} before message_start"
            )
            return
        self._handle(kind, decoded)
        if kind == "content_block_delta" and not self.is_over:
            self._learn(event, decoded.index)

    def _handle(self, kind: str, event: _Event) -> None:
        match kind:
            case "content_block_delta":
                self._on_block_delta(event)
            case "content_block_start":
                self._on_block_start(event)
            case "content_block_stop":
                self._on_block_stop(event)
            case "message_start":
                self._on_message_start(event)
            case "message_delta":
                self._on_message_delta(event)
            case "message_stop":
                self.stopped = self.is_over = True
            case _:
                self._on_error(event)

    def _damaged(self, reason: str) -> None:
        self.malformed = reason
        self.is_over = True

    def _learn(self, event: bytes, index: int | None) -> None:
        found = _PIECE.search(event)
        if found is None or index is None or not self._open.get(index):
            return
        # Everything that tells one block's pieces from another's must come before the text.
        head = event[: found.start()]
        if b'"index"' in head and b'"content_block_delta"' in head:
            self._prefix = event[: found.end()]
            self._prefix_index = index
            # Those of a block that is one piece, its blank line among them.
            self._prefix_lines = self._prefix.count(b"\n") + _PIECE_END.count(b"\n")

    def _on_message_start(self, event: _Event) -> None:
        message = event.message
        if message is None:
            self._damaged("message_start without a message")
            return
        self._started = True
        self.model, self.id = message.model, message.id
        self.stop_reason = message.stop_reason
        self._counts.update(message.usage)

    def _on_block_start(self, event: _Event) -> None:
        if event.index is None:
            self._damaged("content_block_start without an index")
        elif event.index in self._open:
            self._damaged("a second content_block_start of one index")
        else:
            self.content_started = True
            self._open[event.index] = True
            if event.content_block is not None and event.content_block.type == "fallback":
                self._on_fallback(event.content_block)

    def _on_fallback(self, block: _Block) -> None:
        """Continue with another model; what was seen is the work of the one before.

        https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
        """
        use = self._counts.use()
        tokens = msgspec.structs.replace(use.tokens, output=self.output_seen)
        self._hops.append(Use(tokens, self._serving, use.unknown - {"output"}))
        self._serving = _model(block.to)
        self.model = self._serving or self.model
        self._hop_deltas, self._hop_bytes = self.deltas, self._bytes

    def _on_block_delta(self, event: _Event) -> None:
        delta = event.delta
        if event.index is None or not self._open.get(event.index):
            self._damaged("content_block_delta of a block that is not open")
        elif delta is None:
            self._damaged("content_block_delta without a delta")
        else:
            self.deltas += 1
            text = delta.text or delta.thinking or delta.partial_json
            if text:
                self._bytes += len(msgspec.json.encode(text)) - 2

    def _on_block_stop(self, event: _Event) -> None:
        if event.index is None or not self._open.get(event.index):
            self._damaged("content_block_stop of a block that is not open")
            return
        self._open[event.index] = False
        if event.index == self._prefix_index:
            self._prefix = _NONE

    def _on_message_delta(self, event: _Event) -> None:
        counted = self._counts.update_at_end(event.usage)
        if event.delta is not None and event.delta.stop_reason is not None:
            self.stop_reason = event.delta.stop_reason
            self._final = counted

    def _on_error(self, event: _Event) -> None:
        type_ = event.error.type if isinstance(event.error, _Error) else None
        self.error_type = (type_ or "api_error")[:_MAX_TYPE_LENGTH]
        self.is_over = True


def _says_something(event: bytes) -> bool:
    return any(
        (decoded.type or name) != "ping"
        for name, decoded in (
            (name.decode("utf-8", "replace"), read_or_none(_EVENT, data, _SHAPE) or _Event())
            for name, data in parse_events(event + b"\n\n")
        )
    )


def _model(hop: object) -> str | None:
    model: object = cast("dict[str, object]", hop).get("model") if isinstance(hop, dict) else None
    return model[:_MAX_MODEL_LENGTH] if isinstance(model, str) and model else None


def _article(name: str) -> str:
    return f"{'an' if name == 'error' else 'a'} {name} event" if name else "an event"


class Reading(msgspec.Struct, frozen=True):
    """The facts of a response; None where it does not say.

    `use` is what the model that answered used, None where nothing of it can be read; `others` are
    other models that were run on the way, each billed at its own price. `output_estimate` is about
    how many tokens the content has: four bytes of JSON for each. `is_error`: it is an error, and
    no message, whatever its status.
    """

    use: Use | None = None
    model: str | None = None
    id: str | None = None
    stop_reason: str | None = None
    others: tuple[Use, ...] = ()
    output_estimate: int = 0
    is_error: bool = False
    # All tokens of the conversation as it was at the end; 0 where that is not said.
    context: int = 0

    @property
    def tokens(self) -> Tokens | None:
        """Tokens of the model that answered, as the response counts them."""
        return None if self.use is None else self.use.tokens


# Any value, so that one that is no text does not hide what another one says.
class _Message(msgspec.Struct):
    type: Any = None
    id: Any = None
    model: Any = None
    stop_reason: Any = None
    content: msgspec.Raw = msgspec.Raw()
    usage: Any = None


_MESSAGE_SHAPE: Final[Shape] = {
    **dict.fromkeys(("type", "id", "model", "stop_reason")),
    "usage": USAGE,
}
_MESSAGE = msgspec.json.Decoder(_Message)
_UNREAD = Reading()


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _PlainWrites(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: _Count = 0
    ephemeral_1h_input_tokens: _Count = 0


class _PlainTools(msgspec.Struct, gc=False):
    web_search_requests: _Count = 0


class _PlainUsage(msgspec.Struct, gc=False):
    input_tokens: _Count
    output_tokens: _Count
    cache_read_input_tokens: _Count = 0
    cache_creation_input_tokens: _Count = 0
    cache_creation: _PlainWrites | None = None
    server_tool_use: _PlainTools | None = None
    speed: str | None = None
    inference_geo: str | None = None
    # What it says is for the careful reader.
    iterations: None = None


class _PlainMessage(msgspec.Struct, gc=False):
    """A response as nearly all are: every count is there, or left out, and is a count."""

    usage: _PlainUsage
    content: msgspec.Raw
    type: str | None = None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None


_PLAIN_MESSAGE = msgspec.json.Decoder(_PlainMessage)


def read_message(body: bytes) -> Reading:
    """Read the body of a whole response; what is no JSON object has no facts."""
    try:
        message = _PLAIN_MESSAGE.decode(body)
    except UNREADABLE:
        return _read_with_care(body)
    usage, writes, tools = (
        message.usage,
        message.usage.cache_creation,
        message.usage.server_tool_use,
    )
    written, hour = usage.cache_creation_input_tokens, 0
    if writes is not None:
        hour = writes.ephemeral_1h_input_tokens
        written = max(written, writes.ephemeral_5m_input_tokens + hour)
    tokens = Tokens(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        written - hour,
        hour,
        0 if tools is None else tools.web_search_requests,
        usage.speed == "fast",
        usage.inference_geo == "us",
    )
    return Reading(
        Use(tokens),
        message.model,
        message.id,
        message.stop_reason,
        (),
        -(-len(message.content) // 4),
        message.type == "error",
        sum(classes_of(tokens)),
    )


def _read_with_care(body: bytes) -> Reading:
    message = read_or_none(_MESSAGE, body, _MESSAGE_SHAPE)
    if message is None:
        return _UNREAD
    counts = UsageCounts()
    counts.update(message.usage)
    return Reading(
        counts.use() if counts.seen else None,
        _text(message.model),
        _text(message.id),
        _text(message.stop_reason),
        counts.others(),
        -(-len(message.content or _content(body)) // 4),
        message.type == "error",
        counts.context(),
    )


def _content(body: bytes) -> bytes:
    return (slices(body, ("content",)) or {}).get("content", b"")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
