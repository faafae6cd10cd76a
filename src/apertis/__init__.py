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
    from apertis.accounting.spending import Spent as Spent
    from apertis.aio.client import AsyncApertis
    from apertis.aio.raw import AsyncAPIResponse as AsyncAPIResponse
    from apertis.aio.runner import AsyncToolRunner as AsyncToolRunner
    from apertis.aio.stream import AsyncMessageStream, AsyncStream
    from apertis.aio.stream import AsyncMessageStreamManager as AsyncMessageStreamManager
    from apertis.attachments import document, image
    from apertis.compat.clouds import AnthropicAWS as AnthropicAWS
    from apertis.compat.clouds import AnthropicBedrock as AnthropicBedrock
    from apertis.compat.clouds import AnthropicBedrockMantle as AnthropicBedrockMantle
    from apertis.compat.clouds import AnthropicFoundry as AnthropicFoundry
    from apertis.compat.clouds import AnthropicGoogleCloud as AnthropicGoogleCloud
    from apertis.compat.clouds import AnthropicVertex as AnthropicVertex
    from apertis.compat.clouds import AsyncAnthropicAWS as AsyncAnthropicAWS
    from apertis.compat.clouds import AsyncAnthropicBedrock as AsyncAnthropicBedrock
    from apertis.compat.clouds import AsyncAnthropicBedrockMantle as AsyncAnthropicBedrockMantle
    from apertis.compat.clouds import AsyncAnthropicFoundry as AsyncAnthropicFoundry
    from apertis.compat.clouds import AsyncAnthropicGoogleCloud as AsyncAnthropicGoogleCloud
    from apertis.compat.clouds import AsyncAnthropicVertex as AsyncAnthropicVertex
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
    from apertis.endpoints.batch_runs import BatchRun as BatchRun
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
# Each module with its names; the names of `anthropic` have ours behind a colon.
_MODULES = {
    "apertis.accounting.spending": "Spent",
    "apertis.aio.client": "AsyncApertis AsyncAnthropic:AsyncApertis AsyncClient:AsyncApertis",
    "apertis.aio.raw": "AsyncAPIResponse",
    "apertis.aio.runner": "AsyncToolRunner",
    "apertis.aio.stream": """
        AsyncMessageStream AsyncStream AsyncMessageStreamManager
        BetaAsyncMessageStream:AsyncMessageStream
        BetaAsyncMessageStreamManager:AsyncMessageStreamManager
    """,
    "apertis.attachments": "document image",
    "apertis.compat.clouds": """
        AnthropicAWS AnthropicBedrock AnthropicBedrockMantle AnthropicFoundry AnthropicGoogleCloud
        AnthropicVertex AsyncAnthropicAWS AsyncAnthropicBedrock AsyncAnthropicBedrockMantle
        AsyncAnthropicFoundry AsyncAnthropicGoogleCloud AsyncAnthropicVertex
    """,
    "apertis.compat.http_clients": "DefaultAsyncHttpxClient DefaultHttpxClient",
    "apertis.compat.middleware": """
        APIRequest AsyncCallNext AsyncMiddlewareCallable CallNext Middleware MiddlewareCallable
        MiddlewareInput
    """,
    "apertis.compat.values": """
        AI_PROMPT DEFAULT_CONNECTION_LIMITS DEFAULT_MAX_RETRIES DEFAULT_TIMEOUT
        DEPRECATED_MODELS HUMAN_PROMPT NoneType RequestOptions file_from_path
    """,
    "apertis.endpoints.batch_runs": "BatchRun",
    "apertis.errors": """
        APIResponseValidationError:APIResponseError AnthropicError:ApertisError
        DeadlineExceededError:GatewayTimeoutError RequestTooLargeError:ContentTooLargeError
    """,
    "apertis.models": """
        Message BaseModel:Model BetaContentBlockStopEvent:ContentBlockStopEvent
        BetaInputJsonEvent:InputJsonEvent BetaMessageStopEvent:MessageStopEvent
        BetaMessageStreamEvent:MessageStreamEvent BetaTextEvent:TextEvent ContentBlockStopEvent
        InputJsonEvent MessageStopEvent MessageStreamEvent
        ParsedBetaContentBlockStopEvent:ContentBlockStopEvent
        ParsedBetaMessageStopEvent:MessageStopEvent
        ParsedBetaMessageStreamEvent:MessageStreamEvent ParsedBetaTextEvent:TextEvent
        ParsedContentBlockStopEvent:ContentBlockStopEvent
        ParsedMessageStopEvent:MessageStopEvent ParsedMessageStreamEvent:MessageStreamEvent
        TextEvent ParsedMessage
    """,
    "apertis.sansio.marks": "NOT_GIVEN NotGiven Omit not_given:NOT_GIVEN omit",
    "apertis.sansio.timeouts": "Timeout",
    "apertis.structured": "transform_schema",
    "apertis.sync.client": "Apertis Anthropic:Apertis Client:Apertis",
    "apertis.sync.raw": "APIResponse",
    "apertis.sync.runner": "ToolRunner",
    "apertis.sync.stream": """
        MessageStream Stream BetaMessageStream:MessageStream
        BetaMessageStreamManager:MessageStreamManager MessageStreamManager
    """,
    "apertis.tools.context": "tool_context",
    "apertis.tools.loop": "Allow Deny RunResult ToolCall",
    "apertis.tools.tool": "Tool ToolError beta_async_tool:tool beta_tool:tool tool",
}
_LAZY = {
    name.partition(":")[0]: (module, name.rpartition(":")[2])
    for module, names in _MODULES.items()
    for name in names.split()
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
    module, ours = _LAZY[name]
    value = globals()[name] = getattr(import_module(module), ours)
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
