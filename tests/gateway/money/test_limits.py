"""Tokens a minute and requests in flight of a key, by what requests really use."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.kit.http import question

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway
    from tests.kit.money import Answer, Money


def refusal_of(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["error"]["code"]


LIMITED = (429, "rate_limit_exceeded")


@pytest.mark.parametrize("stream", [True, False], ids=["streams", "plain"])
def test_so_many_requests_of_a_key_are_under_way_and_no_more(money: Money, stream: bool) -> None:
    _, secret = money.key(in_flight=3)
    other_id, other = money.key(in_flight=1)
    body = money.body({"hold": True}, stream=stream)

    async def run() -> list[Answer]:
        tasks = [asyncio.get_running_loop().create_task(money.ask(secret, body)) for _ in range(12)]
        waiting = set(tasks)
        while len(waiting) > 3:
            done, waiting = await asyncio.wait(
                waiting, return_when=asyncio.FIRST_COMPLETED, timeout=10
            )
            assert done
        # Another key has its own count.
        theirs = asyncio.get_running_loop().create_task(money.ask(other, body))
        await money.upstream.called(4)
        money.upstream.gate.open()
        return [*await asyncio.gather(*tasks), await theirs]

    answers = asyncio.run(run())
    refused = [answer for answer in answers if answer.status != 200]
    assert [refusal_of(answer) for answer in refused] == [LIMITED] * 9
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert money.upstream.calls == 4
    # All of them are counted out again.
    again = money.ask_all(secret, [body] * 3)
    assert [answer.status for answer in again] == [200] * 3
    money.settled(other_id, 1)


def test_callers_who_left_are_not_under_way(money: Money) -> None:
    key_id, secret = money.key(in_flight=2)
    hanging = money.body({"do": {"third": "hang after"}}, stream=True, model="beta")

    async def leave() -> list[Answer]:
        return await asyncio.gather(*(money.ask(secret, hanging, leave_after=1) for _ in range(2)))

    for round_ in range(1, 4):
        answers = asyncio.run(leave())
        assert [answer.status for answer in answers] == [200, 200]
        money.settled(key_id, 2 * round_)


def test_tokens_a_minute_are_set_aside_and_corrected(money: Money) -> None:
    key_id, secret = money.key(tokens_per_minute=1000)
    held = money.body({"hold": True}, max_tokens=400)

    async def run() -> tuple[Answer, list[Answer]]:
        tasks = [asyncio.get_running_loop().create_task(money.ask(secret, held)) for _ in range(2)]
        await money.upstream.called(2)
        third = await money.ask(secret, held)
        money.upstream.gate.open()
        return third, list(await asyncio.gather(*tasks))

    third, answers = asyncio.run(run())
    assert refusal_of(third) == LIMITED
    assert 1 <= int(third.headers["retry-after"]) <= 60
    assert [answer.status for answer in answers] == [200, 200]
    # They used 15 tokens each, so that the same fits now.
    assert asyncio.run(money.ask(secret, held)).status == 200
    # More than was estimated counts as well.
    much = {"usage": {"input_tokens": 5, "output_tokens": 5, "cache_read_input_tokens": 940}}
    assert asyncio.run(money.ask(secret, money.body(much))).status == 200
    refused = asyncio.run(money.ask(secret, money.body({}, max_tokens=1)))
    assert refusal_of(refused) == LIMITED
    # What is refused is not booked.
    assert sum(row["cache_read_tokens"] for row in money.settled(key_id, 4)) == 940


def test_a_request_that_ends_without_tokens_gives_them_back(money: Money) -> None:
    _, secret = money.key(tokens_per_minute=500, quota_units=4000)
    failing = money.body({"do": {"third": "529"}}, model="beta", max_tokens=400)
    # Refused for its price, and failed: neither used a token.
    dear = money.body({}, max_tokens=400)
    for _ in range(3):
        assert asyncio.run(money.ask(secret, failing)).status == 529
    assert asyncio.run(money.ask(secret, dear)).status == 200
    _, poor = money.key(tokens_per_minute=500, quota_units=100)
    for _ in range(3):
        assert asyncio.run(money.ask(poor, dear)).status == 402


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"requests_limit": "2/1m"}, "requests of the group 'research'"),
        ({"tokens_per_minute": 250}, "tokens a minute of the group 'research'"),
    ],
)
def test_a_group_has_rates_of_its_own_over_all_its_keys(
    start_gateway: Callable[..., RunningGateway], limits: dict[str, object], told: str
) -> None:
    running = start_gateway()
    group = json.dumps({"name": "research", **limits}).encode()
    assert running.client.call("POST", "/admin/v1/groups", group).status == 200
    clients = [running.make_key(group="research")[1] for _ in range(2)]
    _, other = running.make_key()
    body = question(max_tokens=100)
    answers = [client.call("POST", "/v1/messages", body) for client in (*clients, *clients)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert told in answers[2].json["error"]["message"]
    assert int(answers[2].headers["retry-after"]) >= 1
    assert other.call("POST", "/v1/messages", body).status == 200
