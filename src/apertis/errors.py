"""Every way a call can fail, as one tree.

::

    ApertisError
    ├── ParameterError                         the caller: a parameter that cannot be sent
    ├── ConfigurationError                     the caller: a setting that cannot work
    │   └── MissingAPIKeyError                 no key was given
    ├── BudgetExceededError                    a call could cost more than is left of the budget
    ├── RetryableError                         a middleware: try again
    └── APIError                               a call was made; `request_id`, `partial`
        ├── APIConnectionError                 the network: no complete answer came
        │   ├── APITimeoutError                one of the four deadlines passed; `deadline`
        │   └── StreamTruncatedError           a stream ended early; `partial` has what came
        │       └── StreamTimeoutError         also an APITimeoutError
        ├── APIResponseError                   the service: a response that cannot be read
        ├── OutputError                        the model: no value of the type; `path`, `usage`
        │   ├── OutputTruncatedError           the answer was cut off
        │   ├── OutputRefusedError             the model refused
        │   ├── OutputPausedError              the model would go on
        │   └── OutputInvalidError             the answer is not of the type
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

`ParameterError` and `ConfigurationError` are also a `TypeError` and a `ValueError`, `OutputError`
is a `ValueError`.

Errors pickle, and none shows a key: what looks like one is blanked in messages and bodies.

A test can make each by hand, of its message and of a `response` of httpx: status, type, code and
request id are read from it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from apertis.models import Message, RequestInfo, Usage, WholeResponse

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


class ParameterError(ApertisError, TypeError, ValueError):
    """A parameter is missing or cannot be sent. Nothing was sent."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ConfigurationError(ApertisError, TypeError, ValueError):
    """A setting of the client cannot work. Nothing was sent."""


class MissingAPIKeyError(ConfigurationError):
    """No API key was given, neither as an argument nor in the environment."""


class BudgetExceededError(ApertisError):
    """A call, or a retry of it, could cost more than is left of `budget_usd`; it was not sent.

    `left_usd` is what is left, and `most_usd` the most that the call could cost, both a `Decimal`;
    None where the call has no bound, because a price is not known.
    """

    left_usd: Decimal | None = None
    most_usd: Decimal | None = None


class RetryableError(ApertisError):
    """A wish for another attempt: raised by a middleware, it is retried as a failure would be.

    It reaches the caller when no retries are left.
    """


class APIError(ApertisError):
    """A call was made and did not give a result.

    `request_id` is the service's name for the request, where it told one. `partial` is the message
    as far as received, with its usage, where a stream had begun. `retries` counts the tries before.
    `request` tells what was sent: method, URL, headers.
    """

    request_id: str | None = None
    partial: Message | None = None
    retries: int = 0
    body: Any = None
    request: RequestInfo

    def __init__(self, message: str, request: Any = None, *, body: Any = None) -> None:
        super().__init__(message)
        if request is not None:
            self.request = request
        if body is not None:
            self.body = body


class APIConnectionError(APIError):
    """No complete answer came: the server was unreachable, or the connection broke."""

    def __init__(self, message: str = "no complete answer came", *, request: Any = None) -> None:
        super().__init__(message, request)


class APITimeoutError(APIConnectionError):
    """A deadline passed; `deadline` says which: connect, response, idle or total."""

    deadline: str = "total"

    def __init__(self, message: Any = "the call took too long", *, request: Any = None) -> None:
        # `anthropic` takes the request alone.
        if not isinstance(message, str):
            message, request = "the call took too long", message
        super().__init__(message, request=request)


class StreamTruncatedError(APIConnectionError):
    """A stream ended without `message_stop`; `partial` is the message as far as received."""


class StreamTimeoutError(StreamTruncatedError, APITimeoutError):
    """A stream fell silent for longer than `idle`, or ran past `total`."""


class APIResponseError(APIError):
    """A response that is not a valid API response: HTML, truncated JSON, a missing field.

    `status` is its HTTP status, `body` the beginning of what came.
    """

    status: int = 200
    body: Any = ""
    headers: Mapping[str, str] | None = None
    response: WholeResponse

    def __init__(
        self, response: Any, body: Any = None, *, message: str = "the response cannot be read"
    ) -> None:
        # `anthropic` takes the response first, and says the same of each.
        if isinstance(response, str):
            super().__init__(response, body=body)
        else:
            super().__init__(message, getattr(response, "request", None), body=body)
            _take_head(self, response)

    @property
    def status_code(self) -> int:
        """The HTTP status, by the name that other SDKs use."""
        return self.status


class OutputError(APIError, ValueError):
    """An answer that is no value of the type that was asked for.

    `partial` is the message, `attempts` are the messages of all attempts, the last one included,
    and `usage` is what they used together. `path` is the place of the fault
    (`$.items[3].price`), `expected` says what belongs there, `found` what is there. The text of the
    error has nothing that the model or a user said; `detail` may.
    """

    attempts: tuple[Message, ...] = ()
    usage: Usage
    path: str = "$"
    expected: str = "a value"
    found: str = "nothing"
    detail: str = ""


class OutputTruncatedError(OutputError):
    """The answer was cut off: by `max_tokens`, the context window or a stop sequence."""


class OutputRefusedError(OutputError):
    """The model refused; `partial.stop_details` says more."""


class OutputPausedError(OutputError):
    """The model paused, and goes on when its message is sent back."""


class OutputInvalidError(OutputError):
    """The answer is no JSON, or not of the type."""


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
    headers: Mapping[str, str] | None = None
    response: WholeResponse

    def __init__(self, message: str, *, response: Any = None, body: Any = None) -> None:
        super().__init__(message, getattr(response, "request", None), body=body)
        if response is None:
            return
        _take_head(self, response)
        inner = _inner(body)
        self.type = _text(inner.get("type"))
        self.code = _text(inner.get("code"))
        self.param = _text(inner.get("param"))
        seconds = _text(response.headers.get("retry-after")) or ""
        self.retry_after = float(seconds) if seconds.isdecimal() else None

    @property
    def status_code(self) -> int:
        """The HTTP status, by the name that other SDKs use."""
        return self.status

    @property
    def api_message(self) -> str | None:
        """The service's own words, where the body has them."""
        return _text(_inner(self.body).get("message"))

    @property
    def details(self) -> ErrorDetails | None:
        """Machine-readable details, where the body has them."""
        details = _object(_inner(self.body).get("details"))
        return ErrorDetails(details) if details else None

    @property
    def error_code(self) -> str | None:
        """The stable name of the cause, where `details` has one."""
        return _text(_object(_inner(self.body).get("details")).get("error_code"))

    @property
    def workspace_id(self) -> str | None:
        """The workspace that the request was counted to, where the service tells it."""
        return (self.headers or {}).get("anthropic-workspace-id")


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


class ErrorDetails(dict[str, Any]):
    """The details of an error: a dict whose keys are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no {name!r} in the details; they have {list(self)}") from None


def _take_head(error: APIStatusError | APIResponseError, response: Any) -> None:
    error.response = response
    error.status = response.status_code
    error.headers = response.headers
    names = ("request-id", "x-request-id")
    error.request_id = next(filter(None, (_text(response.headers.get(n)) for n in names)), None)


def _inner(document: object) -> dict[str, Any]:
    """Return the inner object of `{"error": {...}}`."""
    return _object(_object(document).get("error"))


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


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
for _status, _kind in BY_STATUS.items():
    # One that a test makes without a response has its status too.
    _kind.status = _status

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
