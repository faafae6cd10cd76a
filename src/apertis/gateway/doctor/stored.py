"""The store: whether it is there, of this version, writable, and has room."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from sqlalchemy import text

from apertis.errors import ConfigurationError
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.finding import fail, ok, warn
from apertis.gateway.store.location import location_of
from apertis.gateway.store.migration import is_at_head
from apertis.gateway.store.schema import HEAD

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.config import StoreSettings
    from apertis.gateway.finding import Finding

_LITTLE_BYTES = 10**9
_NO_BYTES = 50 * 10**6


async def store_findings(store: StoreSettings) -> tuple[Finding, ...]:
    """Return the database, and the disk below the data directory."""
    database = await (_server_finding(store.url) if store.url else _file_finding(store))
    disk = _disk_finding(store.directory)
    return database, *([disk] if disk else [])


async def _file_finding(store: StoreSettings) -> Finding:
    file = store.sqlite_file
    if not file.exists():
        return ok("store", f"{file} is not there yet: the first start of 'apertis serve' makes it")
    found = await _database_finding(file, str(file), f"{_megabytes(file.stat().st_size)}")
    others = stat.S_IMODE(file.stat().st_mode) & 0o077
    if found.advice is None and others and os.name == "posix":
        return warn(
            "store",
            f"{file} can be read by other users: it has names, hashes of keys and usage",
            f"chmod 600 {file}",
        )
    return found


async def _server_finding(url: str) -> Finding:
    return await _database_finding(url, location_of(url).name, None)


async def _database_finding(location: Path | str, name: str, size: str | None) -> Finding:
    place = location_of(location)
    database = place.connect()
    try:
        is_current = await is_at_head(database, place)
        # The transaction begins for writing, and ends without having written.
        await database.write(lambda connection: connection.execute(text("SELECT 1")))
        if size is None:
            bytes_ = text("SELECT pg_database_size(current_database())")
            size = _megabytes(await database.read(lambda at: at.execute(bytes_).scalar_one()))
    except StoreUnavailableError as error:
        advice = "see that the database is up, and that this user may read and write it"
        return fail("store", f"{name}: {error.message}", advice)
    except ConfigurationError as error:
        return fail("store", error.message, "name another place by store.data or store.url")
    finally:
        await database.close()
    if not is_current:
        return ok("store", f"{name}, {size}: the next start brings its tables to schema {HEAD}")
    return ok("store", f"{name}, schema {HEAD}, {size}, writable")


def _disk_finding(directory: Path) -> Finding | None:
    """Check space and write access for the journal and the database; None without a directory."""
    existing = next(path for path in (directory, *directory.absolute().parents) if path.is_dir())
    if not os.access(existing, os.W_OK | os.X_OK):
        advice = (
            f"let the gateway's user write it, or name another place by store.data: {directory}"
        )
        return fail("disk", f"{existing} cannot be written", advice)
    free = shutil.disk_usage(existing).free
    message = f"{_megabytes(free)} free at {existing}"
    advice = "make room: the usage of every request is written there before it is answered"
    if free < _NO_BYTES:
        return fail("disk", message, advice)
    return warn("disk", message, advice) if free < _LITTLE_BYTES else ok("disk", message)


def _megabytes(size: int) -> str:
    return f"{size / 10**9:.1f} GB" if size >= 10**9 else f"{size / 10**6:.1f} MB"
