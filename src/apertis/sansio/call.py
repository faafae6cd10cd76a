"""One API call as data: what to send, how to read the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from apertis.sansio.marks import NOT_GIVEN, NotGiven

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.sansio.outcome import Response
    from apertis.sansio.timeouts import Timeout

T = TypeVar("T")


class Call(msgspec.Struct, Generic[T], frozen=True):
    """A call: one place says it, both clients run it.

    `read` makes the result of a whole, successful response; it raises `Malformed` for one that is
    not the API's. `streamed` asks for an event stream. The last three fields are the caller's
    wishes for this call alone.
    """

    method: str
    path: str
    read: Callable[[Response], T]
    body: bytes | None = None
    query: Mapping[str, Any] | None = None
    headers: Mapping[str, str | None] | None = None
    streamed: bool = False
    timeout: float | Timeout | NotGiven | None = NOT_GIVEN
    max_retries: int | None = None

    def __repr__(self) -> str:
        # The rest is what a user said, and may be secret.
        return f"Call({self.method} {self.path})"
