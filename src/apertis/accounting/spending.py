"""The cost of calls, before and after, for a client with a budget: the gateway's arithmetic."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec

from apertis.accounting.counts import completed
from apertis.accounting.estimate import Attempt, Estimate, unknown_held
from apertis.accounting.prices import UNITS_PER_DOLLAR, Price, PriceTable, cost_units
from apertis.accounting.prompt import MAX_WINDOW
from apertis.accounting.readers import StreamReader, read_message
from apertis.accounting.tokens import Tokens, Use
from apertis.errors import BudgetExceededError, ConfigurationError
from apertis.models.json import json_or_none
from apertis.sansio.sse import EventFraming, EventTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

_NOTHING = Use(unknown=frozenset({"input", "output"}))


class _Body(msgspec.Struct):
    model: str = ""
    max_tokens: int = 0
    fallbacks: Any = None
    thread: Any = None


class _Entry(msgspec.Struct):
    params: msgspec.Raw


class _Batch(msgspec.Struct):
    requests: list[_Entry] = []


def budget_units(value: object) -> int | None:
    """Return a budget of dollars in units; None for an infinite one."""
    known = isinstance(value, Decimal | int | float | str) and not isinstance(value, bool)
    try:
        dollars = Decimal(str(value)) if known else Decimal("nan")
    except ArithmeticError:
        dollars = Decimal("nan")
    if dollars == Decimal("inf"):
        return None
    if not dollars.is_finite() or not 0 <= dollars < 10**9:
        raise ConfigurationError(
            f"budget_usd must be a number of dollars, 0 or more; it is {value!r}"
        )
    return int(dollars * UNITS_PER_DOLLAR)


class Spent(Decimal):
    """Dollars that were spent, and how many calls that took: `calls`, `unknown` ones among them.

    The cost of an unknown one is not known for sure, and counted as the most that it could be.
    """

    calls: int
    unknown: int

    def __new__(cls, units: int, calls: int, unknown: int) -> Self:
        """Return units of the price table as dollars."""
        spent = super().__new__(cls, Decimal(units) / UNITS_PER_DOLLAR)
        spent.calls, spent.unknown = calls, unknown
        return spent


class Request:
    """A request that costs: the most that it can cost, and what it did cost."""

    def __init__(self, body: bytes, table: PriceTable) -> None:
        asked = _read(body)
        self._table, self._model, self._max_tokens = table, asked.model, asked.max_tokens
        self._estimate = Estimate(body)
        price = _priced(table, asked.model)
        chain = tuple(_hops(asked.fallbacks, table))
        held = None if asked.thread is None else unknown_held(price.window or MAX_WINDOW)
        self.most = self._estimate.reservation_units(asked.max_tokens, (price,), chain, held)

    def cost(self, use: Use | None, others: Iterable[Use], seen: int) -> tuple[int, bool]:
        """Return what the models used in units, and whether that is known for sure."""
        total, sure = 0, True
        for one in (use or _NOTHING, *others):
            price = self._table.find(one.model or self._model)
            tokens, unsure = completed(
                one,
                price,
                max_tokens=self._max_tokens,
                likely_input=lambda: self._estimate.likely_tokens,
                output_seen=min(seen, self._max_tokens),
            )
            if price is None:
                return self.most, False
            total += cost_units(tokens, price)
            sure = sure and not unsure
        return total, sure

    def given_up(self) -> int:
        """Return what a request costs of whose response nothing came: about its prompt."""
        return self.cost(Use(Tokens(input=self._estimate.likely_tokens)), (), 0)[0]


class Meter:
    """A reader of one response's bytes, whole or a stream, that knows what it cost."""

    def __init__(self, request: Request, *, is_stream: bool) -> None:
        self._request = request
        self._reader = StreamReader() if is_stream else None
        self._framing = EventFraming()
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if self._reader is None:
            self._parts.append(data)
            return
        try:
            events = self._framing.feed(data)
        except EventTooLargeError:
            # The client gives the stream up.
            return
        if events:
            self._reader.feed(events)

    def cost(self) -> tuple[int, bool]:
        """Return what came so far has cost in units, and whether that is known for sure."""
        reader, request = self._reader, self._request
        if reader is not None:
            units, sure = request.cost(reader.use, reader.others, reader.output_seen)
            return units, sure and not reader.estimated
        reading = read_message(b"".join(self._parts))
        if reading.use is None:
            return request.most, False
        return request.cost(reading.use, reading.others, reading.output_estimate)


def request_of(path: str, body: bytes, table: PriceTable) -> Request | list[Request] | None:
    """Return what a request to this path may cost; None for one that costs nothing.

    Raises:
        BudgetExceededError: A price is not known, and so no bound of the cost.
    """
    if path.endswith("/v1/messages"):
        return Request(body, table)
    if not path.endswith("/v1/messages/batches"):
        return None
    batch = json_or_none(body, _Batch)
    if batch is None:
        raise BudgetExceededError("budget_usd: the batch cannot be read")
    return [Request(bytes(entry.params), table) for entry in batch.requests]


def _read(body: bytes) -> _Body:
    read = json_or_none(body, _Body)
    if read is None:
        raise BudgetExceededError("budget_usd: the request cannot be read")
    return read


def _priced(table: PriceTable, model: object) -> Price:
    price = table.find(model) if isinstance(model, str) else None
    if price is None:
        raise BudgetExceededError(
            f"budget_usd: no price is known for the model {model!r}, so it may cost anything; "
            "give prices={...}, or use a client without a budget"
        )
    return price


def _hops(fallbacks: Any, table: PriceTable) -> Iterable[Attempt]:
    if fallbacks is None:
        return
    if not isinstance(fallbacks, list):
        raise BudgetExceededError(
            f"budget_usd: fallbacks={fallbacks!r} may be any model; name the models in a list"
        )
    for entry in cast("list[dict[str, Any]]", fallbacks):
        speed, tokens = entry.get("speed"), entry.get("max_tokens")
        fast = None if speed is None else speed == "fast"
        yield Attempt((_priced(table, entry.get("model")),), tokens, fast)
