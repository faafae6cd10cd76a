"""HTTP responses as bytes, for the steps of a scripted exchange."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def json_response(status: int, obj: object, headers: Mapping[str, str] | None = None) -> bytes:
    """Build a complete response with `obj` as its JSON body and a content length."""
    body = msgspec.json.encode(obj)
    fields = {"content-type": "application/json", "content-length": str(len(body))}
    return _head(status, fields | dict(headers or {})) + body


def sse_response(
    events: Iterable[Mapping[str, object]],
    headers: Mapping[str, str] | None = None,
    *,
    complete: bool = True,
) -> bytes:
    """Build a chunked event stream, an HTTP chunk per event.

    `complete=False` leaves out the last chunk: what a connection that was cut has delivered.
    """
    chunks = [http_chunk(sse_event(event)) for event in events]
    return sse_head(headers) + b"".join(chunks) + (http_chunk(b"") if complete else b"")


def sse_head(headers: Mapping[str, str] | None = None) -> bytes:
    """Return status line and headers of a chunked event stream; `http_chunk`s follow it."""
    fields = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}
    return _head(200, fields | dict(headers or {}))


def sse_event(event: Mapping[str, object]) -> bytes:
    """Return one server-sent event; its name is the `type` of its data, as in the API."""
    return b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), msgspec.json.encode(event))


def http_chunk(data: bytes) -> bytes:
    """Frame `data` as one chunk of a chunked body; empty data is the last chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Status"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
