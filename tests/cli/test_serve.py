from __future__ import annotations

import http.client
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from apertis.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

SECRET = re.compile(r"sk-[A-Za-z0-9]{48}")


@contextmanager
def serving(*arguments: str, **environment: str) -> Generator[subprocess.Popen[str]]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("APERTIS_", "ANTHROPIC_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "apertis.cli", "serve", "--port", "0", *arguments],
        env=kept | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def announced_by(process: subprocess.Popen[str]) -> str:
    """All that it says when it starts."""
    lines: list[str] = []
    while not (lines and lines[-1].startswith("Ctrl-C")):
        lines.append(line_of(process))
        assert lines[-1], process.communicate(timeout=20)[1]
    return "".join(lines)


def refused(*arguments: str, **environment: str) -> list[str]:
    """What a start says that must fail, line by line."""
    with serving(*arguments, **environment) as process:
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (ExitCode.CONFIGURATION, "")
    return errors.splitlines()


def status_with(base_url: str, api_key: str) -> int:
    host = base_url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("GET", "/v1/models", headers={"x-api-key": api_key})
        return connection.getresponse().status
    finally:
        connection.close()


def console_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("Console", "Sign in"))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_it_is_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with serving("--data", str(tmp_path)) as process:
        text = announced_by(process)
        (key,) = set(SECRET.findall(text))
        (url,) = set(re.findall(r"http://127\.0\.0\.1:\d+", text))
        assert status_with(url, key) == 200
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest) == (ExitCode.OK, "")
    assert [json.loads(line)["path"] for line in errors.splitlines()] == ["/v1/models"]
    assert "shown only now" in text
    assert "the sandbox" in text
    assert "not a model" in text
    assert f"Data: {tmp_path / 'apertis.sqlite3'}\n" in text
    assert "without TLS" not in text
    assert console_lines(text) == [f"Console: {url}/console/", "Sign in to it with this key."]
    assert max(map(len, console_lines(text))) <= 80
    assert [line.strip() for line in text.splitlines() if line.startswith("  ")] == [
        "# Apertis's SDK",
        f"export APERTIS_BASE_URL={url} APERTIS_API_KEY='{key}'",
        "# anthropic's SDK",
        f"export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY='{key}'",
        "# Claude Code",
        f"export ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN='{key}' ANTHROPIC_API_KEY=",
    ]


def test_a_restart_keeps_the_key_and_a_new_key_replaces_it(tmp_path: Path) -> None:
    arguments = ("--data", str(tmp_path), "--json")
    with serving(*arguments) as process:
        first = json.loads(line_of(process))["api_key"]
    with serving(*arguments) as process:
        started = json.loads(line_of(process))
        assert started["api_key"] is None
        assert started["console_url"] == f"{started['base_url']}/console/"
        assert status_with(started["base_url"], first) == 200
    with serving(*arguments, "--new-key") as process:
        started = json.loads(line_of(process))
        assert status_with(started["base_url"], started["api_key"]) == 200
        assert status_with(started["base_url"], first) == 401
    with serving("--data", str(tmp_path)) as process:
        text = announced_by(process)
    assert not SECRET.search(text)
    assert "--new-key" in text
    assert console_lines(text)[1] == "Sign in to it with an administrator's key, or your own."
    assert "APERTIS_API_KEY='<your key>'" in text


def test_the_key_of_a_first_start_with_new_key_works(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path), "--json", "--new-key") as process:
        started = json.loads(line_of(process))
        assert status_with(started["base_url"], started["api_key"]) == 200


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"ANTHROPIC_API_KEY": "sk-a"}, "anthropic, https://api.anthropic.com"),
        (
            {"ANTHROPIC_API_KEY": "sk-a", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/v1"},
            "anthropic, http://127.0.0.1:9",
        ),
    ],
)
def test_the_upstream_of_the_environment_is_named(
    tmp_path: Path, environment: dict[str, str], line: str
) -> None:
    with serving("--data", str(tmp_path), **environment) as process:
        text = announced_by(process)
    assert f"Upstream: {line}" in text
    assert "sandbox" not in text
    assert "sk-a\n" not in text
    assert "'sk-a'" not in text


def test_an_address_that_others_reach_is_said_aloud(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path), "--host", "0.0.0.0") as process:
        text = announced_by(process)
    assert "Others can reach 0.0.0.0, without TLS" in text
    assert "http://127.0.0.1:" in text
    assert console_lines(text) == []


def test_a_console_is_announced_at_the_url_by_which_people_reach_it(tmp_path: Path) -> None:
    config = tmp_path / "apertis.toml"
    config.write_text(
        '[server]\npublic_url = "https://claude.example.com/"\n[console]\nkeys = true\n'
    )
    arguments = ("--config", str(config), "--host", "0.0.0.0", "--data", str(tmp_path / "data"))
    with serving(*arguments) as process:
        lines = console_lines(announced_by(process))
    assert lines[0] == "Console: https://claude.example.com/console/"


def test_every_way_to_sign_in_is_announced(tmp_path: Path) -> None:
    config = tmp_path / "apertis.toml"
    config.write_text(
        '[oidc]\nissuer = "https://login.example.com"\nclient_id = "a"\nname = "Example"\n'
    )
    arguments = ("--config", str(config), "--data", str(tmp_path / "data"))
    with serving(*arguments) as process:
        lines = console_lines(announced_by(process))
    assert lines[1] == "Sign in to it with Example or this key."
    config.write_text(f"{config.read_text()}[console]\nkeys = false\n")
    with serving(*arguments) as process:
        lines = console_lines(announced_by(process))
    assert lines[1] == "Sign in to it with Example."


def test_a_console_that_is_off_is_not_announced(tmp_path: Path) -> None:
    config = tmp_path / "apertis.toml"
    config.write_text("[console]\nenabled = false\n")
    arguments = ("--config", str(config), "--data", str(tmp_path / "data"))
    with serving(*arguments) as process:
        assert console_lines(announced_by(process)) == []
    with serving(*arguments, "--json") as process:
        assert json.loads(line_of(process))["console_url"] is None


def test_a_program_that_starts_it_finds_that_in_the_log(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path), "--host", "0.0.0.0", "--json") as process:
        assert "base_url" in json.loads(line_of(process))
        process.terminate()
        _, errors = process.communicate(timeout=20)
    [event] = [json.loads(line) for line in errors.splitlines()]
    assert event["level"] == "warning"
    assert "Others can reach 0.0.0.0, without TLS" in event["event"]


def test_data_can_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "team.sqlite"
    with serving("--data", str(file)) as process:
        assert f"Data: {file}\n" in announced_by(process)
    assert file.read_bytes()[:6] == b"SQLite"
    assert (tmp_path / "usage-journal").is_dir()


def test_a_port_in_use_is_one_line_and_uses_up_no_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (line,) = refused("--port", port, "--data", str(tmp_path / "data"))
    assert f"127.0.0.1:{port}: the port is in use" in line
    assert not (tmp_path / "data").exists()


def test_a_second_gateway_on_the_same_store_is_refused(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path), "--json")
    with serving(*data) as process:
        assert "api_key" in line_of(process)
        (line,) = refused(*data, "--new-key")
        assert f"process {process.pid}" in line
    assert line.startswith("apertis: another gateway")
    assert str(tmp_path) in line


def test_a_start_that_fails_late_uses_up_no_key(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path), "--json")
    # Only the upstream itself looks for a proxy, when the store is there.
    proxy = {"HTTPS_PROXY": "socks5://127.0.0.1:9", "https_proxy": ""}
    (line,) = refused(*data, ANTHROPIC_API_KEY="sk-a", **proxy)
    assert "HTTPS_PROXY" in line
    assert (tmp_path / "apertis.sqlite3").exists()
    with serving(*data) as process:
        assert SECRET.fullmatch(json.loads(line_of(process))["api_key"])


def test_all_that_is_wrong_with_a_file_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "apertis.toml"
    file.write_text(
        "[server]\n"
        'stop_seconds = "soon"\n'
        "worker = 2\n"
        "[limits]\n"
        'per_key = "many"\n'
        "[[upstreams]]\n"
        'name = "a"\n'
        'api_key_env = "NOT_SET"\n'
        'base_url = "ftp://nowhere"\n'
    )
    lines = refused("--config", str(file), "--data", str(tmp_path / "data"))
    for number, field in (
        (2, "server.stop_seconds"),
        (3, "server.worker"),
        (5, "limits.per_key"),
        (8, "api_key_env"),
        (9, "base_url"),
    ):
        assert any(f"{file}:{number}: " in line and field in line for line in lines), lines
    assert not (tmp_path / "data").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.toml")
    (line,) = refused("--config", missing)
    assert missing in line


def test_files_that_are_no_certificate_are_told_before_anything_starts(tmp_path: Path) -> None:
    for name in ("server.pem", "server.key"):
        (tmp_path / name).write_text("nothing of the kind")
    (line,) = refused(
        "--data",
        str(tmp_path / "data"),
        APERTIS_SERVER_TLS_CERTIFICATE=str(tmp_path / "server.pem"),
        APERTIS_SERVER_TLS_KEY=str(tmp_path / "server.key"),
    )
    assert "cannot serve HTTPS" in line
    assert str(tmp_path / "server.pem") in line
    assert not (tmp_path / "data").exists()


def test_a_damaged_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "apertis.sqlite3").write_bytes(b"no database" * 1000)
    (line,) = refused("--data", str(tmp_path))
    assert str(tmp_path / "apertis.sqlite3") in line
    assert "damaged" in line


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_the_memory_of_large_bodies_is_not_taken_from_the_system_for_each() -> None:
    program = """
import resource
from apertis.gateway.serving.server import settle_memory
settle_memory()
pieces = [bytes(100_000)] * 4
def serve():
    bodies = [b"".join(pieces) for _ in range(8)]
for _ in range(3): serve()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100): serve()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    # 800 bodies of 98 pages each.
    assert int(run.stdout) < 800
