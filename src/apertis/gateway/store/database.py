"""The store as a whole: opened once, with its tables in the newest form."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from apertis.errors import ConfigurationError
from apertis.gateway.errors import LockLostError, StoreUnavailableError
from apertis.gateway.store.accounts import StoredAccounts
from apertis.gateway.store.alerts import StoredAlerts
from apertis.gateway.store.audit import StoredAudit
from apertis.gateway.store.batches import StoredBatches
from apertis.gateway.store.console_sessions import StoredConsoleSessions
from apertis.gateway.store.keys import StoredKeys
from apertis.gateway.store.location import location_of
from apertis.gateway.store.lock import FileLock
from apertis.gateway.store.managed_settings import StoredManagedSettings
from apertis.gateway.store.migration import is_at_head, upgrade
from apertis.gateway.store.organization import StoredOrganization
from apertis.gateway.store.replicas import StoredReplicas
from apertis.gateway.store.secrets import StoredSecrets
from apertis.gateway.store.shares import StoredShares
from apertis.gateway.store.sign_ins import StoredSignIns
from apertis.gateway.store.threads import StoredThreads
from apertis.gateway.store.usage import StoredUsage

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from apertis.gateway.store.connections import Database
    from apertis.gateway.store.location import StoreLocation
    from apertis.gateway.store.lock import Lock

_LOCK_PAUSE_SECONDS = 0.05


class Store:
    """Keys, people, usage, batches and threads. Use it with `async with`, or close it."""

    def __init__(self, database: Database, place: StoreLocation, lock: FileLock | None) -> None:
        self.keys = StoredKeys(database)
        self.accounts = StoredAccounts(database)
        self.organization = StoredOrganization(database)
        self.audit = StoredAudit(database)
        self.alerts = StoredAlerts(database)
        self.usage = StoredUsage(database)
        self.secrets = StoredSecrets(database)
        self.console_sessions = StoredConsoleSessions(database)
        self.sign_ins = StoredSignIns(database)
        self.managed_settings = StoredManagedSettings(database)
        self.batches = StoredBatches(database)
        self.threads = StoredThreads(database)
        self.replicas = StoredReplicas(database)
        self.shares = StoredShares(database)
        # Whether any number of gateways work on it.
        self.is_shared = place.is_shared
        # The way to them; None where there is one.
        self.signals = place.signals
        self._database = database
        self._lock = lock
        self._looking = asyncio.Lock()

    @classmethod
    async def open(
        cls, location: Path | str, *, exclusive: bool = False, lock_wait_seconds: float = 5.0
    ) -> Self:
        """Open the store, and bring its tables to the newest form.

        `location` is a folder, a SQLite file (`.db`, `.sqlite`, `.sqlite3`) or a `postgresql://`
        URL. `exclusive` is for the gateway: on a file a second one is rejected, while command line
        tools open beside it; a PostgreSQL database has any number. Tables are changed by one
        process at a time: another one that is just changing them is waited for, and so is a gateway
        that must not be there then. `ConfigurationError` says in one line why it cannot be opened.
        """
        place = location_of(location)
        place.prepare()
        lock = place.lock()
        database = place.connect()
        try:
            with _told_as_configuration(place):
                await _prepare(database, place, lock, exclusive, lock_wait_seconds)
        except BaseException:
            await database.close()
            await lock.release()
            raise
        return cls(database, place, lock if exclusive and isinstance(lock, FileLock) else None)

    async def ping(self) -> None:
        """Return when the store answers and, if it is a file, is still this process's own.

        `StoreUnavailableError` when not, `LockLostError` when another gateway has it. A lock that
        was lost with its file is taken again.
        """
        await self.keys.current_version()
        lock = self._lock
        if lock is None:
            return
        async with self._looking:
            try:
                held = await lock.is_held() or await lock.take()
            except ConfigurationError as error:
                raise StoreUnavailableError(error.message) from error
        if not held:
            raise LockLostError(f"the store's lock was lost, and {lock.holder()} has it now")

    async def close(self) -> None:
        """Close all connections and let the lock go."""
        await self._database.close()
        if self._lock is not None:
            await self._lock.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _prepare(
    database: Database, place: StoreLocation, lock: Lock, exclusive: bool, wait_seconds: float
) -> None:
    if await is_at_head(database, place):
        if exclusive and not place.is_shared and not await lock.take():
            raise ConfigurationError(
                f"another gateway ({lock.holder()}) is running on {place.name}: "
                "stop it, or give this one a store of its own"
            )
        return
    if not await _take_or_wait(lock, wait_seconds):
        raise ConfigurationError(
            f"the tables of {place.name} have to change for this version, but a gateway "
            f"({lock.holder()}) is running on it: stop that one first"
        )
    # Another process may have changed them while this one waited.
    if not await is_at_head(database, place):
        await upgrade(database, place)
    if place.is_shared or not exclusive:
        await lock.release()


async def _take_or_wait(lock: Lock, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not await lock.take():
        if loop.time() >= end:
            return False
        await asyncio.sleep(_LOCK_PAUSE_SECONDS)
    return True


@contextlib.contextmanager
def _told_as_configuration(place: StoreLocation) -> Generator[None]:
    try:
        yield
    except StoreUnavailableError as error:
        raise ConfigurationError(place.explain(error.message)) from error
    except OSError as error:
        # A file system without locks, for one.
        raise ConfigurationError(place.explain(error.strerror or str(error))) from error
