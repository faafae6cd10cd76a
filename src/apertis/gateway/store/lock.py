"""The lock that keeps a second gateway from a database: two would each count money alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from apertis.errors import ConfigurationError
from apertis.gateway.store.connections import connect_postgres

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

__all__ = ["AdvisoryLock", "FileLock", "Lock"]

_TAKE = "SELECT pg_try_advisory_lock(hashtext('apertis gateway'), hashtext(current_schema()))"


class Lock(Protocol):
    """Held by one process at a time, and let go by the system when that process dies."""

    async def take(self) -> bool:
        """Take it; False when another one has it."""
        ...

    async def release(self) -> None:
        """Let it go; nothing happens when it is not held."""
        ...

    def is_held(self) -> bool:
        """Whether this process has it, or still has it."""
        ...

    def holder(self) -> str:
        """Say who has it, as far as that is known."""
        ...


class FileLock:
    """A lock on a file beside the SQLite file. The file stays: only the lock on it counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    async def take(self) -> bool:
        """Take it; `ConfigurationError` when the file cannot be written."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(f"cannot write {self._path}: {error.strerror}") from error
        if not _lock(descriptor):
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor
        return True

    async def release(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Whether it was taken: nobody can take a file's lock away."""
        return self._descriptor is not None

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

    def is_held(self) -> bool:
        """Whether the session that has it still lives."""
        return self._session is not None and not self._session.is_closed()

    def holder(self) -> str:
        """Say what is known: the server does not tell which machine it is."""
        return "another process"
