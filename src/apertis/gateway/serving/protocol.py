"""HTTP/1.1 with one client: its connection, and the requests that come over it in turn.

Theory of operation: httptools parses what comes and calls the methods `on_*` of `HttpProtocol`, in
this order for each message: `on_message_begin`, `on_url`, `on_header` for each field,
`on_headers_complete`, `on_body` for each piece, `on_header` for each trailer,
`on_message_complete`. `_within_message` and `_within_head` say where in this row the bytes are. A
head that came before (see `heads`) is not parsed again: `_known` goes on where
`on_headers_complete` ends, and `_missing` says how much of its body is still to come.

With the end of its head a request becomes a `ClientExchange`, which holds the body as it comes and
writes the response. If the response before is complete, the exchange is `_active`, and the handler
runs in a task of its own; else it waits in `_queue`, and nothing more is read meanwhile.
`ClientExchange.answer` and `end` complete a response; `answered` then starts the next one. Whole
responses of one turn of the event loop leave together at its end (`Connections.hand_out`), after
`commit` has written down what they used. Reading stops while a body is larger than anybody asked
for, while requests wait, and while a complete answer is not taken; it goes on with what ends these.

A connection ends in three ways. `hang_up` closes behind the last response; while the client still
sends, it reads on for a while, so that the response is not lost with a reset. `_refuse` answers
what is no HTTP, too large or too slow, and hangs up. A client that leaves is told to its exchanges,
and ends the task of one whose answer only it could want.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url

from apertis.gateway.errors import (
    Refusal,
    head_too_large,
    internal_error,
    invalid_request,
    not_implemented,
    request_timeout,
    trailers_too_large,
)
from apertis.gateway.request.context import RequestHead, new_request_id
from apertis.gateway.serving.heads import KnownHeads, framed
from apertis.gateway.upstreams.contract import SharedHeaders, header_values

if TYPE_CHECKING:
    from apertis.gateway.serving.heads import FramedHead
    from apertis.gateway.upstreams.contract import RawHeaders

# The parser itself would keep a head of any length, before any key has been seen.
_MAX_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 30.0
_LINGER_SECONDS = 2.0
# How long the rest of a body may come whose request is answered already.
_REST_SECONDS = 30.0
# Longer than clients keep an idle connection, so that it is they who close it.
_KEEP_ALIVE_SECONDS = 120.0
# Each request that waits behind a response costs far more memory than its bytes.
_MAX_WAITING = 100
# How much of a body is taken before anybody asks for it: what comes with one read in any case.
_MAX_UNASKED_BYTES = 256 * 1024
# Below this size a copy of the beginning of a body costs less than a view of it.
_MIN_VIEW_BYTES = 16 * 1024
# Most requests have one of few targets; longer ones are not kept.
_MAX_KEPT_TARGET_BYTES = 256
# RFC 9110, section 7.2: a name or an address, and perhaps a port.
_HOST = re.compile(r"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Za-z.:_%~-]+\])(?::[0-9]{0,5})?")

_line_of = b": ".join

_logger = logging.getLogger("apertis.gateway")

Handler = Callable[["ClientExchange"], Coroutine[Any, Any, None]]


class _RefusedError(Exception):
    """A stop of the parser; the response is in `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Connections:
    """State shared by a server's connections: the application, the peers, how heads begin.

    `on_idle` is called whenever the last connection is closed and the last request over.
    """

    __slots__ = (
        "_leaving",
        "_second",
        "_starts",
        "commit",
        "handler",
        "heads",
        "on_idle",
        "open",
        "under_way",
    )

    def __init__(self, handler: Handler, commit: Callable[[], object] = bool) -> None:
        self.handler = handler
        # What is done before any of the whole responses of a turn leaves.
        self.commit = commit
        self.heads = KnownHeads()
        self._leaving: list[tuple[ClientExchange, bytes]] = []
        self.open: set[HttpProtocol] = set()
        self.under_way: set[ClientExchange] = set()
        self.on_idle: Callable[[], object] = bool
        self._second = 0
        self._starts: dict[int, bytes] = {}

    @property
    def is_idle(self) -> bool:
        """True if there are no connections."""
        return not (self.open or self.under_way)

    def start_of_head(self, status: int) -> bytes:
        """Give the status line and the date, which answers of a second have in common."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._starts.clear()
        start = self._starts.get(status)
        if start is None:
            try:
                phrase = HTTPStatus(status).phrase
            except ValueError:
                phrase = ""
            date = formatdate(second, usegmt=True)
            start = f"HTTP/1.1 {status} {phrase}\r\ndate: {date}\r\n".encode("ascii")
            self._starts[status] = start
        return start

    def leave(self, exchange: ClientExchange, response: bytes) -> None:
        """Hand a whole response out at the end of this turn of the event loop."""
        if not self._leaving:
            exchange.loop.call_soon(self.hand_out)
        self._leaving.append((exchange, response))

    def hand_out(self) -> None:
        """Write the responses that wait, in their order."""
        leaving, self._leaving = self._leaving, []
        if leaving:
            self.commit()
        for exchange, response in leaving:
            exchange.leaves(response)

    def forget(self, connection: HttpProtocol | None, exchange: ClientExchange | None) -> None:
        """Take note that a connection is closed, or a request over."""
        if connection is not None:
            self.open.discard(connection)
        if exchange is not None:
            self.under_way.discard(exchange)
        if not (self.open or self.under_way):
            self.on_idle()


class ClientExchange(msgspec.Struct, eq=False):
    """One request of a connection and its response.

    `task` is who answers. With `ends_with_client` that task is canceled when the client leaves.
    """

    _protocol: HttpProtocol
    head: RequestHead
    # Of its body, where it was said.
    length: int | None
    method: str
    # The address at the other end of the connection; empty where it has none.
    peer: str
    keep_alive: bool
    _expects_continue: bool
    task: asyncio.Task[None] | None = None
    ends_with_client: bool = False
    # Whether the client left before its response was complete.
    is_lost: bool = False
    # Whether the response has its head, and all of it; and whether all of that was written.
    started: bool = False
    ended: bool = False
    is_written: bool = False
    # How many pieces of a body were written.
    pieces: int = 0
    # Whether all of the body came, and how much of it was not taken.
    is_whole: bool = False
    received_bytes: int = 0
    waiter: asyncio.Future[None] | None = None
    _pieces: list[bytes | memoryview] = []
    _max_unasked: int = _MAX_UNASKED_BYTES
    _chunked: bool = False

    # What a client sent is in no representation.
    __repr__ = object.__repr__

    @property
    def connection(self) -> dict[str, Any]:
        """The connection's part of ASGI's scope."""
        protocol = self._protocol
        return {
            "http_version": "1.0" if self.head.is_http_1_0 else "1.1",
            "scheme": "http"
            if protocol.transport.get_extra_info("sslcontext") is None
            else "https",
            "client": protocol.peer,
            "server": _address_of(protocol.transport),
        }

    def take_body(self) -> bytes | None:
        """Give the request's body if all of it is there, so that nothing need be awaited."""
        if not self.is_whole or self.is_lost:
            return None
        pieces, self._pieces = self._pieces, []
        self.received_bytes = 0
        first = pieces[0] if len(pieces) == 1 else None
        return first if isinstance(first, bytes) else b"".join(pieces)

    async def more_body(self, max_bytes: int) -> None:
        """Wait until all of the body is there, or more than `max_bytes`, or the client has left.

        To keep one value and grow it by each piece would copy a large body over and over.
        """
        self._max_unasked = max_bytes
        protocol = self._protocol
        if self._expects_continue and not (self.started or protocol.transport.is_closing()):
            self._expects_continue = False
            protocol.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        protocol.resume_reading()
        if not (self.is_whole or self.is_lost or self.received_bytes > max_bytes):
            await self._change()

    async def left(self) -> None:
        """Wait until the client has left, or its response is complete."""
        while not (self.is_lost or self.ended):
            await self._change()

    async def _change(self) -> None:
        self.waiter = self._protocol.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def wake(self) -> None:
        """Let who waits look again."""
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def add(self, data: bytes | memoryview) -> None:
        """Keep a piece of the body."""
        if self.ended:
            return
        self._pieces.append(data)
        self.received_bytes += len(data)
        if self.received_bytes > self._max_unasked:
            self._protocol.pause_reading()
            self.wake()

    def lose(self) -> None:
        """Take note that nobody waits for the response any more."""
        if self.ended or self.is_lost:
            return
        self.is_lost = True
        self.wake()
        if self.ends_with_client and self.task is not None:
            self.task.cancel()

    def gave_up(self) -> bool:
        """Return whether the cancellation that just came is that of a client who left."""
        task = self.task
        return self.ends_with_client and self.is_lost and task is not None and task.uncancel() == 0

    def drop(self) -> None:
        """Deliver what was written, and end the connection."""
        self._protocol.transport.close()

    def answer(self, status: int, headers: RawHeaders, body: bytes, own: bytes = b"") -> None:
        """Write a whole response; to `HEAD`, its head only.

        `own` are further lines of its head. The headers are not checked here: they were parsed
        before, or are the gateway's own.
        """
        if self.is_lost or self.started:
            return
        if status != 204:
            own = b"%bcontent-length: %d\r\n" % (own, len(body))
        if status == 408:
            # It says that what is still to come is not awaited any more.
            self.keep_alive = False
        head = self._head(status, headers, own)
        self.ended = True
        self._protocol.connections.leave(self, head if self.method == "HEAD" else head + body)

    def leaves(self, response: bytes) -> None:
        """Write a whole response that waited for the end of its turn."""
        protocol = self._protocol
        if not protocol.transport.is_closing():
            protocol.transport.write(response)
        self._complete()
        if self.task is None:
            protocol.connections.forget(None, self)

    def start(self, status: int, headers: RawHeaders, own: bytes = b"") -> None:
        """Write the head of a response whose body is still to come."""
        if self.is_lost or self.started:
            return
        if any(name == b"content-length" for name, _ in headers):
            self._chunked = False
        elif self.head.is_http_1_0:
            # The end of the connection is the end of the body, which HTTP/1.0 knows.
            self.keep_alive = False
        else:
            self._chunked = self.method != "HEAD"
            headers.append((b"transfer-encoding", b"chunked"))
        # What waits to leave on this connection goes first.
        self._protocol.connections.hand_out()
        self._protocol.transport.write(self._head(status, headers, own))

    def write(self, data: bytes) -> bool:
        """Write a piece of its body; False if the client reads more slowly than that comes."""
        if self.is_lost or self.ended or not data or self.method == "HEAD":
            return True
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        protocol = self._protocol
        protocol.transport.write(data)
        self.pieces += 1
        return not protocol.write_paused

    def end(self) -> None:
        """Write the end of its body."""
        if self.is_lost or self.ended:
            return
        if self._chunked:
            self._protocol.transport.write(b"0\r\n\r\n")
        self._complete()

    @property
    def is_full(self) -> bool:
        """True if the client reads more slowly than the gateway writes."""
        return self._protocol.write_paused and not self.is_lost

    async def drain(self) -> None:
        """Wait until the client has read on, or left."""
        await self._protocol.writable.wait()

    def _head(self, status: int, headers: RawHeaders, own: bytes) -> bytes:
        self.started = True
        lines = b"\r\n".join(map(_line_of, headers))
        return b"%b%b%b%b%b" % (
            self._protocol.connections.start_of_head(status),
            lines,
            b"\r\n" if lines else b"",
            own,
            b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n",
        )

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that serves it."""
        return self._protocol.loop

    def _complete(self) -> None:
        self.ended = self.is_written = True
        if self.waiter is not None:
            self.wake()
        if not self.keep_alive:
            self._protocol.hang_up()
        self._protocol.answered(self)


class HttpProtocol(asyncio.Protocol):
    """One client's connection."""

    head_seconds = _HEAD_SECONDS
    rest_seconds = _REST_SECONDS
    keep_alive_seconds = _KEEP_ALIVE_SECONDS

    def __init__(self, connections: Connections, loop: asyncio.AbstractEventLoop) -> None:
        self.connections = connections
        self.loop = loop
        self.write_paused = False
        # Clear while the client has not read what was written.
        self.writable = asyncio.Event()
        self.writable.set()
        self.parser = self._new_parser()
        self._reading = True
        self._url = b""
        self._headers: RawHeaders = []
        self._within_message = False
        self._within_head = False
        self._refused = False
        self._head_bytes = 0
        # Whether what came may hold a head that is too large.
        self._much_came = False
        # What came of a message behind its head without any byte of a body: it frames the body.
        self._framing_bytes = 0
        self._body_came = False
        # A response is complete, and its client does not take it: nothing more is read of it.
        self._stalled = False
        # The usual head that what came begins with, if the parser has not seen it yet; and how much
        # of the body is still to come of a request that went without the parser.
        self._framed: FramedHead | None = None
        self._missing = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        # The request that is answered, those that wait, and the one whose body comes.
        self._active: ClientExchange | None = None
        self._queue: deque[ClientExchange] = deque()
        self._newest: ClientExchange | None = None

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        # What follows a request that says `connection: close` must not spoil its response.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for ever."""
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer: tuple[str, int] = (str(peer[0]), int(peer[1])) if peer else ("", 0)
        self.connections.open.add(self)
        self._head_timer = self.loop.call_later(self.head_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell the application that nobody waits for its response any more."""
        for timer in (self._head_timer, self._rest_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._refused = True
        self.write_paused = False
        self.writable.set()
        for exchange in (self._active, *self._queue):
            if exchange is not None:
                exchange.lose()
        self._queue.clear()
        # The parser and its protocol know each other.
        del self.parser
        self.connections.forget(self, None)

    def pause_reading(self) -> None:
        """Let what the client sends wait in the system."""
        if self._reading and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take it again."""
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """Take note that the client reads more slowly than is written."""
        self.write_paused = True
        self.writable.clear()

    def resume_writing(self) -> None:
        """Go on when the client has read on."""
        self.write_paused = False
        self.writable.set()
        if self._stalled:
            self._stalled = False
            self.answered(self._active)

    def shut_down(self) -> None:
        """Close an idle connection now, another one behind its last response."""
        last = self._queue[-1] if self._queue else self._active
        if last is None or last.ended:
            self.transport.close()
        else:
            last.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._refused:
            return
        if self._missing:
            data = self._rest_of_body(data)
            if not data:
                return
        if not self._within_message and (self._active is None or self._active.ended):
            self._framed = framed_head = framed(data)
            if framed_head is not None:
                head = self.connections.heads.find(framed_head)
                if head is not None:
                    data = self._known(head, framed_head, data)
                    if not data:
                        return
        self._much_came = self._head_bytes + len(data) > _MAX_HEAD_BYTES
        self._parse(data)
        if self._refused:
            return
        if self._within_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse(head_too_large(_MAX_HEAD_BYTES))
            elif self._head_timer is None:
                # Armed only when a head did not come in one piece.
                self._head_timer = self.loop.call_later(self.head_seconds, self._too_slow)
            return
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._within_message:
            # Extensions of chunks, and trailers, could go on for ever.
            self._framing_bytes = 0 if self._body_came else self._framing_bytes + len(data)
            self._body_came = False
            if self._framing_bytes > _MAX_HEAD_BYTES:
                self._refuse(trailers_too_large(_MAX_HEAD_BYTES))

    def _known(self, head: RequestHead, framed_head: FramedHead, data: bytes) -> bytes:
        """Begin a request with a head that came before; give what is not its body."""
        length = framed_head.length
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._framed = None
        self._within_message = True
        self._missing = length
        self._begin(head, length)
        start = framed_head.end
        size = len(data) - start
        if _MIN_VIEW_BYTES < size < length:
            self._missing = length - size
            # It is joined with what follows, and need not be copied before.
            self.on_body(memoryview(data)[start:])
            return b""
        return self._rest_of_body(data[start:]) if size else b""

    def _rest_of_body(self, data: bytes) -> bytes:
        """Take what comes of the body of such a request; give what is not its body."""
        missing, size = self._missing, len(data)
        if size < missing:
            self._missing = missing - size
            self.on_body(data)
            return b""
        self._missing = 0
        self.on_body(data if size == missing else data[:missing])
        self.on_message_complete()
        return b"" if size == missing else data[missing:]

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:
                # The parser takes it to end with its head, and what follows for something else.
                data = self._without_offer() + data[offer.args[0] :]
                self.parser = self._new_parser()
            except HttpParserError as error:
                cause = error.__context__
                if isinstance(cause, _RefusedError):
                    self._refuse(cause.refusal)
                else:
                    self._refuse(invalid_request("Invalid HTTP request received."))
                return
            else:
                return

    def _without_offer(self) -> bytes:
        """Return the head without its offer to upgrade, which a server may ignore (RFC 9110, 7.8).

        Java's own client offers HTTP/2 in every request that it sends without TLS.
        """
        line = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self._url,
            self.parser.get_http_version().encode("ascii"),
        )
        fields = [b"%b: %b" % field for field in self._headers if field[0] != b"upgrade"]
        return b"\r\n".join([line, *fields, b"", b""])

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._within_message = self._within_head = True
        self._head_bytes = 0
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """Keep the target, or a piece of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header or a trailer."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Start the request; its body is limited by the application."""
        headers = self._headers
        if self._much_came and self._head_size() > _MAX_HEAD_BYTES:
            raise _RefusedError(head_too_large(_MAX_HEAD_BYTES))
        parser = self.parser
        version = parser.get_http_version()
        values = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        if len(values) < len(headers):
            values = header_values(headers)
        refusal = _fault_of(version, headers, values)
        if refusal is not None:
            raise _RefusedError(refusal)
        method = parser.get_method()
        if parser.should_upgrade():
            if method == b"CONNECT":
                raise _RefusedError(not_implemented("The method CONNECT"))
            # It is read again without the offer.
            return
        url = self._url
        target = _kept_target(url) if len(url) <= _MAX_KEPT_TARGET_BYTES else _target(url)
        is_http_1_0 = version == "1.0"
        length = values.pop("content-length", None)
        head = RequestHead(
            method.decode("ascii"),
            target,
            SharedHeaders([header for header in headers if header[0] != b"content-length"]),
            values,
            is_http_1_0=is_http_1_0,
            keep_alive=not is_http_1_0 and parser.should_keep_alive(),
            expects_continue=values.get("expect", "").lower() == "100-continue",
        )
        framed_head, self._framed = self._framed, None
        if framed_head is not None and length == str(framed_head.length) and _is_usual(head):
            self.connections.heads.keep(framed_head, head)
        self._within_head = False
        self._framing_bytes = 0
        # Trailers are no headers: what a request says is said before its body.
        self._headers = []
        # One that repeats is rejected by the parser, and so is what is no number.
        self._begin(head, None if length is None else int(length))

    def _begin(self, head: RequestHead, length: int | None) -> None:
        exchange = self._newest = ClientExchange(
            self,
            head,
            length,
            head.method,
            self.peer[0],
            head.keep_alive,
            head.expects_continue,
        )
        if self._active is None or self._active.ended:
            self._start(exchange)
            return
        self.pause_reading()
        self._queue.append(exchange)
        if len(self._queue) > _MAX_WAITING:
            raise _RefusedError(invalid_request("Too many requests wait for their responses."))

    def on_body(self, body: bytes | memoryview) -> None:
        """Keep a piece of a body; one that is wanted as a whole wakes nobody before its end."""
        self._body_came = True
        if self._newest is not None:
            self._newest.add(body)

    def on_message_complete(self) -> None:
        """Note that what comes next is a head."""
        if self._within_head:
            # Only the parser takes an offer to upgrade for the end of its request.
            return
        if self._headers and self._head_size() > _MAX_HEAD_BYTES:
            raise _RefusedError(trailers_too_large(_MAX_HEAD_BYTES))
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None
        self._within_message = False
        exchange = self._newest
        if exchange is not None:
            exchange.is_whole = True
            if exchange.waiter is not None:
                exchange.wake()
        if not (self._reading or self._queue):
            # A large body may have stopped the reading, and only who reads sees a client leave.
            self.resume_reading()

    def _head_size(self) -> int:
        # Four bytes of each field are its colon, its space and its line's end.
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def _start(self, exchange: ClientExchange) -> None:
        self._active = exchange
        self.connections.under_way.add(exchange)
        exchange.task = self.loop.create_task(self._serve(exchange))

    async def _serve(self, exchange: ClientExchange) -> None:
        try:
            await self.connections.handler(exchange)
        except Exception:
            _logger.exception("a request was not served: a defect")
            if not exchange.started:
                refusal = internal_error()
                body = refusal.body(new_request_id(time()))
                exchange.answer(refusal.status, refusal.header_lines(), body)
        finally:
            exchange.task = None
            if not (exchange.ended or exchange.is_lost):
                # Whoever gave the response up must not seem to have ended it.
                self.transport.close()
            if exchange.is_written or not exchange.ended:
                self.connections.forget(None, exchange)

    def answered(self, exchange: ClientExchange | None) -> None:
        """Go on with the next request, once the client takes the response to this one."""
        if exchange is not self._active:
            # The next one began while the response waited for the end of its turn.
            return
        if self._within_message and not self._queue and self._rest_timer is None:
            # What still comes of it is not read by anybody, and must come to an end.
            self._rest_timer = self.loop.call_later(self.rest_seconds, self.transport.close)
        if self.transport.is_closing():
            return
        if self.write_paused:
            self._stalled = True
            self.pause_reading()
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.keep_alive_seconds, self._look_if_idle)
        if not self._reading:
            self.resume_reading()
        if self._queue and not self._refused:
            self._start(self._queue.popleft())
            if self._queue:
                # More may come in when all that waits was answered.
                self.pause_reading()

    def _look_if_idle(self) -> None:
        """Close a connection that nobody used for long.

        One timer that looks now and then costs less than one for each request.
        """
        self._idle_timer = None
        rest = self._idle_since + self.keep_alive_seconds - self.loop.time()
        if self._within_message or (self._active is not None and not self._active.ended):
            rest = self.keep_alive_seconds
        if rest <= 0:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(rest, self._look_if_idle)

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._within_head and not self.transport.is_closing():
            self._refuse(request_timeout("head", self.head_seconds))
        else:
            # Nothing came at all: there is nobody to be answered.
            self.transport.close()

    def hang_up(self) -> None:
        """Close the connection when the client has what was written.

        A connection that is closed with bytes unread is reset, and a reset takes the response away
        from a client that still sends; so what comes is read for a while, and thrown away.
        """
        if self._within_message and self.transport.can_write_eof():
            self._refused = True
            self.transport.write_eof()
            self.resume_reading()
            self._head_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be read any further, and hang up."""
        self._refused = True
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if not self._awaits_this:
            self.transport.close()
            return
        if self._within_message and not self._within_head and self._newest is not None:
            # Somebody reads its body; for them, the client is gone.
            self._newest.lose()
        request_id = new_request_id(time())
        body = refusal.body(request_id)
        head = [
            self.connections.start_of_head(refusal.status),
            *(b"%s: %s\r\n" % header for header in refusal.header_lines()),
            b"content-length: %d\r\n" % len(body),
            b"request-id: %s\r\n" % request_id.encode(),
            b"connection: close\r\n\r\n",
        ]
        self._within_head = False
        self._within_message = True
        self.transport.write(b"".join(head) + body)
        self.hang_up()

    @property
    def _awaits_this(self) -> bool:
        """True if the client's next response is the one being sent now."""
        if self._within_message and not self._within_head:
            return not (self._queue or self._newest is None or self._newest.started)
        return self._active is None or self._active.ended


def _fault_of(version: str, headers: RawHeaders, values: dict[str, str]) -> Refusal | None:
    """Return the problem with a head's framing and host (RFC 9112)."""
    if version not in {"1.0", "1.1"}:
        return not_implemented(f"HTTP/{version}")
    host = values.get("host")
    if host is None:
        if version != "1.0":
            return invalid_request("The header 'host' is missing")
    elif len(values) < len(headers) and sum(name == b"host" for name, _ in headers) > 1:
        return invalid_request("The header 'host' is there more than once")
    elif not _HOST.fullmatch(host):
        return invalid_request("The header 'host' is invalid")
    if "transfer-encoding" not in values:
        return None
    if version == "1.0":
        return invalid_request("HTTP/1.0 has no 'transfer-encoding'")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if any(coding.lower() != b"chunked" for coding in codings):
        return not_implemented("A 'transfer-encoding' other than 'chunked'")
    return None


def _is_usual(head: RequestHead) -> bool:
    """Return whether a head that says the length of its body says nothing else of the framing."""
    values = head.values
    return (
        head.keep_alive
        and len(values) == len(head.headers)
        and not ("transfer-encoding" in values or "expect" in values or "upgrade" in values)
    )


def _target(url: bytes) -> tuple[str, str]:
    """Return the path of a request, decoded, and its query as received."""
    parsed = parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, (parsed.query or b"").decode("latin-1")


_kept_target = lru_cache(maxsize=256)(_target)


def _address_of(transport: asyncio.Transport) -> tuple[str, int] | None:
    """Return where a connection came in; None where that has no address."""
    name: tuple[Any, ...] | str | None = transport.get_extra_info("sockname")
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
