"""A running service, and the command against it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apertis.testing import RunningServer, sandbox_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def service() -> Iterator[RunningServer]:
    with sandbox_server() as server:
        yield server


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
