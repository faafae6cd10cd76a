"""One request of the gateway's own, with a response that is bounded, whatever is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apertis.gateway.upstreams.contract import UpstreamAnswer, UpstreamTimeouts

Said = tuple[int, "Sequence[tuple[bytes, bytes]]", bytes]
"""Status, headers, and as much of the body as is looked at."""


class Opens(Protocol):
    """An upstream that can be asked."""

    async def open(
        self, request: UpstreamRequest, timeouts: UpstreamTimeouts
    ) -> UpstreamAnswer | UpstreamFailure:
        """Send one request, and wait for the head of its response."""
        ...


async def ask(
    upstream: Opens, target: str, user_agent: str, timeouts: UpstreamTimeouts, max_bytes: int
) -> Said | UpstreamFailure:
    """Send `GET target`; a body is read until it has more than `max_bytes`."""
    headers = [(b"accept", b"application/json"), (b"user-agent", user_agent.encode("ascii"))]
    answer = await upstream.open(UpstreamRequest("GET", target, headers, b""), timeouts)
    if isinstance(answer, UpstreamFailure):
        return answer
    parts: list[bytes] = []
    size = 0
    try:
        while size <= max_bytes:
            piece = await answer.read()
            if isinstance(piece, UpstreamFailure):
                return piece
            if not piece:
                break
            parts.append(piece)
            size += len(piece)
    finally:
        answer.close()
    return answer.status, answer.headers, b"".join(parts)
