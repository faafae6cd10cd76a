"""`apertis serve` as a program of its own, with what it says and writes."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import pytest

from apertis.testing import http_chunk, sse_event, sse_head
from tests.gateway.postgresql import PostgreSQL, postgresql_server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PATIENCE_SECONDS = 20


class Lines:
    """What a pipe gives, line by line, while the process runs and after it."""

    def __init__(self, pipe: IO[str]) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._seen = 0
        self._thread = threading.Thread(target=self._read, args=(pipe,))
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
        """The next line that fulfils a condition, behind the one found last; it must come."""

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


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


class Stream:
    """An answer that is read event by event."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status

    def event(self) -> bytes:
        """The next event with its blank line; b"" at the end."""
        lines = b""
        while line := self._response.readline():
            lines += line
            if line == b"\n":
                break
        return lines

    def rest(self) -> bytes:
        """Everything up to the regular end of the body."""
        return self._response.read()


@dataclass
class Served:
    """A gateway in a process of its own."""

    process: subprocess.Popen[str]
    out: Lines
    err: Lines
    url: str = ""
    key: str | None = None
    tls: ssl.SSLContext | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    def connect(self) -> http.client.HTTPConnection:
        host = self.url.partition("://")[2]
        if self.tls is not None:
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, timeout=_PATIENCE_SECONDS, context=self.tls
            )
        else:
            made = http.client.HTTPConnection(host, timeout=_PATIENCE_SECONDS)
        return self._stack.enter_context(contextlib.closing(made))

    def call(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        connection = self.connect()
        sent = {"x-api-key": self.key or "", "content-type": "application/json"}
        connection.request(method, target, body or None, sent | (headers or {}))
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, fields, response.read())
        connection.close()
        return answer

    def ask(self, **fields: Any) -> Answer:
        return self.call("POST", "/v1/messages", question(**fields))

    def begin(self, **fields: Any) -> http.client.HTTPConnection:
        """Ask without waiting for the answer."""
        connection = self.connect()
        headers = {"x-api-key": self.key or "", "content-type": "application/json"}
        connection.request("POST", "/v1/messages", question(**fields), headers)
        return connection

    def stream(self, **fields: Any) -> Stream:
        return Stream(self.begin(stream=True, **fields))

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
        self.process.kill()
        self.process.wait(_PATIENCE_SECONDS)
        self._stack.close()
        self.out.all()
        self.err.all()


def question(**fields: Any) -> bytes:
    asked = {"model": "claude-sonnet-4.5", "max_tokens": 100}
    return json.dumps({**asked, "messages": [{"role": "user", "content": "Hi"}], **fields}).encode()


def clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("APERTIS_", "ANTHROPIC_"))}


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start `apertis serve` with options; it is not waited for."""
    with contextlib.ExitStack() as stack:

        def start(
            *options: str,
            program: tuple[str, ...] = ("-m", "apertis.cli"),
            log: int = subprocess.PIPE,
            **environment: str,
        ) -> Served:
            process = subprocess.Popen(
                [sys.executable, *program, "serve", "--port", "0", *options],
                env=clean_environment() | environment,
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )
            stack.enter_context(process)
            assert process.stdout is not None
            errors = process.stderr or io.StringIO()
            served = Served(process, Lines(process.stdout), Lines(errors))
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture
def serve_process(launch: Callable[..., Served], tmp_path: Path) -> Callable[..., Served]:
    """Start `apertis serve --json` on the data below `tmp_path`, and wait until it serves."""

    def start(*options: str, **more: Any) -> Served:
        served = launch("--json", "--data", str(tmp_path / "data"), *options, **more)
        told = json.loads(served.out.next(lambda line: line.startswith("{")))
        served.url, served.key = told["base_url"], told["api_key"]
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
def postgres() -> Iterator[PostgreSQL]:
    """A PostgreSQL server of its own, which a test may stop and start again."""
    with postgresql_server() as server:
        yield server
