"""Responses that end early, or are errors, over a transport that counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apertis import Apertis, APIError, StreamTruncatedError
from apertis.testing import ScriptedServer

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


def test_a_rejected_call_costs_nothing_and_a_broken_one_what_it_told() -> None:
    start = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
        b'"role":"assistant","content":[],"model":"claude-sonnet-5-5","stop_reason":null,'
        b'"usage":{"input_tokens":1000,"output_tokens":1}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n'
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"
    broken = head % len(start) + start
    rejected = b"HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\n{}"
    with ScriptedServer([rejected, broken]) as server:
        client = Apertis(api_key="k", base_url=server.base_url, budget_usd=1, max_retries=0)
        with pytest.raises(APIError):
            client.messages.create(**REQUEST)
        assert client.spent == 0
        with client.messages.stream(**REQUEST) as stream, pytest.raises(StreamTruncatedError):
            stream.until_done()
        assert client.spent == Decimal("0.00201")
        assert client.spent.unknown == 1
        assert client.spent.reserved == 0
