# Generated from src/apertis/aio/beta.py by tools/generate_sync.py (make format). Do not edit.
"""`client.beta`: the same resources, where `anthropic` has those with beta features."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from apertis.compat.names import no_such_name
from apertis.sync.resources import WithRawResponse, WithStreamingResponse

if TYPE_CHECKING:
    from apertis.sync.resources import Messages, Models
    from apertis.sync.sender import Sender


class Beta:
    """`client.beta`: `messages` and `models`; features are chosen by `betas=[...]`."""

    def __init__(self, messages: Messages, models: Models, sender: Sender) -> None:
        self.messages = messages
        self.models = models
        self._sender = sender

    @cached_property
    def with_raw_response(self) -> WithRawResponse:
        """The same resources, whose methods return the HTTP response."""
        return WithRawResponse(self._sender)

    @cached_property
    def with_streaming_response(self) -> WithStreamingResponse:
        """The same as `with_raw_response`, for `with` blocks."""
        return WithStreamingResponse(self.with_raw_response)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_such_name("`client.beta`", name)
