"""The store: whether it is there, of this version, writable, and has room."""

from __future__ import annotations

import os
import shutil
import stat
import time
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import text

from apertis.errors import ConfigurationError
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.finding import fail, ok, warn
from apertis.gateway.store.location import location_of
from apertis.gateway.store.migration import is_at_head
from apertis.gateway.store.replicas import StoredReplicas
from apertis.gateway.store.schema import HEAD
from apertis.gateway.store.signals import carries_signals
from apertis.models.json import json_or_none
from apertis.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.config import StoreSettings
    from apertis.gateway.finding import Finding
    from apertis.gateway.store.replicas import Seen

_LITTLE_BYTES = 10**9
_NO_BYTES = 50 * 10**6
_APART_SECONDS = 5.0
_GONE_MS = 10_000


async def store_findings(store: StoreSettings) -> tuple[Finding, ...]:
    """Return the database, and the disk below the data directory."""
    database = await (_server_finding(store.url) if store.url else _file_finding(store))
    disk = _disk_finding(store.directory)
    # What several gateways need of a database that is there.
    shared = await _shared_findings(store.url) if store.url and database.advice is None else ()
    return database, *shared, *([disk] if disk else [])


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


async def _shared_findings(url: str) -> tuple[Finding, ...]:
    place = location_of(url)
    database = place.connect()
    try:
        if not await is_at_head(database, place):
            return ()
        before = time.time()
        seen = await StoredReplicas(database).read()
        ahead = seen.at_ms / 1000 - (before + time.time()) / 2
        heard = await carries_signals(url)
    except StoreUnavailableError as error:
        return (fail("store clock", error.message, "see that the database is up"),)
    finally:
        await database.close()
    return clock_finding(ahead), pooler_finding(is_heard=heard), replicas_finding(seen)


def clock_finding(ahead_seconds: float) -> Finding:
    """Report by how much the store's clock is ahead of this machine's."""
    message = f"the store's clock and this machine's are {abs(ahead_seconds):.1f} s apart"
    if abs(ahead_seconds) < _APART_SECONDS:
        return ok("store clock", message)
    return warn(
        "store clock",
        f"{message}: budgets begin and end by the store's, keys expire by this one's",
        "let both follow a time server",
    )


def pooler_finding(*, is_heard: bool) -> Finding:
    """Report whether gateways hear each other through the database."""
    if is_heard:
        return ok("store signals", "gateways hear each other: LISTEN and NOTIFY work")
    return warn(
        "store signals",
        "gateways do not hear each other: NOTIFY does not reach who listens, as with a pooler that "
        "shares sessions per transaction. Changes take up to a second longer",
        "connect to the server itself, or let the pooler give each connection a session",
    )


def replicas_finding(seen: Seen) -> Finding:
    """Report the gateways that are there, and whether all are of this version."""
    live = [one for one in seen.replicas if one.seen_ms > seen.at_ms - _GONE_MS]
    versions = {one.name: _version(one.state) for one in live}
    others = {name: version for name, version in versions.items() if version != __version__}
    message = f"{len(live)} there: {', '.join(versions) or 'none'}"
    if others:
        named = ", ".join(f"{name} is {version}" for name, version in others.items())
        return warn(
            "gateways", f"{message}; this command is {__version__}, {named}", "update all of them"
        )
    return ok("gateways", message)


class _State(msgspec.Struct):
    version: str = "of an unknown version"


def _version(state: str) -> str:
    return (json_or_none(state.encode(), _State) or _State()).version[:50]


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
