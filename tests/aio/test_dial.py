"""How an asyncio connection comes about."""

from __future__ import annotations

import asyncio

from apertis.aio.dial import READ_BYTES, dial
from apertis.sansio.outcome import Failure
from apertis.sansio.request import Origin, parse_base_url
from apertis.sansio.timeouts import Limits
from apertis.testing import ScriptedServer

LIMITS = Limits(5.0, 5.0, 5.0)


def test_a_read_makes_room_for_little_more_than_comes() -> None:
    async def room(origin: Origin) -> int:
        connection = await dial(origin, None, None, LIMITS)
        assert not isinstance(connection, Failure)
        size: int = connection._transport.max_size  # type: ignore[union-attr]
        connection.close()
        return size

    with ScriptedServer([]) as server:
        assert asyncio.run(room(parse_base_url(server.base_url))) == READ_BYTES


def test_a_port_where_nobody_listens_is_a_failure_of_a_request_that_never_left() -> None:
    with ScriptedServer([]) as server:
        origin = parse_base_url(server.base_url)
    failed = asyncio.run(dial(origin, None, None, LIMITS))
    assert isinstance(failed, Failure)
    assert failed.unsent
    assert "cannot connect" in failed.reason
