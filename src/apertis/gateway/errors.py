"""The errors that the server itself answers, in one envelope for all clients.

The envelope is Anthropic's, with the service's own `code` and `param` inside `error`, so that
Anthropic's SDKs and Apertis's read the same body.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from apertis.gateway.exchange import Answer, Headers

__all__ = [
    "Refusal",
    "endpoint_not_found",
    "internal_error",
    "invalid_api_key",
    "invalid_request",
    "method_not_allowed",
    "missing_api_key",
    "request_too_large",
]

_CHALLENGE: Headers = (("www-authenticate", "Bearer"),)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered by an upstream."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    headers: Headers = ()

    def body(self, request_id: str | None) -> bytes:
        """Encode the envelope."""
        error = {"type": self.type, "message": self.message, "code": self.code}
        if self.param is not None:
            error["param"] = self.param
        envelope: dict[str, object] = {"type": "error", "error": error}
        if request_id is not None:
            envelope["request_id"] = request_id
        return msgspec.json.encode(envelope)

    def answer(self, request_id: str) -> Answer:
        """Build the whole answer to the request of this id."""
        content_type = ("content-type", "application/json")
        return Answer(self.status, (content_type, *self.headers), self.body(request_id))


def invalid_request(message: str) -> Refusal:
    """Refuse what is not HTTP, or not a request that can be read."""
    return Refusal(400, "invalid_request_error", "invalid_request", message)


def missing_api_key() -> Refusal:
    """Refuse a request that carries no key."""
    message = "API key is missing: send it as 'Authorization: Bearer sk-...' or 'x-api-key: sk-...'"
    return Refusal(401, "authentication_error", "missing_api_key", message, headers=_CHALLENGE)


def invalid_api_key() -> Refusal:
    """Refuse a key that is not known here."""
    message = "Invalid API key provided"
    return Refusal(401, "authentication_error", "invalid_api_key", message, headers=_CHALLENGE)


def endpoint_not_found(method: str, path: str) -> Refusal:
    """Refuse a path that the server does not have."""
    message = f"The requested endpoint does not exist: {method} {path[:200]}"
    return Refusal(404, "not_found_error", "endpoint_not_found", message)


def method_not_allowed(method: str, path: str, allowed: tuple[str, ...]) -> Refusal:
    """Refuse a method that the path does not have."""
    allow = ", ".join(allowed)
    message = f"{method} is not allowed on {path[:200]}; allowed: {allow}"
    headers = (("allow", allow),)
    return Refusal(405, "invalid_request_error", "method_not_allowed", message, headers=headers)


def request_too_large(limit_bytes: int) -> Refusal:
    """Refuse a body above the limit."""
    message = f"Request exceeds the maximum size of {limit_bytes // 2**20} MB"
    return Refusal(413, "request_too_large", "request_too_large", message)


def internal_error() -> Refusal:
    """Answer for a defect of the server; its log has the trace."""
    return Refusal(500, "api_error", "internal_error", "An internal server error occurred")
