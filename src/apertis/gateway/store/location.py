"""The location of a store: a SQLite file, or a PostgreSQL database."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from apertis.errors import ConfigurationError
from apertis.gateway.config.settings import sqlite_file
from apertis.gateway.store.connections import open_postgres, open_sqlite
from apertis.gateway.store.lock import AdvisoryLock, FileLock
from apertis.gateway.store.signals import PostgresSignals

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.store.connections import Database

_POSTGRES = frozenset(("postgresql", "postgres", "postgresql+asyncpg"))
_SIGNS_OF_DAMAGE = ("file is not a database", "malformed")
# The first one with INSERT ... ON CONFLICT DO UPDATE.
_OLDEST_SQLITE = (3, 24, 0)


def location_of(location: Path | str) -> StoreLocation:
    """Tell a PostgreSQL URL from the path of a folder or of a SQLite file."""
    if isinstance(location, str) and "://" in location:
        scheme = location.partition("://")[0]
        if scheme in _POSTGRES:
            return PostgresDatabase(location)
        raise ConfigurationError(
            f"a store's URL must begin with postgresql://, not with {scheme}://; "
            "for SQLite, give the path of a folder or of a file"
        )
    return SQLiteFile(sqlite_file(Path(location)))


class SQLiteFile:
    """A SQLite file, its lock and its copies beside it; all of them for their owner only.

    `name` is for messages, without secrets. `is_shared` says whether other programs may keep tables
    beside ours, and several gateways work on it.
    """

    is_shared = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def prepare(self) -> None:
        """Make the folder and an empty file where there is none."""
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigurationError(
                f"this Python has SQLite {sqlite3.sqlite_version}; 3.24 or newer is needed"
            )
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its other files the mode that this one has.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise ConfigurationError(f"cannot open {self._path}: {error.strerror}") from error

    def connect(self) -> Database:
        """Prepare connections."""
        return open_sqlite(self._path)

    def signals(self, tell: Callable[[Exception | None], None]) -> None:
        """Return None: one process has the file."""

    def lock(self) -> FileLock:
        """Return the lock beside the file."""
        # Every name of the file has the same lock.
        path = self._path.resolve()
        return FileLock(path.with_name(f"{path.name}.lock"))

    def copy(self, revision: str) -> None:
        """Copy the file, whole or not at all, to `<file>.backup-<revision>`."""
        try:
            # mkstemp makes the file with mode 0600.
            descriptor, name = tempfile.mkstemp(
                prefix=f".{self._path.name}.", dir=self._path.parent
            )
            os.close(descriptor)
            with (
                closing(sqlite3.connect(self._path)) as source,
                closing(sqlite3.connect(name)) as to,
            ):
                source.backup(to)
            Path(name).replace(self._path.with_name(f"{self._path.name}.backup-{revision}"))
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"cannot copy {self._path} before its tables are changed: {error}"
            ) from error

    def explain(self, failure: str) -> str:
        """Tell a file that is damaged from one that cannot be reached."""
        if any(sign in failure for sign in _SIGNS_OF_DAMAGE):
            failure = (
                f"it is damaged, or no SQLite database ({failure}); put a copy of it in its place, "
                "or move it away to begin with a new one"
            )
        return f"cannot open {self._path}: {failure}"


class PostgresDatabase:
    """A database on a PostgreSQL server; the tables are in the first schema of its search path."""

    is_shared = True

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        host = parts.hostname or "this machine"
        self.name = f"the PostgreSQL database {parts.path.lstrip('/') or 'postgres'!r} on {host}"

    def prepare(self) -> None:
        """Do nothing: whoever runs the server creates the database."""

    def connect(self) -> Database:
        """Prepare connections."""
        return open_postgres(self._url)

    def signals(self, tell: Callable[[Exception | None], None]) -> PostgresSignals:
        """Return the way to the other gateways; `tell` hears when it fails, and when it works."""
        return PostgresSignals(self._url, tell)

    def lock(self) -> AdvisoryLock:
        """Return the lock in the database itself."""
        return AdvisoryLock(self._url)

    def copy(self, revision: str) -> None:
        """Do nothing: the server's own backups are the copy."""

    def explain(self, failure: str) -> str:
        """Pass on what the driver or the server said."""
        return f"cannot open {self.name}: {failure}"


StoreLocation = SQLiteFile | PostgresDatabase
