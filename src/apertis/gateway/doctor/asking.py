"""One request of the doctor, with a response that is bounded, whatever is at the other end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamRequest, UpstreamTimeouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apertis.gateway.upstreams.anthropic import AnthropicUpstream

__all__ = ["MAX_SECONDS", "Said", "ask"]

MAX_SECONDS = 15.0
# A list of models is far smaller; more than this is something else.
_MAX_BODY_LENGTH = 2**20

Said = tuple[int, "Sequence[tuple[bytes, bytes]]", bytes]
"""Status, headers, and as much of the body as is looked at."""


async def ask(
    client: AnthropicUpstream, target: str, *, connect_seconds: float = MAX_SECONDS
) -> Said | UpstreamFailure:
    """Send `GET target`."""
    headers = [(b"user-agent", b"apertis-doctor"), (b"accept", b"application/json")]
    timeouts = UpstreamTimeouts(connect_seconds, MAX_SECONDS, MAX_SECONDS)
    answer = await client.open(UpstreamRequest("GET", target, headers, b""), timeouts)
    if isinstance(answer, UpstreamFailure):
        return answer
    body = b""
    try:
        while len(body) <= _MAX_BODY_LENGTH:
            piece = await answer.read()
            if isinstance(piece, UpstreamFailure):
                return piece
            if not piece:
                break
            body += piece
    finally:
        answer.close()
    return answer.status, answer.headers, body
