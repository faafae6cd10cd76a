"""A gateway's process: started on its core, timed to its first answer, asked what it used."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gateway.wire import request_body
from harness.environments import clean_environ
from harness.processes import ProcessFailedError, pin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.environments import Environment

START_SECONDS = 60.0
END_SECONDS = 15.0
_POLL_SECONDS = 0.001
_REQUEST_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Launch:
    """All that starts a gateway and reaches it. Its output goes into a file in `folder`."""

    command: list[str]
    environ: dict[str, str]
    folder: Path
    port: int
    secrets: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = ()
    path: str = "/v1/messages"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def last_words(self) -> str:
        """The end of what it wrote, for an error's message."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def target(self) -> dict[str, object]:
        """How the load generator is told of it."""
        return {
            "port": self.port,
            "path": self.path,
            "headers": self.headers,
            "secrets": self.secrets,
        }


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation takes on the disk, without what was compiled later."""

    size: int
    packages: int


class Side(Protocol):
    """One gateway: how it is installed and started, and what was switched on."""

    @property
    def name(self) -> str: ...
    @property
    def conditions(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def installed(self) -> Installed: ...
    def prepare(self) -> None: ...
    def launch(self, folder: Path, upstream_port: int) -> Launch: ...


@dataclass(slots=True)
class Running:
    """A gateway that has answered its first request."""

    launch: Launch
    process: subprocess.Popen[bytes]
    first_answer_seconds: float

    def cpu_seconds(self) -> float:
        """CPU time of all its threads and processes so far, user and system."""
        self._check_alive()
        return sum(cpu_seconds(process_id) for process_id in family(self.process.pid))

    def resident_megabytes(self) -> float:
        return self._megabytes("VmRSS:")

    def peak_megabytes(self) -> float:
        return self._megabytes("VmHWM:")

    def move(self, *cores: int | None) -> None:
        """Give its workers these cores in turn, or the one process that it is the first."""
        processes = family(self.process.pid)
        for process_id, core in zip(processes[1:] or processes, cycle(cores), strict=False):
            for thread in Path(f"/proc/{process_id}/task").iterdir():
                pin(int(thread.name), core)

    def _check_alive(self) -> None:
        if self.process.poll() is not None:
            said = f"{self.launch.command[0]} ended with {self.process.returncode}"
            raise ProcessFailedError(f"{said} under load; it wrote:\n{self.launch.last_words()}")

    def _megabytes(self, name: str) -> float:
        return sum(_status_kilobytes(n, name) for n in family(self.process.pid)) * 1024 / 1e6


@contextmanager
def running(launch: Launch, core: int | None) -> Iterator[Running]:
    """Run a gateway on one core for the length of the block."""
    with launch.log.open("ab") as log:
        started = time.perf_counter()
        process = _started_on(core, launch, log.fileno())
    try:
        _wait_for_answer(launch, process)
        yield Running(launch, process, time.perf_counter() - started)
    finally:
        _end(process)


def installed_in(environment: Environment) -> Installed:
    return Installed(environment.installed_bytes(compiled=False), len(environment.versions))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(process_id: int) -> float:
    """CPU time of one process and all its threads, in nanoseconds' precision."""
    # The clock that clock_getcpuclockid(3) names: Linux builds it from the id.
    return time.clock_gettime((~process_id << 3) | 2)


def family(process_id: int) -> list[int]:
    """A process and all that descend from it."""
    found = [process_id]
    for known in found:
        for children in Path(f"/proc/{known}/task").glob("*/children"):
            found += map(int, children.read_text(encoding="ascii").split())
    return found


def _started_on(core: int | None, launch: Launch, log: int) -> subprocess.Popen[bytes]:
    # The parent moves there and back, since a child's early threads inherit what it has then.
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen(
            launch.command,
            cwd=launch.folder,
            env=clean_environ() | launch.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    finally:
        os.sched_setaffinity(0, before)


def _wait_for_answer(launch: Launch, process: subprocess.Popen[bytes]) -> None:
    body = request_body(_REQUEST_BYTES)
    headers = {"content-type": "application/json", "x-api-key": launch.secrets[0]}
    headers |= {"anthropic-version": "2023-06-01", **dict(launch.headers)}
    until = time.perf_counter() + START_SECONDS
    said = "it never listened"
    while time.perf_counter() < until and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", launch.port, timeout=START_SECONDS)
        try:
            connection.request("POST", launch.path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except OSError:
            time.sleep(_POLL_SECONDS)
            continue
        finally:
            connection.close()
        if answer.status == http.client.OK:
            return
        said = f"{answer.status} {text[:300]!r}"
        time.sleep(_POLL_SECONDS)
    words = f"{launch.command[0]} gave no answer ({said}); it wrote:\n{launch.last_words()}"
    raise ProcessFailedError(words)


def _end(process: subprocess.Popen[bytes]) -> None:
    children = family(process.pid)[1:] if process.poll() is None else []
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        if Path(f"/proc/{child}").exists():
            os.kill(child, 9)


def _status_kilobytes(process_id: int, name: str) -> int:
    lines = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
