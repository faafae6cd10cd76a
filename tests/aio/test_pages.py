"""Lists of the asyncio client: awaited, a page; iterated over, everything."""

from __future__ import annotations

import asyncio

from apertis import AsyncApertis
from apertis.testing import ScriptedServer, json_response

PAGES = [
    json_response(
        200,
        {
            "data": [{"id": f"{name}1"}, {"id": f"{name}2"}],
            "has_more": name == "a",
            "first_id": f"{name}1",
            "last_id": f"{name}2",
        },
    )
    for name in "ab"
]


def test_a_list_can_be_iterated_over_without_awaiting_it() -> None:
    async def program(url: str) -> list[str]:
        async with AsyncApertis(api_key="sk-test", base_url=url) as client:
            return [model.id async for model in client.models.list()]

    with ScriptedServer(PAGES) as server:
        assert asyncio.run(program(server.base_url)) == ["a1", "a2", "b1", "b2"]


def test_a_list_that_is_awaited_is_its_first_page() -> None:
    async def program(url: str) -> tuple[list[str], list[int]]:
        async with AsyncApertis(api_key="sk-test", base_url=url) as client:
            page = await client.models.list()
            sizes = [len(following.data) async for following in page.iter_pages()]
            return [model.id for model in page.data], sizes

    with ScriptedServer(PAGES) as server:
        assert asyncio.run(program(server.base_url)) == (["a1", "a2"], [2, 2])


def test_nothing_is_sent_before_a_list_is_asked() -> None:
    async def program(url: str) -> None:
        async with AsyncApertis(api_key="sk-test", base_url=url) as client:
            client.models.list()

    with ScriptedServer([]) as server:
        asyncio.run(program(server.base_url))
        assert server.requests == []


def test_every_iteration_asks_anew() -> None:
    async def program(url: str) -> int:
        async with AsyncApertis(api_key="sk-test", base_url=url) as client:
            models = client.models.list()
            return len([m async for m in models]) + len([m async for m in models])

    with ScriptedServer(PAGES * 2) as server:
        assert asyncio.run(program(server.base_url)) == 8
