"""A stub of the Messages API: reads whole requests, answers canned bytes, paces streams.

    python -m gateway.upstream

It listens on a free loopback port, prints `{"port": ...}`, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from typing import cast

import uvloop

from canned import message_response
from gateway.upstream.streams import Clock, NumberedStream
from gateway.wire import StreamOrder
from stub import content_length, end_with_parent

_BACKLOG = 4096


class UpstreamProtocol(asyncio.Protocol):
    """One connection of a gateway's: finds the ends of requests, writes answers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._received = bytearray()
        self._length: int | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._is_whole():
            assert self._length is not None
            request = bytes(self._received[: self._length])
            del self._received[: self._length]
            self._length = None
            self._answer(request)

    def _is_whole(self) -> bool:
        """Whether the buffer holds a request. Its length is found once, however large it is."""
        if self._length is None:
            end_of_head = self._received.find(b"\r\n\r\n")
            if end_of_head < 0:
                return False
            head = bytes(self._received[:end_of_head])
            if b"\r\ntransfer-encoding:" in head.lower():
                return self._is_whole_in_chunks()
            self._length = end_of_head + 4 + content_length(head)
        return len(self._received) >= self._length

    def _is_whole_in_chunks(self) -> bool:
        # No JSON document ends like this, and no client of the stub sends two requests at once.
        whole = self._received.endswith(b"\r\n0\r\n\r\n")
        self._length = len(self._received) if whole else None
        return whole

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"POST "):
            order = StreamOrder.found_in(request)
            if order is None:
                self._transport.write(message_response())
            else:
                self._clock.add(NumberedStream(order, self._transport))
        else:
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


async def serve() -> None:
    loop, clock = asyncio.get_running_loop(), Clock()
    server = await loop.create_server(
        lambda: UpstreamProtocol(clock), "127.0.0.1", 0, backlog=_BACKLOG
    )
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    threading.Thread(target=end_with_parent, args=(os._exit,), daemon=True).start()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
