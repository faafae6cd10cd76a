"""Messages between the parent process and its workers, and the channel that carries them.

Each is a length of four bytes and MessagePack. Parent and workers are of one version: they are
started from the same files.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import msgspec

from apertis.gateway.replicas.signals import Signal  # noqa: TC001 - a field's type.
from apertis.gateway.replicas.totals import Family  # noqa: TC001

if TYPE_CHECKING:
    import socket

_LENGTH_BYTES = 4
# Metrics are the longest; hints that would wait behind so much are of no use any more.
_MAX_WAITING_BYTES = 2**20


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """To a worker, first: its place, the listening socket's descriptor, and its options."""

    slot: int
    of: int
    listener: int
    options: dict[str, str | int | float]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """From a worker: it serves."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """From a worker: why it cannot start."""

    message: str


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """To a worker: end; responses under way finish unless it is `hurried`."""

    hurried: bool


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """To a worker: read the configuration again."""


class Told(msgspec.Struct, frozen=True, tag="signal"):
    """In either direction: a signal between gateways, passed on to all others."""

    kind: Signal
    text: str


class State(msgspec.Struct, frozen=True, tag="state"):
    """To a worker: how many are ready; and why none should be, as the parent knows it."""

    ready: int
    trouble: str | None


class Scraped(msgspec.Struct, frozen=True, tag="scraped"):
    """From a worker: somebody asks for the metrics of all, and these are its own."""

    number: int
    families: tuple[Family, ...]


class Collect(msgspec.Struct, frozen=True, tag="collect"):
    """To a worker: send the metrics."""

    number: int


class Collected(msgspec.Struct, frozen=True, tag="collected"):
    """From a worker: its metrics. One that ends sends them unasked, with number 0."""

    number: int
    families: tuple[Family, ...]


class Total(msgspec.Struct, frozen=True, tag="total"):
    """To a worker: the metrics of all."""

    number: int
    families: tuple[Family, ...]


Message = (
    Begin | Ready | Failed | Stop | Reload | Told | State | Scraped | Collect | Collected | Total
)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return a message as it is sent."""
    data = _ENCODER.encode(message)
    return len(data).to_bytes(_LENGTH_BYTES) + data


def receive(line: socket.socket) -> Message | None:
    """Wait for one message outside of an event loop; None when the other end is gone."""
    length = _exactly(line, _LENGTH_BYTES)
    data = None if length is None else _exactly(line, int.from_bytes(length))
    return None if data is None else _DECODER.decode(data)


def _exactly(line: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        more = line.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


class Channel:
    """One end of a socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, line: socket.socket) -> Self:
        """Take a connected socket over."""
        line.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=line))

    def send(self, message: Message) -> None:
        """Send soon; where the other end is gone, nothing happens.

        Signals to one that does not read are dropped: they are hints.
        """
        if self._writer.is_closing():
            return
        waiting = self._writer.transport.get_write_buffer_size()
        if waiting < _MAX_WAITING_BYTES or not isinstance(message, Told):
            self._writer.write(encode(message))

    async def receive(self) -> Message | None:
        """Wait for one message; None when the other end is gone."""
        try:
            length = await self._reader.readexactly(_LENGTH_BYTES)
            data = await self._reader.readexactly(int.from_bytes(length))
        except (asyncio.IncompleteReadError, OSError):
            return None
        return _DECODER.decode(data)

    async def close(self, patience_seconds: float = 1.0) -> None:
        """Send what waits, as far as the other end takes it in that time, and close."""
        try:
            async with asyncio.timeout(patience_seconds):
                await self._writer.drain()
                self._writer.close()
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self._writer.transport.abort()
