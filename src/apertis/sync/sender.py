# Generated from src/apertis/aio/sender.py by tools/generate_sync.py (make format). Do not edit.
"""Calls in progress: attempts, waits, retries; `sansio` makes the decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from apertis.attempts import RetryState
from apertis.models import Headers
from apertis.sansio.lines import LineDecoder, LineTooLargeError
from apertis.sansio.outcome import TOO_LARGE, Failure, Outcome, Response, judged
from apertis.sansio.reading import EventReading, begins_document, says_events
from apertis.sync.stream import EventSource
from apertis.sync.wire import read_all, read_beginning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.sansio.call import Call
    from apertis.sansio.settings import ClientSettings
    from apertis.sync.wire import Answer, Transport

T = TypeVar("T")


class Sender:
    """A sender of calls over a transport, by a client's settings."""

    def __init__(self, settings: ClientSettings, transport: Transport) -> None:
        self.settings = settings
        self.transport = transport

    def over(self, transport: Transport) -> Sender:
        """Return a sender by the same settings over another transport."""
        return Sender(self.settings, transport)

    def send(self, call: Call[T]) -> T:
        """Return the result of a call, or the error that it ended in."""
        attempts = RetryState(call, self.settings)
        while True:
            answer = self.transport.open(*attempts.request, attempts.limits)
            outcome: Outcome
            if isinstance(answer, Failure):
                outcome = answer
            elif (body := answer.whole()) is not None:
                headers = Headers(answer.headers, attempts.secrets)
                outcome = judged(Response(answer.status, headers, body))
            else:
                outcome = judged(read_all(answer, attempts.secrets))
            if isinstance(outcome, Response) and outcome.ok:
                return attempts.result(outcome)
            self._wait(attempts, outcome)

    def open(self, call: Call[T]) -> EventSource | T:
        """Return the events of a streamed call, read up to the first of its content.

        A server that answers with a whole message instead gives the call's result.
        """
        attempts = RetryState(call, self.settings)
        while True:
            outcome = self._begin(attempts)
            if isinstance(outcome, EventSource):
                failure = outcome.reading.failure
                if failure is None or outcome.reading.begun:
                    return outcome
                outcome.close()
                delay = attempts.delay(failure)
                if delay is None:
                    raise outcome.error()
                self.transport.sleep(delay)
            elif isinstance(outcome, Response) and outcome.ok:
                return attempts.result(outcome)
            else:
                self._wait(attempts, outcome)

    def lines(self, call: Call[T]) -> Iterator[T]:
        """Yield the value of each line of a response as it comes; the head is there already."""
        attempts = RetryState(call, self.settings)
        while True:
            answer = self.transport.open(*attempts.request, attempts.limits)
            if isinstance(answer, Failure):
                self._wait(attempts, answer)
            elif answer.status == 200:
                headers = Headers(answer.headers, attempts.secrets)
                attempts.info(answer.status, headers)
                return _lines(answer, headers, attempts)
            else:
                self._wait(attempts, read_all(answer, attempts.secrets))

    def _begin(self, attempts: RetryState[Any]) -> EventSource | Outcome:
        answer = self.transport.open(*attempts.request, attempts.limits)
        if isinstance(answer, Failure):
            return answer
        if answer.status != 200:
            return judged(read_all(answer, attempts.secrets))
        headers = Headers(answer.headers, attempts.secrets)
        beginning = None if says_events(headers) else read_beginning(answer)
        if isinstance(beginning, bytes) and begins_document(beginning):
            return judged(read_all(answer, attempts.secrets, beginning))
        info = attempts.info(answer.status, headers)
        reading = EventReading(headers, attempts.secrets())
        source = EventSource(answer, reading, info, attempts.request[:3])
        source.read_ahead(beginning)
        return source

    def _wait(self, attempts: RetryState[Any], outcome: Outcome) -> None:
        delay = attempts.delay(outcome)
        if delay is None:
            raise attempts.error(outcome)
        self.transport.sleep(delay)


def _lines(answer: Answer, headers: Headers, attempts: RetryState[T]) -> Iterator[T]:
    decoder = LineDecoder()
    status = answer.status
    try:
        while data := answer.read():
            if isinstance(data, Failure):
                raise attempts.error(data, headers)
            try:
                lines = decoder.feed(data)
            except LineTooLargeError:
                raise attempts.error(TOO_LARGE.of(status, headers), headers) from None
            for line in lines:
                yield attempts.read(Response(status, headers, line))
        for line in decoder.finish():
            yield attempts.read(Response(status, headers, line))
    finally:
        answer.close()
