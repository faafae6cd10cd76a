"""The store's clock, by which everything that gateways share is timed: theirs may differ."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NOW_MS = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


def store_ms(connection: Connection) -> int:
    """Return the store's time in Unix milliseconds; a file has this machine's."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1_000_000
    return int(connection.exec_driver_sql(_NOW_MS).scalar_one())
