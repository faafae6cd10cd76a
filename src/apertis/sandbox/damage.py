"""A good reply to the damaged one that a fault asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.sandbox.reply import Cut, Refusal, Reply, Step, Wait, error_reply, error_type
from apertis.sandbox.streaming import encode_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from apertis.sandbox.faults import Fault

_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head>"
    b"<body><h1>This is not an API</h1></body></html>\n"
)
_NO_EVENT = b'event: content_block_delta\ndata: {"type":"content_block_del<html>\xff\xfe\n\n'
_MESSAGES = {
    "overloaded_error": "Overloaded",
    "rate_limit_error": "This request would exceed your organization's rate limit.",
    "api_error": "Internal server error",
    "authentication_error": "invalid x-api-key",
    "permission_error": "Permission denied",
    "request_too_large": "Request exceeds the maximum size",
}


def refused_at_once(fault: Fault, streamed: bool, request_id: str) -> Reply | None:
    """The reply to a fault that needs no answer to spoil, or None."""
    if fault.kind != "status" and (fault.kind != "error-event" or streamed):
        return None
    status = fault.error_status
    head = (("request-id", request_id), *fault.headers)
    if status < 400:
        return Reply(status, (*head, ("location", "/elsewhere")), _delayed(fault, ()))
    kind = fault.type or error_type(status)
    message = _MESSAGES.get(kind, f"The sandbox was asked for status {status}")
    reply = error_reply(Refusal(status, message, kind), request_id, *fault.headers)
    return Reply(status, reply.headers, _delayed(fault, reply.steps))


def damage(fault: Fault, reply: Reply) -> Reply:
    """The reply with the fault in it."""
    streamed = (reply.header("content-type") or "").startswith("text/event-stream")
    headers = reply.headers
    if fault.kind == "garbage" and not streamed:
        kept = [pair for pair in headers if pair[0] != "content-type"]
        headers = (("content-type", "text/html; charset=utf-8"), *kept)
    steps = _events(fault, reply) if streamed else _bytes(fault, reply)
    return Reply(reply.status, headers, _delayed(fault, steps))


def _delayed(fault: Fault, steps: Iterable[Step]) -> Iterator[Step]:
    if fault.delay_seconds:
        yield Wait(fault.delay_seconds)
    yield from steps


def _events(fault: Fault, reply: Reply) -> Iterator[Step]:
    """The events, the fault before the one that `after` counts to."""
    left = fault.after or 0
    done = fault.kind == ""
    for step in reply.steps:
        if not done and left == 0 and isinstance(step, bytes):
            done = True
            yield from _fault_in_stream(fault, reply)
            if fault.kind not in ("garbage", "stall"):
                return
        left -= isinstance(step, bytes)
        yield step
    if not done:
        yield from _fault_in_stream(fault, reply)


def _fault_in_stream(fault: Fault, reply: Reply) -> Iterator[Step]:
    if fault.kind == "cut":
        yield Cut()
    elif fault.kind == "stall":
        yield Wait(fault.stall_seconds)
    elif fault.kind == "garbage":
        yield _NO_EVENT
    elif fault.kind == "error-event":
        kind = fault.error_type
        error = {"details": None, "type": kind, "message": _MESSAGES.get(kind, kind)}
        yield encode_event(
            {"type": "error", "error": error, "request_id": reply.header("request-id")}
        )


def _bytes(fault: Fault, reply: Reply) -> Iterator[Step]:
    """A plain body, the fault after as many bytes as `after` says, or halfway."""
    if fault.kind == "":
        yield from reply.steps
        return
    yield from (step for step in reply.steps if isinstance(step, Wait))
    body = b"".join(step for step in reply.steps if isinstance(step, bytes))
    if fault.kind == "empty":
        return
    if fault.kind == "garbage":
        yield _HTML
        return
    default = len(body) // 2 if fault.kind == "truncated" else 0
    place = default if fault.after is None else fault.after
    if body[:place]:
        yield body[:place]
    if fault.kind == "cut":
        yield Cut()
    elif fault.kind == "stall":
        yield Wait(fault.stall_seconds)
        yield body[place:]
