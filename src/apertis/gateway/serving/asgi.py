"""ASGI for the parts that are written for it: the administration, made with Starlette.

The protocol: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from apertis.gateway.errors import Refusal
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.serving.protocol import ClientExchange
    from apertis.gateway.upstreams.contract import RawHeaders

Scope = MutableMapping[str, Any]
ASGIMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIMessage]]
Send = Callable[[ASGIMessage], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# The keys of the scope under which a request's id stands, the key that it was allowed with, and
# the client's address, which a trusted proxy may have told.
REQUEST_ID = "apertis.request_id"
CALLER = "apertis.caller"
ADDRESS = "apertis.address"


class ServedConsole(NamedTuple):
    """The console: its pages, and the key of whoever is signed in, as a chat's request shows it."""

    pages: ASGIApp
    chat_key: Callable[[Scope], Awaitable[Key | Refusal]]


async def serve(
    app: ASGIApp,
    exchange: ClientExchange,
    path: str,
    body: bytes,
    facts: dict[str, Any],
    started: Callable[[int, RawHeaders], RawHeaders],
) -> None:
    """Let an ASGI application answer a request whose body was read.

    `facts` go into its scope; `started` is given status and headers, and gives those to send.
    """
    scope = scope_of(exchange, path, facts)
    bodies = [body]
    status, headers = 0, list[tuple[bytes, bytes]]()

    async def receive() -> ASGIMessage:
        if bodies:
            return {"type": "http.request", "body": bodies.pop()}
        await exchange.left()
        return {"type": "http.disconnect"}

    async def send(message: ASGIMessage) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            # The exchange frames the body itself.
            headers = [header for header in message["headers"] if header[0] != b"content-length"]
            headers = started(status, headers)
            return
        data, more = message.get("body", b""), message.get("more_body", False)
        if not (more or exchange.started):
            exchange.answer(status, headers, data)
            return
        exchange.start(status, headers)
        exchange.write(data)
        if more:
            await exchange.drain()
        else:
            exchange.end()

    await app(scope, receive, send)


def scope_of(exchange: ClientExchange, path: str, facts: dict[str, Any]) -> Scope:
    """Return the scope of a request, with `facts` in it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        **exchange.connection,
        "method": exchange.method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": exchange.head.query.encode("latin-1"),
        "headers": [*exchange.head.headers, *_length(exchange)],
        **facts,
    }


def _length(exchange: ClientExchange) -> RawHeaders:
    length = exchange.length
    return [] if length is None else [(b"content-length", b"%d" % length)]
