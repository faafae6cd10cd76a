"""`apertis limits` on a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.command_line import CommandLine


def test_every_option_sets_its_field(apertis: CommandLine) -> None:
    apertis("groups", "create", "research")
    made = apertis.json(
        *("limits", "create", "--group", "research", "--usd", "12.5", "--overdraft-usd", "0.25"),
        *("--period", "week", "--zone", "Asia/Kolkata", "--model", "claude-opus-*,claude-fable-5"),
        *("--per-session", "--warn", "80,100%", "--contact", "ask Bob"),
        *("--cheaper-model", "claude-haiku-4-5", "--store-loss-usd", "1"),
    )
    expected = {
        "level": "group",
        "subject": "research",
        "amount_units": 6_250_000,
        "overdraft_units": 125_000,
        "period": "week",
        "zone": "Asia/Kolkata",
        "models": ["claude-opus-*", "claude-fable-5"],
        "per_session": True,
        "thresholds": [80, 100],
        "contact": "ask Bob",
        "cheaper_model": "claude-haiku-4-5",
        "store_loss_units": 500_000,
    }
    assert made | expected == made
    assert apertis.json("limits", "show", made["id"]) == made
    changed = apertis.json(
        *("limits", "update", made["id"], "--units", "1_000", "--overdraft-usd", "0"),
        *("--warn", "none", "--contact", "none", "--cheaper-model", "none"),
        *("--store-loss-usd", "none"),
    )
    none = dict.fromkeys(("contact", "cheaper_model", "store_loss_units"))
    expected |= {"amount_units": 1000, "overdraft_units": 0, "thresholds": [], **none}
    assert changed | expected == changed


def test_limits_are_listed_shown_and_removed(apertis: CommandLine) -> None:
    apertis("people", "create", "Ann")
    first = apertis.json("limits", "create", "--person", "Ann", "--usd", "5", "--period", "day")
    second = apertis.json("limits", "create", "--gateway", "--usd", "9", "--period", "total")
    lines = [line.split("\t") for line in apertis("limits", "list").splitlines()]
    assert lines == [
        ["person Ann", "$5", "$0", "$5", "0", "a day", first["resets_at"], first["id"]],
        ["the gateway", "$9", "$0", "$9", "0", "in all", "never", second["id"]],
    ]
    only = apertis.json("limits", "list", "--person", "Ann")
    assert [one["id"] for one in only] == [first["id"]]
    sheet = apertis("limits", "show", first["id"])
    assert "Amount             $5 (2500000 units) a day\n" in sheet
    assert "Spent              $0 (0 units), 0 %\n" in sheet
    told = apertis("limits", "remove", first["id"], "--yes")
    assert told == "The limit $5 a day of person Ann is removed.\n"
    assert [one["id"] for one in apertis.json("limits", "list")] == [second["id"]]
    assert len(apertis.json("limits", "list", "--all")) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--usd", "5"), 2, "give one of --key, --person, --group and --gateway"),
        (("--gateway", "--key", "k", "--usd", "5"), 2, "give one of --key, --person, --group"),
        (("--gateway",), 2, "Missing required parameter --usd"),
        (("--gateway", "--usd", "much"), 2, "--usd: "),
        (("--gateway", "--usd", "0.0000001"), 2, "--usd must be US dollars in steps of"),
        (("--gateway", "--units", "much"), 2, "--units takes a whole number, not 'much'"),
        (("--gateway", "--usd", "5", "--zone", "Mars"), 2, "--zone is 'Mars': expected a time"),
        (("--gateway", "--usd", "5", "--warn", "soon"), 2, "--warn takes percents such as"),
        (
            ("--group", "researcx", "--usd", "5"),
            2,
            "--group: There is no group 'researcx'; did you",
        ),
    ],
)
def test_what_cannot_be_is_said_in_options(
    apertis: CommandLine, arguments: tuple[str, ...], code: int, told: str
) -> None:
    apertis("groups", "create", "research")
    assert apertis("limits", "create", *arguments, code=code).startswith(told)


def test_on_a_terminal_amounts_are_in_cents_and_no_id_is_cut(
    apertis: CommandLine, on_terminal: Callable[..., str]
) -> None:
    made = apertis.json("limits", "create", "--gateway", "--usd", "1234.5")
    shown = on_terminal("limits", "list", "--data", str(apertis.data))
    assert "$1,234.50" in shown
    assert made["resets_at"][:10] in shown
    # It is spared columns before an id goes over several lines.
    _, head, line = shown.splitlines()
    assert head.split() == ["Of", "Amount", "Spent", "Each", "Resets", "Id"]
    assert line.split()[-1] == made["id"]
    wide = on_terminal("limits", "list", "--data", str(apertis.data), columns=120)
    assert "Left" in wide.splitlines()[1].split()
