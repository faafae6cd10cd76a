"""`apertis usage --cache` on a real store."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens
from apertis.cli import usage_cache
from apertis.cli.exit_codes import ExitCode
from apertis.cli.group import run
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.store.database import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    now_ms = int(time.time() * 1000)

    def record(number: int, tokens: Tokens, change: int | None = None) -> UsageRecord:
        return UsageRecord(
            request_id=f"req_{number}",
            at_ms=now_ms - 60_000 + number,
            key_id="key_1",
            model="claude-sonnet-4-5",
            requested_model="claude-sonnet-4-5",
            status=200,
            tokens=tokens,
            session="s",
            prefix_change=change,
        )

    async def fill() -> None:
        key = KeyRecord(id="key_1", name="=ann", sha256="0" * 64, hint="sk-...", created_at=1)
        write, read = Tokens(cache_write_5m=100_000), Tokens(cache_read=100_000)
        async with await Store.open(tmp_path / "data") as store:
            await store.keys.insert(key)
            await store.usage.add([record(1, write), record(2, read), record(3, write, 2)])

    asyncio.run(fill())
    return tmp_path / "data"


@pytest.fixture
def caching(data: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*arguments: str, code: int = 0) -> str:
        exit_code = run(["usage", "--cache", *arguments, "--data", str(data)])
        out, err = capsys.readouterr()
        assert exit_code == code, err
        return err if code else out

    return call


def test_json_has_the_causes_of_misses(caching: Callable[..., str]) -> None:
    report = json.loads(caching("--json", "--by", "key,model"))
    (row,) = report["data"]
    assert (row["key_name"], row["model"]) == ("=ann", "claude-sonnet-4-5")
    assert row["read_percent"] == pytest.approx(33.3)
    assert row["misses"] == [
        {
            "cause": "prefix",
            "breakpoint": 2,
            "requests": 1,
            "tokens": 100_000,
            "lost_units": 172_500,
            "lost_usd": "0.345",
        }
    ]


def test_csv_has_a_line_for_each_cause_and_runs_nothing(caching: Callable[..., str]) -> None:
    (line,) = csv.DictReader(io.StringIO(caching("--csv")))
    assert line["key_name"] == "'=ann"
    assert (line["cause"], line["breakpoint"], line["missed_units"]) == ("prefix", "2", "172500")


def test_a_terminal_shows_what_was_saved_and_lost(
    caching: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_cache, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    shown = caching("--by", "model,session")
    assert "33% of the prompts read from caches, $0.27 saved, $0.35 lost to misses" in shown
    assert "1 x prefix changed at breakpoint 2 $0.35" in shown
    assert caching("--from", "0d") == "Nothing was used.\n"


def test_prices_are_those_of_the_configuration(caching: Callable[..., str], data: Path) -> None:
    config = data.parent / "apertis.toml"
    config.write_text("[prices.claude-sonnet-4-5]\ninput = 30\noutput = 150\n", encoding="utf-8")
    report = json.loads(caching("--json", "--config", str(config)))
    assert report["totals"]["lost_usd"] == "3.45"


def test_it_says_what_it_cannot_report(caching: Callable[..., str]) -> None:
    told = caching("--tag", "ci", code=ExitCode.USAGE)
    assert re.search("--cache reports nothing by --tag", told)
    assert "--by: no group 'day'" in caching("--by", "day", code=ExitCode.USAGE)
