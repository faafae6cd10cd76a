"""The store's clock."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from apertis.gateway.store.clock import store_ms
from apertis.gateway.store.location import location_of

if TYPE_CHECKING:
    from pathlib import Path


def test_each_kind_of_store_tells_its_time_in_milliseconds(location: Path | str) -> None:
    async def ask() -> int:
        place = location_of(location)
        place.prepare()
        database = place.connect()
        try:
            return await database.read(store_ms)
        finally:
            await database.close()

    before = time.time() * 1000 - 1000
    assert before < asyncio.run(ask()) < time.time() * 1000 + 1000
