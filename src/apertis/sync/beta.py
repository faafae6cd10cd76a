# Generated from src/apertis/aio/beta.py by tools/generate_sync.py (make format). Do not edit.
"""`client.beta`: the same resources, where `anthropic` has those with beta features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.compat.names import no_such_name

if TYPE_CHECKING:
    from apertis.sync.raw import WithRawResponse, WithStreamingResponse
    from apertis.sync.resources import Messages, Models


class Beta:
    """`client.beta`: `messages` and `models`; features are chosen by `betas=[...]`."""

    if TYPE_CHECKING:
        messages: Messages
        models: Models
        with_raw_response: WithRawResponse
        with_streaming_response: WithStreamingResponse

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name in {"messages", "models", "with_raw_response", "with_streaming_response"}:
            return getattr(self._client, name)
        raise no_such_name("`client.beta`", name)
