"""What a client without a budget has spent: counted by default, and unknown where it is."""

from __future__ import annotations

import gc
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from apertis import APIConnectionError, APIStatusError
from apertis.accounting.prices import UNITS_PER_DOLLAR
from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    ScriptedServer,
    http_chunk,
    json_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis
    from apertis.testing import RunningServer
    from tests.kit.gateways import RunningGateway

    Connect = Callable[..., Apertis]

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1000, "output_tokens": 10},
}
EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
BUDGETS: list[dict[str, Any]] = [{}, {"budget_usd": 5}]


def with_usage(**usage: Any) -> dict[str, Any]:
    return MESSAGE | {"usage": MESSAGE["usage"] | usage}


def events(*documents: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (document["type"].encode(), json.dumps(document).encode())
        for document in documents
    )


START = {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}}
TEXT = (
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi" * 40}},
)


@pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
def test_a_client_knows_what_its_messages_have_cost(
    connect: Connect, service: RunningServer, budget: dict[str, Any]
) -> None:
    client = connect(api_key=service.api_key, base_url=service.base_url, **budget)
    assert client.spent == 0
    costs = [client.messages.create(**REQUEST).cost]
    copy = client.with_options(timeout=5)
    with copy.messages.stream(**REQUEST) as stream:
        costs.append(stream.get_final_message().cost)
    costs.append(client.messages.with_raw_response.create(**REQUEST).parse().cost)
    costs.append(client.beta.messages.create(**REQUEST).cost)
    costs.append(client.messages.create(**REQUEST | {"max_tokens": 30_000}).cost)
    streamed = client.messages.create(**REQUEST, stream=True)
    for _ in streamed:
        pass
    costs.append(costs[0])
    with client.messages.with_streaming_response.create(**REQUEST) as response:
        response.read()
    costs.append(costs[0])
    client.post("/v1/messages", body=REQUEST, cast_to=dict[str, Any])
    costs.append(costs[0])
    client.messages.count_tokens(model=REQUEST["model"], messages=REQUEST["messages"])
    client.models.list()
    spent = client.spent
    assert spent == sum(cost for cost in costs if cost is not None) > 0
    assert (spent.calls, spent.unknown, spent.known) == (len(costs), 0, spent)
    assert copy.spent == spent
    assert client.with_options(budget_usd=1).spent == 0


@pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
def test_it_counts_through_a_gateway_what_the_gateway_books(
    connect: Connect, sandbox_gateway: RunningGateway, budget: dict[str, Any]
) -> None:
    key_id, key = sandbox_gateway.make_key(quota_usd="5")
    client = connect(api_key=key.api_key, base_url=sandbox_gateway.base_url, **budget)
    total = Decimal(0)
    for _ in range(3):
        total += client.messages.create(**REQUEST).cost or 0
        with client.messages.stream(**REQUEST) as stream:
            total += stream.get_final_message().cost or 0
    assert client.spent == total > 0
    assert (client.spent.calls, client.spent.unknown) == (6, 0)
    booked = sandbox_gateway.client.call("GET", f"/admin/v1/keys/{key_id}").json
    assert Decimal(booked["used_units"]) / UNITS_PER_DOLLAR == total


@pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
@pytest.mark.parametrize(
    ("response", "is_known"),
    [
        (with_usage(), True),
        (with_usage(service_tier="standard", cache_read_input_tokens=500), True),
        (with_usage(server_tool_use={"web_search_requests": 2}), True),
        (with_usage(service_tier="priority"), False),
        (with_usage(inference_geo="moon"), False),
        (with_usage(speed="turbo"), False),
        (with_usage(fallback_credit={"type": "redeemed"}, cache_creation_input_tokens=9), False),
        (MESSAGE | {"model": "another"}, False),
    ],
    ids=lambda value: str(value.get("usage"))[42:] if isinstance(value, dict) else "",
)
def test_what_was_spent_and_what_a_message_cost_agree(
    connect: Connect, response: dict[str, Any], is_known: bool, budget: dict[str, Any]
) -> None:
    with ScriptedServer([json_response(200, response)]) as server:
        client = connect(api_key="k", base_url=server.base_url, **budget)
        message = client.messages.create(**REQUEST)
    spent = client.spent
    assert (message.cost is not None) == is_known
    assert spent.known == (message.cost or 0)
    assert (spent.calls, spent.unknown) == (1, 0 if is_known else 1)
    # What is not known is never nothing: it is the most that it could be.
    assert spent > 0
    assert spent >= Decimal("0.0021")


@pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
def test_errors_cost_nothing_and_a_lost_response_the_most_that_it_could(
    connect: Connect, quick: None, budget: dict[str, Any]
) -> None:
    lost = Exchange(Close())
    script = [
        json_response(529, {"type": "error", "error": {"type": "overloaded_error"}}),
        json_response(400, {"type": "error", "error": {"type": "invalid_request_error"}}),
    ]
    with ScriptedServer(script) as server:
        client = connect(api_key="k", base_url=server.base_url, **budget)
        with pytest.raises(APIStatusError):
            client.messages.create(**REQUEST)
    assert client.spent == 0
    assert client.spent.calls == 0
    with ScriptedServer([lost, json_response(200, MESSAGE)]) as server:
        again = client.with_options(base_url=server.base_url)
        cost = again.messages.create(**REQUEST).cost
    spent = client.spent
    assert cost is not None
    assert (spent.known, spent.calls, spent.unknown) == (cost, 2, 1)
    assert spent > spent.known
    assert spent.reserved == 0
    refused = client.with_options(base_url="http://127.0.0.1:1", max_retries=0)
    with pytest.raises(APIConnectionError):
        refused.messages.create(**REQUEST)
    assert client.spent == spent


@pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
@pytest.mark.parametrize("reads", [True, False])
def test_a_stream_that_is_cut_costs_its_prompt_and_what_was_seen(
    connect: Connect, budget: dict[str, Any], reads: bool
) -> None:
    head = EVENT_STREAM + b"transfer-encoding: chunked\r\n\r\n"
    script = [Exchange(head, http_chunk(events(START, *TEXT)), Close())]
    with ScriptedServer(script) as server:
        client = connect(api_key="k", base_url=server.base_url, max_retries=0, **budget)
        with client.messages.stream(**REQUEST) as stream:
            if reads:
                next(iter(stream.text_stream))
    spent = client.spent
    assert (spent.calls, spent.unknown) == (1, 1)
    assert spent.known == spent.reserved == 0
    assert Decimal("0.0021") < spent <= Decimal("0.0030")


def test_many_calls_are_counted_and_not_kept(connect: Connect) -> None:
    calls = 70
    with ScriptedServer([json_response(200, MESSAGE)] * calls) as server:
        client = connect(api_key="k", base_url=server.base_url)
        for _ in range(calls):
            client.messages.create(**REQUEST)
        assert client.spent == calls * Decimal("0.0021")
        assert client.spent.calls == calls


@pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
def test_a_stream_that_nobody_reads_or_closes_is_settled_when_it_is_gone(
    connect: Connect, budget: dict[str, Any]
) -> None:
    head = EVENT_STREAM + b"transfer-encoding: chunked\r\n\r\n"
    script = [Exchange(head, http_chunk(events(START, *TEXT)), AwaitDisconnect())]
    with ScriptedServer(script) as server:
        client = connect(api_key="k", base_url=server.base_url, max_retries=0, **budget)
        stream = client.messages.create(**REQUEST, stream=True)
        assert client.spent == 0
        del stream
        gc.collect()
        spent = client.spent
        client.close()
    assert (spent.calls, spent.unknown) == (1, 1)
    assert spent > spent.reserved == 0


def test_two_tables_of_prices_count_side_by_side(connect: Connect) -> None:
    with ScriptedServer([json_response(200, MESSAGE)] * 2) as server:
        client = connect(api_key="k", base_url=server.base_url)
        dear = client.with_options(prices={MESSAGE["model"]: {"input": 1_000_000, "output": 0}})
        total = Decimal(0)
        for one in (client, dear):
            total += one.messages.create(**REQUEST).cost or 0
        assert client.spent == dear.spent == total == Decimal("1000.0021")
