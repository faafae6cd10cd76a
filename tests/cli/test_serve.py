from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from apertis.cli.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def serving(*arguments: str) -> Generator[subprocess.Popen[str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("APERTIS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "apertis.cli", "serve", "--port", "0", *arguments],
        env=environment,
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


def status_with(base_url: str, api_key: str) -> int:
    host = base_url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("GET", "/v1/models", headers={"x-api-key": api_key})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_it_is_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with serving("--data", str(tmp_path)) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith("Ctrl-C")):
            lines.append(process.stdout.readline())
        text = "".join(lines)
        url = re.search(r"export APERTIS_BASE_URL=(http://127\.0\.0\.1:\d+)\n", text)
        key = re.search(r"export APERTIS_API_KEY='(sk-[A-Za-z0-9]{48})'\n", text)
        assert url is not None
        assert key is not None
        assert text.count(key[1]) == 1
        assert "not a model" in text
        assert status_with(url[1], key[1]) == 200
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (ExitCode.OK, "", "")


def test_a_restart_keeps_the_key_and_a_new_key_replaces_it(tmp_path: Path) -> None:
    arguments = ("--data", str(tmp_path), "--json")
    with serving(*arguments) as process:
        first = json.loads(line_of(process))["api_key"]
    with serving(*arguments) as process:
        started = json.loads(line_of(process))
        assert started["api_key"] is None
        assert status_with(started["base_url"], first) == 200
    with serving(*arguments, "--new-key") as process:
        started = json.loads(line_of(process))
        assert status_with(started["base_url"], started["api_key"]) == 200
        assert status_with(started["base_url"], first) == 401


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_an_address_that_others_reach_is_said_aloud(
    tmp_path: Path, host: str, warned: bool
) -> None:
    with serving("--data", str(tmp_path), "--host", host) as process:
        text = "".join(line_of(process) for _ in range(4))
    assert ("without TLS" in text) == warned
    assert "http://127.0.0.1:" in text


def test_a_restart_says_how_to_get_another_key(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    with serving(*data, "--json") as process:
        key = json.loads(line_of(process))["api_key"]
    with serving(*data) as process:
        text = "".join(line_of(process) for _ in range(4))
    assert key not in text
    assert f"sk-...{key[-4:]}" in text
    assert "apertis serve --new-key" in text


def test_a_stream_under_way_ends_when_the_server_is_told_twice(tmp_path: Path) -> None:
    slow = ("--tokens-per-second", "1")
    with serving("--data", str(tmp_path), "--json", *slow) as process:
        started = json.loads(line_of(process))
        host = started["base_url"].removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=10)
        question = {
            "model": "claude-sonnet-4.5",
            "max_tokens": 1000,
            "stream": True,
            "messages": [{"role": "user", "content": "Hello!"}],
        }
        headers = {"x-api-key": started["api_key"]}
        connection.request("POST", "/v1/messages", json.dumps(question), headers)
        assert connection.getresponse().read(5) == b"event"
        process.send_signal(signal.SIGINT)
        # The first signal closes the port; the second one drops the answers under way.
        port = int(host.rpartition(":")[2])
        while _accepts(port):
            pass
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        connection.close()
    assert process.returncode == ExitCode.OK
    assert "Traceback" not in errors


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_in_use_is_one_line_and_uses_up_no_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with serving("--port", port, "--data", str(tmp_path / "data")) as process:
            _, errors = process.communicate(timeout=20)
    assert process.returncode == ExitCode.CONFIGURATION
    assert f"127.0.0.1:{port}: the port is in use" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_damaged_key_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    with serving("--data", str(tmp_path)) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == ExitCode.CONFIGURATION
    assert "--new-key" in errors
    assert errors.count("\n") == 1
