"""What callers see of their own usage, as a gateway tells it to them."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.accounting.tokens import COLUMNS
from apertis.cli import usage_own
from apertis.cli.administration import OwnUsage
from apertis.cli.usage_own import show_own
from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TODAY = datetime.now(UTC).date()
FIRST = TODAY - timedelta(days=3)


def sums(units: int, **group: str) -> dict[str, Any]:
    counts = dict.fromkeys((*("requests", "errors", "cached"), *COLUMNS.values()), 1)
    others = {"estimated": 0, "interrupted": 0, "cost_units": units, "cost_usd": f"{units / 5e5}"}
    return {**group, **counts, **others}


def limit(level: str, period: str, spent: int, **fields: Any) -> dict[str, Any]:
    return {
        "level": level,
        "of": "the group 'research'",
        "period": period,
        "zone": "UTC",
        "models": None,
        "resets_at": None,
        "starts_at": None,
        "contact": None,
        "amount_units": 1_000_000,
        "spent_units": spent,
        "left_units": 1_000_000 - spent,
        **fields,
    }


ANSWER: dict[str, Any] = {
    "key": {"id": "key_1", "name": "ann-laptop"},
    "person": {"id": "person_1", "name": "Ann"},
    "limits": [
        limit("person", "day", 200_000, resets_at="2027-01-02T00:00:00Z"),
        limit("group", "month", 990_000, resets_at="2027-02-01T00:00:00Z", models=["claude-*"]),
        limit("key", "total", 0),
    ],
    "from": f"{FIRST}T00:00:00Z",
    "to": None,
    "zone": "UTC",
    "totals": sums(750_001),
    "days": [sums(750_000, day=f"{FIRST}"), sums(1, day=f"{TODAY - timedelta(days=1)}")],
    "models": [sums(750_000, model="claude-haiku-4-5"), sums(1, model="=cmd()")],
}


def own(**fields: Any) -> OwnUsage:
    found = msgspec.convert({**ANSWER, **fields}, OwnUsage)
    found.answer = {**ANSWER, **fields}
    return found


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(of: OwnUsage | None = None, **options: Any) -> str:
        form = {"as_json": False, "as_csv": False, "plot": None}
        given = {name: options.pop(name) for name in list(options) if name not in form}
        show_own(of or own(), given, **{**form, **options})
        return capsys.readouterr().out

    return call


def test_json_is_what_the_gateway_says(shown: Callable[..., str]) -> None:
    assert json.loads(shown(as_json=True)) == ANSWER


def test_csv_is_by_model_or_by_day_with_the_exact_numbers(shown: Callable[..., str]) -> None:
    models = list(csv.DictReader(io.StringIO(shown(as_csv=True))))
    assert [(row["model"], row["cost_units"], row["cost_usd"]) for row in models] == [
        ("claude-haiku-4-5", "750000", "1.5"),
        ("'=cmd()", "1", "2e-06"),
    ]
    days = list(csv.DictReader(io.StringIO(shown(as_csv=True, by="day"))))
    assert [(row["day"], row["cost_units"]) for row in days] == [
        (f"{FIRST}", "750000"),
        (f"{FIRST + timedelta(days=1)}", "0"),
        (f"{FIRST + timedelta(days=2)}", "1"),
        (f"{TODAY}", "0"),
    ]
    head, *lines = shown(by="day").splitlines()
    assert head.split("\t") == list(days[0])
    assert len(lines) == 4


def test_on_a_terminal_budgets_stand_between_the_days_and_the_models(
    shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_own, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.rstrip() for line in shown().splitlines()]
    assert lines[0] == f"Usage of ann-laptop since {FIRST}"
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    places = [text.index(word) for word in ("$1.50", "Spent by day", "Renews", "Model ")]
    assert places == sorted(places)
    assert "you " in text
    assert "20% of $2 a day" in text
    assert "99% of $2 a month" in text
    assert "the group 'research'" in text
    assert "2027-02-01" in text
    assert "never" in text


def test_without_usage_and_budgets_there_are_zeros(
    shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = own(limits=[], totals=None, days=[], models=[])
    assert shown(nothing, as_csv=True).splitlines() == [shown(as_csv=True).splitlines()[0]]
    monkeypatch.setattr(usage_own, "is_terminal", lambda: True)
    text = shown(nothing)
    assert "$0.00" in text
    assert "Renews" not in text


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_days_of_ones_own_are_drawn_with_their_budget(
    shown: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "usage.svg"
    shown(plot=path, by="day")
    assert "Budget a day  $2.00" in path.read_text("utf-8")
    shown(plot=path)
    assert "Budget" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"key": "bob"}, "--key bob is for administrators"),
        ({"by": "key"}, "--by key is for administrators"),
        ({"percentiles": True}, "--percentiles is for administrators"),
    ],
)
def test_of_others_nothing_is_told(
    shown: Callable[..., str], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ParameterError, match=said):
        shown(**given)
