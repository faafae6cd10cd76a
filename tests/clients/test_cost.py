"""What calls cost, by both clients."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, AsyncApertis, ConfigurationError

if TYPE_CHECKING:
    from apertis.testing import RunningServer

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
PRICES = {"claude-sonnet-5-5": {"input": 1_000_000, "output": 0}}


def test_a_message_and_a_stream_have_a_cost(service: RunningServer) -> None:
    with Apertis(api_key=service.api_key, base_url=service.base_url) as client:
        message = client.messages.create(**REQUEST)
        used = message.usage
        cost = (used.input_tokens * 2 + used.output_tokens * 10) / Decimal(1_000_000)
        assert message.cost == cost
        with client.messages.stream(**REQUEST) as stream:
            next(iter(stream))
            assert stream.current_message_snapshot.cost is not None
            assert stream.get_final_message().cost == cost


def test_a_clients_prices_win_in_messages_and_streams(service: RunningServer) -> None:
    with Apertis(api_key=service.api_key, base_url=service.base_url, prices=PRICES) as client:
        message = client.messages.create(**REQUEST)
        assert message.cost == message.usage.input_tokens
        with client.messages.stream(**REQUEST) as stream:
            assert stream.get_final_message().cost == message.cost
        listed = client.with_options(prices={}).messages.create(**REQUEST)
        assert listed.cost is not None
        assert listed.cost < 1


def test_the_asyncio_client_knows_costs_too(service: RunningServer) -> None:
    async def main() -> None:
        key, url = service.api_key, service.base_url
        async with AsyncApertis(api_key=key, base_url=url, prices=PRICES) as client:
            message = await client.messages.create(**REQUEST)
            assert message.cost == message.usage.input_tokens
            async with client.messages.stream(**REQUEST) as stream:
                assert (await stream.get_final_message()).cost == message.cost

    asyncio.run(main())


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({"input": 1}, "missing required field `output`"),
        ({"input": 1, "outputs": 1, "output": 1}, "unknown field `outputs`"),
        ({"input": -3, "output": 1}, "input must be from 0 to less than a billion; it is -3"),
        ({"input": 1, "output": "NaN"}, "output must be from 0 .* it is NaN"),
        ({"input": 1, "output": float("inf")}, "output must be from 0 .* it is Infinity"),
    ],
)
def test_prices_that_are_none_fail_at_once(price: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"prices\['m'\]: .*{said}.*; expected"):
        Apertis(api_key="k", prices={"m": price})
