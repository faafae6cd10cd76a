"""Reads what an upstream says of its models: all pages of its list, or one model by its name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from urllib.parse import quote

import msgspec

from apertis.gateway.catalogue.entries import Document, id_of
from apertis.gateway.upstreams.contract import (
    Fault,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamTimeouts,
)
from apertis.models.json import UNREADABLE, json_or_none, with_sound_text
from apertis.sansio.slices import items, slices
from apertis.version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apertis.gateway.upstreams.contract import Upstream

__all__ = ["FRESH_SECONDS", "NO_LIST", "Kept", "fetch_list", "fetch_model"]

# Not the same as a list without models: the upstream does not say what it has.
NO_LIST: Final[dict[str, Document]] = {}

_TIMEOUTS = UpstreamTimeouts(connect=10.0, first_byte=20.0, idle=20.0)
_HEADERS = [
    (b"accept", b"application/json"),
    (b"user-agent", b"apertis/" + __version__.encode("ascii")),
]
# What an upstream says is bounded, whatever it is.
_MAX_BODY_BYTES = 16 * 2**20
_MAX_MODELS = 10_000
# An upstream that does not have the endpoint.
_NO_SUCH_THING = frozenset({404, 405, 501})


_decode_model = msgspec.json.Decoder(Document).decode


async def fetch_list(upstream: Upstream) -> dict[str, Document] | UpstreamFailure:
    """Fetch all models of an upstream by id, in its order; `NO_LIST` if it has no list."""
    found: dict[str, Document] = {}
    target = "/v1/models?limit=1000"
    while True:
        body = await _get(upstream, target)
        if body is None:
            return found or NO_LIST
        if isinstance(body, UpstreamFailure):
            return body
        page = slices(with_sound_text(body), ("data", "has_more", "last_id"))
        entries = None if page is None else items(page.get("data", b""))
        if page is None or entries is None:
            return UpstreamFailure(Fault.BROKEN, "its list of models cannot be read")
        before = len(found)
        for entry in entries:
            # One that cannot be read does not hide the others.
            document = _document(entry)
            if document is not None and (name := id_of(document)) is not None:
                found.setdefault(name, document)
        last_id = _text(page.get("last_id", b""))
        # An upstream that does not heed the cursor gives the same page for ever.
        goes_on = page.get("has_more") == b"true" and last_id and before < len(found) < _MAX_MODELS
        if not goes_on:
            return found
        target = f"/v1/models?limit=1000&after_id={quote(last_id, safe='')}"


async def fetch_model(upstream: Upstream, name: str) -> Document | UpstreamFailure | None:
    """Return one model by its id or alias; None where the upstream does not know it."""
    body = await _get(upstream, f"/v1/models/{quote(name, safe='')}")
    if body is None or isinstance(body, UpstreamFailure):
        return body
    document = _document(with_sound_text(body))
    if document is None:
        return UpstreamFailure(Fault.BROKEN, "its description of a model cannot be read")
    return document if id_of(document) is not None else None


def _document(entry: bytes) -> Document | None:
    try:
        return _decode_model(entry)
    except UNREADABLE:
        return None


def _text(literal: bytes) -> str:
    return json_or_none(literal, str) or ""


async def _get(upstream: Upstream, target: str) -> bytes | UpstreamFailure | None:
    """Return the body of a 200; None where there is no such thing."""
    answer = await upstream.open(UpstreamRequest("GET", target, _HEADERS, b""), _TIMEOUTS)
    if isinstance(answer, UpstreamFailure):
        return answer
    try:
        if answer.status in _NO_SUCH_THING:
            return None
        if answer.status != 200:
            return UpstreamFailure(Fault.BROKEN, f"it answered {answer.status} when asked")
        parts: list[bytes] = []
        size = 0
        while data := await answer.read():
            if isinstance(data, UpstreamFailure):
                return data
            parts.append(data)
            size += len(data)
            if size > _MAX_BODY_BYTES:
                return UpstreamFailure(Fault.BROKEN, "what it says of its models is too large")
        return b"".join(parts)
    finally:
        answer.close()


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
