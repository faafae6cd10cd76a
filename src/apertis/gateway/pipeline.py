"""The story of one request: admit, forward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from apertis.gateway.errors import Refusal
from apertis.gateway.exchange import Answer, Request
from apertis.gateway.keys.admission import KeyRecord, admit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Pipeline", "Upstream"]

# The caller's credentials are for this server alone.
_NEVER_FORWARDED = frozenset({"authorization", "x-api-key", "cookie", "proxy-authorization"})


class Upstream(Protocol):
    """What answers requests."""

    async def send(self, request: Request) -> Answer:
        """Answer one request; an answer that breaks off raises `ConnectionCut`."""
        ...


class Pipeline:
    """Decides who may come in, and hands the request on."""

    def __init__(self, keys: tuple[KeyRecord, ...], upstream: Upstream) -> None:
        self._keys = keys
        self._upstream = upstream

    def admit(self, headers: Mapping[str, str]) -> Refusal | None:
        """Say why a request with these headers is refused; None lets it in.

        Headers are enough, so that nobody without a key can make the server read a body.
        """
        verdict = admit(headers, self._keys)
        return verdict if isinstance(verdict, Refusal) else None

    async def forward(self, request: Request) -> Answer:
        """Answer an admitted request."""
        headers = {k: v for k, v in request.headers.items() if k not in _NEVER_FORWARDED}
        forwarded = Request(
            request.id, request.method, request.path, request.query, headers, request.body
        )
        return await self._upstream.send(forwarded)
