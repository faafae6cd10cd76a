"""`apertis people` on a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit.command_line import CommandLine


def test_people_are_made_shown_changed_kept_out_and_erased(apertis: CommandLine) -> None:
    apertis("groups", "create", "research")
    made = apertis.json(
        *("people", "create", "Ann", "--group", "research", "--email", "ann@example.com"),
        *("--role", "viewer", "--external-id", "00u1", "--rate", "10/1m"),
    )
    assert (made["group"], made["email"], made["role"], made["external_id"]) == (
        "research",
        "ann@example.com",
        "viewer",
        "00u1",
    )
    assert apertis.json("people", "show", "Ann") == made
    apertis("people", "create", "Bob")
    listed = apertis("people", "list", "--group", "research")
    assert listed == f"Ann\tenabled\tresearch\tann@example.com\tviewer\t{made['id']}\n"
    changed = apertis.json("people", "update", "Ann", "--group", "none", "--email", "none")
    assert (changed["group"], changed["email"]) == (None, None)
    for action, status in (("disable", "disabled"), ("enable", "enabled")):
        yes = ("--yes",) if action == "disable" else ()
        assert apertis("people", action, "Ann", *yes) == f"Ann ({made['id']}) is {status}.\n"
    assert apertis("people", "remove", "Ann", "--yes") == f"Ann ({made['id']}) is removed.\n"
    assert [one["name"] for one in apertis.json("people", "list")] == ["Bob"]
    assert len(apertis.json("people", "list", "--all")) == 2
    assert "There is no person 'Ann'" in apertis("people", "show", "Ann", code=1)
    assert apertis.json("people", "show", made["id"])["status"] == "removed"


def test_keys_are_given_to_people_and_groups(apertis: CommandLine) -> None:
    apertis("groups", "create", "research")
    apertis("people", "create", "Ann")
    apertis("keys", "create", "--name", "ci", "--person", "Ann", "--group", "research")
    key = apertis.json("keys", "show", "ci")
    assert (key["person"], key["group"]) == ("Ann", "research")
    sheet = apertis("keys", "show", "ci").splitlines()
    assert [line.split() for line in sheet if line.startswith(("Person", "Group"))] == [
        ["Person", "Ann"],
        ["Group", "research"],
    ]
    key = apertis.json("keys", "update", "ci", "--person", "", "--group", "")
    assert (key["person"], key["person_id"], key["group_id"]) == (None, None, None)
    told = apertis("keys", "update", "ci", "--person", "An", code=2)
    assert told == "--person: There is no person 'An'; did you mean 'Ann'?"
    told = apertis("keys", "create", "--name", "x", "--group", "researcx", code=2)
    assert told == "--group: There is no group 'researcx'; did you mean 'research'?"


def test_owners_become_people(apertis: CommandLine) -> None:
    apertis("keys", "create", "--name", "ci", "--owner", "ann")
    id_ = apertis.json("keys", "show", "ci")["id"]
    dry = apertis("people", "adopt-owners", "--dry-run")
    assert dry == f"ci ({id_}) would be ann's (new).\n"
    assert apertis.json("people", "list") == []
    assert apertis("people", "adopt-owners") == f"ci ({id_}) is ann's (new).\n"
    assert apertis("people", "adopt-owners") == "No key has an owner and no person.\n"
    assert apertis.json("keys", "show", "ci")["person"] == "ann"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            ("create", "x", "--group", "researcx"),
            2,
            "--group: There is no group 'researcx'; did you",
        ),
        (("create", "Ann"), 1, "There is a person 'Ann' already"),
        (("create", "x", "--email", "x"), 2, "--email is 'x': expected an address"),
        (("show", "An"), 1, "There is no person 'An'; did you mean 'Ann'?"),
    ],
)
def test_what_cannot_be_is_said_in_options(
    apertis: CommandLine, arguments: tuple[str, ...], code: int, told: str
) -> None:
    apertis("groups", "create", "research")
    apertis("people", "create", "Ann")
    assert apertis("people", *arguments, code=code).startswith(told)


def test_who_has_no_terminal_is_not_asked(apertis: CommandLine) -> None:
    apertis("people", "create", "Ann")
    assert "is removed" in apertis("people", "remove", "Ann")
