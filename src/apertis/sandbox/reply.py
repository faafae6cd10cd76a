"""The sandbox's reply: a head, and steps that a server carries out one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apertis.sandbox.values import JsonObject

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


# What may have passed by the next attempt; all else is answered the same again.
_PASSING = frozenset({408, 429, 500, 502, 503, 504, 529})
MAX_RETRY_WAIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wait:
    """Send nothing for so long. Before the first bytes it holds back the head of the response too.

    A server sends status and headers together with the first bytes, so that a delay is one also
    for a client that waits for the head.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Drop the connection here, without ending the body. Nothing follows."""


Step: TypeAlias = bytes | Wait | Cut


@dataclass(frozen=True, slots=True)
class Speed:
    """The sandbox's speed: seconds to the first token, then tokens a second.

    By default it answers at once.
    """

    first_token_seconds: float = 0.0
    tokens_per_second: float | None = None

    def seconds_for(self, tokens: int) -> float:
        """Return the time that so many tokens take, the first one's delay left out."""
        return tokens / self.tokens_per_second if self.tokens_per_second else 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One response: the status, the headers (names in lower case) and the steps of its body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    steps: Iterable[Step]

    def header(self, name: str) -> str | None:
        """Return the value of a header, by its name in lower case."""
        return next((value for known, value in self.headers if known == name), None)


@dataclass(frozen=True, slots=True)
class SandboxRefusal:
    """The reason that a request is rejected, in the words of the API."""

    status: int
    message: str
    type: str = ""
    details: JsonObject | None = None

    def body(self, request_id: str) -> JsonObject:
        """Return the API's error envelope (https://docs.claude.com/en/api/errors)."""
        error: JsonObject = {"type": self.type or error_type(self.status), "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return {"type": "error", "error": error, "request_id": request_id}


def invalid(message: str) -> SandboxRefusal:
    """Return a 400 in the API's words."""
    return SandboxRefusal(400, message)


def error_type(status: int) -> str:
    """Return the type that the API gives to errors of this status."""
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_status(type: str) -> int:
    """Return the status that belongs to an error type; 500 for one that the API does not have."""
    return next((status for status, known in _ERROR_TYPES.items() if known == type), 500)


def json_bytes(value: object) -> bytes:
    """Return the value as JSON in UTF-8.

    The separators that some readers of lines take for line ends (U+0085, U+2028, U+2029) are
    escaped, so that no reader of an event stream loses an event to them.
    """
    data = msgspec.json.encode(value)
    return (
        data.replace(b"\xc2\x85", b"\\u0085")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )


def json_reply(status: int, body: object, request_id: str, *headers: tuple[str, str]) -> Reply:
    """Return a plain JSON answer."""
    head = (("content-type", "application/json"), ("request-id", request_id), *headers)
    return Reply(status, head, (json_bytes(body),))


def should_retry(status: int, wait_seconds: float = 0.0) -> bool:
    """Return the value of `x-should-retry` for an error, here and in the gateway.

    Clients sleep as long as `retry-after` says: what opens later is for a person to decide.
    """
    return status in _PASSING and wait_seconds <= MAX_RETRY_WAIT_SECONDS


def error_reply(refusal: SandboxRefusal, request_id: str, *headers: tuple[str, str]) -> Reply:
    """Return an error; `x-should-retry` follows the API unless `headers` have it or say `none`."""
    given = dict(headers)
    said = given.pop("x-should-retry", None)
    if said is None:
        said = "true" if should_retry(refusal.status, _seconds(given)) else "false"
    if said != "none":
        given["x-should-retry"] = said
    return json_reply(refusal.status, refusal.body(request_id), request_id, *given.items())


def _seconds(headers: Mapping[str, str]) -> float:
    """Return the wait that these headers ask for, where it is a number."""
    try:
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1000
        return float(headers.get("retry-after", 0))
    except ValueError:
        return 0.0
