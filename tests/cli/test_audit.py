"""`apertis audit` on a real store, and who is said to have changed something."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.command_line import CommandLine


def test_changes_are_told_with_who_made_them(apertis: CommandLine) -> None:
    apertis("groups", "create", "research", "--in-flight", "3")
    made = apertis.json("groups", "update", "research", "--in-flight", "4")
    apertis("keys", "create", "--name", "ci")
    page = apertis.json("audit")
    who = f"cli:{getpass.getuser()}@{socket.gethostname()}"
    assert [(one["actor"], one["action"], one["subject"]) for one in page["data"]] == [
        (who, "create", "key"),
        (who, "change", "group"),
        (who, "create", "group"),
    ]
    line = apertis("audit", "--action", "change").rstrip("\n").split("\t")
    assert line[2:] == [who, "change", f"group {made['id']}: in_flight 3 -> 4"]
    assert len(apertis("audit", "--of", made["id"]).splitlines()) == 2
    assert apertis("audit", "--subject", "limit") == ""
    assert len(apertis("audit", "--limit", "1").splitlines()) == 1
    first = page["data"][0]["id"]
    assert len(apertis("audit", "--before", str(first)).splitlines()) == 2
    assert len(apertis("audit", "--from", "1h", "--actor", who).splitlines()) == 3
    assert len(apertis("audit", "--from", "1d", "--zone", "Asia/Tokyo").splitlines()) == 3
    assert apertis("audit", "--zone", "Nowhere", code=2).startswith("--zone: no time zone")
    assert apertis("audit", "--to", "soon", code=2).startswith("--to must be a date or time")


def test_an_import_is_told_by_what_it_changed(apertis: CommandLine, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("name,group,monthly_usd\nBen,research,50\nCleo,research,12.50\n")
    apertis("keys", "import", str(people), "--secrets", str(tmp_path / "s.csv"), "--yes")
    line = apertis("audit", "--action", "import").rstrip("\n").split("\t")
    assert line[4] == "people: 7 changes (1 of groups, 2 of people, 2 of limits, 2 of keys)"
    (entry,) = apertis.json("audit")["data"]
    assert len(entry["after"]) == 7
