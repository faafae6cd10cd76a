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

import sys
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
    BudgetExceededError,
    ClientClosedRequestError,
    ConfigurationError,
    ConflictError,
    ContentTooLargeError,
    GatewayTimeoutError,
    HTTPNotImplementedError,
    InternalServerError,
    MissingAPIKeyError,
    NotFoundError,
    OutputError,
    OutputInvalidError,
    OutputPausedError,
    OutputRefusedError,
    OutputTruncatedError,
    OverloadedError,
    ParameterError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RedirectError,
    RequestHeaderFieldsTooLargeError,
    RequestTimeoutError,
    RetryableError,
    ServiceUnavailableError,
    StreamTimeoutError,
    StreamTruncatedError,
    UnprocessableEntityError,
)
from apertis.version import __version__

if TYPE_CHECKING:
    from apertis import types as types
    from apertis.aio.client import AsyncApertis
    from apertis.aio.raw import AsyncAPIResponse as AsyncAPIResponse
    from apertis.aio.runner import AsyncToolRunner as AsyncToolRunner
    from apertis.aio.stream import AsyncMessageStream, AsyncStream
    from apertis.aio.stream import AsyncMessageStreamManager as AsyncMessageStreamManager
    from apertis.attachments import document, image
    from apertis.compat.http_clients import DefaultAsyncHttpxClient as DefaultAsyncHttpxClient
    from apertis.compat.http_clients import DefaultHttpxClient as DefaultHttpxClient
    from apertis.compat.middleware import APIRequest as APIRequest
    from apertis.compat.middleware import AsyncCallNext as AsyncCallNext
    from apertis.compat.middleware import AsyncMiddlewareCallable as AsyncMiddlewareCallable
    from apertis.compat.middleware import CallNext as CallNext
    from apertis.compat.middleware import Middleware as Middleware
    from apertis.compat.middleware import MiddlewareCallable as MiddlewareCallable
    from apertis.compat.middleware import MiddlewareInput as MiddlewareInput
    from apertis.compat.values import AI_PROMPT as AI_PROMPT
    from apertis.compat.values import DEFAULT_CONNECTION_LIMITS as DEFAULT_CONNECTION_LIMITS
    from apertis.compat.values import DEFAULT_MAX_RETRIES as DEFAULT_MAX_RETRIES
    from apertis.compat.values import DEFAULT_TIMEOUT as DEFAULT_TIMEOUT
    from apertis.compat.values import DEPRECATED_MODELS as DEPRECATED_MODELS
    from apertis.compat.values import HUMAN_PROMPT as HUMAN_PROMPT
    from apertis.compat.values import NoneType as NoneType
    from apertis.compat.values import RequestOptions as RequestOptions
    from apertis.compat.values import file_from_path as file_from_path
    from apertis.models import ContentBlockStopEvent as ContentBlockStopEvent
    from apertis.models import InputJsonEvent as InputJsonEvent
    from apertis.models import Message, Model
    from apertis.models import MessageStopEvent as MessageStopEvent
    from apertis.models import MessageStreamEvent as MessageStreamEvent
    from apertis.models import ParsedMessage as ParsedMessage
    from apertis.models import TextEvent as TextEvent
    from apertis.sansio.marks import NotGiven as NotGiven
    from apertis.sansio.marks import Omit as Omit
    from apertis.sansio.timeouts import Timeout
    from apertis.structured import transform_schema as transform_schema
    from apertis.sync.client import Apertis
    from apertis.sync.raw import APIResponse as APIResponse
    from apertis.sync.runner import ToolRunner as ToolRunner
    from apertis.sync.stream import MessageStream, Stream
    from apertis.sync.stream import MessageStreamManager as MessageStreamManager
    from apertis.tools.context import tool_context as tool_context
    from apertis.tools.loop import Allow as Allow
    from apertis.tools.loop import Deny as Deny
    from apertis.tools.loop import RunResult as RunResult
    from apertis.tools.loop import ToolCall as ToolCall
    from apertis.tools.tool import Tool as Tool
    from apertis.tools.tool import ToolError as ToolError
    from apertis.tools.tool import tool as tool

    # The names of `anthropic`.
    APIResponseValidationError = APIResponseError
    Anthropic = Apertis
    AnthropicError = ApertisError
    AsyncAnthropic = AsyncApertis
    AsyncClient = AsyncApertis
    BaseModel = Model
    BetaAsyncMessageStream = AsyncMessageStream
    BetaAsyncMessageStreamManager = AsyncMessageStreamManager
    BetaContentBlockStopEvent = ContentBlockStopEvent
    BetaInputJsonEvent = InputJsonEvent
    BetaMessageStopEvent = MessageStopEvent
    BetaMessageStream = MessageStream
    BetaMessageStreamEvent = MessageStreamEvent
    BetaMessageStreamManager = MessageStreamManager
    BetaTextEvent = TextEvent
    beta_async_tool = tool
    beta_tool = tool
    Client = Apertis
    DeadlineExceededError = GatewayTimeoutError
    ParsedBetaContentBlockStopEvent = ContentBlockStopEvent
    ParsedBetaMessageStopEvent = MessageStopEvent
    ParsedBetaMessageStreamEvent = MessageStreamEvent
    ParsedBetaTextEvent = TextEvent
    ParsedContentBlockStopEvent = ContentBlockStopEvent
    ParsedMessageStopEvent = MessageStopEvent
    ParsedMessageStreamEvent = MessageStreamEvent
    RequestTooLargeError = ContentTooLargeError
    # They may stand for a value of any type.
    NOT_GIVEN: Any
    not_given: Any
    omit: Any

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
    "BudgetExceededError",
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
    "OutputError",
    "OutputInvalidError",
    "OutputPausedError",
    "OutputRefusedError",
    "OutputTruncatedError",
    "OverloadedError",
    "ParameterError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RedirectError",
    "RequestHeaderFieldsTooLargeError",
    "RequestTimeoutError",
    "RetryableError",
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
    # The names of `anthropic`; those behind a colon are ours.
    "AI_PROMPT": "apertis.compat.values",
    "APIRequest": "apertis.compat.middleware",
    "APIResponse": "apertis.sync.raw",
    "APIResponseValidationError": "apertis.errors:APIResponseError",
    "Anthropic": "apertis.sync.client:Apertis",
    "AnthropicError": "apertis.errors:ApertisError",
    "AsyncAPIResponse": "apertis.aio.raw",
    "AsyncAnthropic": "apertis.aio.client:AsyncApertis",
    "AsyncCallNext": "apertis.compat.middleware",
    "AsyncClient": "apertis.aio.client:AsyncApertis",
    "AsyncMessageStreamManager": "apertis.aio.stream",
    "AsyncMiddlewareCallable": "apertis.compat.middleware",
    "BaseModel": "apertis.models:Model",
    "BetaAsyncMessageStream": "apertis.aio.stream:AsyncMessageStream",
    "BetaAsyncMessageStreamManager": "apertis.aio.stream:AsyncMessageStreamManager",
    "BetaContentBlockStopEvent": "apertis.models:ContentBlockStopEvent",
    "BetaInputJsonEvent": "apertis.models:InputJsonEvent",
    "BetaMessageStopEvent": "apertis.models:MessageStopEvent",
    "BetaMessageStream": "apertis.sync.stream:MessageStream",
    "BetaMessageStreamEvent": "apertis.models:MessageStreamEvent",
    "BetaMessageStreamManager": "apertis.sync.stream:MessageStreamManager",
    "BetaTextEvent": "apertis.models:TextEvent",
    "CallNext": "apertis.compat.middleware",
    "Client": "apertis.sync.client:Apertis",
    "ContentBlockStopEvent": "apertis.models",
    "DEFAULT_CONNECTION_LIMITS": "apertis.compat.values",
    "DEFAULT_MAX_RETRIES": "apertis.compat.values",
    "DEFAULT_TIMEOUT": "apertis.compat.values",
    "DEPRECATED_MODELS": "apertis.compat.values",
    "DeadlineExceededError": "apertis.errors:GatewayTimeoutError",
    "DefaultAsyncHttpxClient": "apertis.compat.http_clients",
    "DefaultHttpxClient": "apertis.compat.http_clients",
    "HUMAN_PROMPT": "apertis.compat.values",
    "InputJsonEvent": "apertis.models",
    "MessageStopEvent": "apertis.models",
    "MessageStreamEvent": "apertis.models",
    "MessageStreamManager": "apertis.sync.stream",
    "Middleware": "apertis.compat.middleware",
    "MiddlewareCallable": "apertis.compat.middleware",
    "MiddlewareInput": "apertis.compat.middleware",
    "NOT_GIVEN": "apertis.sansio.marks",
    "NoneType": "apertis.compat.values",
    "NotGiven": "apertis.sansio.marks",
    "Omit": "apertis.sansio.marks",
    "ParsedBetaContentBlockStopEvent": "apertis.models:ContentBlockStopEvent",
    "ParsedBetaMessageStopEvent": "apertis.models:MessageStopEvent",
    "ParsedBetaMessageStreamEvent": "apertis.models:MessageStreamEvent",
    "ParsedBetaTextEvent": "apertis.models:TextEvent",
    "ParsedContentBlockStopEvent": "apertis.models:ContentBlockStopEvent",
    "ParsedMessageStopEvent": "apertis.models:MessageStopEvent",
    "ParsedMessageStreamEvent": "apertis.models:MessageStreamEvent",
    "RequestOptions": "apertis.compat.values",
    "RequestTooLargeError": "apertis.errors:ContentTooLargeError",
    "TextEvent": "apertis.models",
    "file_from_path": "apertis.compat.values",
    "not_given": "apertis.sansio.marks:NOT_GIVEN",
    "omit": "apertis.sansio.marks",
    # Running tools.
    "Allow": "apertis.tools.loop",
    "AsyncToolRunner": "apertis.aio.runner",
    "Deny": "apertis.tools.loop",
    "RunResult": "apertis.tools.loop",
    "ToolCall": "apertis.tools.loop",
    "Tool": "apertis.tools.tool",
    "ToolError": "apertis.tools.tool",
    "beta_async_tool": "apertis.tools.tool:tool",
    "beta_tool": "apertis.tools.tool:tool",
    "tool": "apertis.tools.tool",
    "ToolRunner": "apertis.sync.runner",
    "tool_context": "apertis.tools.context",
    # Structured output.
    "ParsedMessage": "apertis.models",
    "transform_schema": "apertis.structured",
}
# Packages that are attributes of their parent before anybody imports them.
_PACKAGES = frozenset({"lib", "resources", "types"})


class _NoSuchNameError(AttributeError):
    """It says what the name belongs to: once somebody reads it, for each import looks here."""

    def __str__(self) -> str:
        from importlib import import_module

        return str(
            import_module("apertis.compat.names").no_such_name("module 'apertis'", self.name)
        )


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _PACKAGES:
        return import_module(f"apertis.{name}")
    if name not in _LAZY:
        raise _NoSuchNameError(name=name)
    module, _, ours = _LAZY[name].partition(":")
    value = globals()[name] = getattr(import_module(module), ours or name)
    return value


class _Names:
    """Modules that `anthropic` has and Apertis has not: asked by an import when all else fails."""

    @staticmethod
    def find_spec(name: str, *_: object) -> Any:
        if not name.startswith("apertis."):
            return None
        from importlib import import_module

        return import_module("apertis.compat.names").find_spec(name)


sys.meta_path.append(_Names)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
