"""Processes of a benchmark: pinned to a core, spoken to in lines of JSON, always ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.environments import clean_environ

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ANSWER_SECONDS = 90
END_SECONDS = 5


class ProcessFailedError(Exception):
    """A process of the benchmark ended, or was silent for too long."""


class UnsupportedMachineError(Exception):
    """A suite cannot be measured here; the message says what it needs."""


class WrongAnswerError(Exception):
    """Somebody did not read what the stub sent: the cost of that would mean nothing."""


def cores() -> tuple[int, int] | None:
    """One core for the clients and another for the server; None where there is no choice."""
    if sys.platform != "linux":
        return None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else None


def pin(process_id: int, core: int | None) -> None:
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(process_id, {core})


def client_core() -> int | None:
    chosen = cores()
    return chosen[0] if chosen else None


def server_core() -> int | None:
    chosen = cores()
    return chosen[1] if chosen else None


class Peer:
    """A running process that answers a line of JSON with a line of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def process_id(self) -> int:
        return self._process.pid

    def ask(self, question: object) -> dict[str, Any]:
        """Send one line, wait for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ProcessFailedError("a benchmark process ended early; see above") from None
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """Wait for the next line, at most `ANSWER_SECONDS`."""
        assert self._process.stdout is not None
        timer = threading.Timer(ANSWER_SECONDS, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise ProcessFailedError(
                f"no answer from {self._process.args!r}: it failed (see above) "
                f"or took more than {ANSWER_SECONDS} seconds"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def peer(command: Sequence[str], core: int | None, folder: Path | None = None) -> Iterator[Peer]:
    """Run a process for the length of the block. It ends by itself when its standard input does."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environ(),
    )
    try:
        pin(process.pid, core)
        yield Peer(process)
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None and process.poll() is None:
        process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def run_to_end(command: Sequence[str], core: int | None) -> tuple[float, dict[str, Any]]:
    """Wall seconds from a process's start to its end, and the line of JSON that it printed."""
    started = time.perf_counter()
    with peer(command, core) as running:
        answer = running.hear()
    return time.perf_counter() - started, answer
