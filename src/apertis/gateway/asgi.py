"""The ASGI side of a request: read its body, send its answer, notice that the client left.

The protocol: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from apertis.gateway.exchange import ClientLeft

if TYPE_CHECKING:
    from apertis.gateway.exchange import Answer

__all__ = [
    "ABORT",
    "ASGIApp",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "abort",
    "headers_of",
    "read_body",
    "send_answer",
    "while_connected",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# The scope extension with which our HTTP protocol lets an application drop its connection.
ABORT = "apertis.abort"

# A burst of chunks lets other requests run now and then; sending alone does not yield.
_CHUNKS_PER_TURN = 32
_ROUNDS_TO_CLOSE = 4


def headers_of(scope: Scope) -> dict[str, str]:
    """Read the request's headers, names in lower case; repeated ones are joined by a comma."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def read_body(receive: Receive, limit_bytes: int) -> bytes | None:
    """Read the whole body; None when it is larger than the limit.

    `ClientLeft` when the client closes its connection before the end.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit_bytes:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def send_answer(answer: Answer, send: Send, *, with_body: bool = True) -> None:
    """Send an answer: a known body with its length, chunks each at the moment they come."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    body = answer.body
    if isinstance(body, bytes):
        headers = [header for header in headers if header[0] != b"content-length"]
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body if with_body else b""})
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async with contextlib.aclosing(body):
        await _send_chunks(body, send)


async def _send_chunks(chunks: AsyncGenerator[bytes, None], send: Send) -> None:
    sent = 0
    async for chunk in chunks:
        if chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        sent += 1
        if sent % _CHUNKS_PER_TURN == 0:
            await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


async def while_connected(receive: Receive, work: Awaitable[None]) -> None:
    """Do the work, and give it up at once when the client leaves.

    The request's body must have been read: from then on all that `receive` can report is the
    client's departure.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("while_connected() runs in a task")
    left = finished = False

    def leave(_: asyncio.Task[Message]) -> None:
        nonlocal left
        if not finished:
            left = True
            task.cancel()

    watcher = asyncio.get_running_loop().create_task(_next_message(receive))
    watcher.add_done_callback(leave)
    try:
        await work
    except asyncio.CancelledError:
        # Only the cancellation that came from here may be swallowed.
        if not left or task.uncancel() > 0:
            raise
    finally:
        finished = True
        watcher.cancel()


async def _next_message(receive: Receive) -> Message:
    return await receive()


async def abort(scope: Scope, receive: Receive) -> bool:
    """Drop the client's connection after the bytes that were sent so far.

    False when the HTTP server has no way to do that.
    """
    drop: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT)
    if drop is None:
        return False
    drop()
    # An application that returned earlier would be taken for one that forgot its answer.
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except asyncio.CancelledError:
        # The event loop itself ends. It goes round until this task is done; a connection that
        # has nothing more to deliver needs two rounds to close.
        for _ in range(_ROUNDS_TO_CLOSE):
            await asyncio.sleep(0)
    return True
