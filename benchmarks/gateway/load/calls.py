"""Calls that are not streams: as many as go in a while, or one after the other."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from itertools import cycle
from typing import TYPE_CHECKING, Any, cast

import httptools

from gateway.load.quantiles import described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.load.targets import Target

# Long enough for the slowest gateway's largest request, short enough to end by itself.
ANSWER_SECONDS = 20.0


class Caller(asyncio.Protocol):
    """One kept connection with one call in flight; tells each answer to `answered`."""

    def __init__(self, answered: Callable[[Caller], None]) -> None:
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self.started = 0.0
        self.status = 0
        self.length = 0
        self.body: list[bytes] = []
        self.keeps_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, request: bytes) -> None:
        self.length = 0
        self.started = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.status = 0
        self._answered(self)

    def on_body(self, data: bytes) -> None:
        self.length += len(data)
        if self.keeps_body:
            self.body.append(data)

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._answered(self)


class ClosedLoop:
    """So many connections, each calling again as soon as it is answered, until the time is up."""

    def __init__(self, requests: list[bytes], seconds: float) -> None:
        self._requests: Iterator[bytes] = cycle(requests)
        self._seconds = seconds
        self._ends = 0.0
        self._unanswered = 0
        self._latencies: list[float] = []
        self._answers: Counter[tuple[int, int]] = Counter()
        self._done: asyncio.Future[None]

    async def run(self, port: int, in_flight: int) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        callers = [await _connected(port, self._answered) for _ in range(in_flight)]
        self._unanswered = in_flight
        started = time.perf_counter()
        self._ends = started + self._seconds
        for caller in callers:
            caller.call(next(self._requests))
        async with asyncio.timeout(self._seconds + ANSWER_SECONDS):
            await self._done
        seconds = time.perf_counter() - started
        for caller in callers:
            caller.close()
        return {
            "calls": len(self._latencies),
            "seconds": seconds,
            "milliseconds": described(self._latencies, 1e3),
            "answers": _counted(self._answers),
        }

    def _answered(self, caller: Caller) -> None:
        if self._done.done():
            return
        now = time.perf_counter()
        self._latencies.append(now - caller.started)
        self._answers[caller.status, caller.length] += 1
        if now < self._ends and caller.status:
            caller.call(next(self._requests))
            return
        self._unanswered -= 1
        if not self._unanswered:
            self._done.set_result(None)


async def closed_loop(target: Target, order: dict[str, Any]) -> dict[str, Any]:
    loop = ClosedLoop(target.requests(order["body"]), order["seconds"])
    return await loop.run(target.port, order["in_flight"])


async def in_turns(targets: list[Target], order: dict[str, Any]) -> dict[str, Any]:
    """One call after the other, to each target in turn, so that all see the same machine."""
    latencies: list[list[float]] = [[] for _ in targets]
    answers: list[Counter[tuple[int, int]]] = [Counter() for _ in targets]
    waiting = _Waiting()
    callers = [await _connected(target.port, waiting.answered) for target in targets]
    requests = [target.requests(order["body"])[0] for target in targets]
    for _ in range(order["calls"]):
        for number, caller in enumerate(callers):
            elapsed = await waiting.call(caller, requests[number])
            latencies[number].append(elapsed)
            answers[number][caller.status, caller.length] += 1
    for caller in callers:
        caller.close()
    return {
        "milliseconds": [described(taken, 1e3) for taken in latencies],
        "answers": [_counted(counter) for counter in answers],
    }


async def one_answer(target: Target, order: dict[str, Any]) -> dict[str, Any]:
    """The status and the text of one answer's body."""
    waiting = _Waiting()
    caller = await _connected(target.port, waiting.answered)
    caller.keeps_body = True
    await waiting.call(caller, target.requests(order["body"])[0])
    caller.close()
    return {"status": caller.status, "body": b"".join(caller.body).decode(errors="replace")}


class _Waiting:
    """Makes a call something to wait for. The time is taken before the loop gets its turn."""

    def __init__(self) -> None:
        self._elapsed: asyncio.Future[float] | None = None

    def answered(self, caller: Caller) -> None:
        if self._elapsed is not None and not self._elapsed.done():
            self._elapsed.set_result(time.perf_counter() - caller.started)

    async def call(self, caller: Caller, request: bytes) -> float:
        self._elapsed = asyncio.get_running_loop().create_future()
        caller.call(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._elapsed


async def _connected(port: int, answered: Callable[[Caller], None]) -> Caller:
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_connection(lambda: Caller(answered), "127.0.0.1", port)
    return caller


def _counted(answers: Counter[tuple[int, int]]) -> list[list[int]]:
    return [[status, length, count] for (status, length), count in answers.items()]
