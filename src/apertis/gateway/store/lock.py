"""The locks of a database: of a file's one gateway, and of whoever changes tables."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from apertis.errors import ConfigurationError
from apertis.gateway.errors import StoreSilentError
from apertis.gateway.store.connections import connect_postgres
from apertis.gateway.store.held_directory import HeldDirectory

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

_ANSWER_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_TAKE = "SELECT pg_try_advisory_xact_lock(hashtext('apertis gateway'), hashtext(current_schema()))"


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
    """A lock in PostgreSQL, on the schema that holds the tables, for as long as they change.

    It is that of a transaction: a pooler between must not leave it behind. Gateways of the first
    version held the same lock all the time.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: asyncpg.Connection[asyncpg.Record] | None = None

    async def take(self) -> bool:
        """Take it."""
        self._session = session = await connect_postgres(self._url)
        taken = False
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await session.execute("BEGIN")
                taken = bool(await session.fetchval(_TAKE))
        except TimeoutError as error:
            raise StoreSilentError("the store did not answer in time") from error
        finally:
            if not taken:
                await self.release()
        return taken

    async def release(self) -> None:
        """Let it go."""
        if self._session is not None:
            # What does not close in time is cut off.
            with contextlib.suppress(TimeoutError):
                await self._session.close(timeout=_CLOSE_SECONDS)
            self._session = None

    def holder(self) -> str:
        """Say what is known: the server does not tell which machine it is."""
        return "another process"


Lock = FileLock | AdvisoryLock
