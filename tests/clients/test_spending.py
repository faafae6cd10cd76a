"""A client's budget: reserved before a call, settled once, never exceeded."""

from __future__ import annotations

import asyncio
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis import (
    Apertis,
    AsyncApertis,
    BudgetExceededError,
    ConfigurationError,
)
from apertis.accounting.prices import PriceTable
from apertis.accounting.spending import Request, told_cost
from apertis.models.wire import decode_message
from apertis.sansio.outcome import Failure
from apertis.spending import Budget
from apertis.testing import ScriptedServer, sse_event

if TYPE_CHECKING:
    from apertis.testing import RunningServer

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
BATCHED: Any = REQUEST
HEAD = b"POST /v1/messages HTTP/1.1\r\n"
BODY = b'{"model":"claude-sonnet-5-5","max_tokens":1000,"messages":[]}'


def pickle_again(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def client_of(service: RunningServer, **given: Any) -> Apertis:
    return Apertis(api_key=service.api_key, base_url=service.base_url, **given)


def test_what_was_spent_is_what_the_messages_cost(service: RunningServer) -> None:
    with client_of(service, budget_usd=1) as client:
        total = client.messages.create(**REQUEST).cost or Decimal(0)
        with client.messages.stream(**REQUEST) as stream:
            total += stream.get_final_message().cost or Decimal(0)
        raw = client.messages.with_raw_response.create(**REQUEST)
        total += raw.parse().cost or Decimal(0)
        client.messages.count_tokens(model=REQUEST["model"], messages=REQUEST["messages"])
        assert client.spent == total > 0
        assert (client.spent.calls, client.spent.unknown) == (3, 0)
        assert client.with_options(timeout=3).spent == total
        assert client.with_options(budget_usd=2).spent == 0


def test_the_asyncio_client_counts_as_well(service: RunningServer) -> None:
    async def main() -> None:
        key, url = service.api_key, service.base_url
        async with AsyncApertis(api_key=key, base_url=url, budget_usd="0.5") as client:
            messages = await asyncio.gather(*(client.messages.create(**REQUEST) for _ in range(5)))
            async with client.messages.stream(**REQUEST) as stream:
                messages.append(await stream.get_final_message())
            assert client.spent == sum(message.cost or 0 for message in messages)
            small = client.with_options(budget_usd=Decimal("0.000001"))
            with pytest.raises(BudgetExceededError, match="max_tokens"):
                await small.messages.create(**REQUEST)

    asyncio.run(main())


def test_the_dearest_of_the_gateways_fallback_models_is_reserved() -> None:
    table = PriceTable()
    plain, more, off = Budget(1), Budget(1), Budget(1)
    models = b',"fallback_models":["claude-opus-4-1","claude-haiku-5-5"]'
    plain.reserve(HEAD, BODY, table)
    more.reserve(HEAD, BODY[:-1] + models + b"}", table)
    off.reserve(HEAD, BODY[:-1] + models + b',"fallback_enabled":false}', table)
    assert more.spent().reserved > 7 * plain.spent().reserved
    assert off.spent().reserved < 2 * plain.spent().reserved


def test_a_call_that_could_exceed_the_budget_is_not_sent() -> None:
    with ScriptedServer([]) as server:
        client = Apertis(api_key="k", base_url=server.base_url, budget_usd=0.0001)
        with pytest.raises(BudgetExceededError, match=r"may cost up to \$0\.00"):
            client.messages.create(**REQUEST)
        with pytest.raises(BudgetExceededError), client.messages.stream(**REQUEST):
            pass
        with pytest.raises(BudgetExceededError):
            client.messages.batches.create(requests=[{"custom_id": "a", "params": BATCHED}])
        with pytest.raises(BudgetExceededError, match="no price is known for the model 'mine'"):
            client.messages.create(**REQUEST | {"model": "mine"})
        assert server.requests == []
        assert client.spent == 0


def test_fallbacks_count_and_must_be_named() -> None:
    table = PriceTable()
    plain, more = Budget(1), Budget(1)
    plain.reserve(HEAD, BODY, table)
    more.reserve(HEAD, BODY[:-1] + b',"fallbacks":[{"model":"claude-opus-4-1"}]}', table)
    assert more.spent().reserved > 2 * plain.spent().reserved
    with pytest.raises(BudgetExceededError, match="may be any model"):
        plain.reserve(HEAD, BODY[:-1] + b',"fallbacks":"default"}', table)
    with pytest.raises(BudgetExceededError, match=r"fallbacks\[0\] names no model.*'claude"):
        plain.reserve(HEAD, BODY[:-1] + b',"fallbacks":["claude-opus-4-1"]}', table)
    with pytest.raises(BudgetExceededError, match="'other'"):
        plain.reserve(HEAD, BODY[:-1] + b',"fallbacks":[{"model":"other"}]}', table)


def test_an_infinite_budget_counts_and_refuses_nothing(service: RunningServer) -> None:
    with client_of(service, budget_usd=float("inf")) as client:
        client.messages.create(**REQUEST)
        assert client.spent > 0
        assert (client.spent.calls, client.spent.unknown) == (1, 0)


def test_what_never_left_costs_nothing_and_what_was_lost_the_most_that_it_could() -> None:
    budget = Budget(1)
    for failure, calls in ((Failure("refused", unsent=True), 0), (Failure("reset"), 1)):
        hold = budget.reserve(HEAD, BODY, None)
        assert hold is not None
        most = budget.spent().reserved
        hold.fail(failure)
        spent = budget.spent()
        assert (spent.calls, spent.unknown) == (calls, calls)
        assert spent.reserved == 0
        assert spent == calls * most
        assert spent.known == 0


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 8))
def test_parallel_calls_cannot_overspend(kinds: list[bool], times: int) -> None:
    first = Budget(1)
    first.reserve(HEAD, BODY, PriceTable())
    most = first.spent().reserved
    budget = Budget(most * times)

    def call(settles: bool) -> bool:
        try:
            hold = budget.reserve(HEAD, BODY, PriceTable())
        except BudgetExceededError:
            return False
        if settles and hold is not None:
            hold.fail(None)
            hold.fail(None)
            hold.end(complete=True)
        return True

    with ThreadPoolExecutor(4) as pool:
        sent = sum(pool.map(call, kinds))
    spent = budget.spent()
    assert spent + spent.reserved <= most * times
    assert sent >= min(times, len(kinds))
    assert spent.calls <= sum(kinds)


@pytest.mark.parametrize("value", [-1, "much", "$5", True, float("nan"), [], 10**9])
def test_what_is_no_budget_is_named(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="budget_usd: expected a number of dollars") as e:
        Apertis(api_key="k", budget_usd=value)
    assert str(e.value).endswith(f"got {value!r}")


def test_a_refusal_has_its_numbers() -> None:
    budget = Budget("0.02")
    budget.reserve(HEAD, BODY, None)
    with pytest.raises(BudgetExceededError) as caught:
        budget.reserve(HEAD, BODY, None)
    left, most = caught.value.left_usd, caught.value.most_usd
    assert left is not None
    assert most is not None
    assert 0 < left < most < Decimal("0.02")
    assert f"${left} of $0.02 is left (${most} is reserved for what is under way)" in str(
        caught.value
    )
    assert f"may cost up to ${most}; lower max_tokens" in str(caught.value)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, pickle_again], ids=["copy", "deepcopy", "pickle"]
)
def test_a_sum_is_a_decimal_that_can_be_kept(copied: Any) -> None:
    budget = Budget(1)
    budget.reserve(HEAD, BODY, None)
    spent = copied(budget.spent())
    assert (spent, spent.calls, spent.unknown, spent.known) == (0, 0, 0, 0)
    assert spent.left == 1 - spent.reserved
    assert repr(spent) == "Spent('0', calls=0, unknown=0)"
    assert f"${spent:.2f}" == "$0.00"
    assert type(spent + 1) is Decimal


counts = st.integers(0, 300_000)
usages = st.fixed_dictionaries(
    {"input_tokens": counts, "output_tokens": counts},
    optional={
        "cache_read_input_tokens": counts | st.none(),
        "cache_creation_input_tokens": counts | st.none(),
        "cache_creation": st.fixed_dictionaries(
            {}, optional={"ephemeral_5m_input_tokens": counts, "ephemeral_1h_input_tokens": counts}
        ),
        "service_tier": st.sampled_from(["standard", "priority", "batch", "flex", None]),
        "speed": st.sampled_from(["standard", "fast", "turbo", None]),
        "inference_geo": st.sampled_from(["global", "us", "not_available", "moon", None]),
        "server_tool_use": st.fixed_dictionaries({"web_search_requests": st.integers(0, 5)}),
        "fallback_credit": st.fixed_dictionaries({"type": st.sampled_from(["redeemed", "x"])}),
    },
)


@given(usages, st.sampled_from(["claude-opus-5", "claude-haiku-5-5", "claude-3-haiku", "mine"]))
def test_spent_has_the_cost_of_any_message_and_of_its_stream(
    usage: dict[str, Any], model: str
) -> None:
    document = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    body = msgspec.json.encode(document)
    message = decode_message(body)
    ended = told_cost(Request(BODY, None), model, usage, None)
    assert (ended.units, ended.sure) == (
        ((message.cost or 0) * 500_000, True) if message.cost is not None else (ended.units, False)
    )
    for limit in (None, 10**6):
        for streamed in (False, True):
            if limit is None and not streamed:
                budget = Budget()
                budget.arrived.append((BODY, body, None))
            else:
                budget = Budget(limit)
                hold = budget.reserve(HEAD, BODY, None)
                assert hold is not None
                hold.begin(200, [(b"content-type", b"text/event-stream")] if streamed else [])
                start = document | {"usage": usage | {"output_tokens": 0}, "stop_reason": None}
                delta = {"delta": {"stop_reason": "end_turn"}, "usage": usage}
                events = [
                    sse_event({"type": "message_start", "message": start}),
                    sse_event({"type": "message_delta", **delta}),
                    sse_event({"type": "message_stop"}),
                ]
                hold.feed(b"".join(events) if streamed else body)
                hold.end(complete=True)
            spent = budget.spent()
            assert spent.known == (message.cost or 0)
            assert (spent.calls, spent.unknown) == (1, 0 if message.cost is not None else 1)
            assert spent.reserved == 0
