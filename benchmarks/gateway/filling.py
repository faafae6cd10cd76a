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
_KEYS = 200
_ROLLUPS = ("usage_model_quarters", "usage_hours", "usage_group_hours", "usage_person_hours")


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


def add_up_usage(folder: Path, count: int) -> None:
    """Add so many requests of 200 keys over the last 90 days, with their sums by quarter and hour.

    Of the keys, ten belong to a group and two to a person; each has one of four models.
    """
    with closing(sqlite3.connect(database(folder))) as connection, connection:
        for pragma in ("synchronous = OFF", "cache_size = -400000", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        template = _template(connection, "usage", "SELECT * FROM usage LIMIT 1")
        (newest,) = connection.execute("SELECT max(at_ms) FROM usage").fetchone()
        changed = {
            "request_id": "printf('req_%012x%020x', at, n)",
            "at_ms": "at",
            "key_id": f"printf('key_%020d', n % {_KEYS})",
            "person_id": f"printf('person_%d', n % {_KEYS} / 2)",
            "group_id": f"printf('group_%d', n % {_KEYS} / 10)",
            "model": f"printf('claude-%d', n % {_KEYS} % 4)",
        }
        values = ", ".join(changed.get(name, f":{name}") for name in template)
        connection.execute(
            f"""WITH RECURSIVE numbers(n) AS (
                  SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count),
                times(n, at) AS (SELECT n, :first + n * :days / :count FROM numbers)
                INSERT INTO usage ({", ".join(template)}) SELECT {values} FROM times""",
            template | {"count": count, "first": newest - _DAYS_MS, "days": _DAYS_MS},
        )
        for table in ("usage_quarters", *_ROLLUPS):
            connection.execute(f"DELETE FROM {table}")
        names = _columns(connection, "usage_quarters")
        summed = {
            "quarter": "at_ms / 900000",
            "requests": "count(*)",
            "failed": "0",
            # How long they took: half a second to the first byte, four to the end.
            "times_05": "count(*)",
            "times_11": "count(*) << 31",
        }
        sums = names[names.index("requests") :]
        kept = names[: names.index("requests")]
        read = [summed.get(name) or f"coalesce({name}, '')" for name in kept]
        read += [
            summed.get(name) or ("0" if name.startswith("times_") else f"sum({name})")
            for name in sums
        ]
        groups = ", ".join(str(place + 1) for place in range(len(kept)))
        connection.execute(
            f"INSERT INTO usage_quarters SELECT {', '.join(read)} FROM usage GROUP BY {groups}"
        )
        for table in _ROLLUPS:
            unit, *names = _columns(connection, table)
            by = names[: names.index("requests")]
            groups = ", ".join(("quarter / 4" if unit == "hour" else unit, *by))
            added = ", ".join(f"sum({name})" for name in names[len(by) :])
            connection.execute(
                f"INSERT INTO {table} SELECT {groups}, {added} FROM usage_quarters "
                f"GROUP BY {groups}"
            )
        connection.execute("UPDATE usage_rollup SET complete_since_ms = 0")


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
