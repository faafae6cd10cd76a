"""Forwarding of a request: to one target after the other, until a response may be passed on.

Theory of operation. `RouteAttempts` decides what is tried, and what comes behind each outcome;
`Forwarder.send` is the loop around it. One attempt (`_try`) opens the request at the target's
upstream and comes to an outcome: a failure without a response, a status, a whole body, or the first
events of a stream. The router is told of each outcome once: at once of a whole response, by its
relay of a stream that is handed out. Where another model may stand in, an attempt has a deadline;
nearly always there is none, and the attempt is awaited as it is.

A response that is not the last word (an error while there is more to try) is kept until there is a
better one. What a target gets (`OutgoingRequest.to`) differs by the model's name there; where
nothing differs, it is the very body that came.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from apertis.accounting.readers import read_message
from apertis.gateway.errors import Refusal, upstream_error, upstream_redirect
from apertis.gateway.request.body import NO_EDITS
from apertis.gateway.request.stream import Relay
from apertis.gateway.routing.attempts import Stop
from apertis.gateway.upstreams.contract import (
    RawHeaders,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamTimeouts,
    redirect_target,
)
from apertis.gateway.upstreams.outcome import OK, Fault, Outcome, outcome_of_fault
from apertis.models import Headers
from apertis.sansio.outcome import retry_after
from apertis.sansio.sse import begins_events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apertis.accounting.readers import Reading
    from apertis.gateway.request.body import Body, Edits
    from apertis.gateway.request.charge import Charge
    from apertis.gateway.request.context import Progress
    from apertis.gateway.routing.attempts import RouteAttempts, Try
    from apertis.gateway.routing.router import Router
    from apertis.gateway.routing.targets import Target
    from apertis.gateway.upstreams.contract import Upstream, UpstreamAnswer

    # What became of an attempt, and the response if there is one to hand out.
    _Tried = tuple[Outcome, "WholeAnswer | StreamedAnswer | Refusal | None"]

# HTTP has no larger one (RFC 9110, section 15), and no server could hand it on.
_MAX_STATUS = 599
# How many silences that are worth a ping a stream is held back for its first content, so that
# another upstream can answer instead. Proxies on the way often wait for a minute.
_HELD_SILENCES = 3
# How long the body is, when it leaves, what is left of the caller's limits, which model was tried
# and whether it was kept: an upstream that is such a gateway itself says it of its own caller.
# And where else to go, and which pages may read it: the caller asked another host.
_OWN_TO_SAY = frozenset(
    {
        b"access-control-allow-credentials",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-allow-origin",
        b"access-control-expose-headers",
        b"access-control-max-age",
        b"content-length",
        b"content-location",
        b"date",
        b"location",
        b"refresh",
        b"x-actual-model",
        b"x-apertis-request-id",
        b"x-fallback-from",
        b"x-fallback-reason",
        b"x-fallback-used",
        b"x-ratelimit-limit",
        b"x-ratelimit-remaining",
        b"x-ratelimit-reset",
        b"x-response-cache",
    }
)
_MAX_NAMES = 1024


class _OfCapped(dict[bytes, bool]):
    """The names of headers, and whether the gateway says them itself to a caller with a budget."""

    def __missing__(self, name: bytes) -> bool:
        if len(self) >= _MAX_NAMES:
            self.clear()
        found = self[name] = name in _OWN_TO_SAY or name.startswith(b"anthropic-ratelimit-")
        return found


_OF_CAPPED = _OfCapped()
# Larger than any answer of the API: what an upstream says is bounded too.
MAX_ANSWER_BYTES = 64 * 2**20
_NO_HEADERS: RawHeaders = []
_EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
NO_FIELDS: Mapping[str, Mapping[str, bytes]] = {}


class _Begun:
    """A response that is looked into before it is read: its head does not say what it is."""

    __slots__ = ("_answer", "_came", "_failure", "headers", "status")

    def __init__(self, answer: UpstreamAnswer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._came = b""
        self._failure: UpstreamFailure | None = None

    async def is_stream(self) -> bool:
        """Read as much as tells whether the body is a stream of events."""
        while (found := begins_events(self._came)) is None:
            piece = await self._answer.read()
            if isinstance(piece, UpstreamFailure):
                self._failure = piece
            if isinstance(piece, UpstreamFailure) or not piece:
                return False
            self._came += piece
        return found

    async def read(self) -> bytes | UpstreamFailure:
        """Return the next bytes of the body, b"" at its regular end."""
        if self._came:
            data, self._came = self._came, b""
            return data
        return self._failure or await self._answer.read()

    async def pour(
        self, take: Callable[[bytes], bool], seconds: float | None = None
    ) -> bool | UpstreamFailure:
        """Give each piece of the body to `take`, until it returns False; True at the end."""
        if self._came:
            data, self._came = self._came, b""
            if not take(data):
                return False
        return self._failure or await self._answer.pour(take, seconds)

    def whole(self) -> bytes | None:
        """Read the bytes that were looked into, then the rest."""
        return None

    def close(self) -> None:
        """Keep the connection if the response is whole, else drop it at once."""
        self._answer.close()


class WholeAnswer(msgspec.Struct):
    """A whole response."""

    status: int
    headers: RawHeaders
    body: bytes
    reading: Reading | None = None


class StreamedAnswer(msgspec.Struct):
    """A response that goes on."""

    status: int
    headers: RawHeaders
    relay: Relay


class OutgoingRequest:
    """One request as each of its targets gets it.

    `own` has fields that read differently at some upstreams, by the names of those.
    """

    __slots__ = ("_bodies", "_body", "_edits", "_own", "headers", "method", "target")

    def __init__(
        self,
        method: str,
        target: str,
        headers: RawHeaders,
        body: Body,
        edits: Edits,
        own: Mapping[str, Mapping[str, bytes]] = NO_FIELDS,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self._body = body
        self._edits = edits
        self._own = own
        self._bodies: dict[tuple[str, str], bytes] = {}

    def to(self, target: Target) -> UpstreamRequest:
        """Return the request with the names that the models have there."""
        own = self._own.get(target.upstream)
        if own is None and target.model == self._body.model and self._edits is NO_EDITS:
            return UpstreamRequest(
                self.method, self.target, self.headers, self._body.data, target.model
            )
        key = (target.model, "" if own is None else target.upstream)
        body = self._bodies.get(key)
        if body is None:
            replace: Mapping[str, bytes] = self._edits.replace
            if target.model != self._body.model:
                replace = {**replace, "model": msgspec.json.encode(target.model)}
            if own is not None:
                replace = {**replace, **own}
            body = self._body.edited(replace, self._edits.remove, self._edits.add)
            self._bodies[key] = body
        return UpstreamRequest(self.method, self.target, self.headers, body, target.model)


class Forwarder:
    """The forwarder, which drives the attempts of a request at the upstreams."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        router: Router,
        timeouts: UpstreamTimeouts,
        ping_seconds: float,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._upstreams = upstreams
        self._router = router
        self._timeouts = timeouts
        self._ping_seconds = ping_seconds
        self._wall_clock = wall_clock
        self._clock = clock
        # Of each upstream those of its last response, where it says what is left of its limits.
        self.last_headers: dict[str, Sequence[tuple[bytes, bytes]]] = {}

    async def send(
        self,
        progress: Progress,
        message: OutgoingRequest,
        attempts: RouteAttempts,
        step: Try | Stop,
        charge: Charge | None,
    ) -> WholeAnswer | StreamedAnswer | Refusal:
        """Try one target after the other, from the first `step` on, until one may be handed out."""
        held: WholeAnswer | StreamedAnswer | Refusal | None = None
        try:
            while not isinstance(step, Stop):
                if step.delay_seconds:
                    await asyncio.sleep(step.delay_seconds)
                target = step.target
                if progress.sent is None:
                    progress.sent = self._clock()
                progress.attempts += 1
                progress.upstream, progress.model = target.upstream, target.id
                progress.upstream_request_id = None
                if attempts.reason is not None:
                    progress.fallback_reason = attempts.reason.value
                request, deadline = message.to(target), attempts.deadline
                try:
                    if deadline is None:
                        outcome, result = await self._try(
                            progress, request, target, attempts, charge
                        )
                    else:
                        async with asyncio.timeout(max(deadline - self._wall_clock(), 0.0)):
                            outcome, result = await self._try(
                                progress, request, target, attempts, charge
                            )
                except TimeoutError:
                    outcome, result = attempts.late(self._wall_clock()), None
                    self._report(target, outcome)
                except asyncio.CancelledError:
                    self._report(target, Outcome.LEFT)
                    raise
                if outcome is OK and result is not None:
                    attempts.commit()
                    return result
                if result is not None:
                    _discard(held)
                    held = result
                step = attempts.after(outcome, self._wall_clock())
            answer = None if step.refusal is not None else held
            if answer is None:
                return step.refusal or upstream_error("there was no response")
            held = None
            return answer
        finally:
            if held is not None:
                _discard(held)

    async def _try(
        self,
        progress: Progress,
        request: UpstreamRequest,
        target: Target,
        attempts: RouteAttempts,
        charge: Charge | None,
    ) -> _Tried:
        upstream = self._upstreams[target.upstream]
        answer = await upstream.open(request, self._timeouts)
        if isinstance(answer, UpstreamFailure):
            progress.reason = answer.reason
            outcome = outcome_of_fault(answer.kind)
            self._report(target, outcome)
            return outcome, None
        if 300 <= answer.status < 400:
            answer.close()
            progress.reason = f"it redirects to {redirect_target(answer.headers)} ({answer.status})"
            self._report(target, Outcome.SERVER_ERROR)
            return Outcome.SERVER_ERROR, upstream_redirect(answer.status)
        if answer.status > _MAX_STATUS:
            answer.close()
            self._report(target, Outcome.MALFORMED)
            return Outcome.MALFORMED, None
        self.last_headers[target.upstream] = answer.headers
        chain = progress.chain
        capped = answer.status == 200 and chain is not None and bool(chain.leases)
        headers = passed_down(progress, answer, capped=capped)
        outcome = OK
        if answer.status != 200:
            outcome = upstream.outcome_of_status(answer.status)
        is_good = outcome is OK
        if is_good and progress.streamed and not _is_stream(headers):
            answer = begun = _Begun(answer)
            if await begun.is_stream():
                headers = [header for header in headers if header[0] != b"content-type"]
                headers.append(_EVENT_STREAM)
        if is_good and _is_stream(headers):
            return await self._stream(progress, answer, headers, target, attempts, charge)
        body: bytes | UpstreamFailure | None = answer.whole()
        if body is None:
            try:
                body = await read_all(answer)
            finally:
                answer.close()
        if isinstance(body, UpstreamFailure):
            progress.reason = body.reason
            outcome = outcome_of_fault(body.kind)
            self._report(target, outcome)
            return outcome, None
        reading = None
        if outcome is OK:
            reading = read_message(body)
            if reading.use is None and not body.lstrip().startswith(b"{"):
                self._report(target, Outcome.MALFORMED)
                return Outcome.MALFORMED, None
            self._router.report(target, outcome, self._wall_clock())
        else:
            self._report(target, outcome, headers)
        return outcome, WholeAnswer(answer.status, headers, body, reading)

    async def _stream(
        self,
        progress: Progress,
        answer: UpstreamAnswer,
        headers: RawHeaders,
        target: Target,
        attempts: RouteAttempts,
        charge: Charge | None,
    ) -> _Tried:
        relay = Relay(
            answer,
            progress,
            charge,
            partial(self._report, target),
            self._upstreams[target.upstream].outcome_of_error,
        )
        try:
            if attempts.has_more:
                # A caller's own deadline says how long; else pings must begin at some time.
                unlimited = attempts.deadline is None
                outcome = await relay.hold(
                    _HELD_SILENCES * self._ping_seconds if unlimited else None
                )
            else:
                outcome = await relay.begin(self._ping_seconds)
        except BaseException:
            if charge is not None:
                charge.seen = relay.reader
            relay.discard()
            raise
        if outcome is Outcome.MALFORMED or outcome is Outcome.TIMEOUT:
            self._report(target, outcome)
            relay.discard()
            return outcome, None
        return outcome, StreamedAnswer(answer.status, headers, relay)

    def _report(self, target: Target, outcome: Outcome, headers: RawHeaders = _NO_HEADERS) -> None:
        now, wait = self._wall_clock(), None
        if headers and outcome is not OK:
            wait = retry_after(Headers(headers), now)
        self._router.report(target, outcome, now, wait)


def _discard(answer: WholeAnswer | StreamedAnswer | Refusal | None) -> None:
    if isinstance(answer, StreamedAnswer):
        answer.relay.discard()


async def read_all(answer: UpstreamAnswer) -> bytes | UpstreamFailure:
    """Read the body of a response to its end; `close` the response behind it."""
    parts: list[bytes] = []
    size = 0
    while True:
        chunk = await answer.read()
        if isinstance(chunk, UpstreamFailure):
            return chunk
        if not chunk:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            return UpstreamFailure(Fault.BROKEN, f"its response exceeds {MAX_ANSWER_BYTES} bytes")
        parts.append(chunk)


def passed_down(progress: Progress, answer: UpstreamAnswer, *, capped: bool = False) -> RawHeaders:
    """Return the upstream's headers, without those that are the gateway's own to say.

    To a `capped` caller these are also how much is left: the upstream says it of its own caller.
    """
    if capped:
        headers = [header for header in answer.headers if not _OF_CAPPED[header[0]]]
    else:
        headers = [header for header in answer.headers if header[0] not in _OWN_TO_SAY]
    for name, value in headers:
        if name == b"request-id":
            progress.upstream_request_id = value.decode("latin-1")
    return headers


def _is_stream(headers: RawHeaders) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.lower().startswith(b"text/event-stream")
    return False
