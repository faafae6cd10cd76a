"""Cached descriptions of an upstream's models."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from apertis.gateway.upstreams.contract import UpstreamFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

FRESH_SECONDS = 300.0
# An upstream in trouble is not asked by every caller.
_RETRY_SECONDS = 30.0
# Claude Code gives a list of models three seconds; what comes later serves the next caller.
_PATIENCE_SECONDS = 2.5


class Kept(Generic[T]):
    """A value that is fetched when it is asked for, and old.

    One fetch serves all callers, and goes on when they leave. When it fails the old value stays.
    """

    __slots__ = ("_fetch", "_fetching", "_known", "_next_at", "_patience_seconds")

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T | UpstreamFailure]],
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._fetch = fetch
        self._patience_seconds = patience_seconds
        self._fetching: asyncio.Task[None] | None = None
        self._known: tuple[T] | UpstreamFailure | None = None
        self._next_at = 0.0

    async def get(self, now: float) -> T | UpstreamFailure | None:
        """Return the value, as old as it may have to be; None when it does not come in time.

        `now` is in seconds. A failure is told when there was never a value.
        """
        if now >= self._next_at or self._known is None:
            if self._fetching is None:
                # Whoever comes meanwhile gets the old value, if there is one, without waiting.
                self._next_at = now + _RETRY_SECONDS
                self._fetching = asyncio.get_running_loop().create_task(self._renew(now))
            fetching = self._fetching
            done, _ = await asyncio.wait({fetching}, timeout=self._patience_seconds)
            for task in done:
                if not task.cancelled():
                    task.result()
        return self._known[0] if isinstance(self._known, tuple) else self._known

    async def _renew(self, now: float) -> None:
        try:
            value = await self._fetch()
        finally:
            self._fetching = None
        if not isinstance(value, UpstreamFailure):
            self._known = (value,)
            self._next_at = now + FRESH_SECONDS
        elif not isinstance(self._known, tuple):
            self._known = value

    def close(self) -> None:
        """Stop asking."""
        if self._fetching is not None:
            self._fetching.cancel()
