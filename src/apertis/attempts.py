"""The tries of one call: the clock and the chance that the pure parts are given."""

from __future__ import annotations

import random
import time
from logging import DEBUG, INFO
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from apertis import logs
from apertis.models import Malformed, ResponseInfo, Result, attach_prices, attach_response
from apertis.sansio.outcome import (
    Failure,
    blanked,
    error_from,
    request_id,
    response_error,
    tell_request,
)
from apertis.sansio.reading import no_output_error, not_begun_error
from apertis.sansio.request import request_info

if TYPE_CHECKING:
    from apertis.errors import APIError
    from apertis.models import Headers, Message, RequestInfo, StreamEvent
    from apertis.sansio.call import Call
    from apertis.sansio.outcome import Outcome, Response
    from apertis.sansio.reading import EventReading
    from apertis.sansio.request import Origin
    from apertis.sansio.settings import ClientSettings
    from apertis.sansio.timeouts import Limits
    from apertis.sansio.transcript import Transcript
    from apertis.structured.output import OutputFormat

T = TypeVar("T")
E = TypeVar("E", bound="APIError")


def parsed(
    call: Call[T],
    response: Response,
    info: ResponseInfo,
    request: RequestInfo,
    secrets: tuple[str, ...],
) -> T:
    """Return the result of a whole response of a call that was sent before."""
    try:
        result = call.read(response)
    except Malformed as malformed:
        error = response_error(response, malformed.reason)
        error.retries = info.retries
        raise blanked(tell_request(error, request), secrets) from malformed
    if isinstance(result, Result):
        attach_response(result, info)
    return result


class RetryState(Generic[T]):
    """The retry state of a call: attempts so far, and when the next is due; the shells wait.

    `request` is what a transport is given in every try: where it goes, method, head, body.
    """

    __slots__ = (
        "_call",
        "_policy",
        "_settings",
        "_started",
        "limits",
        "request",
        "retries",
    )

    def __init__(self, call: Call[T], settings: ClientSettings) -> None:
        self._started = time.monotonic()
        self._settings = settings
        self._call = call
        self.request = (settings.origin, call.method, settings.head(call), call.body or b"")
        self._policy = settings.retry_of(call)
        self.limits: Limits = settings.timeout_of(call).limits(self._started)
        self.retries = 0
        if logs.logger.isEnabledFor(DEBUG):
            logs.sending(call, settings)

    def delay(self, outcome: Outcome) -> float | None:
        """Return the seconds to wait before another attempt; None when this outcome is the last."""
        delay = self._policy.delay(self.retries, outcome, jitter=random.random(), now=time.time())  # noqa: S311 - jitter.
        if delay is None or not self.limits.allow(delay, time.monotonic()):
            return None
        self.retries += 1
        logs.retrying(self._call, outcome, delay, self.retries)
        return delay

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that no error and no repr may show, should the service echo them."""
        return self._settings.secrets_of(self._call)

    def info(self, status: int, headers: Headers) -> ResponseInfo:
        """Build the information on a response from its head."""
        elapsed = time.monotonic() - self._started
        if logs.logger.isEnabledFor(INFO):
            logs.answered(self._call, status, headers, elapsed)
        return ResponseInfo(status, headers, self.retries, elapsed, prices=self._settings.prices)

    def result(self, response: Response) -> T:
        """Return the result of a successful response, with information on the response."""
        info = self.info(response.status, response.headers)
        result = self.read(response)
        if isinstance(result, Result):
            attach_response(result, info)
        return result

    def read(self, response: Response) -> T:
        """Return the result of a response, or of one line of it."""
        try:
            result = self._call.read(response)
            if self._settings.prices is not None:
                attach_prices(result, self._settings.prices)
            return result
        except Malformed as malformed:
            error = response_error(response, malformed.reason)
            error.retries = self.retries
            raise self.told(error) from malformed

    def error(self, outcome: Outcome, headers: Headers | None = None) -> APIError:
        """Return the exception for the last outcome; `headers` are a truncated response's."""
        logs.failed(self._call, outcome, time.monotonic() - self._started)
        error = error_from(outcome, now=time.time(), retries=self.retries)
        if headers is not None:
            error.request_id = request_id(headers)
        return self.told(error)

    def told(self, error: E) -> E:
        """Return the error, which knows what was sent, and shows no secret of it."""
        return blanked(tell_request(error, request_info(*self.request[:3])), self.secrets())


class StreamState:
    """A stream as far as it was read: its message, and the error that it ended in."""

    __slots__ = ("_request", "info", "output", "reading")

    def __init__(
        self, reading: EventReading, info: ResponseInfo, request: tuple[Origin, str, bytes]
    ) -> None:
        self._request = request
        self.reading = reading
        self.info = info
        # The type that the answer is to be a value of, where the caller wants one.
        self.output: OutputFormat | None = None
        reading.transcript.response = info

    def received(self, data: bytes | Failure) -> list[StreamEvent]:
        """Return the events that come with these bytes; none with a failure, or b"" at the end."""
        if isinstance(data, Failure):
            return self.reading.fail(data)
        return self.reading.receive(data) if data else self.reading.finish()

    def final_message(self) -> Message:
        """Return the whole message; the error that the stream ended in, if it has none."""
        if not self.reading.transcript.ended:
            self.reading.fail(Failure("the stream was closed before its end"))
            raise self.error()
        message = self.reading.transcript.message()
        return message if self.output is None else self.output.read(message)

    def error(self) -> APIError:
        """Return the exception for what the stream ended in."""
        return self._told(self.reading.error(now=time.time(), retries=self.info.retries))

    def unreadable(self, error: Malformed) -> APIError:
        """Return the exception for an event that does not fit those before it."""
        now = time.time()
        return self._told(self.reading.unreadable(error, now=now, retries=self.info.retries))

    def _told(self, error: APIError) -> APIError:
        return tell_request(error, request_info(*self._request))


class MessageSoFar:
    """The message of a stream, as far as it has been iterated over."""

    source: Any

    @property
    def workspace_id(self) -> str | None:
        """The workspace that the request was counted to, where the service tells it."""
        headers: Headers = self.source.info.headers
        return headers.get("anthropic-workspace-id")

    @property
    def current_message_snapshot(self) -> Message:
        """The message as far as it has been iterated over."""
        transcript: Transcript = self.source.reading.transcript
        if not transcript.begun:
            raise not_begun_error()
        return transcript.message()

    @property
    def partial_output(self) -> Any:
        """The value that `output_format` asks for, as far as it has been iterated over.

        Dicts, lists and texts that go on growing as the stream is read; None before its beginning.
        """
        if self.source.output is None:
            raise no_output_error()
        return self.source.output.partial(self.source.reading.transcript)
