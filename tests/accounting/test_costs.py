"""The price of a message that the SDK has received."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.accounting.costs import message_cost
from apertis.accounting.prices import UNITS_PER_DOLLAR, PriceTable
from apertis.accounting.readers import read_message
from apertis.models.wire import decode_message

if TYPE_CHECKING:
    from apertis.models import Message


def encoded(model: str, **usage: Any) -> bytes:
    return msgspec.json.encode(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": "hi"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
    )


def message(model: str = "claude-opus-4-5", **usage: Any) -> Message:
    return decode_message(encoded(model, **usage))


def test_a_message_costs_its_tokens_at_the_list_price_of_its_model() -> None:
    answer = message(input_tokens=1_000, output_tokens=2_000)
    assert message_cost(answer) == Decimal("0.055")
    assert message_cost(answer, batch=True) == Decimal("0.0275")


def test_what_the_cache_wrote_and_read_has_prices_of_its_own() -> None:
    answer = message(
        input_tokens=0,
        output_tokens=0,
        cache_read_input_tokens=1_000_000,
        cache_creation_input_tokens=3_000_000,
        cache_creation={
            "ephemeral_5m_input_tokens": 1_000_000,
            "ephemeral_1h_input_tokens": 2_000_000,
        },
    )
    assert message_cost(answer) == Decimal("0.5") + Decimal("6.25") + 2 * Decimal(10)


def test_a_model_without_a_price_has_no_cost() -> None:
    assert message_cost(message("another", input_tokens=1, output_tokens=1)) is None


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 7, "output_tokens": 3},
        {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 2}},
        {"input_tokens": 1, "output_tokens": 1, "speed": "fast", "inference_geo": "us"},
        {
            "input_tokens": 5,
            "output_tokens": 6,
            "iterations": [
                {"type": "message", "model": "claude-opus-5", "input_tokens": 9},
                {
                    "type": "fallback_message",
                    "model": "claude-haiku-4-5",
                    "input_tokens": 5,
                    "output_tokens": 6,
                },
            ],
        },
    ],
)
def test_it_costs_what_a_gateway_books_for_the_same_bytes(usage: dict[str, Any]) -> None:
    body = encoded("claude-opus-4-6", **usage)
    reading = read_message(body)
    assert reading.use is not None
    units = PriceTable().cost(
        reading.use.tokens, reading.use.model or reading.model or "", others=reading.others
    )
    assert units is not None
    assert message_cost(decode_message(body)) == Decimal(units) / UNITS_PER_DOLLAR
