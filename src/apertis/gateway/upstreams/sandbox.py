"""The embedded stand-in for Claude as an upstream: its steps, played in real time."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from apertis.gateway.finding import ok
from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamRequest, header_values
from apertis.gateway.upstreams.messages_api import MessagesApi
from apertis.gateway.upstreams.outcome import Fault
from apertis.sandbox import Sandbox, Speed, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.gateway.config import Settings, UpstreamSettings
    from apertis.gateway.finding import Finding
    from apertis.gateway.upstreams.contract import RawHeaders, UpstreamTimeouts
    from apertis.sandbox import Reply, Step

_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"cookie", b"proxy-authorization"})
# A burst lets other requests run now and then; steps without pauses do not yield.
_PIECES_PER_TURN = 32
_CUT = "the sandbox cut the connection, as it was asked to"


class SandboxAnswer:
    """The sandbox's answer; what it sends at once comes at once, its pauses take their time."""

    __slots__ = ("_failure", "_idle_seconds", "_next", "_pending", "_steps", "headers", "status")

    def __init__(self, reply: Reply, first: bytes, rest: Iterator[Step], idle: float) -> None:
        self.status = reply.status
        self.headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers
        ]
        self._next = first
        self._steps = rest
        self._idle_seconds = idle
        self._failure: UpstreamFailure | None = None
        self._pending: asyncio.Task[bytes | UpstreamFailure] | None = None
        if not _is_stream(reply):
            self._read_ahead()

    def _read_ahead(self) -> None:
        """Send a plain response as one chunk of a known length, unless it pauses or is cut."""
        rest = list(self._steps)
        self._steps = iter(rest)
        pieces = [self._next, *(step for step in rest if isinstance(step, bytes))]
        if len(pieces) == len(rest) + 1:
            self._next = b"".join(pieces)
            self._steps = iter(())
            self.headers.append((b"content-length", b"%d" % len(self._next)))

    async def read(self) -> bytes | UpstreamFailure:
        """Return the next bytes of the body, b"" at its regular end."""
        if self._next:
            data, self._next = self._next, b""
            return data
        if self._failure is None:
            found = await _next_bytes(self._steps, self._idle_seconds)
            if isinstance(found, bytes):
                return found
            self._failure = found
        return self._failure

    async def pour(
        self, take: Callable[[bytes], bool], seconds: float | None = None
    ) -> bool | UpstreamFailure:
        """Give each piece of the body to `take`, until it returns False; True at the end."""
        clock = asyncio.get_running_loop().time
        until = None if seconds is None else clock() + seconds
        given = 0
        while True:
            data = await self._read_within(None if until is None else max(until - clock(), 0.0))
            if data is None:
                return False
            if isinstance(data, UpstreamFailure):
                return data
            if not data:
                return True
            if not take(data):
                return False
            given += 1
            if given % _PIECES_PER_TURN == 0:
                await asyncio.sleep(0)

    async def _read_within(self, seconds: float | None) -> bytes | UpstreamFailure | None:
        """Read on; None after so many seconds, and the pause that was begun then goes on."""
        if seconds is None and self._pending is None:
            return await self.read()
        if self._pending is None:
            self._pending = asyncio.get_running_loop().create_task(self.read())
        done, _ = await asyncio.wait({self._pending}, timeout=seconds)
        if not done:
            return None
        self._pending = None
        return done.pop().result()

    def whole(self) -> bytes | None:
        """Read the rest of the body like any other."""
        return None

    def close(self) -> None:
        """Send nothing more."""
        self._next, self._steps = b"", iter(())
        if self._pending is not None:
            self._pending.cancel()


class SandboxUpstream(MessagesApi):
    """An upstream that answers every request itself; nothing leaves the process."""

    def __init__(
        self,
        first_token_seconds: float,
        tokens_per_second: float | None,
        *,
        name: str = "sandbox",
    ) -> None:
        self.name = name
        self._sandbox = Sandbox(
            Speed(first_token_seconds, tokens_per_second),
            # The gateway keeps the ids of batches, and this process is not its last.
            batch_seed=secrets.token_hex(8),
        )

    async def open(
        self, request: UpstreamRequest, timeouts: UpstreamTimeouts
    ) -> SandboxAnswer | UpstreamFailure:
        """Get the sandbox's answer.

        Pauses before the first byte delay the whole response, its headers included; a cut there is
        a failure.
        """
        path, _, query = request.target.partition("?")
        headers = _heard(request.headers)
        reply = self._sandbox.reply(request.method, path, headers, request.body, query)
        steps = iter(reply.steps)
        first = await _next_bytes(steps, timeouts.first_byte)
        if isinstance(first, UpstreamFailure):
            return first
        return SandboxAnswer(reply, first, steps, timeouts.idle)

    @classmethod
    def of(cls, own: UpstreamSettings, settings: Settings) -> SandboxUpstream:
        """Make the upstream of its settings."""
        speed = settings.sandbox
        return cls(speed.first_token_seconds, speed.tokens_per_second, name=own.name)

    async def check(
        self,
        own: UpstreamSettings,
        connect_seconds: float,  # noqa: ARG002
        clock: Callable[[], float],  # noqa: ARG002
    ) -> Finding:
        """Say what it is."""
        message = "the sandbox, a stand-in for Claude: built in, and not a model"
        return ok(f"upstream {own.name}", message)

    async def close(self) -> None:
        """Do nothing: nothing is kept."""


def _heard(headers: RawHeaders) -> dict[str, str]:
    return header_values([header for header in headers if header[0] not in _CREDENTIALS])


def _is_stream(reply: Reply) -> bool:
    return (reply.header("content-type") or "").startswith("text/event-stream")


async def _next_bytes(steps: Iterator[Step], patience_seconds: float) -> bytes | UpstreamFailure:
    """Return the next bytes, after the pauses before them; b"" when there are none."""
    for step in steps:
        if isinstance(step, bytes):
            if step:
                return step
        elif isinstance(step, Wait):
            if step.seconds > patience_seconds:
                await asyncio.sleep(patience_seconds)
                return UpstreamFailure(Fault.TIMEOUT, "the sandbox fell silent (timeout)")
            patience_seconds -= step.seconds
            await asyncio.sleep(step.seconds)
        else:
            return UpstreamFailure(Fault.BROKEN, _CUT)
    return b""
