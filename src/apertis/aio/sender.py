"""Calls in progress: attempts, waits, retries; `sansio` makes the decisions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from apertis.aio.stream import EventSource
from apertis.aio.wire import read_all, read_beginning
from apertis.attempts import RetryState
from apertis.models import Headers
from apertis.sansio.lines import LineDecoder, LineTooLargeError
from apertis.sansio.outcome import TOO_LARGE, Failure, Outcome, Response, judged
from apertis.sansio.reading import EventReading, begins_document, says_events
from apertis.spending import CACHE_HIT, MAX_ARRIVED, MAX_ARRIVED_BYTES, StreamCount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from apertis.aio.wire import Answer, Transport
    from apertis.sansio.call import Call
    from apertis.sansio.settings import ClientSettings
    from apertis.spending import Budget

T = TypeVar("T")


class Sender:
    """A sender of calls over a transport, by a client's settings.

    With a `budget`, which has no limit then, it counts what its messages cost; what else may cost
    goes over the `metered` transport. Without one the transport is metered already, if it is to be.
    """

    def __init__(
        self, settings: ClientSettings, transport: Transport, budget: Budget | None = None
    ) -> None:
        self.settings = settings
        self.transport = transport
        self.budget = budget

    @cached_property
    def metered(self) -> Transport:
        """The transport for what is not counted here."""
        if self.budget is None:
            return self.transport
        from apertis.aio.metered import MeteredTransport

        return MeteredTransport(self.transport, self.budget, self.settings.prices)

    def over(self, transport: Transport) -> Sender:
        """Return a sender by the same settings over another transport, which is metered."""
        return Sender(self.settings, transport)

    async def send(self, call: Call[T]) -> T:
        """Return the result of a call, or the error that it ended in."""
        attempts = RetryState(call, self.settings)
        budget = self.budget if call.path == "/v1/messages" else None
        transport = self.metered if budget is None else self.transport
        while True:
            outcome: Outcome
            is_free = False
            try:
                answer = await transport.open(*attempts.request, attempts.limits)
                if isinstance(answer, Failure):
                    outcome = answer
                else:
                    is_free = CACHE_HIT in answer.headers
                    if (body := answer.whole()) is not None:
                        headers = Headers(answer.headers, attempts.secrets)
                        outcome = judged(Response(answer.status, headers, body))
                    else:
                        outcome = judged(await read_all(answer, attempts.secrets))
            except BaseException:
                if budget is not None:
                    budget.lost(attempts.request[3], self.settings.prices)
                raise
            if isinstance(outcome, Response) and outcome.ok:
                if budget is not None and not is_free:
                    arrived, sent, came = budget.arrived, attempts.request[3], outcome.body
                    arrived.append((sent, came, self.settings.prices))
                    if (
                        len(arrived) >= MAX_ARRIVED
                        or len(came) > MAX_ARRIVED_BYTES
                        or len(sent) > MAX_ARRIVED_BYTES
                    ):
                        budget.count()
                return attempts.result(outcome)
            if budget is not None:
                budget.failed(outcome, attempts.request[3], self.settings.prices)
            await self._wait(attempts, outcome)

    async def open(self, call: Call[T]) -> EventSource | T:
        """Return the events of a streamed call, read up to the first of its content.

        A server that answers with a whole message instead gives the call's result.
        """
        attempts = RetryState(call, self.settings)
        budget = self.budget if call.path == "/v1/messages" else None
        transport = self.metered if budget is None else self.transport
        while True:
            try:
                outcome = await self._begin(attempts, transport)
            except BaseException:
                if budget is not None:
                    budget.lost(attempts.request[3], self.settings.prices)
                raise
            if isinstance(outcome, EventSource):
                if budget is not None and outcome.info.headers.get("x-response-cache") != "hit":
                    outcome.count = StreamCount(budget, attempts.request[3], self.settings.prices)
                failure = outcome.reading.failure
                if failure is None or outcome.reading.begun:
                    return outcome
                await outcome.close()
                delay = attempts.delay(failure)
                if delay is None:
                    raise outcome.error()
                await self.transport.sleep(delay)
                continue
            if isinstance(outcome, Response) and outcome.ok:
                if budget is not None and outcome.headers.get("x-response-cache") != "hit":
                    budget.arrived.append((attempts.request[3], outcome.body, self.settings.prices))
                    budget.count()
                return attempts.result(outcome)
            if budget is not None:
                budget.failed(outcome, attempts.request[3], self.settings.prices)
            await self._wait(attempts, outcome)

    async def lines(self, call: Call[T]) -> AsyncIterator[T]:
        """Yield the value of each line of a response as it comes; the head is there already."""
        attempts = RetryState(call, self.settings)
        while True:
            answer = await self.metered.open(*attempts.request, attempts.limits)
            if isinstance(answer, Failure):
                await self._wait(attempts, answer)
            elif answer.status == 200:
                headers = Headers(answer.headers, attempts.secrets)
                attempts.info(answer.status, headers)
                return _lines(answer, headers, attempts)
            else:
                await self._wait(attempts, await read_all(answer, attempts.secrets))

    async def _begin(
        self, attempts: RetryState[Any], transport: Transport
    ) -> EventSource | Outcome:
        answer = await transport.open(*attempts.request, attempts.limits)
        if isinstance(answer, Failure):
            return answer
        if answer.status != 200:
            return judged(await read_all(answer, attempts.secrets))
        headers = Headers(answer.headers, attempts.secrets)
        beginning = None if says_events(headers) else await read_beginning(answer)
        if isinstance(beginning, bytes) and begins_document(beginning):
            return judged(await read_all(answer, attempts.secrets, beginning))
        info = attempts.info(answer.status, headers)
        reading = EventReading(headers, attempts.secrets())
        source = EventSource(answer, reading, info, attempts.request[:3])
        await source.read_ahead(beginning)
        return source

    async def _wait(self, attempts: RetryState[Any], outcome: Outcome) -> None:
        delay = attempts.delay(outcome)
        if delay is None:
            raise attempts.error(outcome)
        await self.transport.sleep(delay)


async def _lines(answer: Answer, headers: Headers, attempts: RetryState[T]) -> AsyncIterator[T]:
    decoder = LineDecoder()
    status = answer.status
    try:
        while data := await answer.read():
            if isinstance(data, Failure):
                raise attempts.error(data, headers)
            try:
                lines = decoder.feed(data)
            except LineTooLargeError:
                raise attempts.error(TOO_LARGE.of(status, headers), headers) from None
            for line in lines:
                yield attempts.read(Response(status, headers, line))
        for line in decoder.finish():
            yield attempts.read(Response(status, headers, line))
    finally:
        await answer.close()
