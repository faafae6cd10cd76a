"""The sandbox over HTTP: what a test talks to in place of the service, faults included.

Unlike the gateway it repairs nothing: a connection that the sandbox cuts is cut.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import TYPE_CHECKING

from apertis.gateway.errors import (
    Refusal,
    internal_error,
    invalid_api_key,
    missing_api_key,
    request_too_large,
)
from apertis.gateway.keys.admission import credential_of, refuse_repeated
from apertis.gateway.serving.asgi import (
    abort,
    coding_of,
    connection_of,
    decoded_body,
    read_body,
    while_connected,
)
from apertis.gateway.serving.endpoints import Endpoint, resolve
from apertis.gateway.upstreams.contract import (
    ClientLeft,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamTimeouts,
    header_values,
)

if TYPE_CHECKING:
    from apertis.gateway.serving.asgi import ASGIMessage, Receive, Scope, Send
    from apertis.gateway.upstreams.contract import Upstream

__all__ = ["StandIn"]

_BODY_SECONDS = 60.0
_WHOLE_BODY_SECONDS = 600.0
_FOR_EVER = UpstreamTimeouts(3600.0, 3600.0, 3600.0)
_CHUNKS_PER_TURN = 32
_SERVED = {Endpoint.MESSAGES, Endpoint.COUNT_TOKENS, Endpoint.MODELS, Endpoint.BATCHES}


class ConnectionCut(ConnectionError):
    """The response ends here: the client's connection is to be dropped."""


class StandIn:
    """The ASGI application: one key, one upstream, and nothing in between."""

    def __init__(self, upstream: Upstream, secret: str, max_body_bytes: int) -> None:
        self._upstream = upstream
        self._secret = secret.encode()
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def tracked(message: ASGIMessage) -> None:
            nonlocal started
            started = True
            await send(message)

        request_id = f"req_{secrets.token_hex(12)}"
        try:
            await self._serve(scope, receive, tracked, request_id)
        except ClientLeft:
            return
        except (ConnectionCut, asyncio.CancelledError):
            # A demanded cut, or a server that stops with this answer under way.
            await abort(scope, receive)
        except BaseException:
            if not started:
                _refuse(internal_error(), request_id, scope)
            raise

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        method: str = scope["method"]
        resolved = resolve(method, scope["path"])
        if isinstance(resolved, Refusal):
            _refuse(resolved, request_id, scope)
            return
        endpoint, path, _ = resolved
        if endpoint not in _SERVED:
            connection_of(scope).answer(200, [_JSON], b'{"status":"ok"}')
            return
        body = self._stranger(scope) or await self._body(scope, receive)
        if isinstance(body, Refusal):
            _refuse(body, request_id, scope)
            return
        query = scope["query_string"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        request = UpstreamRequest(method, target, list(scope["headers"]), body)
        await while_connected(scope, self._answer(request, request_id, send))

    def _stranger(self, scope: Scope) -> Refusal | None:
        repeated = refuse_repeated(scope["headers"])
        if repeated is not None:
            return repeated
        headers = header_values(scope["headers"])
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            return request_too_large(self._max_body_bytes)
        presented = credential_of(headers)
        if presented is None:
            return missing_api_key()
        if not hmac.compare_digest(presented.encode(), self._secret):
            return invalid_api_key()
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes | Refusal:
        limit = self._max_body_bytes
        coding = coding_of(header_values(scope["headers"]).get("content-encoding", ""))
        if isinstance(coding, Refusal):
            return coding
        body = await read_body(scope, receive, limit, _BODY_SECONDS, _WHOLE_BODY_SECONDS)
        return body if isinstance(body, Refusal) else await decoded_body(body, coding, limit)

    async def _answer(self, request: UpstreamRequest, request_id: str, send: Send) -> None:
        answer = await self._upstream.open(request, _FOR_EVER)
        if isinstance(answer, UpstreamFailure):
            raise ConnectionCut
        headers = list(answer.headers)
        if not any(name == b"request-id" for name, _ in headers):
            headers.append((b"request-id", request_id.encode()))
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            sent = 0
            while chunk := await answer.read():
                if isinstance(chunk, UpstreamFailure):
                    raise ConnectionCut
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                sent += 1
                if sent % _CHUNKS_PER_TURN == 0:
                    # Sending alone does not let others have their turn.
                    await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b""})
        finally:
            answer.close()


_JSON = (b"content-type", b"application/json")


def _refuse(refusal: Refusal, request_id: str, scope: Scope) -> None:
    headers = [*refusal.header_lines(), (b"request-id", request_id.encode())]
    connection_of(scope).answer(refusal.status, headers, refusal.body(request_id))
