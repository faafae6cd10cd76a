"""`apertis usage` on a real store."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens
from apertis.cli.exit_codes import ExitCode
from apertis.cli.group import run
from apertis.cli.terminal import cents
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.store.database import Store

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
    head, first, second = (line.split("\t") for line in usage().splitlines())
    assert head == next(csv.reader(io.StringIO(usage("--csv"))))
    assert dict(zip(head, first, strict=True)) == {
        "key": f"key_{1:020}",
        "key_name": "ann",
        "requests": "2",
        "errors": "0",
        "cached": "0",
        "estimated": "0",
        "interrupted": "0",
        "input_tokens": "2000",
        "output_tokens": "40",
        "cache_read_tokens": "6",
        "cache_write_5m_tokens": "8",
        "cache_write_1h_tokens": "0",
        "web_search_requests": "0",
        "cost_units": "750002",
        "cost_usd": "1.500004",
    }
    assert second[1:4] == ["=cmd()", "1", "1"]
    assert [line.split("\t")[0] for line in usage("--by", "session").splitlines()] == [
        *("session", "s1", "-"),
    ]


def test_a_pipe_has_the_same_columns_whatever_was_used(usage: Callable[..., str]) -> None:
    [nothing] = usage("--from", "2028-01-01").splitlines()
    assert usage().splitlines()[0] == nothing


def test_days_without_usage_are_zeros(usage: Callable[..., str]) -> None:
    asked = ("--by", "day", "--from", "2027-01-13", "--to", "2027-01-18")
    rows = [line.split("\t")[:2] for line in usage(*asked).splitlines()]
    today = datetime.now(UTC).date()
    days = [date(2027, 1, 13) + timedelta(days=n) for n in range(6)]
    used = {date(2027, 1, 15): "2", date(2027, 1, 16): "1"}
    # Nothing is known of days to come, but for what stands there already.
    shown = [day for day in days if day <= today or day in used]
    assert rows == [["day", "requests"], *([f"{day}", used.get(day, "0")] for day in shown)]


def test_rows_that_are_left_out_are_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["usage", "--limit", "1", "--data", str(data)]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 2
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
    *place, err = usage(*arguments, code=code).splitlines()
    assert told in err
    assert len(place) <= 1


def test_on_a_terminal_the_totals_come_first_and_no_number_is_cut(
    data: Path, on_terminal: Callable[..., str]
) -> None:
    for columns in (80, 140):
        shown = on_terminal("usage", "--data", str(data), columns=columns)
        head, table = shown.split("Key", 1)
        totals = r"^Spent +Requests +Errors +Tokens +Read from cache( |$)"
        assert re.search(totals, head, re.MULTILINE)
        assert re.search(r"^\$1\.50 +3 +1 \(33%\) +2\.05k +<1%( |$)", head, re.MULTILINE)
        assert re.search(r"^ *Cost +Requests +Errors +Input +Output", table)
        assert re.search(r"^ann +\$1\.50 +2 +0 +2,000 +40 .*\u2588$", table, re.MULTILINE)
        assert re.search(r"^=cmd\(\) +\$0\.00 +1 +1 +0 .* +- *$", table, re.MULTILINE)
        assert "\u2026" not in shown
    nothing = on_terminal("usage", "--from", "2028-01-01", "--data", str(data))
    assert nothing.splitlines()[1:] == ["Nothing was used."]


def test_on_a_terminal_days_are_a_line_of_marks(
    data: Path, on_terminal: Callable[..., str]
) -> None:
    asked = ("usage", "--data", str(data), "--from", "2027-01-14", "--to", "2027-01-16")
    shown = on_terminal(*asked).splitlines()
    assert shown[1] == "Usage by key since 2027-01-14 until 2027-01-17"
    at = shown.index("Spent by day")
    # The last one is a single unit; of days to come without usage nothing is known.
    assert shown[at + 1][-6:] == "\u2588" * 3 + "\u2582" * 3
    assert shown[at + 2].endswith(" a day, most $1.50 on 2027-01-15")
    assert "Spent by day" not in on_terminal(*asked, "--by", "day")


def test_a_quota_is_what_a_keys_bar_is_drawn_against(
    data: Path, on_terminal: Callable[..., str]
) -> None:
    async def limit() -> None:
        async with await Store.open(data) as store:
            await store.keys.update(f"key_{1:020}", quota_units=1_000_000)

    asyncio.run(limit())
    shown = on_terminal("usage", "--data", str(data), columns=100)
    assert re.search(
        r"^ann .*\$1\.50 .* \u2588+[\u2589-\u258f]?\u2591+ 75% of \$2$", shown, re.MULTILINE
    )


def test_a_terminal_that_cannot_draw_gets_letters(
    data: Path, on_terminal: Callable[..., str]
) -> None:
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    shown = on_terminal("usage", "--data", str(data), environment=plain)
    assert shown.isascii()
    assert re.search(r"^ann .* #+$", shown, re.MULTILINE)
    assert "###" in shown.splitlines()[shown.splitlines().index("Spent by day") + 1]


FAMILIES = ("hohenzollern", "wu", "smith-jones", "garcia", "o'neill")
PEOPLE = [
    f"{name}.{family}" for name in ("maximiliane", "bob", "aleksandra", "li") for family in FAMILIES
]


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """A month of twenty people who use three models, and not little."""

    async def fill() -> None:
        async with await Store.open(tmp_path / "month") as store:
            for number, name in enumerate(PEOPLE):
                await store.keys.insert(key(number, name))
            tokens = Tokens(
                input=987_654_321,
                output=98_765_432,
                cache_read=9_876_543_210,
                cache_write_5m=987_654_321,
                cache_write_1h=9_876_543,
                web_search_requests=54_321,
            )
            await store.usage.add(
                [
                    request(
                        1000 * number + day,
                        number,
                        at_ms=AT_MS + day * DAY_MS,
                        tokens=tokens,
                        model=f"claude-{('opus', 'sonnet', 'haiku')[day % 3]}-4-5-20250929",
                        cost_units=1_234_567_890,
                        status=529 if day % 7 == 0 else 200,
                    )
                    for number in range(len(PEOPLE))
                    for day in range(30)
                ]
            )

    asyncio.run(fill())
    return tmp_path / "month"


@pytest.mark.parametrize("columns", [80, 100, 110, 120, 200])
@pytest.mark.parametrize("by", ["key", "key,model", "day,key"])
def test_names_stay_whole_at_every_width(
    month: Path, on_terminal: Callable[..., str], columns: int, by: str
) -> None:
    shown = on_terminal("usage", "--by", by, "--data", str(month), columns=columns)
    head, _, table = shown.partition("\nDay " if by == "day,key" else "\nKey ")
    lines = shown.splitlines()[1:]
    assert all(len(line) <= columns for line in lines)
    assert "…" not in shown
    # A line for each row: nothing was folded.
    rows = {"key": 20, "key,model": 60, "day,key": 600}[by]
    assert len(table.splitlines()) == rows + 1
    for name in PEOPLE:
        assert re.search(rf"(^|\s){re.escape(name)}\s", shown, re.MULTILINE)
    assert "$1,481,481.47" in head


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        (0, "$0.00"),
        (1, "<$0.01"),
        (4_999, "<$0.01"),
        (5_000, "$0.01"),
        (7_500, "$0.02"),
        (500_000, "$1.00"),
        (617_283_945_000, "$1,234,567.89"),
    ],
)
def test_money_is_rounded_to_cents(units: int, shown: str) -> None:
    assert cents(units) == shown


def test_groups_zones_and_filters_reach_the_report(usage: Callable[..., str]) -> None:
    # 08:00 UTC is the afternoon of that day in Tokyo, and the night before in Honolulu is 22:00.
    def days(zone: str) -> list[str]:
        data = json.loads(usage("--json", "--by", "day", "--zone", zone))["data"]
        return [row["day"] for row in data if row["requests"]]

    assert days("Asia/Tokyo") == ["2027-01-15", "2027-01-16"]
    assert days("Pacific/Honolulu") == ["2027-01-14", "2027-01-15"]
    rows = json.loads(usage("--json", "--by", "model", "--session", "s1"))["data"]
    assert [row["requests"] for row in rows] == [1]
    [row] = csv.DictReader(io.StringIO(usage("--csv", "--by", "person")))
    assert (row["person"], row["person_name"], row["requests"]) == ("", "", "3")
    assert "no time zone" in usage("--zone", "Mars", code=ExitCode.USAGE)
    assert "first_byte_p95_ms" in usage("--csv", "--percentiles")
    assert "first_byte_p95_ms" not in usage("--csv")


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_a_picture_is_written_to_a_file(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "usage.html"
    asked = ["usage", "--by", "day,model", "--data", str(data)]
    assert run([*asked, "--plot", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == f"apertis: {path} is drawn"
    page = path.read_text("utf-8")
    assert ">Usage by day and model<" in page
    assert "claude-sonnet-4-5  $1.50" in page
    assert run([*asked, "--csv", "--plot", str(path)]) == ExitCode.USAGE
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_budget_of_each_day_is_a_line_in_a_picture(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def called(*arguments: str) -> None:
        assert run([*arguments, "--data", str(data)]) == 0, capsys.readouterr().err

    called("limits", "create", "--gateway", "--usd", "3", "--period", "day")
    called("limits", "create", "--key", "ann", "--usd", "2", "--period", "day")
    called("limits", "create", "--key", "ann", "--usd", "9", "--period", "month")

    def drawn(*arguments: str) -> str:
        path = tmp_path / "usage.svg"
        called("usage", *arguments, "--plot", str(path))
        return path.read_text("utf-8")

    assert "Budget a day  $3.00" in drawn("--by", "day")
    assert "Budget a day  $2.00" in drawn("--by", "day", "--key", "ann")
    assert "Budget a month  $9.00" in drawn("--by", "month,model", "--key", "ann")
    for other in (
        ("--by", "day", "--model", "claude-haiku-4-5"),
        ("--by", "day", "--zone", "Asia/Tokyo"),
        ("--by", "week"),
        ("--by", "key"),
    ):
        assert "Budget" not in drawn(*other)


def test_a_limit_is_what_a_bar_is_drawn_against(
    data: Path, on_terminal: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    # More than a month ago or to come, so that this month nothing is spent.
    for period in ("month", "total"):
        asked = ["limits", "create", "--key", "ann", "--usd", "3", "--period", period]
        assert run([*asked, "--data", str(data)]) == 0, capsys.readouterr().err
    shown = on_terminal("usage", "--data", str(data), columns=100)
    assert re.search(r"^ann .* [\u2588-\u258f\u2591]+ \d+% of \$3( a month)?$", shown, re.MULTILINE)


@pytest.mark.parametrize("command", ["usage", "keys import"])
def test_the_help_fits_eighty_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*command.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Options:" in lines
    assert [line for line in lines if len(line) > 80] == []
