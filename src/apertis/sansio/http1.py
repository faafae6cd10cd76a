"""One HTTP/1.1 client connection, as a state machine over `httptools`.

Theory of operation. The shell writes the bytes of a request and calls `begin`. It hands what the
socket gave to `receive`, and calls `end_of_input` when the peer closed its side. After each call it
looks at the facts:

`started`        any byte of the response came
`head_complete`  `status` and `headers` are there, `take_body` gives the decoded body as it comes
`surplus`        more came than was asked for, or the end did: no other request may follow
`complete`       the response is whole; `reusable` says whether the connection may serve another one
`failure`        the response cannot be whole; the sentence says why, the connection must be closed

Interim answers (1xx) are read over. Chunked, length-delimited and close-delimited bodies are
told apart by RFC 9112, section 6.3; a body that ends early is a failure, never a shorter body.
`gzip` and `deflate` are undone within bounds, or not at all: `codings` says which were asked for.
`malformed` is true of a failure that a second try cannot fix. No exception leaves this module for
any input.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from apertis.models import Headers
from apertis.sansio.decoding import Decoder
from apertis.sansio.outcome import Failure

# What nginx and Node.js allow at the most by default is a quarter of this.
MAX_HEAD_BYTES = 64 * 1024

CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
"""The codings that a response may come in, where they are asked for."""
MAX_RATIO = 100
"""Maximum expansion of a compressed response, for each byte received; JSON comes to 3 to 20."""


class Http1Connection:
    """The client's side of one connection. See the module's docstring."""

    __slots__ = (
        "_chunked",
        "_coded",
        "_decoder",
        "_informational",
        "_length_known",
        "_method",
        "_overhead",
        "_parser",
        "body",
        "codings",
        "complete",
        "failure",
        "head_complete",
        "headers",
        "keep_alive",
        "malformed",
        "started",
        "status",
        "surplus",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.surplus = False
        self.codings = CODINGS
        self.begin("GET")

    def begin(self, method: str) -> None:
        """Note that a request was written; its response is awaited."""
        self._method = method
        self.body: list[bytes] = []
        self._chunked = self._coded = False
        self._overhead = 0
        self._decoder: Decoder | None = None
        self._informational = False
        self._length_known = False
        self.complete = False
        self.failure: str | None = None
        self.head_complete = False
        self.headers: list[tuple[bytes, bytes]] = []
        self.keep_alive = False
        self.malformed = False
        self.started = False
        self.status = 0

    def receive(self, data: bytes) -> None:
        """Receive bytes from the peer."""
        if not data:
            return
        if self.complete:
            self.surplus = True
            return
        self.started = True
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # Its head was rejected already.
            self.surplus = True
        except HttpParserError as error:
            # What follows a complete answer is not ours to judge: only reuse is off.
            self.surplus = True
            if not self.complete:
                self._fail(f"the server does not speak HTTP/1.1: {error}")
        if self.body:
            self._overhead = 0
        elif not self.complete:
            # Headers, interim answers, chunk extensions and trailers could go on for ever.
            self._overhead += len(data)
            if self._overhead > MAX_HEAD_BYTES:
                what = "its head is" if not self.head_complete else "what frames its body is"
                self._fail(
                    f"the response cannot be read: {what} larger than {MAX_HEAD_BYTES} bytes"
                )

    def cut_request(self) -> None:
        """Handle a response that came before the request was sent whole: no other may follow it."""
        self.surplus = True

    def end_of_input(self) -> None:
        """Handle the peer's end of sending."""
        self.surplus = True
        if self.complete or self.failure:
            return
        if not self.started:
            self._fail("the server closed the connection without a response")
        elif not self.head_complete:
            self._fail("the server closed the connection inside the head of its response")
        elif self._length_known or self._chunked:
            self._fail("the server closed the connection inside its response")
        else:
            self._finish()

    @property
    def reusable(self) -> bool:
        """True if the next request may use this connection."""
        return self.complete and self.keep_alive and not self.surplus and not self.failure

    def failed(self, where: str) -> Failure | None:
        """Return the failure of the exchange with the server at this address, if there is one."""
        if self.failure is None:
            return None
        failure = Failure(f"{where}: {self.failure}", where, malformed=self.malformed)
        return failure.of(self.status, Headers(self.headers))

    def take_body(self) -> bytes:
        """Return the part of the body that came since the last call."""
        body = self.body
        if len(body) == 1:
            data = body[0]
        elif body:
            data = b"".join(body)
        else:
            return b""
        body.clear()
        return data

    def _fail(self, reason: str) -> None:
        if self.failure is None:
            self.failure = reason

    def _finish(self) -> None:
        if self._decoder is not None and not self._decoder.whole:
            self._fail("the compressed body of the response is damaged or incomplete")
        self.complete = self.failure is None

    # httptools calls what follows from inside feed_data.

    def on_message_begin(self) -> None:
        """Handle the beginning of a response."""
        if self.complete:
            self.surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header or trailer."""
        if self.head_complete:
            # A trailer: the API documents none, and a late header must not change the meaning.
            return
        self.headers.append((name, value.rstrip(b" \t")))
        length = len(name)
        if length < 14 or length > 17:
            return
        lowered = name.lower()
        if lowered == b"content-length":
            self._length_known = True
        elif lowered == b"content-encoding":
            self._coded = True
        elif lowered == b"transfer-encoding":
            self._chunked = True
            if value.strip().lower() != b"chunked":
                self._fail("the server used a transfer coding other than chunked")

    def on_headers_complete(self) -> None:
        """Handle the end of the head."""
        if self.complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._interim(status)
            return
        self.status = status
        self.keep_alive = self._parser.should_keep_alive()
        self.head_complete = True
        if self._method == "HEAD" or status in {204, 304}:
            # Whatever the head says, no body follows; the parser cannot know of HEAD.
            self.surplus = self.surplus or self._method == "HEAD"
            self._finish()
            return
        if self._coded:
            for name, value in self.headers:
                if len(name) == 16 and name.lower() == b"content-encoding":
                    self._decode(value.decode("latin-1").lower())

    def _decode(self, coding: str) -> None:
        """Undo a coding that was asked for, once; of an error, others pass for what they are."""
        if coding in {"", "identity"}:
            return
        if coding in self.codings and self._decoder is None:
            self._decoder = Decoder(coding, max_ratio=MAX_RATIO)
        elif self.status < 300 or not self.codings:
            self.malformed = True
            self._fail(f"the response has the coding {coding[:100]!r}, which was not requested")

    def _interim(self, status: int) -> None:
        if status == 101:
            self._fail("the server switched protocols, which was not requested")
        elif status < 100:
            self._fail(f"the server answered with {status}, which is not a status")
        self._informational = True
        self.headers.clear()
        self._chunked = self._coded = self._length_known = False

    def on_body(self, data: bytes) -> None:
        """Handle a part of the body."""
        if self.complete:
            return
        if self.failure is not None:
            # What the caller will not get is not worth its memory.
            return
        if self._decoder is not None:
            data = self._decoder.feed(data)
            if self._decoder.problem == "too large":
                self.malformed = True
                self._fail(
                    f"the response expands to more than {MAX_RATIO} times its compressed size"
                )
            elif self._decoder.problem:
                self._fail("the compressed body of the response is damaged or incomplete")
        if data:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """Handle the end of the response."""
        if self._informational:
            self._informational = False
        elif not self.complete:
            self._finish()
