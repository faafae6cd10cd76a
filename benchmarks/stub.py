"""A server that answers `POST .../v1/messages` with canned bytes and does nothing else.

The first part of the path chooses the answer, so that a client chooses it by its base URL:

    /message/v1/messages                plain JSON, about 1 KB
    /call/v1/messages                   a call of the tool `look`, whatever was asked
    /bursts/text/4000/v1/messages       4,000 text deltas, in pieces of 16 KB, unpaced
    /packets/tool/2000/v1/messages      2,000 deltas of a tool's input, each in a packet of its own
    /bursts/fields/1000/v1/messages     JSON of 1,000 fields as text, in pieces of 16 KB
    /cpu                                the CPU seconds this process has used so far, as JSON

It listens on a free loopback port, prints `{"port": ...}`, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, cast

from canned import Kind, call_response, message_response, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Longer than any measured client needs for an event: each of its reads then finds exactly one.
PACKET_INTERVAL_SECONDS = 0.000_15


class StubProtocol(asyncio.Protocol):
    """One connection: finds the ends of requests, writes answers."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._transport: asyncio.Transport
        self._open = True
        self._may_write = True
        self._rest: Iterator[bytes] = iter(())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._open = False

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._write_bursts()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (target := self._next_target()) is not None:
            self._answer(target)

    def _next_target(self) -> str | None:
        """Take one whole request off the buffer; None while none is there."""
        end_of_head = self._received.find(b"\r\n\r\n")
        if end_of_head < 0:
            return None
        head = bytes(self._received[:end_of_head])
        end = end_of_head + 4 + content_length(head)
        if len(self._received) < end:
            return None
        del self._received[:end]
        return head.split(b" ", 2)[1].decode("ascii")

    def _answer(self, target: str) -> None:
        if target.startswith("/message/"):
            self._transport.write(message_response())
        elif target.startswith("/call/"):
            self._transport.write(call_response())
        elif target == "/cpu":
            self._transport.write(cpu_response())
        else:
            self._answer_stream(target)

    def _answer_stream(self, target: str) -> None:
        pace, head, pieces = canned_stream(target)
        self._rest = iter(pieces)
        self._transport.write(head)
        if pace == "packets":
            self._write_packet(time.perf_counter() + PACKET_INTERVAL_SECONDS)
        else:
            self._write_bursts()

    def _write_bursts(self) -> None:
        while self._may_write and self._open and (piece := next(self._rest, None)):
            self._transport.write(piece)

    def _write_packet(self, due: float) -> None:
        """Write the next event when it is due. The loop's timers are too coarse, so it spins."""
        if not self._open:
            return
        if time.perf_counter() >= due:
            packet = next(self._rest, None)
            if packet is None:
                return
            self._transport.write(packet)
            due = time.perf_counter() + PACKET_INTERVAL_SECONDS
        self._loop.call_soon(self._write_packet, due)


def content_length(head: bytes) -> int:
    start = head.lower().find(b"\r\ncontent-length:")
    if start < 0:
        return 0
    return int(head[start + len(b"\r\ncontent-length:") :].split(b"\r\n", 1)[0])


@cache
def canned_stream(target: str) -> tuple[str, bytes, tuple[bytes, ...]]:
    """The pace, the HTTP head and the writes for a path like `/bursts/text/4000/v1/messages`."""
    _, pace, kind, deltas, *_ = target.split("/")
    answer = stream(cast("Kind", kind), int(deltas))
    return pace, answer.head, answer.packets() if pace == "packets" else answer.bursts()


def cpu_response() -> bytes:
    body = json.dumps({"cpu_seconds": time.process_time()}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(StubProtocol, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "loop": type(loop).__module__}), flush=True)
    threading.Thread(target=end_with_parent, args=(os._exit,), daemon=True).start()
    await server.serve_forever()


def end_with_parent(leave: Callable[[int], object]) -> None:
    """Standard input ends when the process that started the stub does, however that ended."""
    sys.stdin.buffer.read()
    leave(0)


def run() -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())


if __name__ == "__main__":
    run()
