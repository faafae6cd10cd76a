"""The `apertis` command: as a program, at a terminal, and before a gateway that it administers."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kit.environment import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.testing import RunningServer


@pytest.fixture(scope="session")
def on_terminal() -> Callable[..., str]:
    """What a command shows to a person at a terminal."""
    return _on_terminal


def _on_terminal(
    *arguments: str,
    columns: int = 80,
    typed: bytes = b"",
    environment: Mapping[str, str] | None = None,
    code: int = 0,
) -> str:
    """What a command shows to a person at a terminal of that width, without colors."""
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    with subprocess.Popen(
        [sys.executable, "-m", "apertis.cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=clean_environment(**(environment or {}), COLUMNS=str(columns), TERM="xterm"),
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
    return clean_environment(
        APERTIS_BASE_URL=service.base_url, APERTIS_API_KEY=service.api_key, COLUMNS="100"
    )


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
