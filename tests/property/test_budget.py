"""Money of any calls at once, however they end: no more than the budget, no less than is true."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apertis import Apertis, APIError, AsyncApertis, BudgetExceededError
from apertis.sansio.outcome import Failure
from apertis.spending import Budget
from apertis.testing import Close, Exchange, ScriptedServer, http_chunk, json_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.testing import RecordedRequest

MODEL = "claude-sonnet-5-5"
# Dollars of a token: what the list says, worked out by hand.
INPUT, OUTPUT = Decimal(2) / 10**6, Decimal(10) / 10**6
ENDS = ("whole", "stream", "cut", "lost", "error", "priority")

plans = st.fixed_dictionaries(
    {
        "end": st.sampled_from(ENDS),
        "input": st.integers(1, 20),
        "output": st.integers(1, 60),
        "max_tokens": st.integers(60, 200),
    }
)


def true_cost(plan: dict[str, Any]) -> Decimal:
    return int(plan["input"]) * INPUT + int(plan["output"]) * OUTPUT


def message(plan: dict[str, Any], **changes: Any) -> dict[str, Any]:
    usage = {"input_tokens": plan["input"], "output_tokens": plan["output"]}
    if plan["end"] == "priority":
        usage["service_tier"] = "priority"
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "word " * plan["output"]}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    } | changes


def events(plan: dict[str, Any]) -> list[dict[str, Any]]:
    start = message(plan, content=[], stop_reason=None)
    start["usage"] = start["usage"] | {"output_tokens": 0}
    delta = {"type": "text_delta", "text": "word "}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[{"type": "content_block_delta", "index": 0, "delta": delta}] * plan["output"],
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": plan["output"]},
        },
        {"type": "message_stop"},
    ]


def encoded(documents: list[dict[str, Any]]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (d["type"].encode(), json.dumps(d).encode()) for d in documents
    )


class Service:
    """An upstream that keeps its own books of what it answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = Decimal(0)

    def __call__(self, request: RecordedRequest) -> Exchange | bytes:
        plan = json.loads(json.loads(request.body)["messages"][0]["content"])
        if plan["end"] == "error":
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}
            return json_response(400, error)
        with self._lock:
            self.total += true_cost(plan)
        if plan["end"] in ("whole", "priority"):
            return json_response(200, message(plan))
        if plan["end"] == "lost":
            body = json.dumps(message(plan)).encode()
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            return Exchange(head % len(body), body[:-9], Close())
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked"
            b"\r\n\r\n"
        )
        if plan["end"] == "cut":
            return Exchange(head, http_chunk(encoded(events(plan)[:-3])), Close())
        return Exchange(head, http_chunk(encoded(events(plan))), http_chunk(b""))


def request_of(plan: dict[str, Any]) -> dict[str, Any]:
    said = {"role": "user", "content": json.dumps(plan)}
    return {"model": MODEL, "max_tokens": plan["max_tokens"], "messages": [said]}


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Service]]:
    service = Service()
    with ScriptedServer(service) as running:
        yield running.base_url, service


def checked(client: Apertis | AsyncApertis, budget: Decimal | None, true: Decimal) -> None:
    """What is booked is no less than what is true, and no more than the budget."""
    spent = client.spent
    assert spent.reserved == 0
    assert spent.known <= true <= spent
    assert budget is None or spent <= budget
    assert (spent.unknown == 0) == (spent == spent.known)


calls = st.lists(plans, min_size=1, max_size=8)
budgets = st.none() | st.decimals("0.0005", "0.02", places=6)
quickly = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quickly
@given(plans_=calls, budget=budgets)
def test_threads_spend_what_is_true_and_no_more_than_the_budget(
    server: tuple[str, Service], plans_: list[dict[str, Any]], budget: Decimal | None
) -> None:
    base_url, service = server
    before = service.total
    with Apertis(api_key="k", base_url=base_url, budget_usd=budget, max_retries=0) as client:

        def call(plan: dict[str, Any]) -> None:
            try:
                if plan["end"] in ("stream", "cut"):
                    with client.messages.stream(**request_of(plan)) as stream:
                        stream.until_done()
                else:
                    client.messages.create(**request_of(plan))
            except (APIError, BudgetExceededError):
                pass

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(call, plans_))
        checked(client, budget, service.total - before)


@quickly
@given(plans_=calls, budget=budgets)
def test_tasks_spend_what_is_true_and_no_more_than_the_budget(
    server: tuple[str, Service], plans_: list[dict[str, Any]], budget: Decimal | None
) -> None:
    base_url, service = server
    before = service.total

    async def main() -> None:
        async with AsyncApertis(
            api_key="k", base_url=base_url, budget_usd=budget, max_retries=0
        ) as client:

            async def call(plan: dict[str, Any]) -> None:
                try:
                    if plan["end"] in ("stream", "cut"):
                        async with client.messages.stream(**request_of(plan)) as stream:
                            await stream.until_done()
                    else:
                        await client.messages.create(**request_of(plan))
                except (APIError, BudgetExceededError):
                    pass

            await asyncio.gather(*map(call, plans_))
            checked(client, budget, service.total - before)

    asyncio.run(main())


HEADERS = {True: [(b"content-type", b"text/event-stream")], False: []}


@settings(deadline=None)
@given(data=st.data(), budget=st.integers(250, 5000).map(lambda units: Decimal(units) / 500_000))
def test_no_order_of_events_exceeds_the_budget_and_no_cost_its_reservation(
    data: st.DataObject, budget: Decimal
) -> None:
    counted = Budget(budget)
    open_: list[tuple[Any, bytes, Decimal]] = []
    for plan in data.draw(st.lists(plans, min_size=1, max_size=30)):
        try:
            body = json.dumps(request_of(plan)).encode()
            before = counted.spent().reserved
            hold = counted.reserve(b"POST /v1/messages HTTP/1.1\r\n", body, None)
        except BudgetExceededError:
            pass
        else:
            assert hold is not None
            most = counted.spent().reserved - before
            streamed = plan["end"] in ("stream", "cut")
            whole = encoded(events(plan)) if streamed else json.dumps(message(plan)).encode()
            if plan["end"] != "lost":
                hold.begin(400 if plan["end"] == "error" else 200, HEADERS[streamed])
            open_.append((hold, whole, most))
        spent = counted.spent()
        assert spent + spent.reserved <= budget
        assert spent.left == budget - spent - spent.reserved
        chosen = data.draw(st.integers(-3, len(open_) - 1), label="which one ends")
        if chosen >= 0:
            hold, whole, most = open_.pop(chosen)
            cut = data.draw(st.integers(0, len(whole)))
            before = counted.spent() + 0
            hold.feed(whole[:cut])
            if data.draw(st.booleans(), label="fails"):
                hold.fail(Failure("reset"))
            hold.end(complete=True)
            hold.end(complete=False)
            after = counted.spent()
            assert 0 <= after - before <= most
            assert after + after.reserved <= budget
