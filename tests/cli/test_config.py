from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from apertis.cli.exit_codes import ExitCode
from apertis.cli.group import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_check_says_what_a_gateway_would_start_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "apertis.toml"
    file.write_text("[[upstreams]]\nname = 'stand-in'\nkind = 'sandbox'\n")
    assert run(["config", "check", "--config", str(file)]) == ExitCode.OK
    said = capsys.readouterr()
    assert said.out == f"{file}: valid. Upstreams: stand-in (sandbox).\n"
    assert said.err == ""
    assert run(["config", "check"]) == ExitCode.OK
    assert capsys.readouterr().out == (
        "Valid, without a configuration file. Upstreams: sandbox (sandbox).\n"
    )


@pytest.mark.parametrize("command", [("config", "check"), ("config", "show")])
def test_every_problem_is_a_line_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    file = tmp_path / "apertis.toml"
    file.write_text("[server]\nprot = 1\nport = 'http'\n")
    assert run([*command, "--config", str(file)]) == ExitCode.CONFIGURATION
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"apertis: {file}:2: server.prot is an unknown setting; did you mean port?",
        f"apertis: {file}:3: server.port must be a port from 0 to 65535, not 'http'",
    ]


def test_a_gateway_with_a_wrong_setting_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("APERTIS_LIMITS_PER_KEY", "fast")
    monkeypatch.setenv("APERTIS_PORTS", "1")
    assert run(["serve", "--data", str(tmp_path)]) == ExitCode.CONFIGURATION
    said = capsys.readouterr()
    assert said.out == ""
    assert "APERTIS_LIMITS_PER_KEY must be a rate" in said.err
    assert list(tmp_path.iterdir()) == []


def test_show_prints_a_complete_file_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    monkeypatch.setenv("APERTIS_PORT", "81")
    assert run(["config", "show"]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert "0123456789" not in shown
    tree = tomllib.loads(shown)
    assert tree["server"]["port"] == 81
    assert tree["upstreams"][0]["api_key_env"] == "ANTHROPIC_API_KEY"
    assert re.search(r"^port = 81 +# APERTIS_PORT$", shown, re.MULTILINE)
    assert re.search(r"^\[\[upstreams\]\] +# ANTHROPIC_API_KEY$", shown, re.MULTILINE)


def test_the_file_can_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("APERTIS_CONFIG", str(tmp_path / "gone.toml"))
    assert run(["config", "check"]) == ExitCode.CONFIGURATION
    assert "gone.toml: cannot be read: No such file" in capsys.readouterr().err
