"""A stream's bytes -> its events, until it ends or fails: the rules, without the waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from apertis.errors import (
    ApertisError,
    APIError,
    ParameterError,
    StreamTimeoutError,
    StreamTruncatedError,
)
from apertis.models import (
    ContentBlockDeltaEvent,
    ErrorEvent,
    Malformed,
    Message,
    MessageStartEvent,
    MessageStopEvent,
    PingEvent,
    RawEvent,
    decode_event,
)
from apertis.models.json import UNREADABLE
from apertis.sansio.outcome import (
    Failure,
    Outcome,
    StreamError,
    beginning,
    blanked,
    error_document,
    error_from,
    request_id,
)
from apertis.sansio.sse import BYTE_ORDER_MARK, EventDecoder, EventTooLargeError
from apertis.sansio.transcript import Transcript

if TYPE_CHECKING:
    from apertis.models import Headers, StreamEvent
    from apertis.sansio.sse import ServerSentEvent

# What comes before a response by which proxies keep a connection open, at most.
MAX_BLANK_BYTES = 64 * 1024
_DOCUMENT = {b"{", b"[", b"<"}


class EventReading:
    """A reader of one stream: `receive` its bytes, `finish` at its end, `fail` when it broke.

    Each gives the events that are new. `failure` is set when nothing more will come because
    something went wrong, `complete` when `message_stop` came. `begun` turns true with the first
    event of the content: up to there another attempt can replace the stream unnoticed. `decided` is
    true when it has begun, or never will.
    """

    __slots__ = (
        "_decoder",
        "begun",
        "complete",
        "decided",
        "failure",
        "headers",
        "keeps_parts",
        "parts",
        "pending",
        "secrets",
        "transcript",
    )

    def __init__(self, headers: Headers, secrets: tuple[str, ...] = ()) -> None:
        self._decoder = EventDecoder()
        self.headers = headers
        self.secrets = secrets
        self.transcript = Transcript()
        self.pending: list[StreamEvent] = []
        self.failure: Failure | StreamError | None = None
        self.complete = False
        self.begun = False
        self.decided = False
        # The events as received, while somebody may still ask for them so.
        self.parts: list[ServerSentEvent] = []
        self.keeps_parts = True

    def receive(self, data: bytes) -> list[StreamEvent]:
        """Return the events that these bytes complete."""
        if self.complete or self.failure is not None:
            return []
        try:
            return self._decoded(self._decoder.feed(data))
        except EventTooLargeError:
            return self.fail(_malformed("an event of the stream is too large"))

    def finish(self) -> list[StreamEvent]:
        """Handle the end of the stream's bytes."""
        if self.complete or self.failure is not None:
            return []
        left = self._decoder.left.strip()
        if left[:1] in {b"{", b"<"}:
            return self.fail(self._no_stream(left))
        events = self._decoded(self._decoder.finish())
        if not self.complete:
            self.fail(Failure("the stream ended before message_stop"))
        return events

    def fail(self, failure: Failure | StreamError) -> list[StreamEvent]:
        """Handle a broken stream; no event is new."""
        if self.failure is None:
            self.failure = failure
            self.decided = True
        return []

    def _no_stream(self, body: bytes) -> Failure | StreamError:
        """Return the error for JSON or HTML in place of events."""
        document = error_document(body)
        if document is not None:
            return StreamError(document, self.headers)
        return _malformed(f"it ends in {beginning(body)!r}")

    def _decoded(self, parts: list[ServerSentEvent]) -> list[StreamEvent]:
        if self.keeps_parts:
            self.parts += parts
        events: list[StreamEvent] = []
        for name, data in parts:
            try:
                event = decode_event(data)
            except Malformed as error:
                if data.strip() == b"[DONE]":
                    continue
                named = _named(name, data)
                if named is None:
                    self.fail(_malformed(f"{error.reason}; it is {beginning(data)!r}"))
                    break
                event = named
            if type(event) is not ContentBlockDeltaEvent:
                if isinstance(event, PingEvent):
                    continue
                if isinstance(event, ErrorEvent):
                    self.fail(StreamError(event.to_dict(), self.headers))
                    break
                if not isinstance(event, MessageStartEvent):
                    self.begun = self.decided = True
            events.append(event)
            if isinstance(event, MessageStopEvent):
                self.complete = True
                break
        return events

    def take_parts(self) -> list[RawEvent]:
        """Return the events as received since the last call."""
        parts, self.parts = self.parts, []
        return [RawEvent(_text(name), _text(data)) for name, data in parts]

    def forget_parts(self) -> None:
        """Stop keeping the raw events: nobody will ask for them."""
        self.parts, self.keeps_parts = [], False

    def error(self, *, now: float, retries: int) -> APIError:
        """Return the exception for `failure`, with the message so far."""
        assert self.failure is not None  # noqa: S101 - only asked for after a failure.
        error = stream_error(self.failure, now=now, retries=retries)
        error.request_id = error.request_id or request_id(self.headers)
        error.partial = self.partial()
        return blanked(error, self.secrets)

    def unreadable(self, cause: Malformed, *, now: float, retries: int) -> APIError:
        """Return the exception for an event that does not fit those before it."""
        self.failure, self.complete = _malformed(cause.reason), False
        return self.error(now=now, retries=retries)

    def partial(self) -> Message | None:
        """Return the message as far as received, if it began."""
        pending, self.pending = self.pending, []
        try:
            for event in pending:
                self.transcript.feed(event)
            return self.transcript.message()
        except Malformed:
            return None


def no_output_error() -> ParameterError:
    """Return the exception for a value of no type."""
    return ParameterError(
        "output_format: the stream was opened without it, so there is no value to read",
        param="output_format",
    )


def no_text_error(message: Message) -> ApertisError:
    """Return the exception for a message without a text block, where text was asked for."""
    kinds = ", ".join(block.type for block in message.content) or "no blocks"
    return ApertisError(
        f"the message has no text: it holds {kinds} and ended with {message.stop_reason}"
    )


def not_begun_error() -> ApertisError:
    """Return the exception for a look at a message of which nothing has been iterated over."""
    return ApertisError("no event has been read yet, so there is no message to look at")


def says_events(headers: Headers) -> bool:
    """Return whether a response is declared an event stream; an undeclared one may be one too."""
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return kind == "text/event-stream"


def is_blank(beginning: bytes) -> bool:
    """Return whether nothing has come yet that tells what a response is."""
    return not beginning.removeprefix(BYTE_ORDER_MARK).strip()


def begins_document(beginning: bytes) -> bool:
    """Return whether a response begins like JSON or HTML in place of an event's field."""
    return beginning.removeprefix(BYTE_ORDER_MARK).lstrip()[:1] in _DOCUMENT


def stream_error(outcome: Outcome, *, now: float, retries: int) -> APIError:
    """Return the exception for a stream that broke."""
    if not isinstance(outcome, Failure) or outcome.malformed:
        return error_from(outcome, now=now, retries=retries)
    error: StreamTruncatedError
    if outcome.deadline is None:
        error = StreamTruncatedError(outcome.reason)
    else:
        error = StreamTimeoutError(outcome.reason)
        error.deadline = outcome.deadline
    error.retries = retries
    error.__cause__ = outcome.cause
    return error


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _malformed(reason: str) -> Failure:
    return Failure(f"the stream cannot be read: {reason}", malformed=True)


def _named(name: bytes, data: bytes) -> StreamEvent | None:
    """Return the event whose type stands only in its `event:` line."""
    try:
        document = msgspec.json.decode(data)
        if not name or not isinstance(document, dict) or "type" in document:
            return None
        return decode_event(msgspec.json.encode({"type": name.decode(), **document}))
    except (*UNREADABLE, Malformed):
        return None
