"""A secret of the store is made once, and is the same for all that work on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apertis.gateway.store.database import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_is_made_once_and_stays(location: Path | str) -> None:
    async def ask() -> list[bytes]:
        async with await Store.open(location) as one, await Store.open(location) as other:
            return await asyncio.gather(
                *(store.secrets.get("a") for store in (one, other, one)), one.secrets.get("b")
            )

    first, second, third, another = asyncio.run(ask())
    assert first == second == third != another
    assert len(first) == 32
    assert asyncio.run(ask())[0] == first
