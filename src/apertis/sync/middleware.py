# Generated from src/apertis/aio/middleware.py by tools/generate_sync.py (make format). Do not edit.
"""A sender whose attempts go through the caller's middleware."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from apertis.attempts import parsed
from apertis.compat.middleware import APIRequest, Wishes, handlers
from apertis.errors import APIConnectionError, ConfigurationError
from apertis.models import Headers, ResponseInfo
from apertis.sansio.outcome import Failure, Response, error_from, tell_request
from apertis.sansio.reading import EventReading
from apertis.sansio.request import request_info
from apertis.sync.raw import APIResponse, Keep, KeptAnswer
from apertis.sync.sender import Sender
from apertis.sync.stream import EventSource, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from apertis.sansio.call import Call
    from apertis.sansio.request import Origin
    from apertis.sansio.settings import ClientSettings
    from apertis.sansio.timeouts import Limits
    from apertis.sync.wire import Answer, Transport

T = TypeVar("T")
R = TypeVar("R")


class MiddlewareSender(Sender):
    """A sender with middleware around each attempt, the outermost first."""

    def __init__(
        self, settings: ClientSettings, transport: Transport, middleware: Sequence[Any]
    ) -> None:
        super().__init__(settings, transport)
        self.middleware = tuple(middleware)
        self.handlers = handlers(self.middleware, asynchronous=False)

    def over(self, transport: Transport) -> Sender:
        """Return a sender by the same settings over another transport."""
        return MiddlewareSender(self.settings, transport, self.middleware)

    def send(self, call: Call[T]) -> T:
        """Return the result of a call, or what a middleware returned in its place."""
        try:
            return self._around(call, Sender.send)
        except Instead as instead:
            return instead.value  # type: ignore[no-any-return]  # As the middleware will have it.

    def open(self, call: Call[T]) -> EventSource | T:
        """Return the events of a streamed call, or of the stream that a middleware returned."""
        try:
            return self._around(call, Sender.open)
        except Instead as instead:
            source = getattr(instead.value, "source", None)
            if isinstance(source, EventSource):
                return source
            kind = type(instead.value).__name__
            raise ConfigurationError(
                f"a middleware returned a {kind} for a streamed call, not a response or a stream"
            ) from None

    def lines(self, call: Call[T]) -> Iterator[T]:
        """Yield the value of each line of a response, or what a middleware returned instead."""
        try:
            return self._around(call, Sender.lines)
        except Instead as instead:
            return instead.value  # type: ignore[no-any-return]  # As the middleware will have it.

    def _around(self, call: Call[T], method: Callable[[Sender, Call[T]], R]) -> R:
        attempts = Attempts(self, call)
        try:
            return method(Sender(self.settings, attempts), call)
        except APIConnectionError as error:
            raise attempts.wish_or(error) from error.__cause__


class Instead(Exception):
    """The value that a middleware returned in place of a response."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Attempts(Wishes):
    """A transport for one call: each request goes through the middleware, then to the network."""

    def __init__(self, sender: MiddlewareSender, call: Call[Any]) -> None:
        super().__init__()
        self._sender = sender
        self._call = call
        self._tries = 0
        self._started = time.monotonic()
        self._answers: list[KeptAnswer] = []

    def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> Answer | Failure:
        """Let the middleware have the request; return the response that it returns."""
        settings = self._sender.settings
        tries, self._tries = self._tries, self._tries + 1
        first = APIRequest(
            self._call,
            retries_taken=tries,
            max_retries=settings.retry_of(self._call).max_retries,
        )

        def attempt(request: APIRequest) -> APIResponse[Any]:
            sent, until = (origin, method, head, body), limits
            call = request.call
            if request is not first:
                sent = (origin, call.method, settings.head(call), call.body or b"")
                if call.timeout is not self._call.timeout:
                    until = settings.timeout_of(call).limits(time.monotonic())
            answer = self._sender.transport.open(*sent, until)
            if isinstance(answer, Failure):
                error = error_from(answer, now=time.time(), retries=tries)
                self.failed = (tell_request(error, request_info(*sent[:3])), answer)
                raise error
            kept = KeptAnswer(answer)
            self._answers.append(kept)
            if kept.status >= 300:
                # The connection is free for another attempt of the middleware's own.
                kept.read_ahead()
            return self._response(sent, kept, tries)

        chain: Callable[[APIRequest], Any] = attempt
        for handler in reversed(self._sender.handlers):
            chain = _around(handler, chain)
        result: Any = None
        try:
            result = chain(first)
        except Exception as error:
            failure = self.retryable(error)
            if failure is None:
                raise
            return failure
        finally:
            self._close_all_but(getattr(result, "answer", None))
        if not isinstance(result, APIResponse) or result.answer is None:
            raise Instead(result)
        if result.value is not None and not isinstance(self._call.read, Keep):
            # The caller has the very object that the middleware had.
            raise Instead(result.value)
        result.answer.rewind()
        return result.answer

    def _close_all_but(self, kept: object) -> None:
        for answer in self._answers:
            if answer is not kept:
                answer.close()
        self._answers.clear()

    def _response(
        self, sent: tuple[Origin, str, bytes, bytes], answer: KeptAnswer, retries: int
    ) -> APIResponse[Any]:
        call = self._call.read.call if isinstance(self._call.read, Keep) else self._call

        def secrets() -> tuple[str, ...]:
            return self._sender.settings.secrets_of(call)

        headers = Headers(answer.headers, secrets)
        elapsed = time.monotonic() - self._started
        prices = self._sender.settings.prices
        info = ResponseInfo(answer.status, headers, retries, elapsed, prices=prices)
        request = request_info(*sent)

        def parse(body: bytes) -> Any:
            if call.streamed:
                reading = EventReading(headers, secrets())
                answer.rewind()
                return Stream(EventSource(answer, reading, info, sent[:3]))
            return parsed(call, Response(answer.status, headers, body), info, request, secrets())

        return APIResponse(request, info, answer, parse, parses_body=not call.streamed)

    def close(self) -> None:
        """Do nothing: the connections are the client's."""

    def sleep(self, seconds: float) -> None:
        """Wait, in the event loop of the connections."""
        self._sender.transport.sleep(seconds)


def _around(
    handler: Callable[[APIRequest, Any], Any], call_next: Any
) -> Callable[[APIRequest], Any]:
    def handled(request: APIRequest) -> Any:
        return handler(request, call_next)

    return handled
