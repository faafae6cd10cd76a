"""The price of a message that the SDK has received."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.accounting.costs import message_cost
from apertis.accounting.prices import UNITS_PER_DOLLAR, PriceTable, price_table
from apertis.accounting.readers import read_message
from apertis.endpoints import batches
from apertis.errors import ConfigurationError
from apertis.models import Headers, SucceededResult
from apertis.models.wire import decode_message
from apertis.sansio.outcome import Response

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


def test_a_message_knows_its_cost() -> None:
    assert message(input_tokens=1_000, output_tokens=2_000).cost == Decimal("0.055")
    assert message("another", input_tokens=1, output_tokens=1).cost is None


def test_a_result_of_a_batch_costs_half() -> None:
    counts: dict[str, Any] = {"input_tokens": 1_000, "output_tokens": 2_000}
    assert message(**counts, service_tier="batch").cost == Decimal("0.0275")
    line = b'{"custom_id":"a","result":{"type":"succeeded","message":%s}}'
    call = batches.results("msgbatch_1", {})
    found = call.read(Response(200, Headers([]), line % encoded("claude-opus-4-5", **counts)))
    assert isinstance(found.result, SucceededResult)
    assert found.result.message.cost == Decimal("0.0275")


def test_fast_mode_and_long_prompts_have_prices_of_their_own() -> None:
    counts: dict[str, Any] = {"input_tokens": 1_000, "output_tokens": 2_000}
    assert message("claude-opus-5", **counts, speed="fast").cost == Decimal("0.11")
    assert message("claude-haiku-5-5", input_tokens=100_000, output_tokens=0).cost == Decimal(
        "0.01"
    )
    assert message("claude-haiku-5-5", input_tokens=200_000, output_tokens=0).cost == Decimal("0.1")


@pytest.mark.parametrize(
    "usage",
    [
        {"service_tier": "priority"},
        {"speed": "fast"},
        {"speed": "turbo"},
        {"inference_geo": "moon"},
        {"iterations": [{"type": "advisor_message", "model": "another", "input_tokens": 1}]},
        {"iterations": [{"type": "advisor_message", "input_tokens": 1, "output_tokens": 1}]},
        {"fallback_credit": {"type": "redeemed"}, "cache_creation_input_tokens": 10},
        {"fallback_credit": {"type": "renewed"}, "cache_creation_input_tokens": 10},
    ],
)
def test_what_has_no_list_price_is_none_and_never_zero(usage: dict[str, Any]) -> None:
    assert message(input_tokens=1, output_tokens=1, **usage).cost is None


@pytest.mark.parametrize(
    "usage",
    [
        {"fallback_credit": {"type": "redeemed"}},
        {"fallback_credit": {"type": "not_applied"}, "cache_creation_input_tokens": 10},
        {"service_tier": "standard", "speed": "standard", "inference_geo": "not_available"},
    ],
)
def test_what_changes_no_price_leaves_it_known(usage: dict[str, Any]) -> None:
    assert message(input_tokens=1, output_tokens=1, **usage).cost is not None


def test_the_callers_prices_win() -> None:
    table = price_table({"claude-opus-4-5": {"input": 0.1, "output": "0.2"}, "mine": PRICE})
    counts: dict[str, Any] = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
    assert message_cost(message(**counts), prices=table) == Decimal("0.3")
    assert message_cost(message("mine", **counts), prices=table) == Decimal(3)
    assert message_cost(message("claude-haiku-4-5", **counts), prices=table) == Decimal(6)


PRICE = {"input": 1, "output": 2}


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ([], "prices: expected"),
        ({1: PRICE}, "named by text, not by 1"),
        ({"m": {"input": 1}}, r"prices\['m'\]: .*output"),
        ({"m": PRICE | {"ouput": 1}}, r"prices\['m'\]: .*ouput"),
        ({"m": {"input": -1, "output": 1}}, r"prices\['m'\]: .*input must be from 0 .* it is -1"),
        ({"m": {"input": float("nan"), "output": 1}}, r"prices\['m'\]: "),
        ({"m": 3}, r"prices\['m'\]: "),
    ],
)
def test_prices_that_are_none_name_their_place(prices: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        price_table(prices)
