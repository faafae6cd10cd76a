"""`billing_policy`: who lets somebody else pay needs the right to, and is marked."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.http import Client
    from tests.kit.money import Money

OTHERS = {"type": "billing_policy", "bill_to": "user_profile"}
OWN = {"type": "billing_policy", "bill_to": "self"}


def test_a_key_without_the_right_may_bill_nobody_else(money: Money) -> None:
    _, secret = money.key()
    for policy in (OTHERS, "user_profile", {"bill_to": ["self"]}):
        answer = asyncio.run(money.ask(secret, money.body({}, billing_policy=policy)))
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (403, "access_denied")
    assert money.upstream.calls == 0
    for own in (OWN, None):
        assert asyncio.run(money.ask(secret, money.body({}, billing_policy=own))).status == 200


@pytest.mark.parametrize("stream", [True, False], ids=["streams", "plain"])
@pytest.mark.parametrize("free", [True, False], ids=["free", "booked"])
def test_with_the_right_it_is_booked_as_configured_and_marked(
    open_money: Callable[..., Money], free: bool, stream: bool
) -> None:
    money = open_money('[money]\nbilling_policy = "free"\n' if free else "")
    body = money.body({"usage": "bound"}, billing_policy=OTHERS, stream=stream)
    price = money.price_of("alpha", money.bound_of(body))
    key_id, secret = money.key(billing_policy=True, quota_units=0 if free else price)
    answer = asyncio.run(money.ask(secret, body))
    assert answer.status == 200, answer.body
    (row,) = money.settled(key_id, 1)
    assert (row["bill_to"], row["cost_units"]) == ("user_profile", 0 if free else price)
    assert row["output_tokens"] == 40
    line = next(line for line in money.gateway.log_lines() if line.get("key_id") == key_id)
    assert line["bill_to"] == "user_profile"


def test_what_the_gateways_account_pays_is_not_marked(money: Money) -> None:
    key_id, secret = money.key(billing_policy=True)
    asyncio.run(money.ask(secret, money.body({}, billing_policy=OWN)))
    (row,) = money.settled(key_id, 1)
    assert row["bill_to"] is None
    assert row["cost_units"] > 0


def test_a_request_of_a_batch_needs_the_right_too(money: Money) -> None:
    params = json.loads(money.body({}, billing_policy=OTHERS))
    body = json.dumps({"requests": [{"custom_id": "a", "params": params}]}).encode()
    client: Client
    _, client = money.gateway.make_key()
    answer = client.call("POST", "/v1/messages/batches", body)
    assert answer.status == 403
    error: dict[str, Any] = json.loads(answer.body)["error"]
    assert error["code"] == "access_denied"
