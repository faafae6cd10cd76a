from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from apertis.cli.exit_codes import ExitCode
from apertis.cli.group import run
from apertis.gateway.finding import ok
from apertis.testing import ScriptedServer, json_response

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.doctor import Finding


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("APERTIS_BASE_URL", raising=False)
    monkeypatch.delenv("APERTIS_API_KEY", raising=False)
    monkeypatch.setenv("APERTIS_DATA", str(tmp_path / "data"))


def test_all_is_well_without_any_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == ExitCode.OK
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ok    configuration",
        "ok    store",
        "ok    disk",
        "ok    upstream sandbox",
        "ok    tls",
        "ok    address",
        "ok    proxies",
        "ok    console",
        "ok    /login",
    ]


def test_what_fails_is_a_line_with_what_to_do_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    monkeypatch.setenv("APERTIS_HOST", "0.0.0.0")
    with ScriptedServer([json_response(401, {})]) as server:
        url = server.base_url
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        assert run(["doctor"]) == ExitCode.SERVICE
    out = capsys.readouterr().out
    assert f"fail  upstream anthropic: {url} rejects the key (401). What to do:" in out
    assert "api_key_env = ANTHROPIC_API_KEY" in out
    assert "warn  address: others can reach 0.0.0.0:8000, without TLS" in out
    assert "0123456789" not in out


def test_a_warning_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("APERTIS_HOST", "0.0.0.0")
    assert run(["doctor", "--json"]) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    (warning,) = [found for found in report["findings"] if found["state"] != "ok"]
    assert warning.keys() == {"subject", "state", "message", "advice"}
    assert (warning["subject"], warning["state"]) == ("address", "warn")


def test_settings_that_cannot_be_read_are_all_there_is_to_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "apertis.toml"
    file.write_text("[server]\nprot = 1\nport = 'http'\n")
    assert run(["doctor", "--json", "--config", str(file)]) == ExitCode.SERVICE
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert [(found["subject"], found["state"]) for found in report["findings"]] == [
        ("configuration", "fail")
    ] * 2
    assert report["findings"][1]["message"] == (
        f"{file}:3: server.port must be a port from 0 to 65535, not 'http'"
    )


def test_the_data_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--data", str(tmp_path / "other.db")]) == ExitCode.OK
    assert f"store: {tmp_path / 'other.db'} is not there yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", ["option", "environment"])
def test_the_gateway_that_runs_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    with ScriptedServer([]) as server:
        url = server.base_url
    arguments = ["--url", url] if named == "option" else []
    if named == "environment":
        monkeypatch.setenv("APERTIS_BASE_URL", url)
    assert run(["doctor", *arguments]) == ExitCode.SERVICE
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"fail  gateway: {url} does not answer")
    assert "apertis serve" in last


def test_a_wrong_address_of_a_gateway_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--url", "nonsense"]) in {ExitCode.CONFIGURATION, ExitCode.USAGE}
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_key_never_goes_in_the_clear_to_another_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str | None] = []

    async def answered(url: str, key: str | None) -> tuple[Finding, ...]:
        asked.append(key)
        return (ok("gateway", url),)

    monkeypatch.setattr("apertis.gateway.doctor.gateway_findings", answered)
    monkeypatch.setenv("APERTIS_API_KEY", "sk-x")
    data = ("doctor", "--data", str(tmp_path), "--url")
    run([*data, "http://192.0.2.1:8000"])
    assert "APERTIS_API_KEY was not sent" in capsys.readouterr().out
    for arguments in (["http://192.0.2.1", "--insecure"], ["https://a.test"], ["http://[::1]:1"]):
        run([*data, *arguments])
    assert asked == [None, "sk-x", "sk-x", "sk-x"]
