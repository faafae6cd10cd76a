"""How far a warm call walks through the project's modules."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest

from apertis import Apertis, AsyncApertis
from apertis.testing import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

MAX_MODULE_SWITCHES = 28
WARM_CALLS = 3

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 5},
}
REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "x" * 1000}],
}


class Switches:
    """Counts the calls whose function lies in another module of ours than the last one."""

    def __init__(self) -> None:
        self.modules: list[str] = []

    def __enter__(self) -> Self:
        # What earlier tests left behind is not finalized, and counted, in the midst of a call.
        gc.collect()
        gc.disable()
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _seen(self, frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        ours = event == "call" and module.startswith("apertis.")
        if ours and (not self.modules or self.modules[-1] != module):
            self.modules.append(module)


@pytest.fixture
def base_url() -> Iterator[str]:
    body = json.dumps(MESSAGE).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with ScriptedServer([head % len(body) + body] * (WARM_CALLS + 1)) as server:
        yield server.base_url


def test_a_call_of_the_blocking_client_switches_modules_seldom(base_url: str) -> None:
    with Apertis(api_key="k", base_url=base_url) as client:
        for _ in range(WARM_CALLS):
            client.messages.create(**REQUEST)
        with Switches() as switches:
            client.messages.create(**REQUEST)
    assert 10 < len(switches.modules) <= MAX_MODULE_SWITCHES, switches.modules


def test_a_call_of_the_asyncio_client_switches_modules_seldom(base_url: str) -> None:
    async def called() -> list[str]:
        async with AsyncApertis(api_key="k", base_url=base_url) as client:
            for _ in range(WARM_CALLS):
                await client.messages.create(**REQUEST)
            with Switches() as switches:
                await client.messages.create(**REQUEST)
            return switches.modules

    modules = asyncio.run(called())
    assert 10 < len(modules) <= MAX_MODULE_SWITCHES, modules
