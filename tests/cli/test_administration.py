"""Which gateway `keys` and `usage` are about."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from apertis.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.processes import Served


class Command:
    """Runs `apertis` where nothing but what is given names a gateway."""

    def __init__(self, home: Path, **variables: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("APERTIS_", "ANTHROPIC_"))}
        self.environment = kept | {"XDG_DATA_HOME": str(home), "HOME": str(home)} | variables

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, list[str]]:
        """Run, and give stdout and the lines of stderr."""
        done = subprocess.run(
            [sys.executable, "-m", "apertis.cli", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr.splitlines()


@pytest.fixture
def administered(serve_process: Callable[..., Served]) -> Served:
    """A gateway, and the key that administers it."""
    return serve_process()


def test_the_environments_gateway_is_administered_with_an_administrators_key(
    administered: Served, tmp_path: Path
) -> None:
    command = Command(tmp_path, **administered.environment)
    place = f"apertis: the gateway {administered.base_url}"

    def json_of(*arguments: str) -> Any:
        out, err = command(*arguments, "--json")
        assert err[0] == place
        return json.loads(out)

    made = json_of("keys", "create", "--name", "ci", "--quota-usd", "2.5", "--model", "a,b")
    assert (made["quota_units"], made["models"]) == (1_250_000, ["a", "b"])
    assert re.fullmatch(r"sk-\w{48}", made["secret"])
    assert [key["name"] for key in json_of("keys", "list")] == ["admin", "ci"]
    assert json_of("keys", "update", "ci", "--owner", "ann")["owner"] == "ann"
    assert json_of("keys", "show", made["id"])["owner"] == "ann"
    rotated = json_of("keys", "rotate", "ci", "--yes", "--grace", "1h")
    assert rotated["secret"] != made["secret"]
    out, _ = command("keys", "show", "ci")
    assert re.search(r"^Old secret until +20", out, re.MULTILINE)
    assert json_of("keys", "disable", "ci", "--yes")["status"] == "disabled"
    assert json_of("keys", "enable", "ci")["status"] == "enabled"
    assert json_of("keys", "delete", "ci", "--yes")["status"] == "deleted"
    assert [key["name"] for key in json_of("keys", "list")] == ["admin"]
    assert len(json_of("keys", "list", "--all")) == 2
    assert json_of("usage", "--by", "model,day", "--from", "7d")["totals"]["requests"] == 0
    out, err = command("usage", "--csv")
    assert out.startswith("key,key_name,requests,")
    assert err == [place]


def test_what_a_gateway_refuses_speaks_of_the_options(administered: Served, tmp_path: Path) -> None:
    command = Command(tmp_path, **administered.environment)
    for arguments, code, told in (
        (["keys", "create", "--name", "x", "--rate", "fast"], 2, "--rate is 'fast': expected"),
        (["keys", "create", "--name", "admin"], 2, "--name admin is taken"),
        (["keys", "show", "nobody"], 1, "There is no key 'nobody'"),
        (["keys", "disable", "admin", "--yes"], 1, "last administrator"),
        (["usage", "--by", "colour"], 2, "--by: no group 'colour'"),
    ):
        _, err = command(*arguments, code=code)
        assert told in err[-1]


def test_a_name_on_the_command_line_goes_before_the_environment(
    administered: Served, tmp_path: Path
) -> None:
    command = Command(tmp_path, **administered.environment)
    store = tmp_path / "other"
    _, err = command("keys", "create", "--name", "local", "--data", str(store))
    assert err[0] == f"apertis: the store {store / 'apertis.sqlite3'}"
    out, _ = command("keys", "list", "--data", str(store))
    assert [line.split("\t")[1] for line in out.splitlines()] == ["local"]
    _, err = command("keys", "list", "--url", "x", "--data", str(store), code=ExitCode.USAGE)
    assert "--url names another place" in err[-1]
    elsewhere = Command(
        tmp_path, APERTIS_BASE_URL="http://127.0.0.1:1", APERTIS_API_KEY=administered.api_key
    )
    out, err = elsewhere("keys", "list", "--url", administered.base_url)
    assert err == [f"apertis: the gateway {administered.base_url}"]
    assert [line.split("\t")[1] for line in out.splitlines()] == ["admin"]


def test_with_another_key_in_the_environment_it_is_the_local_store(
    administered: Served, tmp_path: Path
) -> None:
    out, _ = Command(tmp_path, **administered.environment)("keys", "create", "--name", "ann")
    for key in (out.strip(), "sk-unknown"):
        variables = {**administered.environment, "APERTIS_API_KEY": key}
        command = Command(tmp_path, **variables, APERTIS_DATA=str(tmp_path / "data"))
        out, err = command("keys", "list")
        assert f"the store {tmp_path / 'data' / 'apertis.sqlite3'}" in err[0]
        assert "is not an administrator's" in err[0]
        assert len(out.splitlines()) == 2
    _, err = command("keys", "list", "--url", administered.base_url, code=ExitCode.SERVICE)
    assert "Invalid API key" in err[-1]


def test_a_gateway_that_does_not_answer_is_no_reason_to_change_another_store(
    tmp_path: Path,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        command = Command(tmp_path, APERTIS_BASE_URL=url, APERTIS_API_KEY="sk-x")
        _, err = command("keys", "create", "--name", "ci", code=ExitCode.NETWORK)
    assert url in err[-1]
    assert "--data" in err[-1]
    assert not list(tmp_path.rglob("*.sqlite3"))


@pytest.mark.parametrize("action", ["rotate", "disable", "delete"])
def test_what_cuts_callers_off_is_asked_where_only_the_environment_names_the_gateway(
    administered: Served, tmp_path: Path, action: str, on_terminal: Callable[..., str]
) -> None:
    command = Command(tmp_path, **administered.environment)
    command("keys", "create", "--name", "ci")
    _, err = command("keys", action, "ci", code=ExitCode.USAGE)
    assert "only APERTIS_BASE_URL names the gateway: add --yes" in err[-1]
    shown = on_terminal(
        *("keys", action, "ci"),
        typed=b"n\n",
        environment=administered.environment,
        code=ExitCode.INTERRUPTED,
    )
    assert "[y/N]" in shown
    out, _ = command("keys", "show", "ci", "--json")
    assert json.loads(out)["status"] == "enabled"
    on_terminal("keys", action, "ci", typed=b"y\n", environment=administered.environment)
    # Who names it is not asked again.
    if action != "delete":
        command("keys", action, "ci", "--url", administered.base_url)


@pytest.mark.parametrize("named", [True, False])
def test_an_administrators_key_never_goes_in_the_clear_to_another_machine(
    tmp_path: Path, named: bool
) -> None:
    # 192.0.2.0/24 is for documentation: nothing answers, and nothing is sent to it here.
    url = "http://192.0.2.1:8000"
    variables = {} if named else {"APERTIS_BASE_URL": url}
    command = Command(tmp_path, APERTIS_API_KEY="sk-x", **variables)
    arguments = ["--url", url] if named else []
    _, err = command("keys", "list", *arguments, code=ExitCode.CONFIGURATION)
    assert "in the clear" in err[-1]
    assert "--insecure" in err[-1]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.1.2.3"])
def test_this_machine_may_be_asked_over_http(tmp_path: Path, host: str) -> None:
    command = Command(tmp_path, APERTIS_API_KEY="sk-x")
    _, err = command("keys", "list", "--url", f"http://{host}:1", code=ExitCode.NETWORK)
    assert "in the clear" not in err[-1]


def test_without_a_gateway_in_the_environment_it_is_the_local_store(tmp_path: Path) -> None:
    command = Command(tmp_path, APERTIS_API_KEY="sk-x")
    _, err = command("keys", "create", "--name", "ci")
    [made] = tmp_path.rglob("apertis.sqlite3")
    assert err[0] == f"apertis: the store {made}"


def test_a_colleague_sees_their_own_usage_with_their_own_key(
    administered: Served, tmp_path: Path
) -> None:
    admin = Command(tmp_path, **administered.environment)
    made = json.loads(admin("keys", "create", "--name", "ann", "--quota-usd", "5", "--json")[0])
    command = Command(tmp_path, **{**administered.environment, "APERTIS_API_KEY": made["secret"]})
    asked = command("ask", "Hello", "--model", "claude-haiku-4-5", "--max-tokens", "50")
    assert asked[0]
    place = f"apertis: your own usage at the gateway {administered.base_url}"
    out, err = command("usage", "--json")
    assert err == [place]
    own = json.loads(out)
    assert own["key"]["name"] == "ann"
    [limit] = own["limits"]
    assert (limit["amount_units"], limit["period"]) == (2_500_000, "total")
    out, err = command("usage", "--by", "day", "--csv", "--zone", "Asia/Kolkata")
    assert out.startswith("day,requests,errors,")
    _, err = command("usage", "--key", "admin", code=ExitCode.USAGE)
    assert "--key admin is for administrators" in err[-1]
    _, err = command("usage", "--zone", "Mars", code=ExitCode.USAGE)
    assert "no time zone" in err[-1]
    # On the machine of a store what is for administrators is asked of that.
    command("keys", "create", "--name", "here", "--data", str(tmp_path / "apertis"))
    _, err = command("usage", "--by", "key")
    assert err[0].startswith("apertis: the store ")
    assert command("usage")[1] == [place]
    # A key that a gateway does not know says nothing: so it is the store on this machine.
    unknown = Command(
        tmp_path / "none", **{**administered.environment, "APERTIS_API_KEY": "sk-unknown"}
    )
    _, err = unknown("usage", code=ExitCode.CONFIGURATION)
    assert "there is no gateway database" in err[-1]
