"""A worker's line to its parent: orders from there, signals to the other workers, metrics of all.

The parent's end closes the line, whatever ended it: then the worker finishes the responses under
way and ends too. Terminals and service managers send their signals to all processes of a group at
once, so a worker takes the orders to stop from the line alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from itertools import count
from typing import TYPE_CHECKING

from apertis.gateway.replicas.messages import (
    Channel,
    Collect,
    Collected,
    Failed,
    Ready,
    Reload,
    Scraped,
    State,
    Stop,
    Told,
    Total,
    encode,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from apertis.gateway.replicas.messages import Message
    from apertis.gateway.replicas.signals import Signal
    from apertis.gateway.replicas.totals import Family

_ANSWER_SECONDS = 3.0


class Worker:
    """One of the processes of a gateway, number `slot` of `of`. It is a way to send `Signals`.

    `trouble` is why no worker is ready, as the parent knows it; `ready` how many of them serve.
    """

    def __init__(self, line: socket.socket, slot: int, of: int) -> None:
        self.slot = slot
        self.of = of
        self.trouble: str | None = None
        self.ready = 0
        self.on_signal: Callable[[Signal, str], None] = lambda _, __: None
        self.on_stop: Callable[[bool], None] = lambda _: None
        self.on_reload: Callable[[], None] = lambda: None
        self.families: Callable[[], tuple[Family, ...]] = tuple
        self._line = line
        self._channel: Channel | None = None
        self._listening: asyncio.Task[None] | None = None
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[tuple[Family, ...]]] = {}

    async def open(self) -> None:
        """Listen to the parent from now on."""
        # The line outlives the event loop, so that what ended it can be told.
        self._channel = await Channel.open(self._line.dup())
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        channel = self._channel
        while channel is not None and (message := await channel.receive()) is not None:
            self._heard(message)
        self.on_stop(False)

    def _heard(self, message: Message) -> None:
        match message:
            case Told(kind, text):
                self.on_signal(kind, text)
            case Stop(hurried):
                self.on_stop(hurried)
            case Reload():
                self.on_reload()
            case State(ready, trouble):
                self.ready, self.trouble = ready, trouble
            case Collect(number):
                self._tell(Collected(number, self.families()))
            case Total(number, families):
                asked = self._asked.pop(number, None)
                if asked is not None and not asked.done():
                    asked.set_result(families)
            case _:
                raise TypeError(f"a worker is not sent {message!r}")

    def _tell(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def send(self, kind: Signal, text: str = "") -> None:
        """Tell all other workers, soon."""
        self._tell(Told(kind, text))

    async def run(self) -> None:
        """Return at once: `open` listens already."""

    def serves(self) -> None:
        """Say that requests are answered."""
        self._tell(Ready())

    async def total(self) -> tuple[Family, ...]:
        """Return the metrics of all workers; `TimeoutError` when the parent does not answer."""
        number = next(self._numbers)
        asked: asyncio.Future[tuple[Family, ...]] = asyncio.get_running_loop().create_future()
        self._asked[number] = asked
        self._tell(Scraped(number, self.families()))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await asked
        finally:
            self._asked.pop(number, None)

    async def close(self) -> None:
        """Hand over the last metrics, and hear nothing more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        self._tell(Collected(0, self.families()))
        if self._channel is not None:
            await self._channel.close()

    def fail(self, message: str) -> None:
        """Say why it cannot start, outside of the event loop."""
        self._line.setblocking(True)
        with contextlib.suppress(OSError):
            self._line.sendall(encode(Failed(message)))
