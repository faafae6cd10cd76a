"""Answers of lines on their way: nothing is added to them, and one that cannot go on is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from apertis.gateway.routes.messages import own_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.asgi import ClientConnection
    from apertis.gateway.errors import Refusal
    from apertis.gateway.exchange import RawHeaders
    from apertis.gateway.visit import Visit

__all__ = ["CutAnswer", "Lined", "Lines", "send_lines"]


class CutAnswer(ConnectionError):
    """An answer that has begun cannot go on: the client is to see that it is not whole.

    Lines have no place for an error, so the connection is dropped.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Lines(Protocol):
    """The body of such an answer."""

    async def next(self) -> bytes:
        """Give the next whole lines, b"" at the end; `CutAnswer` when they do not come."""
        ...

    def close(self) -> None:
        """End it, wherever it is."""
        ...


@dataclass(slots=True)
class Lined:
    """An answer of lines that goes on."""

    status: int
    headers: RawHeaders
    lines: Lines


async def send_lines(
    visit: Visit, answer: Lined, connection: ClientConnection, clock: Callable[[], float]
) -> None:
    """Hand lines out as they come, and no faster than the client takes them."""
    lines = answer.lines
    visit.status, visit.streamed = answer.status, True
    try:
        connection.start(answer.status, own_headers(visit, answer.headers))
        visit.first_byte = clock()
        while block := await lines.next():
            connection.write(block)
            if connection.is_full:
                await connection.drain()
        connection.end()
    finally:
        lines.close()
