"""`client.beta`: the same resources, where `anthropic` has those with beta features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.compat.names import no_such_name

if TYPE_CHECKING:
    from apertis.aio.raw import AsyncWithRawResponse, AsyncWithStreamingResponse
    from apertis.aio.resources import AsyncMessages, AsyncModels


class AsyncBeta:
    """`client.beta`: `messages` and `models`; features are chosen by `betas=[...]`."""

    if TYPE_CHECKING:
        messages: AsyncMessages
        models: AsyncModels
        with_raw_response: AsyncWithRawResponse
        with_streaming_response: AsyncWithStreamingResponse

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name in {"messages", "models", "with_raw_response", "with_streaming_response"}:
            return getattr(self._client, name)
        raise no_such_name("`client.beta`", name)
