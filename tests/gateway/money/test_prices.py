"""Whatever shape an upstream gives its usage, the ledger has it, and its price to the unit."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from apertis.accounting.prices import PriceTable
from apertis.accounting.tokens import Tokens, Use
from apertis.gateway.request.charge import Prices

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.money import Money

COUNTED = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
}


def any_usage(dice: random.Random) -> dict[str, Any]:
    def number(most: int) -> int:
        return dice.choice([0, 1, dice.randrange(most), dice.randrange(most)])

    five, hour = number(90_000), number(70_000)
    return {
        "input_tokens": number(200_000),
        "output_tokens": number(9_000),
        "cache_read_input_tokens": number(300_000),
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {
            "ephemeral_5m_input_tokens": five,
            "ephemeral_1h_input_tokens": hour,
        },
        "server_tool_use": {"web_search_requests": number(5), "web_fetch_requests": number(3)},
    }


def test_five_classes_and_searches_are_priced_exactly(money: Money) -> None:
    dice = random.Random(1)
    bodies = []
    for n in range(120):
        model = dice.choice(["alpha", "beta"])
        plan = {"id": f"{n:04}", "usage": any_usage(dice)}
        bodies.append(money.body(plan, stream=dice.random() < 0.5, model=model))
    key_id, secret = money.key(quota_units=10**9)
    answers = money.ask_all(secret, bodies, at_once=20)
    assert all(answer.whole and answer.status == 200 for answer in answers)
    rows = {row["request_id"]: row for row in money.settled(key_id, 120)}
    books = {book["id"]: book for book in money.upstream.books}
    for n, answer in enumerate(answers):
        book, row = books[f"{n:04}"], rows[answer.headers["x-apertis-request-id"]]
        usage = book["usage"]
        assert all(row[name] == usage[said] for name, said in COUNTED.items())
        split = usage["cache_creation"]
        assert row["cache_write_5m_tokens"] == split["ephemeral_5m_input_tokens"]
        assert row["cache_write_1h_tokens"] == split["ephemeral_1h_input_tokens"]
        assert row["web_search_requests"] == usage["server_tool_use"]["web_search_requests"]
        assert row["cost_units"] == money.price_of(book["model"], usage)
        assert not row["estimated"]


@pytest.mark.parametrize(
    ("usage", "units"),
    [
        ({"input_tokens": 1, "output_tokens": 0}, 2),
        ({"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 1}, 1),
        ({"input_tokens": 0, "output_tokens": 0}, 0),
        # 1.500001 and 0.155 units: rounded up once, not each.
        ({"input_tokens": 1, "output_tokens": 0, "cache_read_input_tokens": 3}, 2),
        ({"input_tokens": 1_000_000, "output_tokens": 0}, 1_500_001),
        (
            {
                "input_tokens": 0,
                "output_tokens": 0,
                "server_tool_use": {"web_search_requests": 1},
            },
            5_150,
        ),
    ],
)
def test_a_price_is_rounded_up_once(money: Money, usage: dict[str, Any], units: int) -> None:
    key_id, secret = money.key(quota_units=10**9)
    assert asyncio.run(money.ask(secret, money.body({"usage": usage}))).status == 200
    (row,) = money.settled(key_id, 1)
    assert row["cost_units"] == units == money.price_of("alpha", usage)


def events(*documents: dict[str, Any], end: str = "\n", named: bool = True) -> str:
    name = f"event: {{type}}{end}" if named else ""
    return "".join(
        name.format(**document) + f"data: {json.dumps(document)}{end}{end}"
        for document in documents
    )


def start(**usage: Any) -> dict[str, Any]:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": []}
    return {"type": "message_start", "message": {**message, "usage": usage}}


BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
PIECE = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "wxyz"}}
DONE = {"type": "content_block_stop", "index": 0}
STOP = {"type": "message_stop"}


def last(**usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


LOOK_ALIKES: dict[str, tuple[str, dict[str, Any]]] = {
    "all of it at the end": (
        events(
            start(input_tokens=0, output_tokens=0),
            BLOCK,
            PIECE,
            DONE,
            last(input_tokens=31, output_tokens=7, cache_read_input_tokens=4),
            STOP,
        ),
        {"input_tokens": 31, "output_tokens": 7, "cache_read_input_tokens": 4},
    ),
    "the same said again and again": (
        events(
            start(input_tokens=9, output_tokens=1, cache_creation_input_tokens=5),
            BLOCK,
            {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}},
            PIECE,
            DONE,
            last(input_tokens=9, output_tokens=5, cache_creation_input_tokens=5),
            STOP,
        ),
        {
            "input_tokens": 9,
            "output_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 5},
        },
    ),
    "nulls for what was said before": (
        events(
            start(input_tokens=9, output_tokens=1, cache_read_input_tokens=8),
            BLOCK,
            DONE,
            last(input_tokens=None, output_tokens=2, cache_read_input_tokens=None),
            STOP,
        ),
        {"input_tokens": 9, "output_tokens": 2, "cache_read_input_tokens": 8},
    ),
    "other line ends and no names": (
        events(
            start(input_tokens=12, output_tokens=1),
            {"type": "ping"},
            BLOCK,
            PIECE,
            DONE,
            last(output_tokens=6),
            STOP,
            end="\r\n",
            named=False,
        )
        + "data: [DONE]\r\n\r\n",
        {"input_tokens": 12, "output_tokens": 6},
    ),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_streams_of_look_alikes_are_booked_by_the_last_word(money: Money, name: str) -> None:
    stream, usage = LOOK_ALIKES[name]
    key_id, secret = money.key(quota_units=10**6)
    answer = asyncio.run(money.ask(secret, money.body({"verbatim": stream}, stream=True)))
    assert answer.body == stream.encode()
    (row,) = money.settled(key_id, 1)
    assert row["cost_units"] == money.price_of("alpha", usage)
    assert (row["interrupted"], row["estimated"]) == (0, 0)


WITHOUT_USAGE = events(start(), BLOCK, *[PIECE] * 8, DONE, last(), STOP)


@pytest.mark.parametrize(
    ("said", "least"),
    [
        (WITHOUT_USAGE, 8),
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": "a" * 80}],
            },
            20,
        ),
    ],
    ids=["stream", "plain"],
)
def test_an_answer_without_usage_costs_its_reservation(
    money: Money, said: str | dict[str, Any], least: int
) -> None:
    body = money.body({"verbatim": said}, stream=isinstance(said, str))
    bound = money.price_of("alpha", money.bound_of(body))
    key_id, secret = money.key(quota_units=bound)
    assert asyncio.run(money.ask(secret, body)).status == 200
    (row,) = money.settled(key_id, 1)
    assert row["estimated"]
    assert least <= row["output_tokens"] <= 40
    assert len(body) / 5 < row["input_tokens"] < len(body) / 2
    assert row["cost_units"] == bound


DEEP = b"[" * 2000 + b"]" * 2000


@pytest.mark.parametrize(
    "content", [rb'"one \ud83d"', b'"\xff\xfe"', DEEP, b'{"a":' * 2000 + b"1" + b"}" * 2000]
)
def test_what_an_answer_says_does_not_hide_what_it_used(money: Money, content: bytes) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 300}
    answer = b'{"type":"message","content":[%b],"usage":%b}' % (content, json.dumps(usage).encode())
    body = money.body({"verbatim": {"raw": answer.decode("latin-1")}})
    key_id, secret = money.key(quota_units=10**6)
    assert asyncio.run(money.ask(secret, body)).body == answer
    (row,) = money.settled(key_id, 1)
    assert (row["cost_units"], row["estimated"]) == (money.price_of("alpha", usage), 0)


@pytest.mark.parametrize(
    "answer", ['{"type":"message","usage":{"input_tokens":1,', '{"type":"message"}', "{}"]
)
def test_an_answer_whose_usage_cannot_be_read_costs_its_reservation(
    money: Money, answer: str
) -> None:
    body = money.body({"verbatim": {"raw": answer}})
    bound = money.price_of("alpha", money.bound_of(body))
    for quota in (bound, None):
        key_id, secret = money.key(quota_units=quota)
        assert asyncio.run(money.ask(secret, body)).status == 200
        (row,) = money.settled(key_id, 1)
        assert (row["cost_units"], row["estimated"]) == (bound, 1)


def test_an_error_with_the_status_of_an_answer_costs_nothing(money: Money) -> None:
    answer = '{"type":"error","error":{"type":"overloaded_error","message":"one \\ud83d"}}'
    key_id, secret = money.key(quota_units=10**6)
    body = money.body({"verbatim": {"raw": answer}})
    assert asyncio.run(money.ask(secret, body)).body == answer.encode()
    (row,) = money.settled(key_id, 1)
    assert (row["cost_units"], row["code"]) == (0, "overloaded_error")


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("wrong", "inputs", "outputs"),
    [
        ({"output_tokens": 10**12}, (1000, 1000), (2, 20)),
        ({"output_tokens": "300"}, (1000, 1000), (2, 20)),
        ({"input_tokens": 10**12}, (50, 600), (7, 7)),
        ({"input_tokens": -1}, (50, 600), (7, 7)),
        ({"input_tokens": "many"}, (50, 600), (7, 7)),
        ({"input_tokens": None}, (50, 600), (7, 7)),
    ],
)
def test_a_count_that_is_missing_or_cannot_be_is_estimated_alone(
    money: Money,
    wrong: dict[str, Any],
    inputs: tuple[int, int],
    outputs: tuple[int, int],
    *,
    streamed: bool,
) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 7, **wrong}
    message = {"type": "message", "content": [{"type": "text", "text": "wxyz"}], "usage": usage}
    stream = events(start(**{**usage, "output_tokens": 1}), BLOCK, PIECE, PIECE, DONE)
    stream += events(last(output_tokens=usage["output_tokens"]), STOP)
    body = money.body({"verbatim": stream if streamed else message}, stream=streamed)
    key_id, secret = money.key(quota_units=10**7)
    assert asyncio.run(money.ask(secret, body)).status == 200
    (row,) = money.settled(key_id, 1)
    assert inputs[0] <= row["input_tokens"] <= inputs[1]
    assert outputs[0] <= row["output_tokens"] <= outputs[1]
    used = {name: row[name] for name in ("input_tokens", "output_tokens")}
    assert (row["cost_units"], row["estimated"]) == (money.price_of("alpha", used), 1)


def test_counts_in_other_forms_of_numbers_are_counts(money: Money) -> None:
    answer = '{"type":"message","content":[],"usage":{"input_tokens":1e3,"output_tokens":300.0}}'
    key_id, secret = money.key(quota_units=10**6)
    asyncio.run(money.ask(secret, money.body({"verbatim": {"raw": answer}})))
    (row,) = money.settled(key_id, 1)
    usage = {"input_tokens": 1000, "output_tokens": 300}
    assert (row["cost_units"], row["estimated"]) == (money.price_of("alpha", usage), 0)


def test_an_estimate_never_passes_what_was_set_aside(money: Money) -> None:
    # One piece of many characters for each token, and no count at the end.
    long = {
        **PIECE,
        "delta": {"type": "text_delta", "text": "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 300},
    }
    stream = events(start(input_tokens=10, output_tokens=1), BLOCK, *[long] * 3)
    body = money.body({"verbatim": stream}, stream=True, max_tokens=20)
    key_id, secret = money.key(quota_units=10**6)
    answer = asyncio.run(money.ask(secret, body))
    assert answer.events[-1]["type"] == "error"
    (row,) = money.settled(key_id, 1)
    assert row["output_tokens"] == 20
    assert row["estimated"]


def test_a_model_without_a_price_is_for_keys_without_a_quota(
    open_money: Callable[..., Money],
) -> None:
    money = open_money()
    limited_id, limited = money.key(quota_units=10**9)
    free_id, unlimited = money.key()
    body = money.body({}, model="free")
    refused = asyncio.run(money.ask(limited, body))
    assert refused.status == 403
    assert json.loads(refused.body)["error"]["code"] == "model_access_denied"
    assert "price" in json.loads(refused.body)["error"]["message"]
    assert money.upstream.calls == 0
    assert asyncio.run(money.ask(unlimited, body)).status == 200
    (row,) = money.settled(free_id, 1)
    assert (row["cost_units"], row["input_tokens"], row["output_tokens"]) == (0, 10, 5)
    assert money.account(limited_id).used == 0


def test_a_model_without_a_price_can_be_made_free(open_money: Callable[..., Money]) -> None:
    money = open_money('[money]\nunpriced = "free"\n')
    key_id, secret = money.key(quota_units=1)
    assert asyncio.run(money.ask(secret, money.body({}, model="free"))).status == 200
    assert asyncio.run(money.ask(secret, money.body({}, model="alpha"))).status == 402
    (row,) = money.settled(key_id, 1)
    assert (row["cost_units"], row["model"]) == (0, "free")


def test_an_alias_costs_what_its_model_costs(open_money: Callable[..., Money]) -> None:
    money = open_money(third='[{ id = "beta", aliases = ["small"], upstream_model = "b" }]')
    key_id, secret = money.key(quota_units=10**6)
    body = money.body({"usage": {"input_tokens": 70, "output_tokens": 3}}, model="small")
    assert asyncio.run(money.ask(secret, body)).status == 200
    (row,) = money.settled(key_id, 1)
    assert (row["model"], row["requested_model"]) == ("beta", "small")
    assert row["cost_units"] == money.price_of("beta", {"input_tokens": 70, "output_tokens": 3})


def test_the_name_of_a_cheap_model_reserves_for_the_dear_one_that_it_stands_for(
    open_money: Callable[..., Money],
) -> None:
    money = open_money(third='[{ id = "alpha", aliases = ["beta"] }]')
    body = money.body({"usage": "bound"}, model="beta")
    price = money.price_of("alpha", {**money.bound_of(body)})
    poor_id, poor = money.key(quota_units=price - 1)
    assert asyncio.run(money.ask(poor, body)).status == 402
    key_id, secret = money.key(quota_units=2 * price)
    assert asyncio.run(money.ask(secret, body)).status == 200
    (row,) = money.settled(key_id, 1)
    (usage,) = money.upstream.reported()
    assert row["cost_units"] == money.price_of("alpha", usage)
    assert money.account(poor_id).used == 0


def test_no_cost_is_larger_than_a_database_can_add_up() -> None:
    # An upstream that is broken counts what it likes, and names as many advisors.
    prices = Prices(PriceTable(), unpriced_is_free=False)
    used = Tokens(input=10**12, output=10**12)
    cost = prices.cost("claude-opus-4-5", used, [Use(used, "claude-opus-4-5")] * 10_000)
    assert 0 < cost * 9_000 < 2**63
