"""`apertis serve` as a program of its own, with what it says and writes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from apertis.testing import http_chunk, sse_event, sse_head
from tests.kit.environment import clean_environment
from tests.kit.http import TIMEOUT_SECONDS, Client
from tests.kit.postgresql import PostgreSQL, postgresql_server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

_PATIENCE_SECONDS = 60
PROGRAM = ("-m", "apertis.cli")


class Lines:
    """What a pipe gives, line by line, while the process runs and after it."""

    def __init__(self, pipe: IO[str] | None) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._seen = 0
        self._thread = threading.Thread(target=self._read, args=(pipe or (),))
        self._thread.start()

    def _read(self, pipe: IO[str]) -> None:
        for line in pipe:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def next(self, condition: Callable[[str], object]) -> str:
        """The next line that fulfills a condition, behind the one found last; it must come."""

        def position() -> int | None:
            numbers = range(self._seen, len(self._lines))
            return next((n for n in numbers if condition(self._lines[n])), None)

        with self._changed:
            self._changed.wait_for(lambda: position() is not None or self._ended, _PATIENCE_SECONDS)
            found = position()
            assert found is not None, "".join(self._lines)
            self._seen = found + 1
            return self._lines[found]

    def all(self) -> list[str]:
        """Every line; the process must have ended."""
        self._thread.join(_PATIENCE_SECONDS)
        assert self._ended
        return self._lines


class Served(Client):
    """A gateway in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(0)
        self.process = process
        self.out = Lines(process.stdout)
        self.err = Lines(process.stderr)
        self.base_url = ""
        # The administrator's key is told when the store is made.
        self.told_key: str | None = None
        self.tls: ssl.SSLContext | None = None
        self.log_file = Path(os.devnull)
        self._stack = contextlib.ExitStack()

    def wait_until_it_serves(self) -> None:
        """Wait for the line of `--json` that says where, and with which key."""
        told = json.loads(self.out.next(lambda line: line.startswith("{")))
        self.base_url, self.told_key = told["base_url"], told["api_key"]
        self.api_key = self.told_key or self.api_key

    def connect(self) -> http.client.HTTPConnection:
        host = self.base_url.partition("://")[2]
        if self.tls is not None:
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, timeout=TIMEOUT_SECONDS, context=self.tls
            )
        else:
            made = http.client.HTTPConnection(host, timeout=TIMEOUT_SECONDS)
        return self._stack.enter_context(contextlib.closing(made))

    @property
    def environment(self) -> dict[str, str]:
        """The variables of somebody who administers it."""
        return {"APERTIS_BASE_URL": self.base_url, "APERTIS_API_KEY": self.api_key}

    def event(self, text: str) -> dict[str, Any]:
        """The next event of the log that is called so; it must come."""
        found: dict[str, Any] = json.loads(self.err.next(lambda line: f'"event":"{text}' in line))
        return found

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, and give its exit code."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(_PATIENCE_SECONDS)
        self.out.all()
        self.err.all()
        return code

    def log(self) -> list[dict[str, Any]]:
        """What it logged in its life; every line must be JSON."""
        return [json.loads(line) for line in self.err.all()]

    def close(self) -> None:
        """End it at once, as a machine that runs out of memory would."""
        self.process.kill()
        self._stack.close()
        self.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def start_serving(
    *options: str,
    home: Path,
    program: tuple[str, ...] = PROGRAM,
    log: int | IO[bytes] = subprocess.PIPE,
    environment: dict[str, str],
) -> Served:
    """Start `apertis serve` in a folder with options; it is not waited for."""
    return Served(
        subprocess.Popen(
            [sys.executable, *program, "serve", "--port", "0", *options],
            env=clean_environment(**environment),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
        )
    )


@contextlib.contextmanager
def apertis_serve(home: Path) -> Iterator[Served]:
    """Start it for the first time with nothing set, as the pages tell a reader; stop it at the end.

    It logs to the file `gateway.log` in its home.
    """
    log_file = home / "gateway.log"
    with log_file.open("wb") as log:
        served = start_serving("--json", home=home, log=log, environment={"HOME": str(home)})
    with contextlib.closing(served):
        served.log_file = log_file
        served.wait_until_it_serves()
        yield served
        assert served.stop() == 0


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start `apertis serve` with options; it is not waited for."""
    with contextlib.ExitStack() as stack:

        def start(
            *options: str,
            program: tuple[str, ...] = PROGRAM,
            log: int = subprocess.PIPE,
            **environment: str,
        ) -> Served:
            served = start_serving(
                *options, home=tmp_path, program=program, log=log, environment=environment
            )
            return stack.enter_context(contextlib.closing(served))

        yield start


@pytest.fixture
def serve_process(launch: Callable[..., Served], tmp_path: Path) -> Callable[..., Served]:
    """Start `apertis serve --json` on the data below `tmp_path`, and wait until it serves."""

    def start(*options: str, **more: Any) -> Served:
        served = launch("--json", "--data", str(tmp_path / "data"), *options, **more)
        served.wait_until_it_serves()
        return served

    return start


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], str]:
    """Write a configuration file, and give its path."""

    def write(text: str) -> str:
        path = tmp_path / "apertis.toml"
        path.write_text(text)
        return str(path)

    return write


STARTED = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 1},
    },
}
OPENED = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "text", "text": ""},
}
SAID = {
    "type": "content_block_delta",
    "index": 0,
    "delta": {"type": "text_delta", "text": "Hello"},
}
CLOSED = {"type": "content_block_stop", "index": 0}
FINISHED = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 20},
}


@pytest.fixture(scope="session")
def first_half() -> bytes:
    """The head of a streamed answer, and its events up to the first words."""
    return sse_head() + b"".join(http_chunk(sse_event(e)) for e in (STARTED, OPENED, SAID))


@pytest.fixture(scope="session")
def second_half() -> bytes:
    """The rest of it; in all it used 1000 and 20 tokens."""
    events = (CLOSED, FINISHED, {"type": "message_stop"})
    return b"".join(http_chunk(sse_event(e)) for e in events) + http_chunk(b"")


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgreSQL]:
    """A PostgreSQL server of a module's own, which a test may stop and start again."""
    with postgresql_server() as server:
        yield server
