"""What a batch costs: reserved when it is created, settled when its results are read, once."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from apertis import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    BudgetExceededError,
)
from apertis.testing import Close, Exchange, ScriptedServer, http_chunk, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis
    from apertis.testing import RunningServer
    from tests.kit.gateways import RunningGateway

    Connect = Callable[..., Apertis]

PARAMS: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Hello"}],
}
REQUESTS: list[Any] = [{"custom_id": name, "params": PARAMS} for name in "abcd"]
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "output_tokens": 100, "service_tier": "batch"},
}
ERROR = {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}
RESULTS: list[dict[str, Any]] = [
    {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}},
    {"custom_id": "b", "result": {"type": "errored", "error": ERROR}},
    {"custom_id": "c", "result": {"type": "canceled"}},
    {"custom_id": "d", "result": {"type": "expired"}},
]
# Half of 10 tokens at $2 and 100 at $10, per million.
COST = Decimal("0.00051")
LINES = b"".join(json.dumps(result).encode() + b"\n" for result in RESULTS)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\ntransfer-encoding: chunked\r\n\r\n"
)
BUDGETS: list[dict[str, Any]] = [{}, {"budget_usd": 5}]
# The registry is the process's: each test has a batch of its own.
_names = iter(range(10**6))


def batch_of(*, ended: bool = False, **counts: int) -> dict[str, Any]:
    none = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": none | counts,
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-02T00:00:00Z",
        "ended_at": None,
        "results_url": None,
    }


def created() -> dict[str, Any]:
    return batch_of(processing=4) | {"id": f"msgbatch_money_{next(_names)}"}


def results(lines: bytes = LINES) -> Exchange:
    return Exchange(CHUNKED, http_chunk(lines), http_chunk(b""))


def read(client: Apertis, name: str) -> list[Any]:
    return list(client.messages.batches.results(name))


@pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
def test_the_results_settle_a_batch_once_whoever_reads_them(
    connect: Connect, budget: dict[str, Any]
) -> None:
    batch = created()
    script: list[Any] = [json_response(200, batch), results(), results(), results()]
    with ScriptedServer(script) as server:
        client = connect(api_key="k", base_url=server.base_url, **budget)
        client.messages.batches.create(requests=REQUESTS)
        assert client.spent == client.spent.calls == 0
        assert (client.spent.reserved > 0) == bool(budget)
        another = connect(api_key="k", base_url=server.base_url)
        for reader in (another, client, client):
            entries = read(reader, batch["id"])
            assert [entry.custom_id for entry in entries] == list("abcd")
            assert client.spent == client.spent.known == COST
            assert client.spent.reserved == 0
            assert (client.spent.calls, client.spent.unknown) == (1, 0)
        assert entries[0].result.message.cost == COST
        assert another.spent == 0


def test_half_the_price_is_reserved_and_all_requests_count(connect: Connect) -> None:
    with ScriptedServer([json_response(200, created())]) as server:
        client = connect(api_key="k", base_url=server.base_url, budget_usd=5)
        client.messages.batches.create(requests=REQUESTS)
        # 1,000 tokens of output at $5 per million, and the prompt.
        assert 4 * Decimal("0.005") < client.spent.reserved < 4 * Decimal("0.008")
        small = client.with_options(budget_usd=client.spent.reserved - Decimal("0.00001"))
        with pytest.raises(BudgetExceededError, match="may cost up to"):
            small.messages.batches.create(requests=REQUESTS)
        unpriced: Any = {"custom_id": "x", "params": PARAMS | {"model": "mine"}}
        with pytest.raises(BudgetExceededError, match=r"requests\[4\]: .*'mine'"):
            client.messages.batches.create(requests=[*REQUESTS, unpriced])


@pytest.mark.parametrize("cut", [True, False])
def test_requests_without_a_result_are_released_only_at_the_end_of_all(
    connect: Connect, cut: bool
) -> None:
    batch = created()
    first = LINES[: LINES.index(b"\n") + 1]
    end = Close() if cut else http_chunk(b"")
    script: list[Any] = [json_response(200, batch), Exchange(CHUNKED, http_chunk(first), end)]
    with ScriptedServer(script) as server:
        client = connect(api_key="k", base_url=server.base_url, budget_usd=5)
        client.messages.batches.create(requests=REQUESTS)
        most = client.spent.reserved
        if cut:
            with pytest.raises(APIConnectionError):
                read(client, batch["id"])
        else:
            read(client, batch["id"])
        assert client.spent == COST
        assert client.spent.reserved == (most * 3 / 4 if cut else 0)


def test_a_line_that_cannot_be_read_is_nobodys_free_result(connect: Connect) -> None:
    batch = created()
    script: list[Any] = [
        json_response(200, batch),
        results(LINES.replace(b'{"custom_id": "a"', b'{"c": "a"')),
    ]
    with ScriptedServer(script) as server:
        client = connect(api_key="k", base_url=server.base_url, budget_usd=5)
        client.messages.batches.create(requests=REQUESTS)
        most = client.spent.reserved
        with pytest.raises(APIResponseError):
            read(client, batch["id"])
        assert client.spent.reserved + client.spent >= most / 4


@pytest.mark.parametrize("how", ["retrieve", "cancel", "wait"])
def test_a_batch_that_ends_without_a_message_is_released(connect: Connect, how: str) -> None:
    batch = created()
    ended = batch_of(ended=True, canceled=3, errored=1) | {"id": batch["id"]}
    with ScriptedServer([json_response(200, batch), json_response(200, ended)]) as server:
        client = connect(api_key="k", base_url=server.base_url, budget_usd=5)
        client.messages.batches.create(requests=REQUESTS)
        getattr(client.messages.batches, how)(batch["id"])
        assert client.spent == client.spent.reserved == 0


@pytest.mark.parametrize("counts", [{"succeeded": 1, "canceled": 3}, {"processing": 4}])
def test_one_that_goes_on_or_has_messages_stays_reserved(
    connect: Connect, counts: dict[str, int]
) -> None:
    batch = created()
    state = batch_of(ended="succeeded" in counts, **counts) | {"id": batch["id"]}
    with ScriptedServer([json_response(200, batch), json_response(200, state)]) as server:
        client = connect(api_key="k", base_url=server.base_url, budget_usd=5)
        client.messages.batches.create(requests=REQUESTS)
        most = client.spent.reserved
        client.messages.batches.retrieve(batch["id"])
        assert client.spent.reserved == most > 0


def test_a_batch_that_is_deleted_unread_costs_the_most_that_it_could(connect: Connect) -> None:
    batch = created()
    gone = {"id": batch["id"], "type": "message_batch_deleted"}
    with ScriptedServer([json_response(200, batch), json_response(200, gone)]) as server:
        client = connect(api_key="k", base_url=server.base_url, budget_usd=5)
        client.messages.batches.create(requests=REQUESTS)
        most = client.spent.reserved
        client.messages.batches.delete(batch["id"])
        assert client.spent == most
        assert client.spent.known == client.spent.reserved == 0
        assert client.spent.unknown == 4


def test_a_rejected_creation_is_released_and_a_lost_one_is_not(connect: Connect) -> None:
    # A kept connection that is closed is replaced once.
    with ScriptedServer(
        [json_response(400, ERROR), Exchange(Close()), Exchange(Close())]
    ) as server:
        client = connect(api_key="k", base_url=server.base_url, budget_usd=5, max_retries=0)
        with pytest.raises(APIStatusError):
            client.messages.batches.create(requests=REQUESTS)
        assert client.spent == client.spent.reserved == 0
        with pytest.raises(APIConnectionError):
            client.messages.batches.create(requests=REQUESTS)
        assert client.spent > client.spent.reserved == 0
        assert (client.spent.calls, client.spent.unknown) == (4, 4)


@pytest.mark.parametrize("budget", BUDGETS, ids=["counts", "budget"])
def test_run_settles_what_it_creates(
    connect: Connect, service: RunningServer, budget: dict[str, Any]
) -> None:
    client = connect(api_key=service.api_key, base_url=service.base_url, **budget)
    run = client.messages.batches.run(REQUESTS, poll_interval=0.01)
    assert run.cost is not None
    assert client.spent == run.cost > 0
    assert client.spent.reserved == 0
    assert client.spent.calls == len(run.succeeded) == 4


def test_through_a_gateway_a_batch_costs_what_it_books(
    connect: Connect, sandbox_gateway: RunningGateway
) -> None:
    key_id, key = sandbox_gateway.make_key(quota_usd="5")
    client = connect(api_key=key.api_key, base_url=sandbox_gateway.base_url, budget_usd=1)
    run = client.messages.batches.run(REQUESTS, poll_interval=0.01)
    booked = sandbox_gateway.client.call("GET", f"/admin/v1/keys/{key_id}").json
    assert run.cost is not None
    assert client.spent == run.cost == Decimal(booked["used_units"]) / 500_000 > 0
    assert client.spent.reserved == 0
