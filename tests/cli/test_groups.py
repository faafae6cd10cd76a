"""`apertis groups` on a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.command_line import CommandLine


def test_groups_are_made_shown_changed_and_removed(apertis: CommandLine) -> None:
    apertis("groups", "create", "company")
    made = apertis.json(
        *("groups", "create", "research", "--parent", "company", "--rate", "10/1m"),
        *("--tokens-per-minute", "1_000", "--in-flight", "3"),
    )
    assert made["parent"] == "company"
    assert (made["requests_limit"], made["tokens_per_minute"], made["in_flight"]) == (
        "10/1m",
        1000,
        3,
    )
    assert apertis.json("groups", "show", "research") == made
    changed = apertis.json(
        *("groups", "update", made["id"], "--name", "lab", "--parent", "none"),
        *("--rate", "none", "--tokens-per-minute", "none"),
    )
    assert changed == {
        **made,
        "name": "lab",
        **dict.fromkeys(("parent", "parent_id", "requests_limit", "tokens_per_minute")),
    }
    assert apertis("groups", "remove", "lab", "--yes") == f"lab ({made['id']}) is removed.\n"
    assert [one["name"] for one in apertis.json("groups", "list")] == ["company"]
    assert len(apertis.json("groups", "list", "--all")) == 2


def test_a_sheet_shows_all_of_a_group(apertis: CommandLine) -> None:
    apertis("groups", "create", "company")
    shown = apertis("groups", "create", "research", "--parent", "company", "--rate", "10/1m")
    facts = dict(line.split("  ", 1) for line in shown.splitlines())
    assert facts["In"].strip() == "company"
    assert facts["Requests"].strip() == "10/1m"
    assert facts["In flight"].strip() == "no limit"


def test_a_list_shows_groups_below_those_that_they_are_in(apertis: CommandLine) -> None:
    for name, parent in (("b", "none"), ("a", "none"), ("b2", "b"), ("a1", "a"), ("b21", "b2")):
        apertis("groups", "create", name, "--parent", parent)
    lines = [line.split("\t")[0] for line in apertis("groups", "list").splitlines()]
    assert lines == ["b", "  b2", "    b21", "a", "  a1"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("create", "x", "--parent", "compny"), 2, "--parent: There is no group 'compny'; did you"),
        (("create", "company"), 1, "There is a group 'company' already"),
        (("create", "x", "--rate", "fast"), 2, "--rate is 'fast': expected a rate"),
        (("create", "x", "--in-flight", "many"), 2, "--in-flight takes a whole number or 'none'"),
        (("show", "compny"), 1, "There is no group 'compny'; did you mean 'company'?"),
        (("update", "company", "--parent", "company"), 1, "'company' cannot be in itself"),
    ],
)
def test_what_cannot_be_is_said_in_options(
    apertis: CommandLine, arguments: tuple[str, ...], code: int, told: str
) -> None:
    apertis("groups", "create", "company")
    assert apertis("groups", *arguments, code=code).startswith(told)


def test_on_a_terminal_a_table_has_a_head(
    apertis: CommandLine, on_terminal: Callable[..., str]
) -> None:
    arguments = ("groups", "list", "--data", str(apertis.data))
    apertis("keys", "create", "--name", "ci")
    assert on_terminal(*arguments).splitlines()[-1] == "No groups."
    made = apertis.json("groups", "create", "research")
    shown = on_terminal(*arguments, columns=120)
    assert shown.splitlines()[1].split()[:3] == ["Name", "Id", "People"]
    assert made["id"] in shown
