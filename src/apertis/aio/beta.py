"""`client.beta`: the same resources, where `anthropic` has those with beta features."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from apertis.aio.resources import AsyncWithRawResponse, AsyncWithStreamingResponse
from apertis.compat.names import no_such_name

if TYPE_CHECKING:
    from apertis.aio.resources import AsyncMessages, AsyncModels
    from apertis.aio.sender import Sender


class AsyncBeta:
    """`client.beta`: `messages` and `models`; features are chosen by `betas=[...]`."""

    def __init__(self, messages: AsyncMessages, models: AsyncModels, sender: Sender) -> None:
        self.messages = messages
        self.models = models
        self._sender = sender

    @cached_property
    def with_raw_response(self) -> AsyncWithRawResponse:
        """The same resources, whose methods return the HTTP response."""
        return AsyncWithRawResponse(self._sender)

    @cached_property
    def with_streaming_response(self) -> AsyncWithStreamingResponse:
        """The same as `with_raw_response`, for `async with` blocks."""
        return AsyncWithStreamingResponse(self.with_raw_response)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_such_name("`client.beta`", name)
