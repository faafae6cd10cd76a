"""The reports of the admin API and of the command add up to what the upstream reported."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.money import Money

CLASSES = ["main", "subagent", "compaction"]


def ask_around(money: Money) -> list[dict[str, Any]]:
    """Ask with three keys for two models in a few sessions; give what each request came to."""
    dice = random.Random(2)
    keys = [money.key(response_cache=n == 0) for n in range(3)]
    asked: list[dict[str, Any]] = []

    async def one(n: int) -> None:
        key_id, secret = keys[n % 3]
        fact: dict[str, Any] = {
            "key": key_id,
            "model": dice.choice(["alpha", "beta"]),
            "session": dice.choice(["s-1", "s-2", "s-3"]),
            "class": dice.choice(CLASSES),
        }
        usage = {
            "input_tokens": dice.randrange(500),
            "output_tokens": dice.randrange(40),
            "cache_read_input_tokens": dice.randrange(900),
            "cache_creation": {"ephemeral_1h_input_tokens": dice.randrange(90)},
        }
        word = dice.choice(["answer", "answer", "400"])
        plan = {"id": f"{n:04}", "usage": usage, "do": dict.fromkeys(["first", "third"], word)}
        headers = {
            "x-claude-code-session-id": fact["session"],
            "x-claude-code-request-class": fact["class"],
        }
        body = money.body(plan, model=fact["model"], stream=dice.random() < 0.5)
        answer = await money.ask(secret, body, headers)
        made = int(answer.headers["x-apertis-request-id"][4:16], 16) / 1000
        fact["day"] = datetime.fromtimestamp(made, UTC).date().isoformat()
        fact["errors"] = word != "answer"
        fact["cost"] = 0 if fact["errors"] else money.price_of(fact["model"], usage)
        fact["tokens"] = 0 if fact["errors"] else usage["cache_read_input_tokens"]
        asked.append(fact)

    async def run() -> None:
        for n in range(0, 90, 15):
            await asyncio.gather(*(one(n + place) for place in range(15)))

    asyncio.run(run())
    for key_id, _ in keys:
        money.settled(key_id, 30)
    return asked


def sums_by(asked: list[dict[str, Any]], groups: str) -> dict[tuple[str, ...], list[int]]:
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * 4)
    for fact in asked:
        row = sums[tuple(fact[name] for name in groups.split(","))]
        row[0] += 1
        row[1] += fact["errors"]
        row[2] += fact["tokens"]
        row[3] += fact["cost"]
    return dict(sums)


NUMBERS = ("requests", "errors", "cache_read_tokens", "cost_units")


def rows_by(rows: list[dict[str, Any]], groups: str) -> dict[tuple[str, ...], list[int]]:
    names = groups.split(",")
    return {tuple(row[name] for name in names): [int(row[n]) for n in NUMBERS] for row in rows}


def test_every_report_adds_up_to_what_was_used(open_money: Callable[..., Money]) -> None:
    money = open_money()
    asked = ask_around(money)
    for groups in ("key", "model", "day", "session", "class", "key,model", "day,session,class"):
        report = money.gateway.usage(by=groups)
        assert rows_by(report["data"], groups) == sums_by(asked, groups)
        assert report["totals"]["cost_units"] == sum(fact["cost"] for fact in asked)
    alpha = [fact for fact in asked if fact["model"] == "alpha"]
    report = money.gateway.usage(by="session", model="alpha")
    assert rows_by(report["data"], "session") == sums_by(alpha, "session")
    data = str(money.gateway.data)
    for arguments in (["--by", "key,class", "--json"], ["--by", "model,session", "--csv"]):
        done = subprocess.run(
            [sys.executable, "-m", "apertis.cli", "usage", *arguments, "--data", data],
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=True,
        )
        as_csv = arguments[-1] == "--csv"
        rows = [*csv.DictReader(io.StringIO(done.stdout))] if as_csv else _data(done.stdout)
        assert rows_by(rows, arguments[1]) == sums_by(asked, arguments[1])


def _data(printed: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(printed)["data"]
    return rows
