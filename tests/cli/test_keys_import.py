"""`apertis keys import` on a real store, and through a real gateway."""

from __future__ import annotations

import csv
import io
import json
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from apertis.cli.exit_codes import ExitCode
from apertis.cli.group import run
from apertis.cli.keys_import import open_secrets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLE = "name,email,group,monthly_usd,tags\nAnn,ann@example.com,research,12.50,ci\nBob,,,,\n"


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(TABLE, "utf-8")
    return path


@pytest.fixture
def apertis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def call(*arguments: str, code: int = 0) -> tuple[str, str]:
        exit_code = run([*arguments, "--data", str(tmp_path / "data")])
        out, err = capsys.readouterr()
        assert exit_code == code, err
        return out, err

    return call


def keys(apertis: Callable[..., tuple[str, str]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(apertis("keys", "list", "--json")[0])
    return found


def test_an_import_makes_people_and_keys_with_their_secrets_in_a_file(
    apertis: Callable[..., tuple[str, str]], sheet: Path, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets.csv"
    out, err = apertis("keys", "import", str(sheet), "--secrets", str(secrets))
    assert [line.split("\t")[:4] for line in out.splitlines()] == [
        ["2", "create", "group", "research"],
        ["2", "create", "person", "Ann"],
        ["2", "create", "budget", "Ann"],
        ["2", "create", "key", "Ann"],
        ["3", "create", "person", "Bob"],
        ["3", "create", "key", "Bob"],
    ]
    assert "group research; email ann@example.com" in out
    assert "$12.50 a month" in out
    assert "tags ci" in out
    assert f"the secrets of 2 new keys are in {secrets}" in err
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(secrets.read_text("utf-8"))))
    assert [row["key"] for row in rows] == ["Ann", "Bob"]
    hints = {key["id"]: key["hint"] for key in keys(apertis)}
    for row in rows:
        assert row["secret"].endswith(hints[row["id"]][-4:])
        assert row["secret"] not in out + err


def test_the_same_import_again_changes_nothing_and_needs_no_file(
    apertis: Callable[..., tuple[str, str]], sheet: Path, tmp_path: Path
) -> None:
    apertis("keys", "import", str(sheet), "--secrets", str(tmp_path / "secrets.csv"))
    before = keys(apertis)
    out, err = apertis("keys", "import", str(sheet))
    assert out == ""
    assert err.splitlines()[-1] == "apertis: 2 of 2 people stay as they are"
    assert keys(apertis) == before


def test_a_change_is_shown_by_what_it_changes(
    apertis: Callable[..., tuple[str, str]], sheet: Path, tmp_path: Path
) -> None:
    apertis("keys", "import", str(sheet), "--secrets", str(tmp_path / "secrets.csv"))
    sheet.write_text("name,budget,group\nAnn,20,sales\nBob,,\n", "utf-8")
    out, err = apertis("keys", "import", str(sheet), "--dry-run")
    assert [line.split("\t") for line in out.splitlines()] == [
        ["2", "create", "group", "sales", ""],
        ["2", "change", "person", "Ann", "group sales"],
        ["2", "change", "budget", "Ann", "$20 a month"],
    ]
    assert "3 changes would be made; 1 of 2 people stay" in err
    # It was a dry run.
    assert json.loads(apertis("groups", "list", "--json")[0])[-1]["name"] == "research"


def test_without_a_place_for_secrets_no_key_is_made(
    apertis: Callable[..., tuple[str, str]], sheet: Path, tmp_path: Path
) -> None:
    _, err = apertis("keys", "import", str(sheet), code=ExitCode.USAGE)
    assert "--secrets FILE is for the secrets of 2 new keys" in err
    taken = tmp_path / "taken.csv"
    taken.write_text("mine", "utf-8")
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "elsewhere.csv")
    for path, said in (
        (taken, "there is such a file already"),
        (link, "there is such a file already"),
        (tmp_path / "nowhere" / "secrets.csv", "No such file or directory"),
    ):
        _, err = apertis("keys", "import", str(sheet), "--secrets", str(path), code=ExitCode.USAGE)
        assert said in err
    assert taken.read_text("utf-8") == "mine"
    assert not (tmp_path / "elsewhere.csv").exists()
    assert keys(apertis) == []


def test_secrets_are_printed_where_that_is_asked_for(
    apertis: Callable[..., tuple[str, str]], sheet: Path
) -> None:
    out, _ = apertis("keys", "import", str(sheet), "--print-secrets", "--json")
    imported = json.loads(out)
    secrets = [one["secret"] for one in imported["changes"] if one["subject"] == "key"]
    assert len(secrets) == 2
    sheet.write_text("name\nCleo\n", "utf-8")
    out, _ = apertis("keys", "import", str(sheet), "--print-secrets")
    assert out.splitlines()[-1].split("\t")[-1].startswith("sk-")


def test_a_failed_import_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "secrets.csv"
    with ExitStack() as undo:
        open_secrets(path, undo)
        assert path.exists()
    # No key has the secrets: nobody took over from the stack.
    assert not path.exists()


def test_all_wrong_cells_are_told_with_their_lines_and_nothing_is_kept(
    apertis: Callable[..., tuple[str, str]], sheet: Path, tmp_path: Path
) -> None:
    sheet.write_text(
        "name,email,budget,key\nAnn,ann,1,k\nBob,bob@example.com,lots,\nCleo,BOB@example.com,2,\n"
        "Dan,bob@example.com,-1,\nEve,bob@example.com,3, \n",
        "utf-8",
    )
    secrets = tmp_path / "secrets.csv"
    out, err = apertis("keys", "import", str(sheet), "--secrets", str(secrets), code=ExitCode.USAGE)
    told = [line for line in err.splitlines() if ", line " in line]
    assert out == ""
    assert [line.partition(", line ")[2].partition(":")[0] for line in told] == ["2", "3", "5", "6"]
    assert "'email' is 'ann': expected an address" in told[0]
    assert "'monthly_usd' is 'lots': expected US dollars" in told[1]
    assert err.splitlines()[-1] == "apertis: nothing was changed"
    assert not secrets.exists()
    assert keys(apertis) == []


def test_the_wrong_zone_is_an_error_of_its_option(
    apertis: Callable[..., tuple[str, str]], sheet: Path
) -> None:
    asked = ("keys", "import", str(sheet), "--print-secrets")
    _, err = apertis(*asked, "--zone", "Mars", code=ExitCode.USAGE)
    assert "Mars" in err
    assert keys(apertis) == []


def test_on_a_terminal_a_dry_run_is_a_table(
    apertis: Callable[..., tuple[str, str]],
    sheet: Path,
    tmp_path: Path,
    on_terminal: Callable[..., str],
) -> None:
    apertis("keys", "import", str(sheet), "--print-secrets")
    sheet.write_text("name,budget\nAnn,30\n", "utf-8")
    data = str(tmp_path / "data")
    shown = on_terminal("keys", "import", str(sheet), "--dry-run", "--data", data)
    lines = [line.split() for line in shown.splitlines()]
    assert ["Line", "Change", "What", "Name", "To"] in lines
    assert ["2", "change", "budget", "Ann", "$30", "a", "month"] in lines
