"""`apertis usage` on a real store."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from apertis.cli.exits import ExitCode
from apertis.cli.group import run
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.store.database import Store
from apertis.gateway.usage.record import UsageRecord
from apertis.gateway.usage.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# 15 January 2027, 08:00 UTC.
AT_MS = 1_800_000_000_000
DAY_MS = 86_400_000


def key(number: int, name: str) -> KeyRecord:
    return KeyRecord(
        id=f"key_{number:020}", name=name, sha256=f"{number:064}", hint="sk-...", created_at=1
    )


def request(number: int, of: int, **fields: Any) -> UsageRecord:
    return UsageRecord(
        **{
            "request_id": f"req_{number}",
            "at_ms": AT_MS,
            "key_id": f"key_{of:020}",
            "model": "claude-sonnet-4-5",
            "requested_model": "claude-sonnet-4-5",
            "status": 200,
            "tokens": Tokens(input=1000, output=20, cache_read=3, cache_write_5m=4),
            "cost_units": 750_001,
            **fields,
        }
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with await Store.open(tmp_path) as store:
            await store.keys.insert(key(1, "ann"))
            await store.keys.insert(key(2, "=cmd()"))
            await store.usage.add(
                [
                    request(1, 1, session="s1", request_class="main"),
                    request(2, 1, at_ms=AT_MS + DAY_MS, model="claude-haiku-4-5", cost_units=1),
                    request(3, 2, status=529, tokens=Tokens(), cost_units=0),
                ]
            )

    asyncio.run(fill())
    return tmp_path


@pytest.fixture
def usage(data: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*arguments: str, code: int = 0) -> str:
        exit_code = run(["usage", *arguments, "--data", str(data)])
        out, err = capsys.readouterr()
        assert exit_code == code, err
        return err if code else out

    return call


def test_json_is_what_the_admin_api_answers(usage: Callable[..., str]) -> None:
    report = json.loads(usage("--json"))
    assert report["totals"] == {
        "requests": 3,
        "errors": 1,
        "cached": 0,
        "estimated": 0,
        "interrupted": 0,
        "input_tokens": 2000,
        "output_tokens": 40,
        "cache_read_tokens": 6,
        "cache_write_5m_tokens": 8,
        "cache_write_1h_tokens": 0,
        "web_search_requests": 0,
        "cost_units": 750_002,
        "cost_usd": "1.500004",
    }
    assert [(row["key_name"], row["requests"], row["cost_usd"]) for row in report["data"]] == [
        ("ann", 2, "1.500004"),
        ("=cmd()", 1, "0"),
    ]


def test_usage_is_grouped_and_narrowed(usage: Callable[..., str]) -> None:
    def data(*arguments: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(usage("--json", *arguments))["data"]
        return rows

    assert [row["day"] for row in data("--by", "day")] == ["2027-01-15", "2027-01-16"]
    assert {row["model"] for row in data("--by", "model", "--to", "2027-01-15")} == {
        "claude-sonnet-4-5"
    }
    assert [row["requests"] for row in data("--from", "2027-01-16")] == [1]
    assert [row["key_name"] for row in data("--key", "ann")] == ["ann"]
    assert {row["session"] for row in data("--by", "session", "--key", "ann")} == {"s1", None}
    assert {row["class"] for row in data("--by", "class", "--key", "ann")} == {"main", None}
    assert len(data("--by", "day,key")) == 3
    assert [row["requests"] for row in data("--model", "claude-haiku-4-5")] == [1]


def test_csv_has_every_column_and_cannot_be_taken_for_a_formula(
    usage: Callable[..., str],
) -> None:
    rows = list(csv.DictReader(io.StringIO(usage("--csv"))))
    assert [row["key_name"] for row in rows] == ["ann", "'=cmd()"]
    assert (rows[0]["cost_units"], rows[0]["cost_usd"]) == ("750002", "1.500004")
    assert rows[0]["key"] == f"key_{1:020}"
    assert {"errors", "cache_write_1h_tokens", "web_search_requests"} <= rows[0].keys()


def test_csv_of_nothing_has_the_same_columns(usage: Callable[..., str]) -> None:
    full = usage("--csv", "--by", "day,key").splitlines()[0]
    assert usage("--csv", "--by", "day,key", "--from", "2028-01-01").splitlines() == [full]


def test_in_a_pipe_each_row_is_a_line(usage: Callable[..., str]) -> None:
    first, second = usage().splitlines()
    assert first.split("\t") == ["ann", "2", "0", "2000", "40", "6", "8", "750002", "1.500004"]
    assert second.split("\t")[:3] == ["=cmd()", "1", "1"]
    assert [line.split("\t")[0] for line in usage("--by", "session").splitlines()] == ["s1", "-"]


def test_rows_that_are_left_out_are_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["usage", "--limit", "1", "--data", str(data)]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "only 1 row" in err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--by", "colour"], ExitCode.USAGE, "--by: no group 'colour'"),
        (["--from", "yesterday"], ExitCode.USAGE, "--from must be a date or time"),
        (["--to", "noon"], ExitCode.USAGE, "--to must be a date or time"),
        (["--key", "an"], ExitCode.SERVICE, "did you mean 'ann'?"),
        (["--json", "--csv"], ExitCode.USAGE, "exclude each other"),
    ],
)
def test_a_wrong_question_is_one_line(
    usage: Callable[..., str], arguments: list[str], code: int, told: str
) -> None:
    err = usage(*arguments, code=code)
    assert told in err
    assert err.count("\n") == 1


def test_on_a_terminal_no_number_is_cut_and_the_totals_come_last(data: Path) -> None:
    for columns in (80, 140):
        shown = on_terminal("usage", "--data", str(data), columns=columns)
        assert re.search(r"^ *Key +Requests +Errors +Input +Output", shown, re.MULTILINE)
        assert re.search(r"^ *ann +2 +0 +2,000 +40 .*1\.500004 *$", shown, re.MULTILINE)
        assert re.search(r"^ *Total +3 +1 +2,000 +40 .*1\.500004 *$", shown, re.MULTILINE)
        assert "…" not in shown
    assert on_terminal("usage", "--from", "2028-01-01", "--data", str(data)) == "Nothing was used."


def on_terminal(*arguments: str, columns: int = 80) -> str:
    """What the command shows to a person, without colours."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "apertis.cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        shown = b""
        # Reading a terminal that nobody writes to any more is an error on Linux.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                shown += piece
        os.close(ours)
        assert process.wait(60) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n").strip("\n")
