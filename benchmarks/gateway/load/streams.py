"""Many streams at once: every event's number is checked, and how long it was under way."""

from __future__ import annotations

import asyncio
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import httptools

from gateway.load.quantiles import described
from gateway.wire import NUMBERED, StreamOrder

if TYPE_CHECKING:
    from gateway.load.targets import Target

_DELTA = b'"text_delta"'
_STOP = b"message_stop"
# How far apart the streams' requests are grouped when they start.
_STEP_SECONDS = 0.002


class StreamReader(asyncio.Protocol):
    """One stream: splits events, checks their numbers, notes their delays."""

    def __init__(self, order: StreamOrder) -> None:
        self._order = order
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._rest = b""
        self._started = 0
        self._stopped = False
        self.status = 0
        self.first_byte = 0.0
        self.delays: list[float] = []
        self.seen = 0
        self.faults: list[str] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_whole(self) -> bool:
        return self._stopped and self.seen == self._order.events and not self.faults

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, request: bytes) -> None:
        self._started = time.monotonic_ns()
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._finish()

    def on_body(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self.first_byte:
            self.first_byte = (now - self._started) / 1e6
        # Some gateways end lines in CR LF.
        *events, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in events:
            if _DELTA in event:
                self._check(event, now)
            elif _STOP in event:
                self._stopped = True

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._finish()

    def _check(self, event: bytes, now: int) -> None:
        numbers = NUMBERED.findall(event)
        if len(numbers) != 1:
            self.faults.append(f"{len(numbers)} texts in one event: {event[:300]!r}")
            return
        stream, sequence, sent = map(int, numbers[0])
        if (stream, sequence) != (self._order.number, self.seen):
            self.faults.append(
                f"event {sequence} of stream {stream}, where {self.seen} of "
                f"{self._order.number} was due"
            )
        self.seen += 1
        self.delays.append((now - sent) / 1e6)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def at_once(target: Target, order: dict[str, Any]) -> dict[str, Any]:
    """Start the streams over `ramp_seconds`, wait for all of them, at most `limit_seconds`."""
    loop = asyncio.get_running_loop()
    count, limit = order["streams"], order["limit_seconds"]
    readers: list[StreamReader] = []
    requests: list[bytes] = []
    for number in range(count):
        asked = StreamOrder(number, order["events"], order["interval_ms"])
        requests.append(target.stream_request(order["body"], asked))
        _, reader = await loop.create_connection(
            partial(StreamReader, asked),
            "127.0.0.1",
            target.port,
        )
        readers.append(reader)
    started = time.monotonic()
    for number, (reader, request) in enumerate(zip(readers, requests, strict=True)):
        due = started + number / count * order["ramp_seconds"]
        if (early := due - time.monotonic()) > 0:
            await asyncio.sleep(max(early, _STEP_SECONDS))
        reader.call(request)
    await asyncio.wait([reader.done for reader in readers], timeout=limit)
    seconds = time.monotonic() - started
    for reader in readers:
        reader.close()
    return _summary(readers, seconds, order)


def _summary(readers: list[StreamReader], seconds: float, order: dict[str, Any]) -> dict[str, Any]:
    faults = [fault for reader in readers for fault in reader.faults]
    return {
        "whole": sum(reader.is_whole for reader in readers),
        "events": sum(reader.seen for reader in readers),
        "expected": len(readers) * order["events"],
        "seconds": seconds,
        "faults": len(faults),
        "first_fault": faults[0] if faults else "",
        "statuses": sorted({reader.status for reader in readers}),
        "first_byte_ms": described([r.first_byte for r in readers if r.first_byte]),
        "delay_ms": described([delay for reader in readers for delay in reader.delays]),
    }
