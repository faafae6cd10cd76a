"""Messages as the API writes them, and the body of a request whose fields are known as bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class Fields:
    """The top-level fields of a body as the bytes of their JSON."""

    def __init__(self, fields: dict[str, bytes]) -> None:
        self._fields = fields

    @property
    def names(self) -> Collection[str]:
        return self._fields.keys()

    def raw(self, name: str) -> bytes | None:
        return self._fields.get(name)


@pytest.fixture(scope="session")
def body() -> Callable[..., Fields]:
    """Makes a body of fields."""

    def make(**fields: Any) -> Fields:
        return Fields({name: json.dumps(value).encode() for name, value in fields.items()})

    return make


@pytest.fixture
def message() -> dict[str, Any]:
    """A message with every kind of block that grows in a stream, and some that do not."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [
            {"type": "thinking", "thinking": "Let me see…", "signature": "EqQBCg=="},
            {"type": "redacted_thinking", "data": "EmwKAh=="},
            {
                "type": "text",
                "text": "It rains\u2028in\u0085Oslo.\n",
                "citations": [
                    {
                        "type": "char_location",
                        "cited_text": "rain",
                        "document_index": 0,
                        "document_title": None,
                        "start_char_index": 0,
                        "end_char_index": 4,
                    }
                ],
            },
            {"type": "text", "text": "", "citations": None},
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "f",
                "input": {"a": [1, {"b": "\u2029"}]},
            },
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "context_management": {"applied_edits": []},
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": None,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 25,
            "server_tool_use": {"web_search_requests": 1},
            "service_tier": "standard",
        },
    }
