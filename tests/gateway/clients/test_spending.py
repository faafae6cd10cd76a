"""A client's money through a real gateway: what it says is what the gateway books."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, AsyncApertis, BudgetExceededError
from tests.kit.connecting import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway

    Connect = Callable[..., Apertis]

__all__ = ["connect"]

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
BUDGETS: list[dict[str, Any]] = [{}, {"budget_usd": 1}]
of_budgets = pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
# Enough for some of what is asked at once, and not for all.
SMALL = Decimal("0.004")
AT_ONCE = 24


@dataclass
class City:
    name: str
    people: int


class Account:
    """A key of a gateway, and what was booked on it."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self._id, key = gateway.make_key(quota_usd="5")
        self.settings: dict[str, Any] = {"api_key": key.api_key, "base_url": gateway.base_url}

    @property
    def booked(self) -> Decimal:
        key = self._gateway.client.call("GET", f"/admin/v1/keys/{self._id}").json
        return Decimal(key["used_units"]) / 500_000


@pytest.fixture
def account(sandbox_gateway: RunningGateway) -> Account:
    return Account(sandbox_gateway)


@of_budgets
def test_a_run_of_tools_and_a_typed_answer_cost_what_is_booked(
    connect: Connect, account: Account, budget: dict[str, Any]
) -> None:
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        return f"sun in {city}"

    client = connect(**account.settings, **budget)
    runner: Any = client.messages.run(**REQUEST | {"max_tokens": 500}, tools=[get_weather])
    runner.until_done()
    assert runner.result.cost == client.spent > 0
    parsed = client.messages.parse(**REQUEST | {"max_tokens": 500}, output_format=City)
    assert isinstance(parsed.parsed_output, City)
    assert parsed.cost is not None
    assert client.spent == client.spent.known == runner.result.cost + parsed.cost
    assert client.spent == account.booked
    assert client.spent.reserved == 0


@of_budgets
def test_what_goes_through_middleware_is_counted_once_for_each_attempt(
    connect: Connect, account: Account, budget: dict[str, Any]
) -> None:
    def twice(request: Any, call_next: Any) -> Any:
        call_next(request)
        return call_next(request)

    async def twice_awaited(request: Any, call_next: Any) -> Any:
        await call_next(request)
        return await call_next(request)

    handler: Any = twice_awaited if getattr(connect, "is_async") else twice  # noqa: B009 - of the kit.
    client = connect(**account.settings, **budget, middleware=[handler])
    message = client.messages.create(**REQUEST)
    spent = client.spent
    assert message.cost is not None
    assert (spent.calls, spent.reserved) == (2, Decimal(0))
    assert spent >= 2 * message.cost == account.booked


@of_budgets
def test_a_stream_that_the_caller_leaves_is_unknown_and_costs_at_least_its_prompt(
    connect: Connect, account: Account, budget: dict[str, Any]
) -> None:
    client = connect(**account.settings, **budget)
    with client.messages.stream(**REQUEST) as stream:
        next(iter(stream))
    spent = client.spent
    if spent.unknown:
        assert spent.known == 0
    else:
        # All of it was there already.
        assert spent == account.booked
    assert spent > spent.reserved == 0
    assert spent.calls == 1


@of_budgets
def test_a_response_from_the_gateways_cache_is_free(
    connect: Connect, account: Account, budget: dict[str, Any]
) -> None:
    headers = {"x-response-cache": "on"}
    client = connect(**account.settings, **budget, default_headers=headers)
    asked = REQUEST | {"system": account.settings["api_key"][-8:]}
    cost = client.messages.create(**asked).cost
    assert client.spent == cost == account.booked > 0
    assert client.messages.create(**asked).cost == 0
    with client.messages.stream(**asked) as stream:
        assert stream.get_final_message().cost == 0
    client.messages.with_raw_response.create(**asked)
    spent = client.spent
    assert spent == cost == account.booked
    assert (spent.calls, spent.unknown, spent.reserved) == (1, 0, Decimal(0))


def test_threads_at_once_stay_within_the_budget(account: Account) -> None:
    with Apertis(**account.settings, budget_usd=SMALL) as client:

        def call(place: int) -> bool:
            try:
                if place % 2:
                    client.messages.create(**REQUEST)
                else:
                    with client.messages.stream(**REQUEST) as stream:
                        stream.until_done()
            except BudgetExceededError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            sent = sum(pool.map(call, range(AT_ONCE)))
        assert 0 < sent == client.spent.calls
        assert client.spent == account.booked <= SMALL
        assert client.spent.left == SMALL - client.spent


def test_tasks_at_once_stay_within_the_budget(account: Account) -> None:
    async def main() -> None:
        async with AsyncApertis(**account.settings, budget_usd=SMALL) as client:
            copy = client.with_options(timeout=30)
            calls = [
                (copy, client)[place % 2].messages.create(**REQUEST) for place in range(AT_ONCE)
            ]
            done = await asyncio.gather(*calls, return_exceptions=True)
            refused = [one for one in done if isinstance(one, BudgetExceededError)]
            assert 0 < len(refused) < AT_ONCE
            assert client.spent.calls == AT_ONCE - len(refused)
            assert client.spent == copy.spent == account.booked <= SMALL
            assert client.spent.reserved == 0

    asyncio.run(main())
