"""`kill -9` under load, again and again: no answer that a client has is missing in the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.money import Answer, Killable

ROUNDS = 5
WORKERS = 24


def plan_of(number: int, dice: random.Random) -> dict[str, Any]:
    usage = {
        "input_tokens": dice.randrange(1, 90),
        "output_tokens": dice.randrange(1, 40),
        "cache_read_input_tokens": dice.randrange(50),
    }
    # Some streams are under way whenever the end comes.
    word = "hang after" if number % 9 == 0 else "answer"
    return {"id": f"{number:06}", "usage": usage, "deltas": 7, "do": {"third": word}}


async def load(
    gateway: Killable, secret: str, numbers: Iterator[int], dice: random.Random
) -> list[tuple[dict[str, Any], Answer]]:
    """Ask without a pause until the gateway is killed, behind so many answers by chance."""
    heard: list[tuple[dict[str, Any], Answer]] = []
    enough, reached = dice.randrange(70, 150), asyncio.Event()

    async def worker() -> None:
        while True:
            plan = plan_of(number := next(numbers), dice)
            stream = number % 3 == 0 or dice.random() < 0.4
            body = gateway.body(plan, stream=stream, model="beta")
            try:
                answer = await gateway.call(gateway.port, secret, body)
            except ConnectionError:
                return
            heard.append((plan, answer))
            if len(heard) >= enough:
                reached.set()

    tasks = [asyncio.get_running_loop().create_task(worker()) for _ in range(WORKERS)]
    await asyncio.wait_for(reached.wait(), 60)
    await asyncio.get_running_loop().run_in_executor(None, gateway.kill)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    return heard


def hold_against(
    rows: dict[str, dict[str, Any]], heard: list[tuple[dict[str, Any], Answer]], gateway: Killable
) -> tuple[int, int]:
    """Find each answer in the ledger; give how many were whole, and how many were cut."""
    whole = cut = 0
    for plan, answer in heard:
        if answer.status == 0 or not answer.body:
            continue
        assert answer.status == 200
        row = rows[answer.headers["x-apertis-request-id"]]
        streamed = answer.headers["content-type"].startswith("text/event-stream")
        if answer.stopped if streamed else answer.whole:
            whole += 1
            assert row["cost_units"] == gateway.price_of("beta", plan["usage"])
            assert not row["interrupted"]
            assert not row["estimated"]
        elif streamed:
            cut += 1
            used = {**plan["usage"], "output_tokens": row["output_tokens"]}
            assert row["cost_units"] == gateway.price_of("beta", used)
            # The end may have been booked in the last moment, and not have reached anybody.
            final = row["output_tokens"] == plan["usage"]["output_tokens"]
            assert bool(row["interrupted"]) == bool(row["estimated"])
            assert row["interrupted"] or final
    return whole, cut


def sums(gateway: Killable) -> tuple[int, int]:
    """What the daily sums say: requests, and cost."""
    with contextlib.closing(sqlite3.connect(gateway.data / "apertis.sqlite3")) as database:
        found = database.execute("select sum(requests), sum(cost_units) from usage_quarters")
        requests, cost = found.fetchone()
        return requests, cost


def test_a_gateway_that_is_killed_loses_nothing_and_books_nothing_twice(killable: Killable) -> None:
    gateway = killable
    dice = random.Random(5)
    numbers = count()
    heard: list[tuple[dict[str, Any], Answer]] = []
    gateway.start()
    key = gateway.admin("POST", "keys", name="loaded", quota_units=50_000_000)
    for _ in range(ROUNDS):
        heard += asyncio.run(load(gateway, key["secret"], numbers, dice))
        # Once more, while it starts: what it is just booking comes again.
        gateway.start(wait=dice.random() < 0.5)
        gateway.kill()
        gateway.start()
        rows = {row["request_id"]: row for row in gateway.rows(key["id"])}
        whole, cut = hold_against(rows, heard, gateway)
        total = sum(row["cost_units"] for row in rows.values())
        assert gateway.spent(key["id"]) == total
        assert sums(gateway) == (len(rows), total)
        assert gateway.admin("GET", f"keys/{key['id']}")["used_units"] == total
    assert whole > 50 * ROUNDS
    assert cut >= ROUNDS
    quotas_go_on(gateway, key, total)
    assert gateway.stop() == 0


def quotas_go_on(gateway: Killable, key: dict[str, Any], used: int) -> None:
    body = gateway.body({"usage": "bound"}, model="beta")
    bound = gateway.price_of("beta", gateway.bound_of(body))
    gateway.admin("PATCH", f"keys/{key['id']}", quota_units=used + 4 * bound - 1)

    async def ask() -> list[Answer]:
        asked = (gateway.call(gateway.port, key["secret"], body) for _ in range(10))
        return await asyncio.gather(*asked)

    answers = asyncio.run(ask())
    assert sorted(answer.status for answer in answers) == [200] * 3 + [402] * 7
    refused = next(answer for answer in answers if answer.status == 402)
    assert json.loads(refused.body)["error"]["code"] == "quota_exceeded"
