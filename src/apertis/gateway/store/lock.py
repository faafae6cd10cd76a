"""The lock that keeps a second gateway from a database: two would each count money alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from apertis.errors import ConfigurationError
from apertis.gateway.store.connections import connect_postgres
from apertis.gateway.store.held_directory import HeldDirectory

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

_ANSWER_SECONDS = 5.0
_TAKE = "SELECT pg_try_advisory_lock(hashtext('apertis gateway'), hashtext(current_schema()))"


class FileLock:
    """A lock on the directory of a SQLite file, and on a file in it that names the process.

    One process has it at a time, and the system lets it go when that process dies.

    To delete that file lets nobody in: the directory is locked itself. One directory has one
    gateway, since its journal has one.
    """

    def __init__(self, path: Path) -> None:
        # What is given may depend on the current directory, which may change.
        self._path = path.absolute()
        self._directory: HeldDirectory | None = None
        self._descriptor: int | None = None

    async def take(self) -> bool:
        """Take it; `ConfigurationError` when the file cannot be written."""
        if self._directory is None or self._directory.is_lost():
            await self.release()
            try:
                self._directory = HeldDirectory(self._path.parent)
            except BlockingIOError:
                return False
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(f"cannot write {self._path}: {error.strerror}") from error
        if not _lock(descriptor):
            os.close(descriptor)
            await self.release()
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        return True

    async def release(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._directory is not None:
            self._directory.close()
            self._directory = None

    async def is_held(self) -> bool:
        """Return whether directory and file are those that were locked."""
        if self._descriptor is None or self._directory is None or self._directory.is_lost():
            return False
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def holder(self) -> str:
        """Name the process."""
        try:
            return f"process {int(self._path.read_text())}"
        except (OSError, ValueError):
            return "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        # Far behind the content, since Windows also keeps others from reading what is locked.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class AdvisoryLock:
    """A lock that a PostgreSQL session holds, on the schema that holds the tables.

    It needs a session of its own: a pooler between must not share sessions per transaction.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: asyncpg.Connection[asyncpg.Record] | None = None

    async def take(self) -> bool:
        """Take it."""
        session = await connect_postgres(self._url)
        if not await session.fetchval(_TAKE):
            await session.close()
            return False
        self._session = session
        return True

    async def release(self) -> None:
        """Let it go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def is_held(self) -> bool:
        """Return whether the session that holds it is alive; ask the server, as it may be gone."""
        session = self._session
        if session is None:
            return False
        try:
            await session.execute("SELECT 1", timeout=_ANSWER_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is, the session cannot be relied on.
            session.terminate()
            self._session = None
            return False
        return True

    def holder(self) -> str:
        """Say what is known: the server does not tell which machine it is."""
        return "another process"


Lock = FileLock | AdvisoryLock
