# Generated from src/apertis/aio/raw.py by tools/generate_sync.py (make format). Do not edit.
"""Responses as HTTP: `with_raw_response` and `with_streaming_response` of client and resources."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from apertis.attempts import parsed
from apertis.compat.text import TextLines, text_decoder
from apertis.endpoints import messages, raw
from apertis.models import Headers, ResponseInfo, Result
from apertis.models.response import ResponseFacts
from apertis.sansio.outcome import Failure, Response, error_from, tell_request
from apertis.sansio.request import request_info
from apertis.sync.pages import Page
from apertis.sync.stream import EventSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from apertis.models import (
        Message,
        RequestInfo,
    )
    from apertis.sansio.call import Call
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits
    from apertis.sync.pages import Endpoint
    from apertis.sync.sender import Sender
    from apertis.sync.wire import Answer, Transport

T = TypeVar("T")


class KeptAnswer:
    """A response whose body can be read again from its beginning, until somebody forgets it."""

    __slots__ = ("_answer", "_end", "_keeps", "_next", "_parts", "headers", "status")

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._parts: list[bytes] = []
        self._next = 0
        self._end: bytes | Failure | None = None
        self._keeps = True

    def read(self) -> bytes | Failure:
        """Return the next bytes of the body, or those that were read before."""
        if self._next < len(self._parts):
            self._next += 1
            return self._parts[self._next - 1]
        if self._end is not None:
            return self._end
        data = self._answer.read()
        if isinstance(data, Failure) or not data:
            self._end = data
        elif self._keeps:
            self._parts.append(data)
            self._next += 1
        return data

    def whole(self) -> bytes | None:
        """Return the rest of the body if all of it is here; None if it must be read."""
        if self._end is None:
            data = self._answer.whole()
            if data is None:
                return None
            self._end = b""
            self._parts.append(data)
        rest, self._next = self._parts[self._next :], len(self._parts)
        return b"".join(rest) if self._end == b"" else None

    def drain(self) -> None:
        """Read the end of the body, if it comes at once, so that the connection can be kept."""
        self._answer.drain()

    def close(self) -> None:
        """Give the connection back if the response is whole, else close it."""
        self._answer.close()

    def interrupt(self) -> None:
        """Let a `read` end that somebody else waits in, if that can be done."""
        self._answer.interrupt()

    def rewind(self) -> None:
        """Read from the beginning again."""
        self._next = 0

    def read_ahead(self) -> None:
        """Read the body to its end, or until it fails, and keep it."""
        while self._end is None:
            self.read()
        self.rewind()

    def forget(self) -> None:
        """Keep nothing more of what is read."""
        self._keeps = False


class Recorder:
    """A transport over another one that knows the last request, and keeps its response."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._started = time.monotonic()
        self._tries = 0
        self.request: tuple[Origin, str, bytes, bytes] | None = None
        self.answer: KeptAnswer | None = None

    def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> Answer | Failure:
        """Send the request and wait for the head of the response."""
        self.request = (origin, method, head, body)
        self._tries += 1
        answer = self._transport.open(origin, method, head, body, limits)
        if isinstance(answer, Failure):
            return answer
        self.answer = KeptAnswer(answer)
        return self.answer

    def close(self) -> None:
        """Close the connections that are kept."""
        self._transport.close()

    def sleep(self, seconds: float) -> None:
        """Wait, in the event loop of the connections."""
        self._transport.sleep(seconds)

    def info(self, secrets: Callable[[], tuple[str, ...]]) -> ResponseInfo:
        """Build the information on the last response."""
        answer = _known(self.answer)
        elapsed = time.monotonic() - self._started
        return ResponseInfo(
            answer.status, Headers(answer.headers, secrets), self._tries - 1, elapsed
        )


def _known(value: T | None) -> T:
    assert value is not None  # noqa: S101 - a call has ended well.
    return value


class APIResponse(ResponseFacts, Generic[T]):
    """A response as HTTP: status, headers, body, the request it answers, and its parsed value."""

    def __init__(
        self,
        request: RequestInfo,
        info: ResponseInfo,
        answer: KeptAnswer | None,
        parse: Callable[[bytes], T],
        *,
        body: bytes | None = None,
        parses_body: bool = False,
    ) -> None:
        super().__init__(request, info, body)
        self.answer = answer
        self._parse = parse
        self._parses_body = parses_body

    def __repr__(self) -> str:
        return f"<APIResponse [{self.status_code}] {self.method} {self.http_request.url}>"

    def parse(self, *, to: Any = None) -> T:
        """Return what the method itself returns: a message, a stream, a page; or a `to`."""
        if self._body is None and (self._parses_body or to is not None):
            return self._read_and_parse(to)
        if to not in self._parsed:
            if to is None:
                self._parsed[to] = self._parse(self.content)
            else:
                response = Response(self.status_code, self.headers, self.content)
                self._parsed[to] = raw.cast_to(to)(response)
        return cast("T", self._parsed[to])

    def _read_and_parse(self, to: Any) -> T:
        self.read()
        return self.parse(to=to)

    def mapped(self, make: Callable[[T], Any]) -> APIResponse[Any]:
        """Return the same response, whose value is what `make` makes of this one's."""
        return APIResponse(
            self.http_request,
            self._info,
            self.answer,
            lambda body: make(self._parse(body)),
            body=self._body,
            parses_body=self._parses_body,
        )

    def read(self) -> bytes:
        """Read the whole body."""
        if self._body is None:
            body = bytearray()
            for part in self._parts():
                body += part
            self._body = bytes(body)
        return self._body

    def text(self) -> str:
        """Read the whole body as text."""
        return (self.read()).decode("utf-8", "replace")

    def json(self) -> Any:
        """Read the whole body as JSON."""
        return msgspec.json.decode(self.read())

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield the body as it comes, or in pieces of `chunk_size`."""
        left = b""
        for part in self._parts():
            if chunk_size is None:
                yield part
                continue
            left += part
            while len(left) >= chunk_size:
                yield left[:chunk_size]
                left = left[chunk_size:]
        if left:
            yield left

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """Yield the body as text; no character is cut."""
        decoder = text_decoder()
        for part in self.iter_bytes(chunk_size):
            if text := decoder.decode(part):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the body, without their ends."""
        lines = TextLines()
        for text in self.iter_text():
            yield from lines.feed(text)
        yield from lines.finish()

    def _parts(self) -> Iterator[bytes]:
        if self._body is not None:
            if self._body:
                yield self._body
            return
        answer = _known(self.answer)
        answer.rewind()
        while data := answer.read():
            if isinstance(data, Failure):
                error = error_from(data, now=time.time(), retries=self.retries_taken)
                raise tell_request(error, self.http_request)
            yield data

    def close(self) -> None:
        """Give the connection back if the response is whole, else close it."""
        self._closed = True
        if self.answer is not None:
            self.answer.close()


class RawCalls:
    """Calls that give a response as HTTP; retries and errors are those of every call."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def send(self, call: Call[Any], make: Callable[[Any], Any] | None = None) -> APIResponse[Any]:
        """Return the response of a call, read whole; `make` makes its value of the result."""
        recorder = Recorder(self._sender.metered)
        given: Any = msgspec.structs.replace(call, read=Keep(call))
        whole = self._sender.over(recorder).send(given)
        if not isinstance(whole, _Whole):
            # A middleware's own.
            return cast("APIResponse[Any]", whole)
        info, came, request = whole.response, whole.came, self._request(recorder, call)

        def parse(_: bytes) -> Any:
            result = parsed(call, came, info, request, self._sender.settings.secrets_of(call))
            return result if make is None else make(result)

        return APIResponse(request, info, recorder.answer, parse, body=came.body)

    def open(self, call: Call[Message], make: Callable[[EventSource], Any]) -> APIResponse[Any]:
        """Return the response of a streamed call; `make` makes its value of the events."""
        recorder = Recorder(self._sender.metered)
        source = self._sender.over(recorder).open(call)
        if not isinstance(source, EventSource):
            raise messages.not_streamed_error(source)
        answer = _known(recorder.answer)

        def parse(_: bytes) -> Any:
            answer.forget()
            return make(source)

        return APIResponse(self._request(recorder, call), source.info, answer, parse)

    def lines(self, call: Call[T]) -> APIResponse[Iterator[T]]:
        """Return the response of a call whose body is lines."""
        recorder = Recorder(self._sender.metered)
        lines = self._sender.over(recorder).lines(call)
        answer = _known(recorder.answer)
        info = recorder.info(lambda: self._sender.settings.secrets_of(call))

        def parse(_: bytes) -> Iterator[T]:
            answer.forget()
            return lines

        return APIResponse(self._request(recorder, call), info, answer, parse)

    def page(self, endpoint: Endpoint[Any], params: Mapping[str, Any]) -> APIResponse[Any]:
        """Return the response of a list, whose value is a page."""
        sender = self._sender
        return self.send(endpoint(params), lambda page: Page(sender, endpoint, params, page))

    def _request(self, recorder: Recorder, call: Call[Any]) -> RequestInfo:
        if recorder.request is not None:
            return request_info(*recorder.request)
        settings = self._sender.settings
        return request_info(settings.origin, call.method, settings.head(call), call.body or b"")


class _Whole(Result):
    """A response, as the result of a call that reads nothing of it."""

    came: Response


class Keep:
    """A reader that keeps a response as it came, to be read later as its `call` has it."""

    __slots__ = ("call",)

    def __init__(self, call: Call[Any]) -> None:
        self.call = call

    def __call__(self, response: Response) -> _Whole:
        """Return the response."""
        return _Whole(came=response)
