"""The embedded stand-in for Claude as an upstream: its steps, played in real time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apertis.gateway.exchange import Answer, ConnectionCut, Request
from apertis.sandbox import Cut, Sandbox, Speed, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from apertis.sandbox import Reply, Step

__all__ = ["SandboxUpstream"]


class SandboxUpstream:
    """Answers every request itself; nothing leaves the process."""

    def __init__(self, first_token_seconds: float, tokens_per_second: float | None) -> None:
        self._sandbox = Sandbox(Speed(first_token_seconds, tokens_per_second))

    async def send(self, request: Request) -> Answer:
        """Get the sandbox's answer.

        Pauses before the first byte delay the whole answer, its headers included.
        `ConnectionCut` when the sandbox drops the connection before any byte.
        """
        reply = self._sandbox.reply(
            request.method, request.path, request.headers, request.body, request.query
        )
        steps = iter(reply.steps)
        first = await _first_bytes(steps)
        if _is_stream(reply):
            return Answer(reply.status, reply.headers, _play(first, steps))
        rest = list(steps)
        if all(isinstance(step, bytes) for step in rest):
            body = first + b"".join(step for step in rest if isinstance(step, bytes))
            return Answer(reply.status, reply.headers, body)
        return Answer(reply.status, reply.headers, _play(first, rest))


def _is_stream(reply: Reply) -> bool:
    return (reply.header("content-type") or "").startswith("text/event-stream")


async def _first_bytes(steps: Iterator[Step]) -> bytes:
    for step in steps:
        if isinstance(step, bytes):
            return step
        await _pause(step)
    return b""


async def _play(first: bytes, steps: Iterable[Step]) -> AsyncGenerator[bytes, None]:
    yield first
    for step in steps:
        if isinstance(step, bytes):
            yield step
        else:
            await _pause(step)


async def _pause(step: Wait | Cut) -> None:
    if isinstance(step, Wait):
        await asyncio.sleep(step.seconds)
    else:
        raise ConnectionCut
