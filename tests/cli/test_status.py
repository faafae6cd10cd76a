"""`apertis status` on a real store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apertis.gateway.replicas.presence import State, encode_state
from apertis.gateway.store.database import Store

if TYPE_CHECKING:
    from tests.kit.command_line import CommandLine


def test_the_gateways_of_a_store_are_shown(apertis: CommandLine) -> None:
    async def start() -> None:
        async with await Store.open(apertis.data) as store:
            await store.replicas.start("web-1", encode_state(State(version="1.2.3")))

    asyncio.run(start())
    page = apertis.json("status")
    assert [(view["name"], view["state"], view["version"]) for view in page["data"]] == [
        ("web-1", "here", "1.2.3")
    ]
    cells = apertis("status").rstrip("\n").split("\t")
    assert cells[:3] == ["web-1", "here", "1.2.3"]
    assert cells[5:] == ["0", "$0", "$0", "-", "-"]
