"""Responses to the client: whole ones, and streams with pings in their silences."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from apertis.gateway.errors import service_unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.errors import Refusal
    from apertis.gateway.request.context import Progress
    from apertis.gateway.request.forward import StreamedAnswer
    from apertis.gateway.serving.protocol import ClientExchange
    from apertis.gateway.upstreams.contract import RawHeaders

STOPPING = service_unavailable("The gateway is being stopped")
"""Error for a request that takes longer than a stop waits."""
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def own_lines(progress: Progress) -> bytes:
    """Write the lines of a head in which the gateway speaks for itself; the head is sent next."""
    context = progress.context
    own = context.id
    lines = f"x-apertis-request-id: {own}\r\n"
    if progress.upstream_request_id is None or progress.is_refused:
        lines += f"request-id: {own}\r\n"
    if context.client_request_id is not None:
        lines += f"x-request-id: {context.client_request_id}\r\n"
    standing = progress.standing
    if standing is not None:
        lines += (
            f"x-ratelimit-limit: {standing.limit}\r\n"
            f"x-ratelimit-remaining: {standing.remaining}\r\n"
            f"x-ratelimit-reset: {standing.reset_at}\r\n"
        )
        if not standing.allowed:
            lines += f"retry-after: {standing.retry_after_seconds}\r\n"
    if context.page_headers:
        lines += "".join(
            f"{name.decode('latin-1')}: {value.decode('latin-1')}\r\n"
            for name, value in context.page_headers
        )
    return lines.encode("latin-1")


def send_refusal(progress: Progress, refusal: Refusal, connection: ClientExchange) -> None:
    """Answer with an error of the gateway's own."""
    progress.refuses(refusal)
    standing = progress.standing
    # The limit that was met says when it opens itself.
    met = None if standing is None or standing.allowed else standing.retry_after_seconds
    body = refusal.body(progress.context.id)
    connection.answer(refusal.status, refusal.header_lines(met), body, own_lines(progress))


async def send_stream(
    progress: Progress,
    answer: StreamedAnswer,
    connection: ClientExchange,
    pings: Pings,
    clock: Callable[[], float],
) -> None:
    """Hand a stream out, each piece at the moment it comes; what was used is booked at any end."""
    relay = answer.relay
    watched = pings.watch(connection)
    try:
        progress.answers(answer.status)
        connection.start(answer.status, answer.headers, own_lines(progress))
        block = await relay.first()
        relay.committed()
        progress.answers(answer.status, clock())
        has_room = connection.write(block)
        while not (has_room and await relay.pass_on(connection.write)):
            await connection.drain()
            has_room = True
        connection.end()
    except asyncio.CancelledError:
        # The server stops, unless it is the client that left.
        if not (relay.is_over or connection.is_lost):
            progress.ends(code=STOPPING.code)
            connection.write(STOPPING.event(progress.context.id))
        connection.end()
        raise
    finally:
        pings.forget(watched)
        relay.close()


class _Watched:
    __slots__ = ("connection", "last", "pieces")

    def __init__(self, connection: ClientExchange, now: float) -> None:
        self.connection = connection
        # How many pieces had been written when somebody looked, and since when it is no more.
        self.pieces = connection.pieces
        self.last = now


class Pings:
    """A sender of `ping` events into streams whose upstream has been silent for so long.

    Clients give a stream up that sends nothing; between whole events one more does no harm.
    """

    def __init__(self, silence_seconds: float, clock: Callable[[], float]) -> None:
        self.silence_seconds = silence_seconds
        self._clock = clock
        self._streams: set[_Watched] = set()

    def watch(self, connection: ClientExchange) -> _Watched:
        """Begin to look after a stream; its head is sent next."""
        watched = _Watched(connection, self._clock())
        self._streams.add(watched)
        return watched

    def forget(self, watched: _Watched) -> None:
        """End it."""
        self._streams.discard(watched)

    async def run(self) -> None:
        """Look after all streams until canceled."""
        while True:
            await asyncio.sleep(min(1.0, self.silence_seconds / 4))
            now = self._clock()
            for watched in self._streams:
                connection = watched.connection
                if connection.pieces == watched.pieces:
                    # A client that does not read gets no pings: it has enough to read.
                    if now - watched.last < self.silence_seconds or connection.is_full:
                        continue
                    connection.write(PING)
                watched.pieces, watched.last = connection.pieces, now


class CutAnswer(ConnectionError):
    """A response that has begun cannot go on: the client is to see that it is not whole.

    LineSource have no place for an error, so the connection is dropped.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class LineSource(Protocol):
    """The body of such a response."""

    async def next(self) -> bytes:
        """Give the next whole lines, b"" at the end; `CutAnswer` when they do not come."""
        ...

    def close(self) -> None:
        """End it, wherever it is."""
        ...


@dataclass(slots=True)
class LineAnswer:
    """A response of lines that goes on."""

    status: int
    headers: RawHeaders
    lines: LineSource


async def send_lines(
    progress: Progress, answer: LineAnswer, connection: ClientExchange, clock: Callable[[], float]
) -> None:
    """Hand lines out as they come, and no faster than the client takes them."""
    lines = answer.lines
    progress.answers(answer.status)
    try:
        connection.start(answer.status, answer.headers, own_lines(progress))
        progress.streams(clock())
        while block := await lines.next():
            connection.write(block)
            if connection.is_full:
                await connection.drain()
        connection.end()
    finally:
        lines.close()
