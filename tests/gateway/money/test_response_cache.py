"""Answers from the response cache cost nothing, belong to one key, and say what they are."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kit.money import Answer, Money

ON, OFF = {"x-response-cache": "on"}, {"x-response-cache": "off"}


def ask(
    money: Money, secret: str, body: bytes, headers: dict[str, str] | None = None
) -> tuple[str | None, Answer]:
    """Ask, and give what the answer says of the cache."""
    answer = asyncio.run(money.ask(secret, body, headers))
    return answer.headers.get("x-response-cache"), answer


def text_of(answer: Answer) -> str:
    if answer.headers["content-type"] == "application/json":
        return "".join(block["text"] for block in json.loads(answer.body)["content"])
    pieces = (event["delta"]["text"] for event in answer.events if "text" in event.get("delta", {}))
    return "".join(pieces)


@pytest.mark.parametrize("first", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("second", [True, False], ids=["to a stream", "to a plain request"])
def test_an_equal_request_is_answered_from_the_cache_in_the_form_that_it_asks_for(
    money: Money, first: bool, second: bool
) -> None:
    key_id, secret = money.key(response_cache=True, quota_units=10**6)
    plan: dict[str, Any] = {"usage": {"input_tokens": 40, "output_tokens": 7}, "deltas": 3}
    said, original = ask(money, secret, money.body(plan, stream=first))
    assert said == "miss"
    spent = money.account(key_id).used
    assert spent == money.price_of("alpha", plan["usage"])
    said, replayed = ask(money, secret, money.body(plan, stream=second))
    assert (said, replayed.status, replayed.whole) == ("hit", 200, True)
    assert int(replayed.headers["age"]) >= 0
    assert text_of(replayed) == text_of(original)
    if first == second:
        assert replayed.body == original.body
    elif second:
        assert [replayed.events[0]["type"], replayed.events[-1]["type"]] == [
            "message_start",
            "message_stop",
        ]
    else:
        assert json.loads(replayed.body)["stop_reason"] == "end_turn"
    assert money.upstream.calls == 1
    paid, free = money.settled(key_id, 2)
    assert (paid["cached"], paid["cost_units"]) == (0, spent)
    assert (free["cached"], free["cost_units"], free["input_tokens"]) == (1, 0, 0)
    assert free["request_id"] == replayed.headers["x-apertis-request-id"]


def test_a_hit_needs_no_quota(money: Money) -> None:
    body = money.body({"usage": "bound"})
    price = money.price_of("alpha", money.bound_of(body))
    key_id, secret = money.key(response_cache=True, quota_units=price)
    assert ask(money, secret, body)[0] == "miss"
    assert money.account(key_id).remaining == 0
    assert ask(money, secret, body)[0] == "hit"
    assert ask(money, secret, body, OFF)[1].status == 402
    money.settled(key_id, 2)


def test_each_key_and_each_request_decides_for_itself(money: Money) -> None:
    body = money.body({})
    _, keeping = money.key(response_cache=True)
    _, plain = money.key()
    assert [ask(money, keeping, body)[0] for _ in range(2)] == ["miss", "hit"]
    # The other key learns nothing of it, and keeps nothing unless it asks for that.
    assert [ask(money, plain, body)[0] for _ in range(2)] == [None, None]
    assert [ask(money, plain, body, ON)[0] for _ in range(2)] == ["miss", "hit"]
    assert ask(money, keeping, body, OFF)[0] is None
    refused = ask(money, keeping, body, {"x-response-cache": "perhaps"})[1]
    assert refused.status == 400
    assert json.loads(refused.body)["error"]["param"] == "x-response-cache"
    assert money.upstream.calls == 5


@pytest.mark.parametrize(
    "other",
    [
        {"max_tokens": 41},
        {"temperature": 0.5},
        {"system": "be brief"},
        {"model": "beta"},
        {"tools": []},
    ],
)
def test_another_request_is_a_miss(money: Money, other: dict[str, Any]) -> None:
    _, secret = money.key(response_cache=True)
    assert ask(money, secret, money.body({}))[0] == "miss"
    assert ask(money, secret, money.body({}, **other))[0] == "miss"
    assert ask(money, secret, money.body({}), {"anthropic-beta": "new"})[0] == "miss"
    # Who is told of an answer, and how, makes it no other answer.
    assert ask(money, secret, money.body({}, metadata={"user_id": "ann"}))[0] == "hit"
    assert money.upstream.calls == 3


@pytest.mark.parametrize(
    ("word", "stream"),
    [("529", False), ("400", False), ("error after", True), ("cut after", True), ("reset", True)],
)
def test_what_is_no_whole_answer_is_not_kept(money: Money, word: str, stream: bool) -> None:
    _, secret = money.key(response_cache=True)
    body = money.body({"do": {"third": word}}, stream=stream, model="beta")
    answers = [ask(money, secret, body) for _ in range(2)]
    assert [said for said, _ in answers if said == "hit"] == []
    # A connection that was kept and is reset may have been stale: then it was asked once more.
    assert money.upstream.calls >= 2


def test_an_answer_of_a_fallback_is_not_kept(money: Money) -> None:
    _, secret = money.key(response_cache=True)
    plan = {"do": {"first": "500", "second": "500"}}
    body = money.body(plan, fallback_models=["beta"], fallback_enabled=True)
    for _ in range(2):
        said, answer = ask(money, secret, body)
        assert answer.headers["x-actual-model"] == "beta"
        assert said != "hit"
    assert len(money.upstream.reported("beta")) == 2


def test_a_caller_who_leaves_a_stream_leaves_nothing_in_the_cache(money: Money) -> None:
    key_id, secret = money.key(response_cache=True)
    body = money.body({"do": {"third": "hang after"}}, stream=True, model="beta")
    answer = asyncio.run(money.ask(secret, body, leave_after=2))
    assert answer.headers["x-response-cache"] == "miss"
    money.settled(key_id, 1)
    asyncio.run(money.ask(secret, body, leave_after=2))
    assert money.upstream.calls == 2


def test_a_key_that_lost_its_rights_gets_nothing_from_the_cache(money: Money) -> None:
    key_id, secret = money.key(response_cache=True)
    body = money.body({})
    assert [ask(money, secret, body)[0] for _ in range(2)] == ["miss", "hit"]
    admin = money.gateway.client

    def change(**fields: Any) -> None:
        sent = json.dumps(fields).encode()
        assert admin.call("PATCH", f"/admin/v1/keys/{key_id}", sent).status == 200

    change(models=["beta"])
    assert ask(money, secret, body)[1].status == 403
    change(models=None)
    assert ask(money, secret, body)[0] == "hit"
    assert admin.call("POST", f"/admin/v1/keys/{key_id}/disable").status == 200
    assert ask(money, secret, body)[1].status == 401
    assert admin.call("POST", f"/admin/v1/keys/{key_id}/enable").status == 200
    assert ask(money, secret, body)[1].status == 200
    assert admin.call("DELETE", f"/admin/v1/keys/{key_id}").status == 200
    assert ask(money, secret, body)[1].status == 401
