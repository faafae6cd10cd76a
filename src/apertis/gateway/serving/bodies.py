"""Bodies of requests: read completely, in time, within a limit, and decoded."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

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
    from apertis.gateway.serving.protocol import ClientExchange

# To decode a larger one takes longer than others should wait.
_SMALL_BODY_BYTES = 4 * 1024


async def read_body(
    exchange: ClientExchange, limit_bytes: int, timeout_seconds: float, total_seconds: float
) -> bytes | Refusal:
    """Read the whole body, or say why it is rejected.

    `timeout_seconds` bounds the wait for each piece, `total_seconds` that for all of them.
    `ClientLeft` when the client closes its connection before the end.
    """
    end = time.monotonic() + total_seconds
    before = exchange.received_bytes
    while not _has_come(exchange, limit_bytes):
        rest = end - time.monotonic()
        timer = exchange.loop.call_later(max(min(timeout_seconds, rest), 0.0), exchange.wake)
        try:
            await exchange.more_body(limit_bytes)
        finally:
            timer.cancel()
        if _has_come(exchange, limit_bytes):
            break
        # A timer can be a millisecond early: what it was set to says which one it was.
        if rest <= timeout_seconds:
            return request_timeout("body", total_seconds, whole=True)
        if exchange.received_bytes == before:
            return request_timeout("body", timeout_seconds)
        before = exchange.received_bytes
    if exchange.is_lost:
        raise ClientLeft
    if exchange.received_bytes > limit_bytes:
        return request_too_large(limit_bytes)
    return exchange.take_body() or b""


def _has_come(exchange: ClientExchange, limit_bytes: int) -> bool:
    return exchange.is_whole or exchange.received_bytes > limit_bytes or exchange.is_lost


def coding_of(content_encoding: str) -> str | Refusal:
    """Return the body's single coding, `identity` if none; a refusal if it is unsupported."""
    words = [word.strip().lower() for word in content_encoding.split(",")]
    names = [word for word in words if word not in {"", "identity"}]
    if not names:
        return "identity"
    known = codings()
    if len(names) > 1 or names[0] not in known:
        return unsupported_encoding(content_encoding, known)
    return names[0]


async def decoded_body(body: bytes, coding: str, limit_bytes: int) -> bytes | Refusal:
    """Decompress a body; a refusal if it is too large, or damaged."""
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
