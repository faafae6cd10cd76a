"""Wires the server: settings in, an ASGI application out."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from apertis.errors import ConfigurationError
from apertis.gateway.asgi import abort, headers_of, read_body, send_answer, while_connected
from apertis.gateway.errors import Refusal, internal_error, request_too_large
from apertis.gateway.exchange import Answer, ClientLeft, ConnectionCut, Request
from apertis.gateway.pipeline import Pipeline
from apertis.gateway.routes.table import Endpoint, resolve
from apertis.gateway.store.key_file import load_keys
from apertis.gateway.upstreams.sandbox import SandboxUpstream

if TYPE_CHECKING:
    from apertis.gateway.asgi import ASGIApp, Message, Receive, Scope, Send
    from apertis.gateway.config import Settings
    from apertis.gateway.keys.admission import KeyRecord

__all__ = ["Application", "create_app"]

_ALIVE = Answer(200, (("content-type", "application/json"),), b'{"status":"ok"}')


def create_app(settings: Settings, keys: tuple[KeyRecord, ...] | None = None) -> ASGIApp:
    """Build the ASGI application.

    `keys` are the ones that may come in; without them those below its data directory are read,
    and `ConfigurationError` says when there are none yet.
    """
    known = load_keys(settings.store.directory) if keys is None else keys
    if known is None:
        raise ConfigurationError(
            f"no key below {settings.store.directory} yet: 'apertis serve' makes one"
        )
    upstream = SandboxUpstream(
        settings.sandbox.first_token_seconds, settings.sandbox.tokens_per_second
    )
    return Application(Pipeline(known, upstream), settings.server.max_body_bytes)


class Application:
    """The ASGI application: routes, bodies, answers, and what happens when one breaks off."""

    def __init__(self, pipeline: Pipeline, max_body_bytes: int) -> None:
        self._pipeline = pipeline
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"this application speaks HTTP only, not {scope['type']}")
        started = False

        async def tracked_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        request_id = f"req_{secrets.token_hex(12)}"
        try:
            await self._serve(scope, receive, tracked_send, request_id)
        except ClientLeft:
            return
        except (ConnectionCut, asyncio.CancelledError):
            # A demanded cut, or a server that stops with this answer under way.
            if not await abort(scope, receive):
                raise
        except BaseException:
            # A defect: the server logs its trace, and the client learns as much as it may.
            if not started:
                await _send(internal_error(), request_id, send)
            raise

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        headers = headers_of(scope)
        method: str = scope["method"]
        resolved = resolve(method, scope["path"])
        if isinstance(resolved, Refusal):
            await _send(resolved, request_id, send, with_body=method != "HEAD")
            return
        endpoint, path = resolved
        if endpoint is not Endpoint.API:
            await send_answer(_ALIVE, send, with_body=method != "HEAD")
            return
        refusal = self._pipeline.admit(headers) or self._too_large(headers)
        body = None if refusal else await read_body(receive, self._max_body_bytes)
        if body is None:
            await _send(refusal or request_too_large(self._max_body_bytes), request_id, send)
            return
        query = scope["query_string"].decode("latin-1")
        request = Request(request_id, method, path, query, headers, body)
        await while_connected(receive, self._answer(request, send))

    def _too_large(self, headers: dict[str, str]) -> Refusal | None:
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            return request_too_large(self._max_body_bytes)
        return None

    async def _answer(self, request: Request, send: Send) -> None:
        answer = await self._pipeline.forward(request)
        await send_answer(_with_request_id(answer, request.id), send)


def _with_request_id(answer: Answer, request_id: str) -> Answer:
    if any(name == "request-id" for name, _ in answer.headers):
        return answer
    return Answer(answer.status, (*answer.headers, ("request-id", request_id)), answer.body)


async def _send(refusal: Refusal, request_id: str, send: Send, *, with_body: bool = True) -> None:
    answer = _with_request_id(refusal.answer(request_id), request_id)
    await send_answer(answer, send, with_body=with_body)
