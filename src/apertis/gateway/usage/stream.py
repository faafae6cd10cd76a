"""Reads usage and order from a stream while its bytes pass by untouched.

Most events are pieces of text. Such a piece is recognised by its first bytes, which are learnt
from the first piece of its block, and only counted; everything else is decoded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from apertis.gateway.usage.counts import UsageCounts
from apertis.gateway.usage.reading import UNREADABLE
from apertis.sansio.sse import parse_events

if TYPE_CHECKING:
    from apertis.gateway.usage.tokens import Tokens

__all__ = ["StreamReader"]


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


class _Event(msgspec.Struct):
    type: str | None = None
    message: _Start | None = None
    index: int | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: _Error | str | None = None


_EVENT = msgspec.json.Decoder(_Event)
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
_LONGEST_TYPE = 64
# No event starts with it: it stands for "no piece is expected".
_NONE = b"\xff"
# Where the text of a piece begins, when nothing but its text changes from piece to piece.
_PIECE = re.compile(
    rb'"delta"\s*:\s*\{\s*"type"\s*:\s*"\w+"\s*,\s*"(?:text|thinking|partial_json)"\s*:\s*"'
)


class StreamReader:
    """Takes whole events, as many at a time as come, and knows what they said.

    `model`, `id` and `stop_reason` are the message's own. `content_started`: a first block has
    begun, so that the caller has seen content. `stopped`: `message_stop` came. `error_type`: the
    type of an error event. `malformed`: what was first found to be against the protocol, in words
    without content, and `malformed_event` the event with it. Facts do not depend on how events
    are grouped into blocks.
    """

    __slots__ = (
        "_bytes",
        "_counts",
        "_event",
        "_final",
        "_open",
        "_prefix",
        "_prefix_index",
        "_started",
        "content_started",
        "deltas",
        "error_type",
        "id",
        "malformed",
        "malformed_event",
        "model",
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
        self.malformed_event = b""
        self.deltas = 0
        self._bytes = 0
        self._event = b""
        self._counts = UsageCounts()
        self._final = False
        self._started = False
        # Blocks by index: True while they are open, False afterwards.
        self._open: dict[int, bool] = {}
        self._prefix = _NONE
        self._prefix_index = -1

    def feed(self, block: bytes) -> None:
        """Take whole events: the block ends in a blank line. Lines may end in LF, CR LF or CR."""
        # JSON has no raw carriage return, so each one belongs to a line's end.
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for event in block.split(b"\n\n"):
            if event.startswith(self._prefix):
                # A piece ends in its text's quote and two braces; some upstreams pad with spaces.
                text = event.rstrip(b"} ")
                if text.endswith(b'"') and len(event) - len(text) > 1:
                    self.deltas += 1
                    self._bytes += len(text) - len(self._prefix) - 1
                    continue
            if event:
                self._read(event)

    @property
    def tokens(self) -> Tokens | None:
        """What the upstream counted so far; None when it never said."""
        return self._counts.tokens() if self._counts.seen else None

    @property
    def advisors(self) -> tuple[tuple[str, Tokens], ...]:
        """Other models that were asked on the way, with what they used (not in `tokens`)."""
        return self._counts.advisors()

    @property
    def final(self) -> bool:
        """Whether the count came that goes with a stop reason: nothing is left to estimate."""
        return self._final

    @property
    def output_estimate(self) -> int:
        """Output tokens when the final count never came: at least what was said or seen.

        The largest of the last count, the number of pieces (each is a token or more), and a
        token for every four bytes of them.
        """
        return max(self._counts.output or 0, self.deltas, (self._bytes + 3) // 4)

    @property
    def delivered(self) -> Tokens | None:
        """What to book when the stream ends now: the final count, else the estimated output."""
        if self._final or not self._counts.seen:
            return self.tokens
        return self._counts.tokens(self.output_estimate)

    def _read(self, event: bytes) -> None:
        if event.startswith(b"\n"):
            # Blank lines between events mean nothing, also to the first bytes of a piece.
            event = event.lstrip(b"\n")
            if event:
                self.feed(event + b"\n\n")
            return
        self._event = event
        if not self._started:
            event = event.removeprefix(b"\xef\xbb\xbf")
        for name, data in parse_events(event + b"\n\n"):
            if data:
                self._take(name.decode("utf-8", "replace"), data, event)

    def _take(self, name: str, data: bytes, event: bytes) -> None:
        try:
            decoded = _EVENT.decode(data)
        except UNREADABLE:
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
        elif self.stopped and kind != "error":
            self._damaged(f"{kind} after message_stop")
        self._handle(kind, decoded)
        if kind == "content_block_delta":
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
                self.stopped = True
                self._prefix = _NONE
            case _:
                self._on_error(event)

    def _damaged(self, reason: str) -> None:
        if self.malformed is None:
            self.malformed = reason
            self.malformed_event = self._event

    def _learn(self, event: bytes, index: int | None) -> None:
        found = _PIECE.search(event)
        if found is None or index is None or not self._open.get(index):
            return
        # Everything that tells one block's pieces from another's must come before the text.
        head = event[: found.start()]
        if b'"index"' in head and b'"content_block_delta"' in head:
            self._prefix = event[: found.end()]
            self._prefix_index = index

    def _on_message_start(self, event: _Event) -> None:
        message = event.message
        if message is None:
            self._damaged("message_start without a message")
        elif not self._started:
            self.model, self.id = message.model, message.id
            self.stop_reason = message.stop_reason
            self._counts.update(message.usage)
        self._started = True

    def _on_block_start(self, event: _Event) -> None:
        self.content_started = True
        if event.index is None:
            self._damaged("content_block_start without an index")
            return
        if event.index in self._open:
            self._damaged("a second content_block_start of one index")
        self._open[event.index] = True

    def _on_block_delta(self, event: _Event) -> None:
        self.content_started = True
        self.deltas += 1
        if event.index is None or not self._open.get(event.index):
            self._damaged("content_block_delta of a block that is not open")
        delta = event.delta
        if delta is None:
            self._damaged("content_block_delta without a delta")
            return
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
        before, self._counts.output = self._counts.output, None
        self._counts.update(event.usage)
        counted = self._counts.output is not None
        if not counted:
            self._counts.output = before
        if event.delta is not None and event.delta.stop_reason is not None:
            self.stop_reason = event.delta.stop_reason
            self._final = counted

    def _on_error(self, event: _Event) -> None:
        if self.error_type is None:
            type_ = event.error.type if isinstance(event.error, _Error) else None
            self.error_type = (type_ or "api_error")[:_LONGEST_TYPE]


def _article(name: str) -> str:
    return f"{'an' if name == 'error' else 'a'} {name} event" if name else "an event"
