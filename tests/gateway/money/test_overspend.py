"""Parallel requests never spend more than a key has, and everybody's books agree to the unit."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.money import Answer, Money

AT_ONCE, PAID_FOR = 200, 20


def error_code(answer: Answer) -> str:
    error: dict[str, Any] = json.loads(answer.body)["error"]
    return str(error["code"])


async def all_held(money: Money, secret: str, bodies: list[bytes]) -> list[Answer]:
    """Ask for all at once; the upstream holds its answers until the others were refused."""
    tasks = [asyncio.get_running_loop().create_task(money.ask(secret, body)) for body in bodies]
    waiting = set(tasks)
    while len(waiting) > PAID_FOR:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert done, f"{len(waiting)} requests were let in"
    money.upstream.gate.open()
    return list(await asyncio.gather(*tasks))


@pytest.mark.parametrize("stream", [True, False], ids=["streams", "plain"])
def test_of_200_requests_at_once_a_key_pays_for_the_20_that_it_can(
    money: Money, stream: bool
) -> None:
    # Each answer uses all that its request may use, so that one unit of overshoot would show.
    bodies = [
        money.body({"id": f"{n:04}", "usage": "bound", "hold": True}, stream=stream)
        for n in range(AT_ONCE)
    ]
    price = money.price_of("alpha", money.bound_of(bodies[0]))
    quota = PAID_FOR * price + price - 1
    key_id, secret = money.key(quota_units=quota)
    answers = asyncio.run(all_held(money, secret, bodies))
    refused = [answer for answer in answers if answer.status != 200]
    assert len(refused) == AT_ONCE - PAID_FOR
    assert {(a.status, error_code(a)) for a in refused} == {(402, "quota_exceeded")}
    assert all(a.whole for a in answers)
    assert money.upstream.calls == PAID_FOR
    rows = money.settled(key_id, PAID_FOR)
    reported = [money.price_of("alpha", usage) for usage in money.upstream.reported()]
    assert sorted(row["cost_units"] for row in rows) == sorted(reported) == [price] * PAID_FOR
    assert money.account(key_id).used == quota - price + 1
    # What is left does not pay for one more, and pays for a smaller one.
    assert error_code(asyncio.run(money.ask(secret, bodies[0]))) == "quota_exceeded"
    small = money.body({"usage": "bound"}, stream=stream, max_tokens=1)
    assert asyncio.run(money.ask(secret, small)).status == 200


def test_what_answers_did_not_use_pays_for_others_until_nothing_is_left(money: Money) -> None:
    dice = random.Random(7)
    bodies = [
        money.body(
            {
                "id": f"{n:04}",
                "usage": {
                    "input_tokens": dice.randrange(10, 150),
                    "output_tokens": dice.randrange(1, 40),
                },
            },
            stream=dice.random() < 0.5,
        )
        for n in range(300)
    ]
    bounds = [money.price_of("alpha", money.bound_of(body)) for body in bodies]
    quota = 30 * max(bounds)
    key_id, secret = money.key(quota_units=quota)
    answers = money.ask_all(secret, bodies)
    paid = [answer for answer in answers if answer.status == 200]
    assert {error_code(a) for a in answers if a.status != 200} == {"quota_exceeded"}
    # Reservations were given back: more were served than their bounds alone would have let in.
    assert len(paid) > 35
    rows = money.settled(key_id, len(paid))
    reported = [money.price_of("alpha", usage) for usage in money.upstream.reported()]
    assert sorted(row["cost_units"] for row in rows) == sorted(reported)
    left = quota - money.account(key_id).used
    assert 0 <= left < max(bounds)


FAILURES = ["500", "529", "429", "401", "reset", "error first", "cut first"]


@pytest.mark.parametrize("stream", [True, False], ids=["streams", "plain"])
def test_what_another_upstream_or_model_answered_is_paid_once_at_its_own_price(
    open_money: Callable[..., Money], stream: bool
) -> None:
    # What these failures teach the gateway about its upstreams is not for other tests.
    money = open_money()
    dice = random.Random(3)
    failures = FAILURES if stream else FAILURES[:5]
    bodies = []
    for n in range(60):
        do = {"first": dice.choice(failures)}
        if n % 3 == 0:
            # A refused credential is no reason to ask another model.
            do = {name: dice.choice(failures[:3] + failures[4:]) for name in ("first", "second")}
        usage = {"input_tokens": dice.randrange(1, 99), "output_tokens": dice.randrange(1, 40)}
        bodies.append(
            money.body(
                {"id": f"{n:04}", "do": do, "usage": usage},
                stream=stream,
                fallback_models=["beta"],
                fallback_enabled=True,
            )
        )
    key_id, secret = money.key(quota_units=10_000_000)
    answers = money.ask_all(secret, bodies, at_once=20)
    assert {answer.status for answer in answers} == {200}
    assert [a.headers["x-actual-model"] for a in answers] == [
        "beta" if n % 3 == 0 else "alpha" for n in range(60)
    ]
    rows = {row["request_id"]: row for row in money.settled(key_id, 60)}
    books = {book["id"]: book for book in money.upstream.books}
    assert len(books) == len(money.upstream.books) == 60
    for n, answer in enumerate(answers):
        book = books[f"{n:04}"]
        row = rows[answer.headers["x-apertis-request-id"]]
        assert (row["model"], row["upstream"]) == (book["model"], book["by"])
        assert row["cost_units"] == money.price_of(book["model"], book["usage"])


def test_the_dearest_model_that_may_answer_is_reserved(money: Money) -> None:
    plan = {"do": {"third": "500"}, "usage": "bound"}
    body = money.body(
        plan, model="beta", fallback_models=["alpha"], fallback_enabled=True, max_tokens=4
    )
    price = money.price_of("alpha", money.bound_of(body))
    key_id, secret = money.key(quota_units=price)
    poor_id, poor = money.key(quota_units=price - 1)
    assert asyncio.run(money.ask(poor, body)).status == 402
    assert asyncio.run(money.ask(secret, body)).status == 200
    (usage,) = money.upstream.reported("alpha")
    assert 0 < money.account(key_id).used == money.price_of("alpha", usage) <= price
    assert money.account(poor_id).used == 0


STREAM_ENDS = {
    # What the upstream does, and the status and the end that the caller sees.
    "400": (400, None),
    "529": (529, None),
    "reset": (502, None),
    "cut first": (200, "error"),
    "error first": (200, "error"),
    "error after": (200, "error"),
    "cut after": (200, "error"),
    "reset after": (200, "error"),
    "answer": (200, "message_stop"),
}


@pytest.mark.parametrize("word", STREAM_ENDS)
def test_a_stream_that_fails_is_booked_with_what_it_had_used(money: Money, word: str) -> None:
    status, last = STREAM_ENDS[word]
    usage = {"input_tokens": 70, "output_tokens": 33, "cache_read_input_tokens": 1200}
    plan = {"do": {"third": word}, "usage": usage, "deltas": 9}
    key_id, secret = money.key(quota_units=1_000_000)
    answer = asyncio.run(money.ask(secret, money.body(plan, stream=True, model="beta")))
    assert answer.status == status
    assert answer.whole
    (row,) = money.settled(key_id, 1)
    assert row["request_id"] == answer.headers["x-apertis-request-id"]
    if last is None:
        assert (row["cost_units"], row["input_tokens"]) == (0, 0)
        return
    assert answer.events[-1]["type"] == last
    output = {"cut first": 1, "error first": 1, "answer": 33}.get(word, 9)
    assert row["cost_units"] == money.price_of("beta", {**usage, "output_tokens": output})
    assert row["output_tokens"] == output
    assert bool(row["interrupted"]) == bool(row["estimated"]) == (word != "answer")


@pytest.mark.parametrize(("word", "status"), [("400", 400), ("529", 529), ("reset", 502)])
def test_a_plain_request_that_fails_costs_nothing(money: Money, word: str, status: int) -> None:
    key_id, secret = money.key(quota_units=1_000_000)
    body = money.body({"do": {"third": word}}, model="beta")
    assert asyncio.run(money.ask(secret, body)).status == status
    (row,) = money.settled(key_id, 1)
    assert (row["cost_units"], row["status"]) == (0, status)


def test_callers_who_leave_pay_for_what_they_were_sent(money: Money) -> None:
    dice = random.Random(11)
    count = 60
    usage = {"input_tokens": 40, "output_tokens": 30, "cache_read_input_tokens": 77}
    plans = []
    for n in range(count):
        hang = dice.choice(["hang after", "hang after", "hang", "answer"])
        plans.append({"id": f"{n:04}", "usage": usage, "do": {"third": hang}})
    deltas = [dice.randrange(1, 30) for _ in plans]
    bodies = [
        money.body({**plan, "deltas": number}, stream=True, model="beta")
        for plan, number in zip(plans, deltas, strict=True)
    ]
    bound = max(money.price_of("beta", money.bound_of(body)) for body in bodies)
    key_id, secret = money.key(quota_units=count * bound)

    async def run() -> list[Answer]:
        async def one(n: int) -> Answer:
            leave_after = dice.randrange(deltas[n] + 1)
            asked = money.ask(secret, bodies[n], leave_after=leave_after)
            if plans[n]["do"] != {"third": "hang"}:
                return await asked
            # Nothing comes before the caller loses patience.
            task = asyncio.get_running_loop().create_task(asked)
            await money.upstream.called(count)
            task.cancel()
            await asyncio.wait({task})
            return None  # type: ignore[return-value]

        return list(await asyncio.gather(*(one(n) for n in range(count))))

    answers = asyncio.run(run())
    rows = {row["request_id"]: row for row in money.settled(key_id, count)}
    for n, answer in enumerate(answers):
        if answer is None:
            continue
        row = rows.pop(answer.headers["x-apertis-request-id"])
        final = bool(not row["estimated"])
        most = 30 if final else max(deltas[n], 1)
        assert answer.pieces <= row["output_tokens"] <= most or final
        assert row["input_tokens"] == 40
        used = {**usage, "output_tokens": row["output_tokens"]}
        assert row["cost_units"] == money.price_of("beta", used)
        assert row["interrupted"] or final
    # Those whose answer nobody saw pay for about their prompt, and never more than was set aside.
    for row in rows.values():
        assert row["estimated"]
        assert row["interrupted"]
        assert row["status"] == 499
        assert row["output_tokens"] == 0
        assert 0 < row["cost_units"] <= bound
    assert money.account(key_id).used <= count * bound


def test_callers_who_leave_before_a_plain_answer_pay_for_about_their_prompt(money: Money) -> None:
    body = money.body({"do": {"third": "hang"}}, model="beta")
    bound = money.price_of("beta", money.bound_of(body))
    key_id, secret = money.key(quota_units=20 * bound)

    async def run() -> None:
        tasks = [asyncio.get_running_loop().create_task(money.ask(secret, body)) for _ in range(20)]
        await money.upstream.called(20)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(run())
    rows = money.settled(key_id, 20)
    assert all(row["estimated"] and row["interrupted"] for row in rows)
    assert all(0 < row["cost_units"] <= bound for row in rows)


def test_callers_who_leave_while_an_answer_is_held_back_pay_for_the_prompt_as_counted(
    money: Money,
) -> None:
    # Until its first content a stream is held, since another model may still answer.
    usage = {"input_tokens": 3, "output_tokens": 9, "cache_read_input_tokens": 5000}
    plan = {"do": {"first": "hang first"}, "usage": usage}
    body = money.body(plan, stream=True, fallback_models=["beta"], fallback_enabled=True)
    key_id, secret = money.key(quota_units=1_000_000)

    async def leave(calls: int, patience_seconds: float) -> None:
        task = asyncio.get_running_loop().create_task(money.ask(secret, body))
        await money.upstream.called(calls)
        await asyncio.wait({task}, timeout=patience_seconds)
        task.cancel()
        await asyncio.wait({task})

    for calls in range(1, 6):
        # How long the gateway takes to read what was sent is not known from outside.
        asyncio.run(leave(calls, 0.05 * calls))
        row = money.settled(key_id, calls)[-1]
        if row["cache_read_tokens"]:
            break
    assert row["cost_units"] == money.price_of("alpha", {**usage, "output_tokens": 1})
    assert row["interrupted"]
    assert row["estimated"]
