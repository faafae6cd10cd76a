"""Every way a call can fail, as one tree.

::

    ApertisError
    ├── ParameterError (also a TypeError)      the caller: a parameter that cannot be sent
    ├── MissingAPIKeyError                     the caller: no key was given
    ├── ConfigurationError (also a ValueError) the caller: a setting that cannot work
    └── APIError                               a call was made; `request_id`, `partial`
        ├── APIConnectionError                 the network: no complete answer came
        │   ├── APITimeoutError                one of the four deadlines passed; `deadline`
        │   └── StreamTruncatedError           a stream ended early; `partial` has what came
        │       └── StreamTimeoutError         also an APITimeoutError
        ├── APIResponseError                   the service: a response that cannot be read
        └── APIStatusError                     the service said no; `status`, `type`, `code`
            ├── RedirectError                  3xx; redirects are not followed
            ├── BadRequestError 400            ├── AuthenticationError 401
            ├── PaymentRequiredError 402       ├── PermissionDeniedError 403
            ├── NotFoundError 404              ├── RequestTimeoutError 408
            ├── ConflictError 409              ├── PreconditionFailedError 412
            ├── ContentTooLargeError 413       ├── UnprocessableEntityError 422
            ├── RateLimitError 429             ├── RequestHeaderFieldsTooLargeError 431
            ├── ClientClosedRequestError 499
            └── InternalServerError            any other status from 500 on
                ├── HTTPNotImplementedError 501   ├── ServiceUnavailableError 503
                ├── GatewayTimeoutError 504       └── OverloadedError 529

Errors pickle, and none shows a key: what looks like one is blanked in messages and bodies.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.models import Message, ResponseInfo

_SECRET = re.compile(r"\b(sk-(?:sub-|ant-)?)[A-Za-z0-9_-]{8,}")
# A shorter key is a stand-in such as "x" or "test", which words have in them.
LONG_SECRET = 8


def redact(text: str, *secrets: str) -> str:
    """Return the text with the secrets, and everything that looks like an API key, blanked."""
    for secret in secrets:
        if len(secret) < LONG_SECRET:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
        else:
            text = text.replace(secret, "***")
    return _SECRET.sub(r"\1***", text)


class ApertisError(Exception):
    """The root: catches whatever this library raises on purpose."""

    def __init__(self, message: str) -> None:
        self.message = redact(message)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    kind: type[ApertisError], args: tuple[object, ...], state: dict[str, Any]
) -> ApertisError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ParameterError(ApertisError, TypeError):
    """A parameter is missing or cannot be sent. Nothing was sent."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ConfigurationError(ApertisError, ValueError):
    """A setting of the client cannot work. Nothing was sent."""


class MissingAPIKeyError(ApertisError):
    """No API key was given, neither as `api_key` nor in `APERTIS_API_KEY`."""


class APIError(ApertisError):
    """A call was made and did not give a result.

    `request_id` is the service's name for the request, where it told one. `partial` is the message
    as far as received, with its usage, where a stream had begun. `retries` counts the tries before.
    """

    request_id: str | None = None
    partial: Message | None = None
    retries: int = 0


class APIConnectionError(APIError):
    """No complete answer came: the server was unreachable, or the connection broke."""


class APITimeoutError(APIConnectionError):
    """A deadline passed; `deadline` says which: connect, response, idle or total."""

    deadline: str = "total"


class StreamTruncatedError(APIConnectionError):
    """A stream ended without `message_stop`; `partial` is the message as far as received."""


class StreamTimeoutError(StreamTruncatedError, APITimeoutError):
    """A stream fell silent for longer than `idle`, or ran past `total`."""


class APIResponseError(APIError):
    """A response that is not a valid API response: HTML, truncated JSON, a missing field.

    `status` is its HTTP status, `body` the beginning of what came.
    """

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] | None = None


class APIStatusError(APIError):
    """The service rejected the request or failed.

    `status` is the HTTP status (for an error inside a stream, the one that its type stands for),
    `type`, `code` and `param` are the service's own, `body` is the decoded error document or the
    text that came, `retry_after` is in seconds, `headers` are the response's, `response` tells how
    it came.
    """

    status: int = 0
    type: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    body: Any = None
    headers: Mapping[str, str] | None = None
    response: ResponseInfo

    @property
    def status_code(self) -> int:
        """The HTTP status, by the name that other SDKs use."""
        return self.status


class RedirectError(APIStatusError):
    """3xx: the server points elsewhere. `location` says where; it was not followed."""

    location: str | None = None


class BadRequestError(APIStatusError):
    """400: the request is not valid."""


class AuthenticationError(APIStatusError):
    """401: the key is missing, unknown or expired."""


class PaymentRequiredError(APIStatusError):
    """402: the quota or the balance is used up."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such model, object or path."""


class RequestTimeoutError(APIStatusError):
    """408: the service waited too long for the request."""


class ConflictError(APIStatusError):
    """409: the request collides with another one."""


class PreconditionFailedError(APIStatusError):
    """412: a stated condition does not hold."""


class ContentTooLargeError(APIStatusError):
    """413: the body is larger than the service takes (32 MB for a message)."""


class UnprocessableEntityError(APIStatusError):
    """422: understood, but it cannot be done."""


class RateLimitError(APIStatusError):
    """429: too many requests or tokens; `retry_after` says how long to wait."""


class RequestHeaderFieldsTooLargeError(APIStatusError):
    """431: the headers are too large."""


class ClientClosedRequestError(APIStatusError):
    """499: a proxy saw the caller leave."""


class InternalServerError(APIStatusError):
    """5xx: the service failed."""


class HTTPNotImplementedError(InternalServerError):
    """501: the service cannot do this."""


class ServiceUnavailableError(InternalServerError):
    """503: the service cannot answer now."""


class GatewayTimeoutError(InternalServerError):
    """504: the upstream did not answer in time."""


class OverloadedError(InternalServerError):
    """529: the model is overloaded."""


BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    409: ConflictError,
    412: PreconditionFailedError,
    413: ContentTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    431: RequestHeaderFieldsTooLargeError,
    499: ClientClosedRequestError,
    501: HTTPNotImplementedError,
    503: ServiceUnavailableError,
    504: GatewayTimeoutError,
    529: OverloadedError,
}

# An error inside a stream has no status of its own: its type stands for one.
STATUS_BY_TYPE: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def status_error_class(status: int) -> type[APIStatusError]:
    """Return the class for an HTTP status that is no success."""
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status >= 500:
        return InternalServerError
    return RedirectError if 300 <= status < 400 else APIStatusError
