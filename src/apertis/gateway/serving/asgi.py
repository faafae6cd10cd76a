"""The ASGI side of a request: read its body, send its answer, notice that the client left.

The protocol: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from apertis.gateway.errors import (
    Refusal,
    invalid_request,
    request_timeout,
    request_too_large,
    unsupported_encoding,
)
from apertis.gateway.upstreams.contract import ClientLeft
from apertis.sansio.decoding import Decoder, codings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from apertis.gateway.upstreams.contract import RawHeaders

__all__ = [
    "CALLER",
    "CONNECTION",
    "REQUEST_ID",
    "ASGIApp",
    "ASGIMessage",
    "ClientConnection",
    "Receive",
    "Scope",
    "Send",
    "abort",
    "coding_of",
    "connection_of",
    "decoded_body",
    "read_body",
    "while_connected",
]

Scope = MutableMapping[str, Any]
ASGIMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIMessage]]
Send = Callable[[ASGIMessage], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# The scope extension in which our HTTP protocol gives the client's connection.
CONNECTION = "apertis.connection"
# The keys of the scope under which a request's id stands, and the key that it was let in with.
REQUEST_ID = "apertis.request_id"
CALLER = "apertis.caller"

_ROUNDS_TO_CLOSE = 4
# To decode a larger one takes longer than others should wait.
_SMALL_BODY_BYTES = 4 * 1024


class ClientConnection(Protocol):
    """The connection that a request came over."""

    on_lost: Callable[[], object] | None
    """Called when the client leaves."""

    def take_body(self) -> bytes | None:
        """Give the request's body if all of it is there, so that nothing need be awaited."""
        ...

    def want_body(self, limit_bytes: int) -> None:
        """Let `receive` give the body as a whole, or what there is once it exceeds the limit."""
        ...

    @property
    def received_bytes(self) -> int:
        """How much of the body is there and was not taken."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether the client left."""
        ...

    def drop(self) -> None:
        """Deliver what was written, and end the connection."""
        ...

    def answer(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Write a whole answer; to `HEAD`, its head only."""
        ...

    def start(self, status: int, headers: RawHeaders) -> None:
        """Write the head of an answer whose body is still to come."""
        ...

    def write(self, data: bytes) -> None:
        """Write a piece of its body."""
        ...

    def end(self) -> None:
        """Write the end of its body."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the client reads more slowly than is written."""
        ...

    async def drain(self) -> None:
        """Wait until the client has read on."""
        ...


def connection_of(scope: Scope) -> ClientConnection:
    """Give the client's connection; all requests of the gateway's own server have one."""
    connection: ClientConnection = scope["extensions"][CONNECTION]
    return connection


async def read_body(
    scope: Scope,
    receive: Receive,
    limit_bytes: int,
    timeout_seconds: float,
    total_seconds: float,
) -> bytes | Refusal:
    """Read the whole body, or say why it is refused.

    `timeout_seconds` bounds the wait for each piece, `total_seconds` that for all of them.
    `ClientLeft` when the client closes its connection before the end.
    """
    connection = connection_of(scope)
    body = connection.take_body()
    if body is not None:
        # The usual case, in which nothing is waited for.
        return body if len(body) <= limit_bytes else request_too_large(limit_bytes)
    connection.want_body(limit_bytes)
    before = connection.received_bytes
    end = time.monotonic() + total_seconds
    while True:
        try:
            async with asyncio.timeout(min(timeout_seconds, end - time.monotonic())):
                message = await receive()
        except TimeoutError:
            if time.monotonic() >= end:
                return request_timeout("body", total_seconds, whole=True)
            if connection.received_bytes == before:
                return request_timeout("body", timeout_seconds)
            before = connection.received_bytes
            continue
        if message["type"] == "http.disconnect":
            raise ClientLeft
        whole: bytes = message.get("body", b"")
        # It comes as a whole, or too large.
        if message.get("more_body", False) or len(whole) > limit_bytes:
            return request_too_large(limit_bytes)
        return whole


def coding_of(content_encoding: str) -> str | Refusal:
    """The one coding that a body is in, `identity` if none; a refusal if it is not understood."""
    words = [word.strip().lower() for word in content_encoding.split(",")]
    names = [word for word in words if word not in {"", "identity"}]
    if not names:
        return "identity"
    known = codings()
    if len(names) > 1 or names[0] not in known:
        return unsupported_encoding(content_encoding, known)
    return names[0]


async def decoded_body(body: bytes, coding: str, limit_bytes: int) -> bytes | Refusal:
    """What a compressed body holds; a refusal if that is too large, or damaged."""
    if coding == "identity":
        return body
    if len(body) <= _SMALL_BODY_BYTES:
        return _decoded(body, coding, limit_bytes)
    return await asyncio.to_thread(_decoded, body, coding, limit_bytes)


def _decoded(body: bytes, coding: str, limit_bytes: int) -> bytes | Refusal:
    decoder = Decoder(coding, max_bytes=limit_bytes)
    whole = decoder.feed(body)
    if decoder.problem == "too large":
        return request_too_large(limit_bytes)
    if not decoder.whole:
        return invalid_request(
            f"Invalid request format: the body is damaged, or not {coding} as its "
            "content-encoding says"
        )
    return whole


async def while_connected(scope: Scope, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, and give it up at once when the client leaves; False says that it left."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("while_connected() runs in a task")
    connection = connection_of(scope)
    left = False

    def leave() -> None:
        nonlocal left
        left = True
        task.cancel()

    connection.on_lost = leave
    try:
        await work
    except asyncio.CancelledError:
        # Only the cancellation that came from here may be swallowed.
        if not left or task.uncancel() > 0:
            raise
        return False
    finally:
        connection.on_lost = None
    return True


async def abort(scope: Scope, receive: Receive) -> None:
    """Drop the client's connection after the bytes that were sent so far."""
    connection_of(scope).drop()
    # An application that returned earlier would be taken for one that forgot its answer.
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except asyncio.CancelledError:
        # The event loop itself ends. It goes round until this task is done; a connection that
        # has nothing more to deliver needs two rounds to close.
        for _ in range(_ROUNDS_TO_CLOSE):
            await asyncio.sleep(0)
