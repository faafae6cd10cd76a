"""Usage of a message, in tokens and requests."""

from __future__ import annotations

from typing import Any, ClassVar

from apertis.models.model import Model


class CacheCreation(Model):
    """Tokens written to the prompt cache, by how long they live there."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputTokensDetails(Model):
    """The output tokens by purpose."""

    thinking_tokens: int | None = None


class ServerToolUsage(Model):
    """The number of calls to tools that the service ran itself."""

    web_search_requests: int = 0
    web_fetch_requests: int = 0


class UsageIteration(Model):
    """One of several turns that the service took inside a call.

    `type` is `message`, `compaction`, `advisor_message` or `fallback_message`.
    """

    type: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    model: str | None = None


class _Counters(Model):
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputTokensDetails | None = None
    server_tool_use: ServerToolUsage | None = None
    iterations: list[UsageIteration] | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    fallback_credit: dict[str, Any] | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset({"iterations", "fallback_credit"})


class Usage(_Counters):
    """Usage of a message. `input_tokens` excludes what was written to or read from the cache."""

    input_tokens: int
    output_tokens: int


class MessageDeltaUsage(_Counters):
    """The counters so far, near the end of a stream: cumulative, each replaces the one before."""

    # Look-alikes of the service leave it out; what message_start said then stands.
    output_tokens: int = 0
    input_tokens: int | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset(
        (
            *("cache_creation", "fallback_credit", "inference_geo", "iterations"),
            *("service_tier", "speed"),
        )
    )
