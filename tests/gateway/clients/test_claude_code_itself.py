"""Claude Code itself, in an empty home, against `apertis serve` for the first time."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.clients.installing import CLAUDE_CODE
from tests.kit.processes import apertis_serve

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(CLAUDE_CODE.missing is not None, reason=str(CLAUDE_CODE.missing))
PROGRAM = CLAUDE_CODE.folder / "node_modules" / CLAUDE_CODE.name / "claude"
ENOUGH_SECONDS = 60
# Whatever else it would talk to is refused by this address.
NOWHERE = "http://127.0.0.1:9"
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True)
class Ran:
    code: int
    output: str
    requests: list[dict[str, Any]]


def say(words: str, home: Path, key: str | None = None) -> Ran:
    """What it prints, and what it asked a gateway for that serves it alone."""
    work = home / "work"
    work.mkdir()
    with apertis_serve(home) as served:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANTHROPIC_BASE_URL": served.base_url,
            "ANTHROPIC_AUTH_TOKEN": key or served.api_key,
            "ANTHROPIC_API_KEY": "",
            **QUIET,
        }
        done = subprocess.run(
            [str(PROGRAM), "-p", words],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=ENOUGH_SECONDS,
            check=False,
        )
    # A stand-in for a model makes nobody's computer act.
    assert list(work.iterdir()) == []
    # The log is whole when the gateway has ended.
    lines = map(json.loads, served.log_file.read_text(encoding="utf-8").splitlines())
    requests = [line for line in lines if line.get("path") == "/v1/messages"]
    return Ran(done.returncode, done.stdout, requests)


def test_it_answers_with_few_requests(tmp_path: Path) -> None:
    ran = say("hi", tmp_path)
    assert ran.code == 0, ran.output
    assert "I am the Apertis sandbox" in ran.output
    assert 1 <= len(ran.requests) <= 5
    assert {request["status"] for request in ran.requests} == {200}


def test_a_wrong_key_ends_it_soon_with_our_words(tmp_path: Path) -> None:
    ran = say("hi", tmp_path, "sk-" + "x" * 48)
    assert ran.code != 0
    assert "Invalid API key" in ran.output
    # Without `x-should-retry` it tries eleven times, for three minutes.
    assert [request["status"] for request in ran.requests] == [401]
