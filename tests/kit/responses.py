"""Responses of the service, whole and streamed, and a small request for them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import json_response, sse_response

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]


@pytest.fixture
def asked() -> dict[str, Any]:
    """The parameters of a small call."""
    return {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def ok() -> bytes:
    """A whole answer of the service."""
    return json_response(200, MESSAGE)


@pytest.fixture
def message() -> dict[str, Any]:
    """The message of `ok`."""
    return dict(MESSAGE)


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """The events of a whole stream."""
    return list(EVENTS)


@pytest.fixture
def streamed() -> bytes:
    """The same message as a stream."""
    return sse_response(EVENTS)


@pytest.fixture
def begun() -> bytes:
    """A stream up to its first words."""
    return sse_response(EVENTS[:3], complete=False)


@pytest.fixture
def executable() -> Callable[[str], str]:
    """Finds a program of the system, or skips the test."""

    def find(name: str) -> str:
        path = shutil.which(
            name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/sbin:/bin"
        )
        if path is None:
            pytest.skip(f"{name} is not installed")
        return path

    return find
