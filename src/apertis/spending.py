"""The money of a client's calls, shared by threads, tasks and copies: reserve, then settle once.

The arithmetic is `apertis.accounting.spending`, which is loaded when it is first needed: a client
without a budget only keeps what arrives, and counts it now and then.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import json

from apertis.errors import BudgetExceededError
from apertis.models import ContentBlockDeltaEvent, MessageDeltaEvent, MessageStartEvent
from apertis.sansio.lines import LineDecoder, LineTooLargeError
from apertis.sansio.outcome import Failure

if TYPE_CHECKING:
    from apertis.accounting.prices import PriceTable
    from apertis.accounting.spending import Cost, Request, Spent
    from apertis.sansio.outcome import Outcome
    from apertis.sansio.reading import EventReading

# Of what arrived and is not counted yet. What is larger is counted at once.
MAX_ARRIVED = 32
MAX_ARRIVED_BYTES = 64 * 1024

# What a gateway says of a response that it had kept: it is free.
CACHE_HIT = (b"x-response-cache", b"hit")
GIVEN_UP = Failure("the stream was closed before it began")

# Heads of requests that may cost something. Few clients need them, so they are compiled late.
_MESSAGE_CALL = rb"POST [^ ?]*/v1/messages[ ?]"
_BATCH_CALL = rb"(GET|POST|DELETE) [^ ?]*/v1/messages/batches(?:/([^/ ?]+)(/results|/cancel)?)?[ ?]"

# A request, its response, its client's prices. A stream is its model, its usage, and if it was cut
# about how many tokens of output were seen.
_Arrival: TypeAlias = (
    "tuple[bytes, bytes | tuple[str, dict[str, Any], int | None], PriceTable | None]"
)

# Those that were created in this process: whoever reads the results settles them.
_batches: weakref.WeakValueDictionary[str, Batch] = weakref.WeakValueDictionary()
_budgets: weakref.WeakSet[Budget] = weakref.WeakSet()


class Budget:
    """Dollars that calls have cost, and may cost together where there is a limit.

    No number of calls at once can exceed the limit: what each could cost is reserved before it is
    sent.
    """

    def __init__(self, dollars: object = None) -> None:
        self.limit: int | None = None
        if dollars is not None:
            from apertis.accounting.spending import budget_units

            self.limit = budget_units(dollars)
        # Without a limit: requests with their responses that are not counted yet.
        self.arrived: deque[_Arrival] = deque()
        # With a limit: what nobody closed.
        self.dropped: deque[Hold | BatchCall] = deque()
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._batches: dict[str, Batch] = {}
        self._known = self._possible = self._reserved = self._calls = self._unknown = 0
        _budgets.add(self)

    def after_fork(self) -> None:
        """Begin with free locks in a child process."""
        self._lock, self._counting = threading.Lock(), threading.Lock()

    def spent(self) -> Spent:
        """Return what calls have cost so far."""
        from apertis.accounting.spending import Spent, dollars_of

        self.count()
        self._settle_dropped()
        with self._lock:
            booked = self._known + self._possible
            left = None
            if self.limit is not None:
                left = dollars_of(max(self.limit - booked - self._reserved, 0))
            return Spent(
                dollars_of(booked),
                known=dollars_of(self._known),
                calls=self._calls,
                unknown=self._unknown,
                reserved=dollars_of(self._reserved),
                left=left,
            )

    def count(self) -> None:
        """Count what arrived."""
        if not self.arrived and not self._counting.locked():
            return
        from apertis.accounting.spending import (
            PlainCosts,
            Request,
            message_cost_of,
            told_cost,
        )

        plain = PlainCosts()
        known = calls = 0
        with self._counting:
            while self.arrived:
                sent, came, prices = self.arrived.popleft()
                if isinstance(came, tuple):
                    cost = told_cost(Request(sent, prices), *came)
                elif (units := plain.units(came, prices)) is not None:
                    known += units
                    calls += 1
                    continue
                else:
                    cost = message_cost_of(Request(sent, prices), came)
                self.settle(0, cost)
            with self._lock:
                self._known += known
                self._calls += calls

    def _settle_dropped(self) -> None:
        while self.dropped:
            try:
                self.dropped.popleft().end(complete=False)
            except IndexError:
                # Another thread had the last one.
                return

    def failed(self, outcome: Outcome, sent: bytes, prices: PriceTable | None) -> None:
        """Count a request without a limit that failed: an error costs nothing."""
        if isinstance(outcome, Failure) and not never_sent(outcome):
            self.lost(sent, prices)

    def lost(self, sent: bytes, prices: PriceTable | None) -> None:
        """Count a request without a limit whose response did not come."""
        from apertis.accounting.spending import Request

        self.settle(0, Request(sent, prices).at_most())

    def reserve(
        self, head: bytes, body: bytes, prices: PriceTable | None
    ) -> Hold | BatchCall | None:
        """Reserve the most that a request can cost; None for one that costs nothing.

        Raises:
            BudgetExceededError: It could cost more than is left.
        """
        if re.match(_MESSAGE_CALL, head):
            from apertis.accounting.spending import Request

            request = Request(body, prices)
            most = 0 if self.limit is None else request.most
            self._reserve(most)
            return Hold(self, most, request)
        found = re.match(_BATCH_CALL, head)
        if found is None:
            return None
        method, named, what = found.groups()
        if named is None:
            return self._create(body, prices) if method == b"POST" else None
        batch = _batches.get(named.decode("ascii", "replace"))
        if batch is None:
            return None
        if what == b"/results":
            return BatchResults(batch)
        return BatchDeletion(batch) if method == b"DELETE" else BatchState(batch)

    def _create(self, body: bytes, prices: PriceTable | None) -> BatchCreation:
        from apertis.accounting.spending import batch_names, batch_requests

        most = batch_names(body) if self.limit is None else batch_requests(body, prices)
        self._reserve(sum(most.values()))
        return BatchCreation(Batch(self, most, prices))

    def _reserve(self, units: int) -> None:
        self._settle_dropped()
        with self._lock:
            limit = self.limit
            if limit is not None:
                left = limit - self._known - self._possible - self._reserved
                if units > left:
                    raise _exceeded(limit, max(left, 0), self._reserved, units)
            self._reserved += units

    def settle(self, reserved: int, cost: Cost) -> None:
        """Put what a call cost in place of what was reserved for it."""
        with self._lock:
            self._book(reserved, cost)

    def _book(self, reserved: int, cost: Cost) -> None:
        self._reserved -= reserved
        if not cost.counts:
            return
        self._calls += 1
        if cost.sure:
            self._known += cost.units
        else:
            self._possible += cost.units
            self._unknown += 1

    def keep(self, name: str, batch: Batch) -> None:
        """Keep a batch until its results are read, by whichever client."""
        with self._lock:
            self._batches[name] = _batches[name] = batch

    def settle_result(self, batch: Batch, name: str, cost: Cost) -> None:
        """Settle a request of a batch, if that was not done before."""
        with self._lock:
            reserved = batch.open.pop(name, None)
            if reserved is not None:
                units = cost.units if cost.sure else max(cost.units, reserved)
                self._book(reserved, cost._replace(units=units))

    def settle_rest(self, batch: Batch, *, as_spent: bool) -> None:
        """Settle all requests of a batch whose results do not come: as free, or as lost."""
        from apertis.accounting.spending import FREE, Cost

        with self._lock:
            while batch.open:
                _, reserved = batch.open.popitem()
                self._book(reserved, Cost(reserved, sure=False) if as_spent else FREE)


class Hold:
    """The reservation of one attempt; it is settled once, and further calls change nothing."""

    def __init__(self, budget: Budget, most: int, request: Request) -> None:
        self._budget, self._most, self._request = budget, most, request
        self._lock = threading.Lock()
        self._settled = False
        self._meter: Any = None

    def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the head of the response."""
        if status < 300 and CACHE_HIT not in headers:
            from apertis.accounting.spending import Meter

            self._meter = Meter(self._request, is_stream=is_stream(headers))

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if self._meter is not None:
            self._meter.feed(data)

    def fail(self, failure: Failure | None) -> None:
        """Settle an attempt without a response: as nothing only if it never left."""
        from apertis.accounting.spending import FREE

        never_left = failure is not None and never_sent(failure)
        self._settle(FREE if never_left else self._request.at_most())

    def end(self, *, complete: bool) -> None:
        """Settle by what came of the response."""
        del complete
        from apertis.accounting.spending import FREE

        self._settle(FREE if self._meter is None else self._meter.cost())

    def drop(self) -> None:
        """Take that nobody will read on: it is settled when the budget is asked next."""
        if not self._settled:
            # Whoever holds the locks now may be the one who is collecting garbage.
            self._budget.dropped.append(self)

    def _settle(self, cost: Cost) -> None:
        with self._lock:
            if self._settled:
                return
            self._settled = True
        self._budget.settle(self._most, cost)


class StreamCount:
    """A counter of one stream at its end, for a client without a limit."""

    __slots__ = ("_budget", "_prices", "_sent")

    def __init__(self, budget: Budget, sent: bytes, prices: PriceTable | None) -> None:
        self._budget, self._sent, self._prices = budget, sent, prices

    def end(self, reading: EventReading) -> None:
        """Count the stream as far as it was received."""
        self.drop(reading)
        if len(self._budget.arrived) >= MAX_ARRIVED or len(self._sent) > MAX_ARRIVED_BYTES:
            self._budget.count()

    def drop(self, reading: EventReading) -> None:
        """Note the stream as far as it was received; it is counted later."""
        transcript = reading.transcript
        model, usage, final = transcript.told or ("", dict[str, Any](), False)
        seen = 0
        if not final:
            if transcript.begun:
                seen = len(json.encode(transcript.message().to_dict()["content"]))
            for event in reading.pending:
                # Received, and read by nobody.
                if isinstance(event, MessageStartEvent):
                    model, usage = event.message.model, event.message.usage.to_dict()
                elif isinstance(event, MessageDeltaEvent):
                    stated: dict[str, Any] = event.to_dict().get("usage") or {}
                    usage = usage | {k: v for k, v in stated.items() if v is not None}
                    final = event.delta.stop_reason is not None
                elif isinstance(event, ContentBlockDeltaEvent):
                    seen += len(json.encode(event.delta.to_dict()))
        if usage or isinstance(reading.failure or GIVEN_UP, Failure):
            tokens = None if final else -(-seen // 4)
            self._budget.arrived.append((self._sent, (model, usage, tokens), self._prices))


class Batch:
    """A batch that was created here: its requests that are not settled, by their names."""

    def __init__(self, budget: Budget, most: dict[str, int], prices: PriceTable | None) -> None:
        self.budget, self.open, self.prices = budget, most, prices


class BatchCall:
    """A call that changes nothing about what is reserved for a batch."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._parts: list[bytes] = []
        self._ok = False
        self._ended = False

    def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the head of the response."""
        del headers
        self._ok = status < 300

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._parts.append(data)

    def fail(self, failure: Failure | None) -> None:
        """Take that there is no response."""

    def end(self, *, complete: bool) -> None:
        """Take that the body is over, at its regular end or before."""
        if not self._ended:
            self._ended = True
            self.finish(b"".join(self._parts), complete=complete and self._ok)

    def drop(self) -> None:
        """Take that nobody will read on."""
        if not self._ended:
            self.batch.budget.dropped.append(self)

    def finish(self, body: bytes, *, complete: bool) -> None:
        """Settle by the body; a `complete` one is the whole of a success."""
        del body, complete


class BatchCreation(BatchCall):
    """The creation of a batch, for which the most that its requests can cost is reserved."""

    def fail(self, failure: Failure | None) -> None:
        """Settle: as nothing only if the request never left."""
        if not self._ended:
            self._ended = True
            lost = failure is None or not never_sent(failure)
            self.batch.budget.settle_rest(self.batch, as_spent=lost)

    def finish(self, body: bytes, *, complete: bool) -> None:
        """Keep what is reserved until the results are read."""
        from apertis.accounting.spending import batch_id

        name = batch_id(body) if complete else None
        if name is not None:
            self.batch.budget.keep(name, self.batch)
        else:
            # It may have been created although nobody knows its name.
            self.batch.budget.settle_rest(self.batch, as_spent=self._ok)


class BatchState(BatchCall):
    """A look at a batch: one that has ended without a message costs nothing."""

    def finish(self, body: bytes, *, complete: bool) -> None:
        """Release what is reserved, if no message is to come."""
        from apertis.accounting.spending import is_free_batch

        if complete and is_free_batch(body):
            self.batch.budget.settle_rest(self.batch, as_spent=False)


class BatchDeletion(BatchCall):
    """The deletion of a batch: what its unread results cost will not be known."""

    def finish(self, body: bytes, *, complete: bool) -> None:
        """Book what is still reserved."""
        del body
        if complete:
            self.batch.budget.settle_rest(self.batch, as_spent=True)


class BatchResults(BatchCall):
    """A reader of a batch's results: each request is settled by the first line of its name."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._lines: LineDecoder | None = LineDecoder()
        self._unreadable = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if not self._ok or self._lines is None or not self.batch.open:
            return
        try:
            lines = self._lines.feed(data)
        except LineTooLargeError:
            # The client gives the response up.
            self._lines = None
            return
        self._settle(lines)

    def finish(self, body: bytes, *, complete: bool) -> None:
        """Release what is left when all results were there."""
        del body
        if complete and self._lines is not None and self.batch.open:
            self._settle(self._lines.finish())
            # A line that cannot be read may be the result of any of them.
            self.batch.budget.settle_rest(self.batch, as_spent=self._unreadable)

    def _settle(self, lines: list[bytes]) -> None:
        from apertis.accounting.spending import result_cost

        for line in lines:
            found = result_cost(line, self.batch.prices)
            if found is None:
                self._unreadable = True
            else:
                self.batch.budget.settle_result(self.batch, *found)


def never_sent(failure: Failure) -> bool:
    """Return whether a request that failed so never left."""
    return failure.unsent or failure.busy


def is_stream(headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether a response is declared an event stream."""
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    return any(value.lower().startswith(b"text/event-stream") for value in kinds)


def _exceeded(limit: int, left: int, reserved: int, most: int) -> BudgetExceededError:
    from apertis.accounting.spending import dollars_of, shown

    held = f" ({shown(reserved)} is reserved for what is under way)" if reserved else ""
    error = BudgetExceededError(
        f"budget_usd: {shown(left)} of {shown(limit)} is left{held}, and this call may cost up to "
        f"{shown(most)}; lower max_tokens, shorten the prompt, or raise the budget"
    )
    error.left_usd, error.most_usd = dollars_of(left), dollars_of(most)
    return error


def _after_fork() -> None:
    for budget in list(_budgets):
        budget.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
