"""`apertis serve` as a program of its own, as the pages tell a reader to start it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STOP_SECONDS = 20


@dataclass(frozen=True)
class Served:
    """Where it serves, its administrator's key, and the file that it logs to."""

    base_url: str
    api_key: str
    log: Path


@contextlib.contextmanager
def apertis_serve(home: Path) -> Iterator[Served]:
    """Start it for the first time, with nothing set, and stop it at the end."""
    foreign = ("APERTIS_", "ANTHROPIC_", "XDG_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    log = home / "gateway.log"
    with log.open("wb") as stderr:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "apertis", "serve", "--port", "0", "--json"],
            cwd=home,
            env=environment | {"HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        assert gateway.stdout is not None
        started = gateway.stdout.readline()
        assert started, log.read_text()
        told = json.loads(started)
        yield Served(told["base_url"], told["api_key"], log)
    finally:
        gateway.terminate()
        gateway.communicate(timeout=_STOP_SECONDS)
