"""A value that may be awaited."""

from __future__ import annotations

import asyncio

from apertis.compat.ready import Ready


def test_a_ready_value_stands_for_itself_awaited_or_not() -> None:
    async def awaited() -> object:
        return await ready

    ready = Ready([1, 2])
    assert asyncio.run(awaited()) == [1, 2]
    assert ready == [1, 2]
    assert list(ready) == [1, 2]
    assert isinstance(ready, list)
    assert repr(ready) == "[1, 2]"
    assert ready.index(2) == 1
    assert hash(Ready("a")) == hash("a")
