"""uvicorn's HTTP/1.1 protocol with additions.

Answers can be cut, a client's departure is told at once, errors are JSON, heads are limited in
size and time, and upgrades are ignored.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from apertis.gateway.errors import (
    Refusal,
    head_too_large,
    invalid_request,
    not_implemented,
    request_timeout,
    trailers_too_large,
)
from apertis.gateway.request.context import new_request_id
from apertis.gateway.serving.asgi import CONNECTION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from apertis.gateway.serving.asgi import Scope
    from apertis.gateway.upstreams.contract import RawHeaders

__all__ = ["HttpProtocol"]


# The parser itself would keep a head of any length, before any key has been seen.
_MAX_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 30.0
_LINGER_SECONDS = 2.0
# How long the rest of a body may come whose request is answered already.
_REST_SECONDS = 30.0
# Each request that waits behind an answer costs far more memory than its bytes.
_MAX_WAITING = 100
# RFC 9110, section 7.2: a name or an address, and perhaps a port.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Za-z.:_%~-]+\])(?::[0-9]{0,5})?")


class _RefusedError(Exception):
    """Stops the parser; what is answered is in `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class ClientExchange:
    """One request of a connection, as the application meets it beside ASGI's messages."""

    __slots__ = ("_chunked", "_cycle", "_on_lost", "_protocol")

    def __init__(self, protocol: HttpProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self._on_lost: Callable[[], object] | None = None
        self._chunked = False

    @property
    def on_lost(self) -> Callable[[], object] | None:
        """What is called when the client leaves."""
        return self._on_lost

    @on_lost.setter
    def on_lost(self, call: Callable[[], object] | None) -> None:
        self._on_lost = call
        if call is None:
            self._protocol.exchanges.discard(self)
        else:
            self._protocol.exchanges.add(self)

    def want_body(self, limit_bytes: int) -> None:
        """Let `receive` give the body as a whole, or what there is once it exceeds the limit."""
        cycle = self._cycle
        self._protocol.wanted = cycle, limit_bytes
        if cycle.more_body and not cycle.disconnected and len(cycle.body) <= limit_bytes:
            cycle.message_event.clear()

    @property
    def received_bytes(self) -> int:
        """How much of the body is there and was not taken."""
        return len(self._cycle.body) + self._protocol.wanted_size

    def take_body(self) -> bytes | None:
        """Give the request's body if all of it is there, so that nothing need be awaited."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected:
            return None
        # As `receive` does, so that it tells of the client's departure from here on.
        cycle.message_event.clear()
        if not self._protocol.pipeline:
            cycle.flow.resume_reading()
        body = bytes(cycle.body)
        cycle.body = bytearray()
        return body

    @property
    def is_lost(self) -> bool:
        """Whether the client left."""
        return self._cycle.disconnected

    def drop(self) -> None:
        """Deliver what was written, and end the connection."""
        self._protocol.transport.close()

    def answer(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Write a whole answer; to `HEAD`, its head only.

        This and what follows do the same as the messages of ASGI. What those are checked for on
        the way is settled for these headers: they were parsed before, or are the gateway's own.
        """
        cycle = self._cycle
        if cycle.disconnected or cycle.response_complete:
            return
        if status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        if status == 408:
            # It says that what is still to come is not awaited any more.
            cycle.keep_alive = False
        parts = self._head(status, headers)
        if cycle.scope["method"] != "HEAD":
            parts.append(body)
        self._protocol.transport.write(b"".join(parts))
        self._complete()

    def start(self, status: int, headers: RawHeaders) -> None:
        """Write the head of an answer whose body is still to come."""
        cycle = self._cycle
        if cycle.disconnected or cycle.response_started:
            return
        if cycle.scope["http_version"] == "1.1":
            self._chunked = True
            headers.append((b"transfer-encoding", b"chunked"))
        else:
            # The end of the connection is the end of the body, which HTTP/1.0 knows.
            cycle.keep_alive = False
        self._protocol.transport.write(b"".join(self._head(status, headers)))

    def write(self, data: bytes) -> None:
        """Write a piece of its body."""
        if self._cycle.disconnected or not data:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._protocol.transport.write(data)

    def end(self) -> None:
        """Write the end of its body."""
        if self._cycle.disconnected or self._cycle.response_complete:
            return
        if self._chunked:
            self._protocol.transport.write(b"0\r\n\r\n")
        self._complete()

    @property
    def is_full(self) -> bool:
        """Whether the client reads more slowly than is written."""
        return self._cycle.flow.write_paused and not self._cycle.disconnected

    async def drain(self) -> None:
        """Wait until the client has read on."""
        await self._cycle.flow.drain()

    def _head(self, status: int, headers: RawHeaders) -> list[bytes]:
        cycle = self._cycle
        parts = [STATUS_LINE[status]]
        for name, value in cycle.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        return parts

    def _complete(self) -> None:
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._protocol.hang_up()
        cycle.on_response()


class HttpProtocol(HttpToolsProtocol):
    """One client's connection."""

    head_seconds = _HEAD_SECONDS
    _within_message = False
    _within_head = False
    _refused = False
    _head_bytes = 0
    rest_seconds = _REST_SECONDS
    # Whether what came may hold a head that is too large.
    _much_came = False
    # What came of a message behind its head without any byte of a body: it frames the body.
    _framing_bytes = 0
    _body_came = False
    # An answer is complete, and its client does not take it: nothing more is read of it.
    _stalled = False
    _head_timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None
    # The request whose body is wanted as a whole, and how large it may become.
    wanted: tuple[RequestResponseCycle, int] | None = None
    wanted_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for ever."""
        super().connection_made(transport)
        # More than one when a client does not wait for its answers.
        self.exchanges: set[ClientExchange] = set()
        self._pieces: list[bytes] = []
        self._head_timer = self.loop.call_later(self.head_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that nobody waits for its answer any more."""
        self._stop_head_timer()
        self._stop_rest_timer()
        super().connection_lost(exc)
        for exchange in list(self.exchanges):
            if exchange.on_lost is not None:
                exchange.on_lost()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._refused:
            return
        self._unset_keepalive_if_required()
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
            self._stop_head_timer()
        if self._within_message:
            # Extensions of chunks, and trailers, could go on for ever.
            self._framing_bytes = 0 if self._body_came else self._framing_bytes + len(data)
            self._body_came = False
            if self._framing_bytes > _MAX_HEAD_BYTES:
                self._refuse(trailers_too_large(_MAX_HEAD_BYTES))

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:
                # The parser takes it to end with its head, and what follows for something else.
                data = self._without_offer() + data[offer.args[0] :]
                self.parser = HttpRequestParser(self)
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
        """The head without its offer to upgrade, which a server may ignore (RFC 9110, 7.8).

        Java's own client offers HTTP/2 in every request that it sends without TLS.
        """
        line = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode("ascii"),
        )
        fields = [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([line, *fields, b"", b""])

    def on_headers_complete(self) -> None:
        """Start the request; its body is limited by the application."""
        if self._much_came and self._head_size() > _MAX_HEAD_BYTES:
            raise _RefusedError(head_too_large(_MAX_HEAD_BYTES))
        parser = self.parser
        refusal = _fault_of(parser.get_http_version(), self.headers)
        if refusal is not None:
            raise _RefusedError(refusal)
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise _RefusedError(not_implemented("The method CONNECT"))
            # It is read again without the offer.
            return
        super().on_headers_complete()
        self._within_head = False
        self._framing_bytes = 0
        # Trailers are no headers: what a request says is said before its body.
        self.headers = []
        if len(self.pipeline) > _MAX_WAITING:
            raise _RefusedError(invalid_request("Too many requests wait for their answers."))
        # The application's task is made by now, and runs later.
        cast("Scope", self.scope)["extensions"] = {CONNECTION: ClientExchange(self, self.cycle)}

    def on_body(self, body: bytes) -> None:
        """Keep a piece of a body; one that is wanted as a whole wakes nobody before its end."""
        cycle = self.cycle
        self._body_came = True
        if self.wanted is None or self.wanted[0] is not cycle:
            super().on_body(body)
        elif not cycle.response_complete:
            # To grow one value by each piece would copy a large body over and over.
            self._pieces.append(body)
            self.wanted_size += len(body)
            if len(cycle.body) + self.wanted_size > self.wanted[1]:
                self._join_body()
                self.flow.pause_reading()
                cycle.message_event.set()

    def _join_body(self) -> None:
        cycle = self.cycle
        # `receive` makes bytes of it, and bytes as they are.
        cycle.body = b"".join((cycle.body, *self._pieces))  # type: ignore[assignment]
        self._pieces.clear()
        self.wanted_size = 0

    def on_message_complete(self) -> None:
        """Note that what comes next is a head."""
        if self._within_head:
            # Only the parser takes an offer to upgrade for the end of its request.
            return
        if self.headers and self._head_size() > _MAX_HEAD_BYTES:
            raise _RefusedError(trailers_too_large(_MAX_HEAD_BYTES))
        self._stop_rest_timer()
        if self._pieces:
            self._join_body()
        super().on_message_complete()
        self._within_message = False
        self.wanted = None
        if not self.pipeline:
            # A large body may have stopped the reading, and only who reads sees a client leave.
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Go on with the next request, once the client takes the answer to this one."""
        if self._within_message and not self.pipeline and self._rest_timer is None:
            # What still comes of it is not read by anybody, and must come to an end.
            self._rest_timer = self.loop.call_later(self.rest_seconds, self.transport.close)
        if self.flow.write_paused and not self.transport.is_closing():
            self._stalled = True
            self.flow.pause_reading()
            return
        super().on_response_complete()
        if self.pipeline:
            # More may come in when all that waits was answered.
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Go on when the client has read on."""
        super().resume_writing()
        if self._stalled:
            self._stalled = False
            self.on_response_complete()

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        super().on_message_begin()
        self._within_message = self._within_head = True
        self._head_bytes = 0

    def _head_size(self) -> int:
        # Four bytes of each field are its colon, its space and its line's end.
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._within_head and not self.transport.is_closing():
            self._refuse(request_timeout("head", self.head_seconds))
        else:
            # Nothing came at all: there is nobody to be answered.
            self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def hang_up(self) -> None:
        """Close the connection when the client has what was written.

        A connection that is closed with bytes unread is reset, and a reset takes the answer away
        from a client that still sends; so what comes is read for a while, and thrown away.
        """
        if self._within_message and self.transport.can_write_eof():
            self._refused = True
            self.transport.write_eof()
            self._head_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be read any further, and hang up."""
        self._refused = True
        self._stop_head_timer()
        if not self._awaits_this:
            self.transport.close()
            return
        if self._within_message and not self._within_head:
            # The application reads the body; for it, the client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        request_id = new_request_id(time.time())
        body = refusal.body(request_id)
        head = [
            STATUS_LINE[refusal.status],
            *(b"%s: %s\r\n" % header for header in self.server_state.default_headers),
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
        """Whether the next answer that the client awaits is that to what it sends now."""
        if self._within_message and not self._within_head:
            return not (self.pipeline or self.cycle.response_started)
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete


def _fault_of(version: str, headers: RawHeaders) -> Refusal | None:
    """What is wrong with how a head frames its request and names its host (RFC 9112)."""
    if version not in {"1.0", "1.1"}:
        return not_implemented(f"HTTP/{version}")
    host: bytes | None = None
    for name, value in headers:
        if name == b"host":
            if host is not None:
                return invalid_request("The header 'host' is there more than once")
            host = value
            if not _HOST.fullmatch(value):
                return invalid_request("The header 'host' is invalid")
        elif name == b"transfer-encoding":
            if version == "1.0":
                return invalid_request("HTTP/1.0 has no 'transfer-encoding'")
            if value.lower() != b"chunked":
                return not_implemented("A 'transfer-encoding' other than 'chunked'")
    if host is None and version != "1.0":
        return invalid_request("The header 'host' is missing")
    return None
