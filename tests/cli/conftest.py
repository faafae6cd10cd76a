"""A running service, and the command against it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from apertis.testing import RunningServer, sandbox_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@pytest.fixture(scope="session")
def service() -> Iterator[RunningServer]:
    with sandbox_server() as server:
        yield server


@dataclass(frozen=True)
class RunningGateway:
    """A real `apertis serve`, and its administrator's key."""

    base_url: str
    api_key: str
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"APERTIS_BASE_URL": self.base_url, "APERTIS_API_KEY": self.api_key}


def _clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("APERTIS_", "ANTHROPIC_"))}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    data = tmp_path / "gateway"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "apertis.cli", "serve", "--json", "--port", "0"),
            *("--data", str(data)),
        ],
        env=_clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield RunningGateway(told["base_url"], told["api_key"], data)
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="session")
def on_terminal() -> Callable[..., str]:
    return _on_terminal


def _on_terminal(
    *arguments: str,
    columns: int = 80,
    typed: bytes = b"",
    environment: Mapping[str, str] | None = None,
    code: int = 0,
) -> str:
    """What a command shows to a person at a terminal of that width, without colours."""
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    with subprocess.Popen(
        [sys.executable, "-m", "apertis.cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **_clean_environment(),
            **(environment or {}),
            "COLUMNS": str(columns),
            "TERM": "xterm",
        },
    ) as process:
        os.close(theirs)
        shown = b""
        # Reading a terminal that nobody writes to any more is an error on Linux.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                shown += piece
        os.close(ours)
        assert process.wait(60) == code, shown
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n").strip("\n")


@pytest.fixture
def environment(service: RunningServer) -> dict[str, str]:
    """The variables of a user who has set up the command for the service."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("APERTIS_")}
    return {
        **kept,
        "APERTIS_BASE_URL": service.base_url,
        "APERTIS_API_KEY": service.api_key,
        "COLUMNS": "100",
    }


@pytest.fixture
def command(
    environment: dict[str, str],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `apertis` with arguments and input, as a program of its own."""

    def run(
        *arguments: str, input: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "apertis.cli", *arguments],
            input=input,
            env=environment | (env or {}),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run
