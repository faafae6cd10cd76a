"""Apertis: Claude's Messages API.

    from apertis import Apertis

    client = Apertis()
    message = client.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Hello, Claude!"}],
    )
    print(message.text)

`AsyncApertis` has the same methods to await. What the service answers is in `apertis.models`, what
a caller sends in `apertis.params`, what can go wrong in `apertis.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.errors import (
    ApertisError,
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedRequestError,
    ConfigurationError,
    ConflictError,
    ContentTooLargeError,
    GatewayTimeoutError,
    HTTPNotImplementedError,
    InternalServerError,
    MissingAPIKeyError,
    NotFoundError,
    OverloadedError,
    ParameterError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RedirectError,
    RequestHeaderFieldsTooLargeError,
    RequestTimeoutError,
    ServiceUnavailableError,
    StreamTimeoutError,
    StreamTruncatedError,
    UnprocessableEntityError,
)
from apertis.version import __version__

if TYPE_CHECKING:
    from apertis.aio.client import AsyncApertis
    from apertis.aio.stream import AsyncMessageStream, AsyncStream
    from apertis.attachments import document, image
    from apertis.models import Message
    from apertis.sansio.timeouts import Timeout
    from apertis.sync.client import Apertis
    from apertis.sync.stream import MessageStream, Stream

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "Apertis",
    "ApertisError",
    "AsyncApertis",
    "AsyncMessageStream",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedRequestError",
    "ConfigurationError",
    "ConflictError",
    "ContentTooLargeError",
    "GatewayTimeoutError",
    "HTTPNotImplementedError",
    "InternalServerError",
    "Message",
    "MessageStream",
    "MissingAPIKeyError",
    "NotFoundError",
    "OverloadedError",
    "ParameterError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RedirectError",
    "RequestHeaderFieldsTooLargeError",
    "RequestTimeoutError",
    "ServiceUnavailableError",
    "Stream",
    "StreamTimeoutError",
    "StreamTruncatedError",
    "Timeout",
    "UnprocessableEntityError",
    "__version__",
    "document",
    "image",
]

# Loaded when first used: a program that blocks never pays for asyncio, nor the other way round.
_LAZY = {
    "Apertis": "apertis.sync.client",
    "AsyncApertis": "apertis.aio.client",
    "AsyncMessageStream": "apertis.aio.stream",
    "AsyncStream": "apertis.aio.stream",
    "Message": "apertis.models",
    "MessageStream": "apertis.sync.stream",
    "Stream": "apertis.sync.stream",
    "Timeout": "apertis.sansio.timeouts",
    "document": "apertis.attachments",
    "image": "apertis.attachments",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'apertis' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
