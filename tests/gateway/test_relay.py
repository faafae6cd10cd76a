"""A stream that is held back for its first content."""

from __future__ import annotations

import asyncio

from apertis.gateway.relay import Relay
from apertis.gateway.routing.outcome import Outcome
from apertis.gateway.visit import Visit

COMMENT = b": %b\n\n" % (b"." * 60_000)


class Chatter:
    """An upstream's answer that says nothing, without end."""

    status = 200
    headers = ()

    def __init__(self) -> None:
        self.said = 0

    async def read(self) -> bytes:
        self.said += len(COMMENT)
        return COMMENT

    def whole(self) -> bytes | None:
        return None

    def close(self) -> None:
        return None


def test_a_stream_without_content_is_not_held_back_for_ever() -> None:
    answer = Chatter()
    relay = Relay(answer, Visit("POST", "/v1/messages", 0.0), None, lambda _: None)
    outcome = asyncio.run(asyncio.wait_for(relay.hold(None), 10))
    assert outcome is Outcome.OK
    assert answer.said < 2 * 2**20
