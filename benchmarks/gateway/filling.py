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
    if not count:
        return
    with closing(sqlite3.connect(database(folder))) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        template = _template(connection, "usage", "SELECT * FROM usage LIMIT 1")
        # The form of the gateway's own ids: they grow with time.
        changed = {"request_id": "printf('req_%012x%020x', at, n)", "at_ms": "at"}
        columns = ", ".join(template)
        values = ", ".join(changed.get(name, f":{name}") for name in template)
        (newest,) = connection.execute("SELECT max(at_ms) FROM usage").fetchone()
        connection.execute(
            f"""WITH RECURSIVE numbers(n) AS (
                  SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count),
                times(n, at) AS (SELECT n, :first + n * :days / :count FROM numbers)
                INSERT INTO usage ({columns}) SELECT {values} FROM times""",
            template | {"count": count, "first": newest - _DAYS_MS, "days": _DAYS_MS},
        )


def _copies(
    connection: sqlite3.Connection, table: str, select: str, changed: Iterable[Changed]
) -> None:
    template = _template(connection, table, select)
    columns, places = ", ".join(template), ", ".join(f":{name}" for name in template)
    connection.executemany(
        f"INSERT INTO {table} ({columns}) VALUES ({places})",
        (template | fields for fields in changed),
    )


def _template(connection: sqlite3.Connection, table: str, select: str) -> Changed:
    cursor = connection.execute(select)
    row = cursor.fetchone()
    if row is None:
        raise ProcessFailedError(f"the gateway wrote no row into {table} that could be copied")
    return dict(zip((column[0] for column in cursor.description), row, strict=True))
