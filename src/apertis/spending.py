"""A client's budget, shared by threads and tasks: reserve, then settle once."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import TYPE_CHECKING

from apertis.accounting.prices import UNITS_PER_DOLLAR, PriceTable
from apertis.accounting.spending import Meter, Request, Spent, budget_units, request_of
from apertis.errors import BudgetExceededError

if TYPE_CHECKING:
    from apertis.sansio.outcome import Failure


class Budget:
    """Dollars that calls may cost together; no number of them at once can exceed it."""

    def __init__(self, dollars: object) -> None:
        self._limit = budget_units(dollars)
        self._lock = threading.Lock()
        self._spent = self._reserved = self._calls = self._unknown = 0

    def spent(self) -> Spent:
        """Return what calls have cost so far."""
        with self._lock:
            return Spent(self._spent, self._calls, self._unknown)

    def reserve(self, head: bytes, body: bytes, table: PriceTable | None) -> Hold | None:
        """Reserve the most that a request can cost; None for one that costs nothing.

        Raises:
            BudgetExceededError: It could cost more than is left.
        """
        method, target = head[: head.index(b"\r\n")].decode("latin-1").split(" ")[:2]
        if method != "POST":
            return None
        try:
            request = request_of(target.partition("?")[0], body, table or PriceTable())
        except BudgetExceededError:
            if self._limit is not None:
                raise
            with self._lock:
                self._calls += 1
                self._unknown += 1
            return None
        if request is None:
            return None
        requests = request if isinstance(request, list) else [request]
        most = sum(one.most for one in requests)
        with self._lock:
            limit = self._limit
            if limit is not None and most > (left := limit - self._spent - self._reserved):
                raise BudgetExceededError(
                    f"budget_usd: ${_dollars(max(left, 0))} of ${_dollars(limit)} are left, and "
                    f"this call may cost up to ${_dollars(most)}; lower max_tokens, or raise the "
                    "budget"
                )
            self._reserved += most
        return Hold(self, most, request if isinstance(request, Request) else None)

    def settle(self, reserved: int, spent: int, *, sure: bool) -> None:
        """Put what a call cost in place of what was reserved for it."""
        with self._lock:
            self._reserved -= reserved
            self._spent += spent
            self._calls += 1
            self._unknown += not sure


class Hold:
    """The reservation of one attempt; it is settled once, and further calls change nothing.

    What a batch reserved stays reserved: its results come later, and perhaps to another process.
    """

    def __init__(self, budget: Budget, most: int, request: Request | None) -> None:
        self._budget, self._most, self._request = budget, most, request
        self._lock = threading.Lock()
        self._settled = False
        self._meter: Meter | None = None
        self._refused = False

    def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the head of the response."""
        self._refused = status >= 300
        if self._request is not None:
            kinds = [value for name, value in headers if name.lower() == b"content-type"]
            is_stream = any(value.startswith(b"text/event-stream") for value in kinds)
            self._meter = Meter(self._request, is_stream=is_stream)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if self._meter is not None and not self._refused:
            self._meter.feed(data)

    def fail(self, failure: Failure | None) -> None:
        """Settle an attempt without a response: nothing if it never left."""
        if failure is not None and (failure.unsent or failure.busy):
            self._settle(0, sure=True)
        elif self._request is not None:
            self._settle(self._request.given_up(), sure=False)

    def end(self) -> None:
        """Settle by what came of the response."""
        if self._refused:
            self._settle(0, sure=True)
        elif self._meter is not None:
            units, sure = self._meter.cost()
            self._settle(units, sure=sure)

    def _settle(self, units: int, *, sure: bool) -> None:
        with self._lock:
            if self._settled:
                return
            self._settled = True
        self._budget.settle(self._most, units, sure=sure)


def _dollars(units: int) -> Decimal:
    return (Decimal(units) / UNITS_PER_DOLLAR).quantize(Decimal("0.000001"))
