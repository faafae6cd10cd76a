"""Fills a gateway's database while it is not running: many keys, or an old table of usage.

Rows are copies of one that the gateway wrote, with another identity, so that nothing has to be
known here of what a row holds.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

from gateway.ours import data_folder
from harness.processes import ProcessFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FILE = "apertis.sqlite3"
Changed: TypeAlias = dict[str, object]

_DAYS_MS = 90 * 86_400_000


def database(folder: Path) -> Path:
    return data_folder(folder) / _FILE


def add_keys(folder: Path, count: int) -> list[str]:
    """Copy the newest key so often, each with a secret of its own; the secrets."""
    secrets = [f"sk-{number:048}" for number in range(count)]

    def changed() -> Iterator[Changed]:
        for number, secret in enumerate(secrets):
            digest = hashlib.sha256(secret.encode()).hexdigest()
            identity: Changed = {
                "id": f"key_{number:020}",
                "name": f"key {number}",
                "sha256": digest,
            }
            yield identity | {"hint": f"sk-...{secret[-4:]}"}

    with closing(sqlite3.connect(database(folder))) as connection, connection:
        newest = "SELECT * FROM keys WHERE quota_units IS NOT NULL ORDER BY version DESC LIMIT 1"
        _copies(connection, "keys", newest, changed())
    return secrets


def add_usage(folder: Path, count: int) -> None:
    """Copy one record of usage so often, spread over the last 90 days."""
    with closing(sqlite3.connect(database(folder))) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        (newest,) = connection.execute("SELECT max(at_ms) FROM usage").fetchone()
        step = _DAYS_MS / max(1, count)

        def changed() -> Iterator[Changed]:
            for number in range(count):
                at_ms = int(newest - _DAYS_MS + number * step)
                # The form of the gateway's own ids: they grow with time.
                yield {"request_id": f"req_{at_ms:012x}{number:020x}", "at_ms": at_ms}

        _copies(connection, "usage", "SELECT * FROM usage LIMIT 1", changed())


def _copies(
    connection: sqlite3.Connection,
    table: str,
    select: str,
    changed: Iterable[Changed],
) -> None:
    cursor = connection.execute(select)
    names = [column[0] for column in cursor.description]
    row = cursor.fetchone()
    if row is None:
        raise ProcessFailedError(f"the gateway wrote no row into {table} that could be copied")
    template = dict(zip(names, row, strict=True))
    columns, places = ", ".join(names), ", ".join(f":{name}" for name in names)
    connection.executemany(
        f"INSERT INTO {table} ({columns}) VALUES ({places})",
        (template | fields for fields in changed),
    )
