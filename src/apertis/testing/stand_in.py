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
from apertis.gateway.serving.bodies import coding_of, decoded_body, read_body
from apertis.gateway.serving.endpoints import Endpoint, resolve
from apertis.gateway.upstreams.contract import (
    ClientLeft,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamTimeouts,
)

if TYPE_CHECKING:
    from apertis.gateway.serving.protocol import ClientExchange
    from apertis.gateway.upstreams.contract import Upstream

_BODY_SECONDS = 60.0
_WHOLE_BODY_SECONDS = 600.0
_FOR_EVER = UpstreamTimeouts(3600.0, 3600.0, 3600.0)
_CHUNKS_PER_TURN = 32
_SERVED = {Endpoint.MESSAGES, Endpoint.COUNT_TOKENS, Endpoint.MODELS, Endpoint.BATCHES}


class ConnectionCut(ConnectionError):
    """The response ends here: the client's connection is to be dropped."""


class StandIn:
    """The application: one key, one upstream, and nothing in between."""

    def __init__(self, upstream: Upstream, secret: str, max_body_bytes: int) -> None:
        self._upstream = upstream
        self._secret = secret.encode()
        self._max_body_bytes = max_body_bytes

    async def __call__(self, exchange: ClientExchange) -> None:
        """Serve one request."""
        request_id = f"req_{secrets.token_hex(12)}"
        try:
            await self._serve(exchange, request_id)
        except ClientLeft:
            return
        except (ConnectionCut, asyncio.CancelledError):
            # A demanded cut, a client who left, or a server that stops with this response under
            # way.
            exchange.gave_up()
            exchange.drop()
        except BaseException:
            _refuse(internal_error(), request_id, exchange)
            raise

    async def _serve(self, exchange: ClientExchange, request_id: str) -> None:
        resolved = resolve(exchange.method, exchange.head.path)
        if isinstance(resolved, Refusal):
            _refuse(resolved, request_id, exchange)
            return
        endpoint, path, _ = resolved
        if endpoint not in _SERVED:
            exchange.answer(200, [_JSON], b'{"status":"ok"}')
            return
        body = self._stranger(exchange) or await self._body(exchange)
        if isinstance(body, Refusal):
            _refuse(body, request_id, exchange)
            return
        target = f"{path}?{exchange.head.query}" if exchange.head.query else path
        request = UpstreamRequest(exchange.method, target, exchange.head.headers, body)
        exchange.ends_with_client = True
        await self._answer(request, request_id, exchange)

    def _stranger(self, exchange: ClientExchange) -> Refusal | None:
        repeated = refuse_repeated(exchange.head.headers)
        if repeated is not None:
            return repeated
        headers = exchange.head.values
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            return request_too_large(self._max_body_bytes)
        presented = credential_of(headers)
        if presented is None:
            return missing_api_key()
        if not hmac.compare_digest(presented.encode(), self._secret):
            return invalid_api_key()
        return None

    async def _body(self, exchange: ClientExchange) -> bytes | Refusal:
        limit = self._max_body_bytes
        coding = coding_of(exchange.head.values.get("content-encoding", ""))
        if isinstance(coding, Refusal):
            return coding
        body = await read_body(exchange, limit, _BODY_SECONDS, _WHOLE_BODY_SECONDS)
        return body if isinstance(body, Refusal) else await decoded_body(body, coding, limit)

    async def _answer(
        self, request: UpstreamRequest, request_id: str, exchange: ClientExchange
    ) -> None:
        answer = await self._upstream.open(request, _FOR_EVER)
        if isinstance(answer, UpstreamFailure):
            raise ConnectionCut
        headers = list(answer.headers)
        if not any(name == b"request-id" for name, _ in headers):
            headers.append((b"request-id", request_id.encode()))
        try:
            exchange.start(answer.status, headers)
            sent = 0
            while chunk := await answer.read():
                if isinstance(chunk, UpstreamFailure):
                    raise ConnectionCut
                exchange.write(chunk)
                await exchange.drain()
                sent += 1
                if sent % _CHUNKS_PER_TURN == 0:
                    # Sending alone does not let others have their turn.
                    await asyncio.sleep(0)
            exchange.end()
        finally:
            answer.close()


_JSON = (b"content-type", b"application/json")


def _refuse(refusal: Refusal, request_id: str, exchange: ClientExchange) -> None:
    headers = [*refusal.header_lines(), (b"request-id", request_id.encode())]
    exchange.answer(refusal.status, headers, refusal.body(request_id))
