"""One request and its answer, as the parts of the server hand them to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

__all__ = ["Answer", "ClientLeft", "ConnectionCut", "Headers", "Request"]

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked. Header names are lower-case; the query is not decoded."""

    id: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets: a body that is known as a whole, or chunks that leave as they come."""

    status: int
    headers: Headers
    body: bytes | AsyncGenerator[bytes, None]


class ClientLeft(ConnectionError):
    """The client closed its connection before its request was complete."""


class ConnectionCut(ConnectionError):
    """The answer ends here, in the middle: the client's connection is to be dropped."""
