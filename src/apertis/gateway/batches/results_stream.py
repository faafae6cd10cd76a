"""The results of a batch on their way: the upstream's own lines, each booked before it leaves."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, NamedTuple

from apertis.gateway.errors import (
    Refusal,
    StoreUnavailableError,
    service_unavailable,
    upstream_error,
    upstream_timeout,
)
from apertis.gateway.serving.answers import CutAnswer
from apertis.gateway.store.records import UnknownBatchError
from apertis.gateway.upstreams.contract import UpstreamFailure
from apertis.gateway.upstreams.outcome import Fault
from apertis.models.json import json_or_none, with_sound_text
from apertis.sansio.slices import slices

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from apertis.gateway.upstreams.contract import UpstreamAnswer

# Larger than any answer of the API.
MAX_LINE_BYTES = 64 * 2**20


class LineFraming:
    """A cutter of chunks into whole lines; each byte is copied a fixed number of times."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def overflowed(self) -> bool:
        """True if a line has no end within the maximum length."""
        return self._size > MAX_LINE_BYTES

    def feed(self, chunk: bytes) -> bytes:
        """Give the whole lines that there are now, each with its line feed; b"" for none."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._parts.append(chunk)
            self._size += len(chunk)
            return b""
        whole = b"".join((*self._parts, chunk[:end]))
        self._parts = [chunk[end:]]
        self._size = len(chunk) - end
        return whole

    def rest(self) -> bytes:
        """Give what stands behind the last line feed, at the end of the body."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return rest


class LineResult(NamedTuple):
    """The result of one request of the batch."""

    custom_id: str
    message: bytes | None
    """The response of the model: b"" where it cannot be read, None where nothing was used."""


_NOTHING = (b"", b"null")
# Where a line is truncated, its beginning still says whose it is.
_ID = re.compile(rb'[ \t\r]*+\{[ \t\r]*+"custom_id"[ \t\r]*+:[ \t\r]*+("(?:[^"\\]|\\.)*+")')


def read_results(lines: bytes) -> list[LineResult]:
    """Read whole lines, except those that do not even say which request they are about.

    What has a message was answered and is paid for, whatever its type is called: `errored`,
    `canceled` and `expired` have none.
    """
    read = (_read(line) for line in lines.split(b"\n") if line)
    return [result for result in read if result is not None]


def _read(line: bytes) -> LineResult | None:
    found = slices(line, ("custom_id", "result"))
    if found is None:
        beginning = _ID.match(line)
        found = {} if beginning is None else {"custom_id": beginning[1]}
    custom_id = json_or_none(with_sound_text(found.get("custom_id", b"")), str)
    if custom_id is None:
        return None
    result = slices(found.get("result", b""), ("message",))
    if result is None:
        return LineResult(custom_id, b"")
    message = result.get("message", b"")
    return LineResult(custom_id, None if message in _NOTHING else message)


# Lines that come at once are booked at once: a transaction costs more than many lines.
_ENOUGH_BYTES = 256 * 1024
_COMPANY_SECONDS = 0.02


class BookedLines:
    """Lines whose usage is booked. `begin` before the response's head, then `next` until b"".

    `settle` books the lines of a block; `on_end` is awaited when the results came to their end.
    """

    __slots__ = (
        "_answer",
        "_ended",
        "_framing",
        "_is_known",
        "_on_end",
        "_pending",
        "_ready",
        "_settle",
    )

    def __init__(
        self,
        answer: UpstreamAnswer,
        settle: Callable[[Iterable[LineResult]], Awaitable[None]],
        on_end: Callable[[], Awaitable[None]],
    ) -> None:
        self._answer = answer
        self._settle = settle
        self._on_end: Callable[[], Awaitable[None]] | None = on_end
        self._framing = LineFraming()
        self._ready: bytes | None = None
        self._pending: asyncio.Task[bytes | UpstreamFailure] | None = None
        self._ended = False
        # Whether these are results at all.
        self._is_known = False

    async def begin(self) -> Refusal | None:
        """Get the first lines; the refusal when there is nothing that can be handed out."""
        block = await self._block()
        if isinstance(block, Refusal):
            return block
        self._ready = block
        return None

    async def next(self) -> bytes:
        """Give the next whole lines, b"" at the end. What is given is booked."""
        block, self._ready = self._ready, None
        if block is None:
            found = await self._block()
            if isinstance(found, Refusal):
                raise CutAnswer(found)
            block = found
        return block

    async def _block(self) -> bytes | Refusal:
        block = await self._read()
        if isinstance(block, Refusal):
            return block
        results = read_results(block)
        while block.strip() and not results and not self._is_known:
            # One odd line hides no other; a body of nothing else is another document.
            if self._ended or len(block) > _ENOUGH_BYTES:
                return upstream_error("its results are malformed")
            more = await self._read()
            if isinstance(more, Refusal):
                return more
            block += more
            results = read_results(block)
        self._is_known = True
        try:
            if results:
                await self._settle(results)
            if self._ended and self._on_end is not None:
                await self._on_end()
                self._on_end = None
        except StoreUnavailableError:
            return service_unavailable("The usage of these results cannot be booked at the moment")
        except UnknownBatchError:
            return upstream_error("the batch was deleted meanwhile")
        return block

    async def _read(self) -> bytes | Refusal:
        """Read whole lines, and more of them while they come without a pause."""
        blocks: list[bytes] = []
        size = 0
        while not self._ended and size < _ENOUGH_BYTES:
            chunk = await self._chunk(None if not blocks else _COMPANY_SECONDS)
            if chunk is None:
                break
            if isinstance(chunk, UpstreamFailure):
                # Whole lines that came before are still good; the next reading says what happened.
                return refusal_of(chunk) if not blocks else b"".join(blocks)
            self._ended = not chunk
            block = self._framing.feed(chunk) if chunk else self._framing.rest()
            if self._framing.overflowed:
                return upstream_error("its results have a line without an end")
            if block:
                blocks.append(block)
                size += len(block)
        return b"".join(blocks)

    async def _chunk(self, patience_seconds: float | None) -> bytes | UpstreamFailure | None:
        """Return the next chunk of the body; None when it is late, and is still awaited."""
        if self._pending is None:
            self._pending = asyncio.get_running_loop().create_task(self._answer.read())
        done, _ = await asyncio.wait({self._pending}, timeout=patience_seconds)
        if not done:
            return None
        pending, self._pending = self._pending, None
        return pending.result()

    def close(self) -> None:
        """End it, wherever it is."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()
        self._ended = True
        self._answer.close()


class PassedLines:
    """Lines that were all booked before: they pass as they come."""

    __slots__ = ("_answer",)

    def __init__(self, answer: UpstreamAnswer) -> None:
        self._answer = answer

    async def next(self) -> bytes:
        """Give the next bytes, b"" at the end."""
        chunk = await self._answer.read()
        if isinstance(chunk, UpstreamFailure):
            raise CutAnswer(refusal_of(chunk))
        return chunk

    def close(self) -> None:
        """End it, wherever it is."""
        self._answer.close()


def refusal_of(failure: UpstreamFailure) -> Refusal:
    """Return the error for an upstream that gave no response, or not all of it."""
    # The reason names the address of the upstream, which callers need not know.
    if failure.kind is Fault.TIMEOUT:
        return upstream_timeout("its response stopped, or never came")
    return upstream_error("it cannot be reached, or its response was truncated")
