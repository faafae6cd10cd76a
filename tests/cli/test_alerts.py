"""`apertis alerts` on a real store, and tests through real targets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.store.alerts import Alert
from apertis.gateway.store.database import Store
from tests.kit.webhooks import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.command_line import CommandLine
    from tests.kit.webhooks import Receiver


def keep(data: Path) -> None:
    """Tell of two budgets: one that nobody takes, and one that is delivered."""

    async def run() -> None:
        async with await Store.open(data) as store:
            for percent in (50, 75):
                alert = Alert(
                    id=f"budget:lim_a@0:100:{percent}",
                    kind="budget",
                    level="info",
                    text=f"The person Ada has spent {percent} %.",
                    data={"threshold_percent": percent},
                )
                await store.alerts.claim([alert], {alert.id: ["ops"]})
                (attempt,) = await store.alerts.take(["ops"], limit=9, hold_ms=60_000)
                await store.alerts.end(attempt, "it answered 500" if percent == 50 else None)

    asyncio.run(run())


def test_alerts_are_listed_with_what_became_of_them(apertis: CommandLine) -> None:
    keep(apertis.data)
    lines = [line.split("\t") for line in apertis("alerts").splitlines()]
    assert sorted((line[0], line[2], line[3], line[4]) for line in lines) == [
        (
            "budget:lim_a@0:100:50",
            "info",
            "The person Ada has spent 50 %.",
            "ops failed (it answered 500)",
        ),
        ("budget:lim_a@0:100:75", "info", "The person Ada has spent 75 %.", "ops delivered"),
    ]
    page = apertis.json("alerts", "--failed")
    (one,) = page["data"]
    assert (one["type"], one["data"]) == ("budget.threshold_passed", {"threshold_percent": 50})
    assert one["deliveries"][0]["state"] == "failed"
    assert len(apertis.json("alerts", "--kind", "budget", "--level", "info")["data"]) == 2
    assert apertis.json("alerts", "--kind", "key")["data"] == []
    assert "--level" in apertis("alerts", "--level", "loud", code=2)
    first = apertis.json("alerts", "--limit", "1")
    assert first["has_more"]
    (other,) = apertis.json("alerts", "--after", first["last_id"])["data"]
    assert other["id"] != first["data"][0]["id"]


def test_a_store_that_told_nothing_lists_nothing(apertis: CommandLine) -> None:
    apertis("keys", "create", "--name", "ci")
    assert apertis("alerts") == ""


@pytest.fixture
def config(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOOK", receiver.url)
    monkeypatch.setenv("GONE", "http://127.0.0.1:1/token-in-the-path")
    monkeypatch.setenv("SECRET", SECRET)
    file = tmp_path / "apertis.toml"
    file.write_text(
        "[alerts]\nschemes = ['http']\nallow_private_addresses = true\n"
        + "".join(
            f"[[alerts.targets]]\nname = '{name}'\nurl_env = '{variable}'\nsecret_env = 'SECRET'\n"
            for name, variable in (("ops", "HOOK"), ("gone", "GONE"))
        )
    )
    return str(file)


def test_a_test_says_what_happened_at_each_target(
    apertis: CommandLine, config: str, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apertis("alerts", "test", "--config", config, "--target", "ops") == "delivered  ops\n"
    assert [message["type"] for message in receiver.messages] == ["alert.test"]
    from apertis.cli.group import run

    assert run(["alerts", "test", "--config", config, "--json"]) == 1
    out, err = capsys.readouterr()
    ops, gone = json.loads(out)["targets"]
    assert (ops["delivered"], gone["delivered"]) == (True, False)
    assert "cannot connect to 127.0.0.1:1" in gone["error"]
    assert "token" not in out + err


def test_a_test_without_targets_or_of_an_unknown_one_is_an_error(
    apertis: CommandLine, config: str
) -> None:
    assert "there is no target: name one in" in apertis("alerts", "test", code=3)
    wrong = apertis("alerts", "test", "--config", config, "--target", "chat", code=2)
    assert wrong == "--target: there is no 'chat'; there are ops, gone"
