"""Calls to the upstream that a batch runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.gateway.batches.results_stream import refusal_of
from apertis.gateway.errors import Refusal, credential_refused, upstream_error, upstream_redirect
from apertis.gateway.request.forward import WholeAnswer, passed_down, read_all
from apertis.gateway.routing.targets import Target
from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamRequest, redirect_target
from apertis.gateway.upstreams.outcome import Outcome, outcome_of_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.gateway.config import Settings
    from apertis.gateway.keys.matching import Networks
    from apertis.gateway.request.charge import Prices
    from apertis.gateway.request.context import Progress
    from apertis.gateway.routing.router import Router
    from apertis.gateway.upstreams.contract import (
        RawHeaders,
        Request,
        Upstream,
        UpstreamAnswer,
        UpstreamTimeouts,
    )


@dataclass(frozen=True, slots=True)
class Wiring:
    """The parts that change when the configuration is reloaded."""

    settings: Settings
    router: Router
    prices: Prices
    upstreams: Mapping[str, Upstream]
    timeouts: UpstreamTimeouts
    trusted: Networks | None


class BatchCalls:
    """A sender of requests to named upstreams, which tells the router their outcomes."""

    def __init__(
        self, wiring: Wiring, wall_clock: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self.wiring = wiring
        self._wall_clock = wall_clock
        self._clock = clock

    async def open(
        self, progress: Progress | None, upstream: str, method: str, path: str, request: Request
    ) -> UpstreamAnswer | Refusal:
        """Ask for something with the caller's own headers and query, without a body."""
        target = f"{path}?{request.query}" if request.query else path
        _, answer = await self._open(
            progress, upstream, UpstreamRequest(method, target, request.raw_headers, b"")
        )
        return answer

    async def whole(
        self, progress: Progress, upstream: str, method: str, path: str, request: Request
    ) -> WholeAnswer | Refusal:
        """Ask likewise, and read the whole response."""
        answer = await self.open(progress, upstream, method, path, request)
        if isinstance(answer, Refusal):
            return answer
        return await self.read(progress, answer)

    async def read(self, progress: Progress, answer: UpstreamAnswer) -> WholeAnswer | Refusal:
        """Read a response to its end."""
        whole = await self._read(progress, answer)
        return refusal_of(whole) if isinstance(whole, UpstreamFailure) else whole

    async def _read(
        self, progress: Progress, answer: UpstreamAnswer
    ) -> WholeAnswer | UpstreamFailure:
        headers = passed_down(progress, answer)
        try:
            body = await read_all(answer)
        finally:
            answer.close()
        if isinstance(body, UpstreamFailure):
            return body
        return WholeAnswer(answer.status, headers, body)

    async def post(
        self, progress: Progress, target: Target, path: str, headers: RawHeaders, body: bytes
    ) -> tuple[Outcome, WholeAnswer | Refusal]:
        """Send a body, and read the whole response; what became of it, and the response."""
        outcome, answer = await self._open(
            progress, target.upstream, UpstreamRequest("POST", path, headers, body)
        )
        if isinstance(answer, Refusal):
            return outcome, answer
        whole = await self._read(progress, answer)
        if isinstance(whole, UpstreamFailure):
            return outcome_of_fault(whole.kind), refusal_of(whole)
        return outcome, whole

    async def _open(
        self, progress: Progress | None, name: str, request: UpstreamRequest
    ) -> tuple[Outcome, UpstreamAnswer | Refusal]:
        wiring = self.wiring
        upstream = wiring.upstreams[name]
        if progress is not None:
            progress.tries(name, self._clock())
        opened = await upstream.open(request, wiring.timeouts)
        answer: UpstreamAnswer | Refusal
        if isinstance(opened, UpstreamFailure):
            outcome, answer = outcome_of_fault(opened.kind), refusal_of(opened)
        else:
            outcome = upstream.outcome_of_status(opened.status)
            answer = _unfit(progress, opened, outcome) or opened
        # What batches are told of models says nothing about them: the target has none.
        wiring.router.report(Target(name, "", ""), outcome, self._wall_clock())
        return outcome, answer

    def knows(self, upstream: str) -> Refusal | None:
        """Say so when an upstream is not there any more."""
        if upstream in self.wiring.upstreams:
            return None
        return upstream_error(f"the upstream {upstream!r}, where the batch runs, is not configured")


def _unfit(progress: Progress | None, answer: UpstreamAnswer, outcome: Outcome) -> Refusal | None:
    refusal = None
    if 300 <= answer.status < 400:
        refusal = upstream_redirect(answer.status)
        if progress is not None:
            progress.fails(f"it redirects to {redirect_target(answer.headers)} ({answer.status})")
    elif outcome is Outcome.BAD_KEY:
        refusal = credential_refused()
    if refusal is not None:
        answer.close()
    return refusal
