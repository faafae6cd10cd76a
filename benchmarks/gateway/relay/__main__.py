"""Relay HTTP/1.1 from PORT to UPSTREAM_PORT; bytes are parsed only to find where messages end."""

from __future__ import annotations

import asyncio
import sys
from collections import deque

import httptools
import uvloop

_BACKLOG = 4_096


class Upstream(asyncio.Protocol):
    """A connection to the upstream; it hands what comes to the client that has it."""

    def __init__(self, idle: deque[Upstream]) -> None:
        self._idle = idle
        self.client: Client | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if self.client is not None:
            self.client.transport.write(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self.client is not None:
            self.client.upstream = None
            self.client = None
        if self._parser.should_keep_alive():
            # The parser ends with its message; the connection goes on.
            self._parser = httptools.HttpResponseParser(self)
            self._idle.append(self)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self in self._idle:
            self._idle.remove(self)
        if self.client is not None:
            self.client.transport.close()


class Client(asyncio.Protocol):
    """A connection of a client. What comes before an upstream is there waits."""

    def __init__(self, idle: deque[Upstream], port: int) -> None:
        self._idle = idle
        self._port = port
        self._waiting: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self.upstream: Upstream | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.upstream is None and self._connecting is None:
            if self._idle:
                self._take(self._idle.pop())
            else:
                loop = asyncio.get_running_loop()
                self._connecting = loop.create_task(self._connect(loop))
        if self.upstream is None:
            self._waiting.append(data)
        else:
            self.upstream.transport.write(data)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        _, upstream = await loop.create_connection(
            lambda: Upstream(self._idle), "127.0.0.1", self._port
        )
        self._connecting = None
        self._take(upstream)
        upstream.transport.write(b"".join(self._waiting))
        self._waiting.clear()

    def _take(self, upstream: Upstream) -> None:
        self.upstream = upstream
        upstream.client = self

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self.upstream is not None:
            self.upstream.client = None
            self.upstream.transport.close()


async def main(port: int, upstream_port: int) -> None:
    idle: deque[Upstream] = deque()
    server = await asyncio.get_running_loop().create_server(
        lambda: Client(idle, upstream_port), "127.0.0.1", port, backlog=_BACKLOG
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
