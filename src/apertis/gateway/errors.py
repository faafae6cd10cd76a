"""The errors that the gateway itself answers, in one envelope for all clients.

The envelope is Anthropic's, with the service's own `code` and `param` inside `error`, so that
Anthropic's SDKs and Apertis's read the same body. Errors of an upstream pass as received.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec

from apertis.errors import ApertisError
from apertis.models.json import on_one_line
from apertis.sandbox.reply import should_retry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.upstreams.contract import Headers, RawHeaders


class StoreUnavailableError(ApertisError):
    """The database did not do it: nothing was changed, and the same call may succeed later."""


class StoreSilentError(StoreUnavailableError):
    """The database did not answer in time, and whoever asks next may wait as long."""


class LockLostError(StoreUnavailableError):
    """The store belongs to another gateway now: what this one counts, it counts alone."""


BudgetRefusals = Literal["auto", "402", "429"]
"""Status of a used-up budget: 402, or 429 as Claude Code reads it."""

_CHALLENGE: Headers = (("www-authenticate", "Bearer"),)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason that the gateway itself rejects a request."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    headers: Headers = ()
    # The API's own word for it, where clients go by that.
    error_code: str | None = None
    # The status may pass, this cannot before somebody has changed a setting.
    lasting: bool = False
    # The same as Claude Code understands it, where that has its own form for it.
    unified: Refusal | None = None

    def header_lines(self, wait_seconds: int | None = None) -> RawHeaders:
        """Return its headers as they are sent.

        `wait_seconds` is what another `retry-after` says, which is sent in place of its own.
        """
        lines: RawHeaders = [(b"content-type", b"application/json")]
        wait = wait_seconds or 0
        for name, value in self.headers:
            if name == "retry-after":
                if wait_seconds is not None:
                    continue
                wait = int(value)
            lines.append((name.encode(), value.encode()))
        retry = should_retry(self.status, wait) and not self.lasting
        lines.append((b"x-should-retry", b"true" if retry else b"false"))
        return lines

    def body(self, request_id: str | None) -> bytes:
        """Encode the envelope."""
        error: dict[str, object] = {
            "type": self.type,
            "message": self.message,
            "code": self.code,
        }
        if self.param is not None:
            error["param"] = self.param
        if self.error_code is not None:
            error["details"] = {"error_code": self.error_code}
        envelope: dict[str, object] = {"type": "error", "error": error}
        if request_id is not None:
            envelope["request_id"] = request_id
        return msgspec.json.encode(envelope)

    def told(self, *, to_claude_code: bool, budgets: BudgetRefusals = "auto") -> Refusal:
        """Give the same as its caller understands it; `budgets` is what the settings say of those.

        To Claude Code a 403 is a failed sign-in, and a used-up budget is a 429.
        """
        if self.unified is not None:
            wants_unified = budgets == "429" or (budgets == "auto" and to_claude_code)
            return self.unified if wants_unified else self
        if to_claude_code and self.code == "model_access_denied":
            return replace(self, status=400, type="invalid_request_error")
        return self

    def with_headers(self, pairs: Iterable[tuple[bytes, bytes]]) -> Refusal:
        """Give the same with more headers."""
        more = tuple((name.decode(), value.decode()) for name, value in pairs)
        return replace(self, headers=self.headers + more)

    def event(self, request_id: str | None) -> bytes:
        """Encode the event that ends a stream."""
        return b"event: error\ndata: " + on_one_line(self.body(request_id)) + b"\n\n"


def invalid_request(message: str, param: str | None = None) -> Refusal:
    """Reject what is not HTTP, or not a request that can be read."""
    return Refusal(400, "invalid_request_error", "invalid_request", message, param)


def invalid_parameter(param: str, message: str) -> Refusal:
    """Reject a field with an invalid value."""
    return Refusal(400, "invalid_request_error", "invalid_parameter", message, param)


def invalid_value(param: str, expected: str) -> Refusal:
    """Reject a field, or a query parameter, that is not what is expected."""
    return invalid_parameter(param, f"Invalid value for parameter '{param}': {expected}")


def missing_parameter(param: str) -> Refusal:
    """Reject a body without a field that the gateway itself needs."""
    message = f"Missing required parameter '{param}'"
    return Refusal(400, "invalid_request_error", "missing_parameter", message, param)


def thread_unsupported_request(reason: str) -> Refusal:
    """Reject the continuation of an upstream's thread; in full the conversation may be allowed."""
    message = f"{reason}; send the whole conversation without 'thread' instead"
    code = "thread_unsupported_request"
    return Refusal(400, "invalid_request_error", code, message, "thread", error_code=code)


def missing_api_key() -> Refusal:
    """Reject a request that carries no key."""
    message = "API key is missing: send it as 'Authorization: Bearer sk-...' or 'x-api-key: sk-...'"
    return Refusal(401, "authentication_error", "missing_api_key", message, headers=_CHALLENGE)


def invalid_api_key(message: str = "Invalid API key provided") -> Refusal:
    """Reject a key that is not known here, or is disabled."""
    return Refusal(401, "authentication_error", "invalid_api_key", message, headers=_CHALLENGE)


def expired_api_key(expired_at: str) -> Refusal:
    """Reject an expired key."""
    message = f"API key has expired (at {expired_at})"
    return Refusal(401, "authentication_error", "expired_api_key", message, headers=_CHALLENGE)


def quota_exceeded(message: str = "You have exceeded your quota") -> Refusal:
    """Reject what the key's quota cannot pay for."""
    return Refusal(402, "billing_error", "quota_exceeded", message)


def access_denied(message: str = "Access denied to this resource") -> Refusal:
    """Reject what this key may not do at all."""
    return Refusal(403, "permission_error", "access_denied", message)


BILLING_POLICY_DENIED = access_denied(
    "This API key may not bill somebody else: leave 'billing_policy' out, or have its "
    "administrator allow it"
)
"""Error for a `billing_policy` that bills somebody else, sent with a key that may not."""


ADMINISTRATORS_ONLY = access_denied("This needs an administrator's key; the given key is not one")
"""Error for a request to the admin API with any other key."""


PERSON_DISABLED = access_denied(
    "The person for whom this is sent (x-claude-gateway-user-id, -email) is disabled here"
)
"""Error for a request that a trusted gateway sends for a person who is disabled."""


PERSON_UNKNOWN = access_denied(
    "Nobody is known here by what x-claude-gateway-user-id or x-claude-gateway-user-email say; an "
    "administrator can add them: apertis people create"
)
"""Error for a request that a trusted gateway sends for somebody unknown, if the settings say so."""


def model_access_denied(model: str) -> Refusal:
    """Reject a model that the key may not use."""
    message = f"Your API key does not have access to this model: '{model[:200]}'"
    return Refusal(403, "permission_error", "model_access_denied", message, "model")


def unpriced_model(model: str) -> Refusal:
    """Reject a model whose price is unknown to a key that has a quota."""
    message = (
        f"The model '{model[:200]}' has no price here, so a key with a quota may not use it; "
        "its administrator can add a price"
    )
    return Refusal(403, "permission_error", "model_access_denied", message, "model")


def ip_not_allowed(address: str) -> Refusal:
    """Reject an address that is not in the key's list."""
    message = f"Request from this IP is not allowed: {address}"
    return Refusal(403, "permission_error", "ip_not_allowed", message)


def model_not_found(model: str) -> Refusal:
    """Reject a model that no upstream has."""
    message = f"The model '{model[:200]}' does not exist"
    return Refusal(404, "not_found_error", "model_not_found", message, "model")


def endpoint_not_found(method: str, path: str, hint: str = "") -> Refusal:
    """Reject a path that the server does not have; `hint` says which one may be meant."""
    message = f"The requested endpoint does not exist: {method} {path[:200]}{hint}"
    return Refusal(404, "not_found_error", "endpoint_not_found", message)


def not_found(message: str) -> Refusal:
    """Reject an object that does not exist, or is not this key's."""
    return Refusal(404, "not_found_error", "not_found", message)


def method_not_allowed(method: str, path: str, allowed: tuple[str, ...]) -> Refusal:
    """Reject a method that the path does not have."""
    allow = ", ".join(allowed)
    message = f"{method} is not allowed on {path[:200]}; allowed: {allow}"
    headers = (("allow", allow),)
    return Refusal(405, "invalid_request_error", "method_not_allowed", message, headers=headers)


def request_timeout(part: str, seconds: float, *, whole: bool = False) -> Refusal:
    """Reject a request whose head or body does not come, or not as a `whole` in time."""
    message = f"The request's {part} stopped coming: it was awaited for {seconds:g} seconds"
    if whole:
        message = f"The request's {part} did not come as a whole within {seconds:g} seconds"
    return Refusal(408, "timeout_error", "request_timeout", message)


def conflict(message: str, param: str | None = None) -> Refusal:
    """Reject a change that contradicts what is there."""
    return Refusal(409, "conflict_error", "conflict", message, param)


def request_too_large(limit_bytes: int) -> Refusal:
    """Reject a body above the limit."""
    shown = f"{limit_bytes // 2**20} MB" if limit_bytes >= 2**20 else f"{limit_bytes} bytes"
    message = f"Request exceeds the maximum size of {shown}"
    return Refusal(413, "request_too_large", "request_too_large", message)


def unsupported_encoding(coding: str, understood: tuple[str, ...]) -> Refusal:
    """Reject a body whose `content-encoding` is not understood."""
    accepted = ", ".join(understood)
    message = f"The content-encoding {coding[:100]!r} is not understood; understood: {accepted}"
    headers = (("accept-encoding", accepted),)
    return Refusal(415, "invalid_request_error", "invalid_request", message, headers=headers)


def rate_limit_exceeded(retry_after_seconds: int, what: str) -> Refusal:
    """Reject what comes too fast; `what` names the limit that was met."""
    message = (
        f"Rate limit exceeded ({what}). Please wait {retry_after_seconds} s before making more "
        "requests."
    )
    headers = (("retry-after", str(retry_after_seconds)),)
    return Refusal(429, "rate_limit_error", "rate_limit_exceeded", message, headers=headers)


def head_too_large(limit_bytes: int) -> Refusal:
    """Reject a head above the limit."""
    message = f"The request's head exceeds {limit_bytes} bytes"
    return Refusal(431, "invalid_request_error", "headers_too_large", message)


def trailers_too_large(limit_bytes: int) -> Refusal:
    """Reject trailers, or what else frames a body, above the limit."""
    message = f"The request's trailers, or the extensions of its chunks, exceed {limit_bytes} bytes"
    return Refusal(431, "invalid_request_error", "headers_too_large", message)


def not_implemented(what: str) -> Refusal:
    """Reject an unsupported part of HTTP."""
    message = f"{what} is not supported"
    return Refusal(501, "invalid_request_error", "invalid_request", message)


def internal_error() -> Refusal:
    """Answer for a defect of the server; its log has the trace."""
    return Refusal(500, "api_error", "internal_error", "An internal server error occurred")


def upstream_error(reason: str) -> Refusal:
    """Answer for an upstream that gave no response, or broke one off."""
    message = f"Error communicating with upstream provider: {reason}"
    return Refusal(502, "api_error", "upstream_error", message)


def credential_refused() -> Refusal:
    """Answer for an upstream that refuses the gateway's own credential.

    A 401 would tell the caller to look at a key that is none of his.
    """
    return replace(upstream_error("it rejected the gateway's own credential"), lasting=True)


def upstream_redirect(status: int) -> Refusal:
    """Answer for an upstream that points elsewhere.

    To where is not said: the caller's client would follow it with the key of the gateway.
    """
    reason = (
        f"it redirects (status {status}), which is not followed; the administrator of the gateway "
        "should check the upstream's base_url"
    )
    return upstream_error(reason)


def service_unavailable(message: str = "Service temporarily unavailable") -> Refusal:
    """Answer when the gateway itself cannot serve now."""
    headers = (("retry-after", "1"),)
    return Refusal(503, "api_error", "service_unavailable", message, headers=headers)


def model_overloaded(model: str) -> Refusal:
    """Answer when the gateway has too much to do for this model."""
    message = f"The model is currently overloaded: '{model[:200]}'"
    headers = (("retry-after", "1"),)
    return Refusal(503, "overloaded_error", "model_overloaded", message, headers=headers)


def upstream_timeout(reason: str) -> Refusal:
    """Answer for an upstream that did not answer in time."""
    message = f"The upstream provider did not answer in time: {reason}"
    return Refusal(504, "timeout_error", "upstream_timeout", message)
