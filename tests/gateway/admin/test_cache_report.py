"""The report of prompt caching over the admin API: shares, money saved and lost, and causes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apertis.accounting.prices import LIST_PRICES, cost_units
from apertis.accounting.tokens import Tokens

if TYPE_CHECKING:
    from tests.kit.administration import Administration

CACHE = "/admin/v1/usage/cache"
NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
MODEL = "claude-sonnet-4-5"
PRICE = LIST_PRICES[MODEL]


def report(admin: Administration, query: str = "") -> dict[str, Any]:
    answer = admin.call("GET", f"{CACHE}?{query}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def test_money_is_saved_by_reads_and_lost_by_what_was_sent_anew(admin: Administration) -> None:
    key = admin.key("sk-1", name="ci").id
    write = Tokens(input=100, cache_write_5m=100_000)
    read = Tokens(input=100, cache_read=100_000)
    requests: list[tuple[Tokens, dict[str, Any]]] = [
        (write, {}),
        (read, {}),
        (write, {"prefix_change": 1}),
        (write, {"upstream": "other"}),
    ]
    for number, (tokens, fields) in enumerate(requests):
        at_ms = NOW_MS - (10 - number) * MINUTE_MS
        admin.used(key, model=MODEL, session="s", at_ms=at_ms, tokens=tokens, **fields)
    found = report(admin, "by=key,model,session")
    plain, cached = Tokens(input=100_000), Tokens(cache_read=100_000)
    saved = cost_units(plain, PRICE) - cost_units(cached, PRICE)
    lost = cost_units(Tokens(cache_write_5m=100_000), PRICE) - cost_units(cached, PRICE)
    assert found["data"] == [
        {
            "key": key,
            "key_name": "ci",
            "model": MODEL,
            "session": "s",
            **found["totals"],
        }
    ]
    totals = found["totals"]
    assert (totals["requests"], totals["unpriced"]) == (4, 0)
    assert (totals["prompt_tokens"], totals["cache_read_tokens"]) == (400_400, 100_000)
    assert totals["read_percent"] == pytest.approx(25.0)
    assert (totals["saved_units"], totals["lost_units"]) == (saved, 2 * lost)
    assert totals["saved_usd"] == "0.27"
    assert {miss["cause"]: miss["lost_units"] for miss in totals["misses"]} == {
        "upstream": lost,
        "prefix": lost,
    }
    assert [miss.get("breakpoint") for miss in totals["misses"]] == [None, 1]


def test_the_groups_that_lost_most_come_first(admin: Administration) -> None:
    keys = [admin.key(f"sk-{n}", name=f"key {n}").id for n in range(3)]
    for number, key in enumerate(keys):
        for step in range(2):
            tokens = Tokens(cache_write_1h=1000 * (number + 1))
            at_ms = NOW_MS - (10 - step) * MINUTE_MS
            admin.used(key, session="s", at_ms=at_ms, tokens=tokens, model=MODEL)
    found = report(admin, "limit=2")
    assert [row["key_name"] for row in found["data"]] == ["key 2", "key 1"]
    assert found["has_more"]
    assert sum(miss["tokens"] for miss in found["totals"]["misses"]) == 6000
    assert found["totals"]["misses"][0]["cause"] == "unknown"
    assert [row["key_name"] for row in report(admin, "key=key+0")["data"]] == ["key 0"]


def test_a_model_without_a_price_has_no_money(admin: Administration) -> None:
    key = admin.key("sk-1", name="ci").id
    tokens = Tokens(cache_read=500, cache_write_5m=500)
    admin.used(key, model="own", at_ms=NOW_MS - 1, tokens=tokens)
    (row,) = report(admin, "by=model")["data"]
    assert (row["model"], row["unpriced"], row["saved_units"]) == ("own", 1, 0)
    assert row["read_percent"] == pytest.approx(50.0)


def test_the_last_week_is_reported_unless_another_time_is_asked_for(admin: Administration) -> None:
    key = admin.key("sk-1", name="ci").id
    admin.used(key, at_ms=NOW_MS - 8 * 86_400_000)
    assert report(admin)["data"] == []
    assert report(admin)["totals"]["read_percent"] is None
    assert report(admin, "from=9d")["totals"]["requests"] == 1


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [("by=day", 400, "by"), ("by=tag", 400, "by"), ("key=nobody", 404, None), ("x=1", 400, "x")],
)
def test_a_wrong_question_is_refused(
    admin: Administration, query: str, status: int, param: str | None
) -> None:
    answer = admin.call("GET", f"{CACHE}?{query}")
    assert (answer.status, answer.error[2]) == (status, param)
