"""Faults on demand: what a test asks for in the header `x-sandbox-fault`.

The header is a list of words, separated by spaces or semicolons. One of them names the fault:

    status=CODE     answer with this status (300 to 599) and its error body; 3xx names a location
    error-event     end the stream with an `error` event; a plain response gets the error's status
    cut             drop the connection
    truncated       end the body early, without an error and without `message_stop`
    garbage         put bytes into the stream that are no event; a plain response becomes HTML
    empty           a 200 without a body
    stall[=SECONDS] send nothing for so long (default 600), then go on

The others say more about it:

    delay=SECONDS         wait before the first byte; also a fault by itself
    after=N               so many events come first (default 0); of a plain response so many bytes
    type=ERROR_TYPE       for `status` and `error-event` (there by default `overloaded_error`)
    retry-after=SECONDS   for `status`: the header of this name; also `retry-after-ms`
    should-retry=WORD     for `status`: the header `x-should-retry`, `true` or `false`; `none`
                          leaves out the one that the API has
    times=N id=NAME       only the first N requests that carry this id; the rest are answered well

Examples: `status=529; retry-after=1`, `delay=0.2`, `error-event after=3 type=overloaded_error`,
`cut after=5`, `garbage after=2`, `stall after=4`, `status=529 times=2 id=abc`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.sandbox.reply import (
    Cut,
    Reply,
    SandboxRefusal,
    Step,
    Wait,
    error_reply,
    error_status,
    error_type,
    invalid,
)
from apertis.sandbox.streaming import encode_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HEADER = "x-sandbox-fault"

_KINDS = ("status", "error-event", "cut", "truncated", "garbage", "empty", "stall")
_BARE = ("error-event", "cut", "truncated", "garbage", "empty", "stall")
_MAX_SECONDS = 3600.0
_GRAMMAR = (
    "It is a list of words, separated by spaces or semicolons: one of status=CODE, error-event, "
    "cut, truncated, garbage, empty, stall[=SECONDS], and any of delay=SECONDS, after=N, "
    "type=ERROR_TYPE, retry-after=SECONDS, retry-after-ms=N, should-retry=true|false|none, "
    "times=N id=NAME."
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, as the module's docstring describes it."""

    kind: str = ""
    status: int = 0
    type: str = ""
    after: int | None = None
    delay_seconds: float = 0.0
    stall_seconds: float = 600.0
    headers: tuple[tuple[str, str], ...] = ()
    times: int | None = None
    id: str = ""

    @property
    def error_type(self) -> str:
        """The type that an `error` event carries."""
        return self.type or "overloaded_error"

    @property
    def error_status(self) -> int:
        """The status that stands for the error on a plain response."""
        return self.status or error_status(self.error_type)


def parse_fault(header: str) -> Fault | SandboxRefusal:
    """Return the fault that a header asks for, or a 400 that says what is wrong and the grammar."""
    words: dict[str, str] = {}
    for word in re.split(r"[\s;]+", header.strip("; \t")):
        name, equals, value = word.partition("=")
        problem = _word_problem(name, equals, value, words)
        if problem:
            return _refusal(header, problem)
        words[name] = value
    clash = next(_problems_between(words), None)
    if clash:
        return _refusal(header, clash)
    return _fault(words)


def _fault(words: Mapping[str, str]) -> Fault:
    kind = next((name for name in _KINDS if name in words), "")
    headers = [(name, words[name]) for name in ("retry-after", "retry-after-ms") if name in words]
    if "should-retry" in words:
        headers.append(("x-should-retry", words["should-retry"]))
    return Fault(
        kind=kind,
        status=int(words.get("status", 0)),
        type=words.get("type", ""),
        after=int(words["after"]) if "after" in words else None,
        delay_seconds=float(words.get("delay", 0)),
        stall_seconds=float(words.get("stall") or 600),
        headers=tuple(headers),
        times=int(words["times"]) if "times" in words else None,
        id=words.get("id", ""),
    )


def _refusal(header: str, problem: str) -> SandboxRefusal:
    return invalid(f"{HEADER}: {problem} in '{header}'. {_GRAMMAR}")


def _word_problem(name: str, equals: str, value: str, words: Mapping[str, str]) -> str:
    if name in words:
        return f"'{name}' occurs twice"
    if name in _BARE and not equals:
        return ""
    right = {
        "status": value.isascii() and value.isdigit() and 300 <= int(value[:4]) <= 599,
        "stall": _is_seconds(value),
        "delay": _is_seconds(value),
        "retry-after": bool(re.fullmatch(r"[\x21-\x7e]{1,64}", value)),
        "retry-after-ms": _is_count(value),
        "after": _is_count(value),
        "times": _is_count(value),
        "type": bool(re.fullmatch(r"[a-z_]{1,64}", value)),
        "should-retry": value in ("true", "false", "none"),
        "id": bool(re.fullmatch(r"[\w.-]{1,64}", value, re.ASCII)),
    }
    if name not in right:
        return f"'{name}' is not known"
    return "" if right[name] else f"'{name}' cannot be '{value}'"


def _problems_between(words: Mapping[str, str]) -> Iterator[str]:
    kinds = [name for name in _KINDS if name in words]
    if len(kinds) > 1:
        yield f"'{kinds[0]}' and '{kinds[1]}' exclude each other"
    if not kinds and "delay" not in words:
        yield "no fault is named"
    if ("times" in words) != ("id" in words):
        yield "'times' and 'id' need each other"
    for name in ("retry-after", "retry-after-ms", "should-retry"):
        if name in words and "status" not in words:
            yield f"'{name}' needs 'status'"
    if "type" in words and not {"status", "error-event"} & words.keys():
        yield "'type' needs 'status' or 'error-event'"


def _is_seconds(value: str) -> bool:
    try:
        return math.isfinite(float(value)) and 0 <= float(value) <= _MAX_SECONDS
    except ValueError:
        return False


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 10


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
    """Return the reply to a fault that needs no response to spoil, or None."""
    if fault.kind != "status" and (fault.kind != "error-event" or streamed):
        return None
    status = fault.error_status
    head = (("request-id", request_id), *fault.headers)
    if status < 400:
        return Reply(status, (*head, ("location", "/elsewhere")), _delayed(fault, ()))
    kind = fault.type or error_type(status)
    message = _MESSAGES.get(kind, f"The sandbox was asked for status {status}")
    reply = error_reply(SandboxRefusal(status, message, kind), request_id, *fault.headers)
    return Reply(status, reply.headers, _delayed(fault, reply.steps))


def damage(fault: Fault, reply: Reply) -> Reply:
    """Return the reply with the fault in it."""
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
    """Yield a plain body, the fault after as many bytes as `after` says, or halfway."""
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
