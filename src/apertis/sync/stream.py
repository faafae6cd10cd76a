# Generated from src/apertis/aio/stream.py by tools/generate_sync.py (make format). Do not edit.
"""Iterables for callers: raw events, and the helper that builds text and messages from them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, cast

from apertis.attempts import MessageSoFar, StreamState
from apertis.models import InputJsonEvent, Malformed, Message, ResponseInfo, TextEvent
from apertis.sansio.outcome import Failure
from apertis.sansio.reading import no_text_error

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Self

    from typing_extensions import TypeVar

    from apertis.models import MessageStreamEvent, RawEvent, StreamEvent
    from apertis.sansio.reading import EventReading
    from apertis.sansio.request import Origin
    from apertis.spending import StreamCount
    from apertis.sync.wire import Answer

    E = TypeVar("E", default=StreamEvent)
    M = TypeVar("M", bound=Message, default=Message)
else:
    from typing import TypeVar

    E = TypeVar("E")
    M = TypeVar("M")


class EventSource(StreamState):
    """A stream's events and the connection that they come over, as one thing to close."""

    __slots__ = ("_answer", "count")

    def __init__(
        self,
        answer: Answer,
        reading: EventReading,
        info: ResponseInfo,
        request: tuple[Origin, str, bytes],
    ) -> None:
        super().__init__(reading, info, request)
        self._answer = answer
        # What counts its cost at its end.
        self.count: StreamCount | None = None

    def read_ahead(self, beginning: bytes | Failure | None = None) -> None:
        """Read until the content begins, or the stream ends or fails; nothing is delivered.

        `beginning` is what was read of the response already.
        """
        reading = self.reading
        if beginning is not None:
            reading.pending += self.received(beginning)
        while not reading.decided:
            reading.pending += self._next()

    def _next(self) -> list[StreamEvent]:
        return self.received(self._answer.read())

    def next_batch(self) -> list[StreamEvent] | None:
        """Return the events that come next, several at a time; None after the last.

        Raises:
            APIError: What the stream ended in.
        """
        reading = self.reading
        while True:
            events, reading.pending = reading.pending, []
            if events:
                return events
            if reading.failure is not None:
                raise self.error()
            if reading.complete:
                self._answer.drain()
                return None
            reading.pending = self._next()

    def events(self) -> Generator[StreamEvent, None, None]:
        """Yield the API's own events."""
        self.reading.forget_parts()
        feed = self.reading.transcript.feed
        try:
            while (batch := self.next_batch()) is not None:
                for event in batch:
                    feed(event)
                    yield event
        except Malformed as error:
            raise self.unreadable(error) from error
        finally:
            self.close()

    def raw_events(self) -> Generator[RawEvent, None, None]:
        """Yield the events as received, pings and errors too, before their data is read."""
        reading = self.reading
        try:
            while True:
                events, reading.pending = reading.pending, []
                for event in events:
                    reading.transcript.feed(event)
                yield from reading.take_parts()
                if reading.failure is not None:
                    raise self.error()
                if reading.complete:
                    self._answer.drain()
                    return
                reading.pending = self._next()
        except Malformed as error:
            raise self.unreadable(error) from error
        finally:
            self.close()

    def helper_events(self) -> Generator[MessageStreamEvent, None, None]:
        """Yield the API's events, each followed by what it means for the message."""
        self.reading.forget_parts()
        transcript = self.reading.transcript
        tell = transcript.tell if self.output is None else self.output.telling(transcript)
        try:
            while (batch := self.next_batch()) is not None:
                yield from tell(batch)
        except Malformed as error:
            raise self.unreadable(error) from error
        finally:
            self.close()

    def interrupt(self) -> None:
        """Let whoever waits for the next event have the end instead."""
        self.reading.fail(Failure("the stream was closed before its end"))
        self._answer.interrupt()

    def close(self) -> None:
        """Close the connection, or keep it if the response was read to its end."""
        if self.count is not None:
            self.count.end(self.reading)
            self.count = None
        self._answer.close()

    def __del__(self) -> None:
        if self.count is not None:
            self.count.drop(self.reading)


class StreamResponse(ResponseInfo, frozen=True):
    """The head of a stream's response; `close()` hangs up."""

    source: EventSource | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.status})"

    def close(self) -> None:
        """Hang up."""
        if self.source is not None:
            self.source.close()


class OpenStream(Generic[E]):
    """A stream that is read by iterating, once; leaving a `with` block hangs up."""

    def __init__(self, source: EventSource, events: Generator[Any, None, None]) -> None:
        self.source = source
        self._events: Generator[E, None, None] = events

    def __iter__(self) -> Iterator[E]:
        return self._events

    def __next__(self) -> E:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def response(self) -> StreamResponse:
        """Status, headers and timing of the response; closing it hangs up."""
        info = {name: getattr(self.source.info, name) for name in ResponseInfo.__struct_fields__}
        return StreamResponse(**info, source=self.source)

    @property
    def request_id(self) -> str | None:
        """The service's name for the request."""
        return self.source.info.request_id

    def close(self) -> None:
        """Hang up, even while somebody else iterates. What came so far stays readable."""
        try:
            self._events.close()
        except ValueError:
            # Another thread is inside the generator.
            self.source.interrupt()
        else:
            self.source.close()


class Stream(OpenStream[E]):
    """The events of `create(stream=True)`, as the API sends them.

    Iterating ends after `message_stop`, or raises what the stream ended in. `response` tells of the
    response's head. Leaving a `with` block, or `close()`, hangs up.
    """

    def __init__(self, source: EventSource) -> None:
        super().__init__(source, source.events())

    def raw_events(self) -> Iterator[RawEvent]:
        """Return the same stream before its data is read: names and texts, pings and errors too.

        Take either this or the stream itself. It ends as the stream does.
        """
        return self.source.raw_events()


class MessageStream(OpenStream["MessageStreamEvent"], MessageSoFar, Generic[M]):
    """The stream helper: events, text, and the message as it grows.

    Iterating gives the API's events and those derived from them: `text`, `input_json`, `thinking`,
    `signature`, `citation`. `content_block_stop` carries the finished block, `message_stop` the
    message. It ends after `message_stop`, or raises what the stream ended in.
    """

    def __init__(self, source: EventSource) -> None:
        super().__init__(source, source.helper_events())
        self.text_stream = _texts(self._events)

    def until_done(self) -> None:
        """Read the stream to its end."""
        for _ in self._events:
            pass

    def partial_outputs(self) -> Generator[Any, None, None]:
        """Yield `partial_output` each time when more of it has come: the same objects, grown."""
        for event in self._events:
            if type(event) is TextEvent or type(event) is InputJsonEvent:
                yield self.partial_output

    def get_final_message(self) -> M:
        """Read what is left of the stream and return the whole message."""
        self.until_done()
        return cast("M", self.source.final_message())

    def get_final_text(self) -> str:
        """Read what is left of the stream and return its text; raise when it has none."""
        message = self.get_final_message()
        if not any(block.type == "text" for block in message.content):
            raise no_text_error(message)
        return message.text


def _texts(events: Iterator[MessageStreamEvent]) -> Iterator[str]:
    for event in events:
        if type(event) is TextEvent:
            yield event.text


class MessageStreamManager(Generic[M]):
    """A stream manager: `with` opens the stream at its start and closes it at its end."""

    def __init__(self, start: Callable[[], MessageStream[M]]) -> None:
        self._start = start
        self._stream: MessageStream[M] | None = None

    def __enter__(self) -> MessageStream[M]:
        self._stream = self._start()
        return self._stream

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()
