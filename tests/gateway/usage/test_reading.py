"""What is read of a plain answer."""

from __future__ import annotations

import msgspec
import pytest

from apertis.gateway.usage.reading import Reading, read_message
from apertis.gateway.usage.tokens import Tokens, Use


def test_a_message_says_its_model_id_reason_and_usage() -> None:
    body = msgspec.json.encode(
        {
            "id": "msg_1",
            "type": "message",
            "model": "claude-opus-4-5-20251101",
            "content": [{"type": "text", "text": "Hi", "usage": {"input_tokens": 999}}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 12, "output_tokens": 3},
        }
    )
    assert read_message(body) == Reading(
        Use(Tokens(input=12, output=3)),
        "claude-opus-4-5-20251101",
        "msg_1",
        "end_turn",
        output_estimate=15,
        context=15,
    )


@pytest.mark.parametrize("usage", [b"", b',"usage":null', b',"usage":7', b',"usage":[1]'])
def test_without_usage_there_are_no_tokens(usage: bytes) -> None:
    assert read_message(b'{"id":"msg_1"' + usage + b"}") == Reading(id="msg_1")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"oops", b'{"id":', b'{"id":7}', b"[" * 100_000],
)
def test_what_is_no_message_has_no_facts(body: bytes) -> None:
    assert read_message(body) == Reading()
