"""The cost of calls, before and after: the arithmetic of a client's `spent` and `budget_usd`."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec

from apertis.accounting.costs import LISTED, listed_units
from apertis.accounting.counts import UsageCounts, completed
from apertis.accounting.estimate import Attempt, Estimate, unknown_held
from apertis.accounting.prices import (
    PRICES_AS_OF,
    UNITS_PER_DOLLAR,
    Price,
    PriceTable,
    batch_price,
    cost_units,
)
from apertis.accounting.prompt import MAX_WINDOW
from apertis.accounting.readers import StreamReader, read_message
from apertis.accounting.tokens import Use
from apertis.errors import BudgetExceededError, ConfigurationError
from apertis.models.json import UNREADABLE, json_or_none
from apertis.sansio.sse import EventFraming, EventTooLargeError, parse_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

_NOTHING = Use(unknown=frozenset({"input", "output"}))
_MILLION = 10**6
_MAX_BUDGET = 10**9


class _Body(msgspec.Struct):
    model: str = ""
    max_tokens: int = 0
    fallbacks: Any = None
    fallback_models: Any = None
    fallback_enabled: Any = None
    thread: Any = None


class _Entry(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


class _Batch(msgspec.Struct):
    requests: list[_Entry]


class _RequestCounts(msgspec.Struct):
    succeeded: int
    processing: int


class _BatchState(msgspec.Struct):
    id: str
    processing_status: str | None = None
    request_counts: _RequestCounts | None = None


class _Response(msgspec.Struct):
    type: Any = None
    model: Any = None
    usage: Any = None


class _Start(msgspec.Struct):
    model: Any = None
    usage: Any = None


class _Event(msgspec.Struct):
    type: str | None = None
    message: _Start | None = None
    delta: Any = None
    content_block: Any = None
    usage: Any = None


class _Result(msgspec.Struct):
    type: Any = None
    message: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


class _PlainWrites(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: Literal[0] = 0


class _PlainUsage(msgspec.Struct, gc=False):
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _PlainWrites | None = None
    server_tool_use: None = None
    iterations: None = None
    fallback_credit: None = None
    service_tier: Literal["standard"] | None = None
    speed: Literal["standard"] | None = None
    inference_geo: Literal["global", "not_available"] | None = None


class _PlainResponse(msgspec.Struct, gc=False):
    """A response as most are: its tokens alone say what it costs."""

    model: str
    usage: _PlainUsage
    type: Literal["message"]


_PLAIN = msgspec.json.Decoder(_PlainResponse)
_RESPONSE = msgspec.json.Decoder(_Response)
_EVENT = msgspec.json.Decoder(_Event)
_LINE = msgspec.json.Decoder(_Line)


class Cost(NamedTuple):
    """The cost of one response in units; where it is not known for sure, the most that it could be.

    With `counts` false there is nothing to count, as for an error.
    """

    units: int
    sure: bool = True
    counts: bool = True


FREE = Cost(0, counts=False)


def budget_units(value: object) -> int | None:
    """Return a budget of dollars in units; None for an infinite one.

    Raises:
        ConfigurationError: It is none.
    """
    known = isinstance(value, Decimal | int | float | str) and not isinstance(value, bool)
    try:
        dollars = Decimal(str(value)) if known else Decimal("nan")
    except ArithmeticError:
        dollars = Decimal("nan")
    if dollars == Decimal("inf"):
        return None
    if not dollars.is_finite() or not 0 <= dollars < _MAX_BUDGET:
        raise ConfigurationError(
            "budget_usd: expected a number of dollars from 0 to less than a billion, such as 5 or "
            f"'0.50', without a currency sign; got {value!r}"
        )
    return int(dollars * UNITS_PER_DOLLAR)


def dollars_of(units: int) -> Decimal:
    """Return units of the price table as dollars."""
    return Decimal(units) / UNITS_PER_DOLLAR


def shown(units: int) -> str:
    """Return units as a person reads them: `$0.0042`, `$12.50`."""
    whole, _, part = f"{dollars_of(units):f}".partition(".")
    return f"${whole}.{part.ljust(2, '0')}"


class Spent(Decimal):
    """Dollars that calls have cost: a `Decimal`, and what it is made of.

    `calls` counts the responses that cost something or may have; a request of a batch counts as
    one once its result is read. `unknown` of them have a cost that is not known for sure, such as
    lost responses and models without a price. The sum has the most that each of these could be,
    where there is a bound; `known` is the sum of the others, each the `cost` of its message.
    `reserved` is what calls and batches that go on could still cost, and `left` what is left of
    the budget; None without one.
    """

    known: Decimal
    calls: int
    unknown: int
    reserved: Decimal
    left: Decimal | None

    def __new__(
        cls,
        value: object = 0,
        *,
        known: Decimal | None = None,
        calls: int = 0,
        unknown: int = 0,
        reserved: Decimal = Decimal(0),
        left: Decimal | None = None,
    ) -> Self:
        """Return a sum of dollars."""
        spent = super().__new__(cls, cast("Any", value))
        spent.known = Decimal(spent) if known is None else known
        spent.calls, spent.unknown = calls, unknown
        spent.reserved, spent.left = reserved, left
        return spent

    def __repr__(self) -> str:
        return f"Spent('{self}', calls={self.calls}, unknown={self.unknown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _spent_again, (str(self), self.__dict__)


def _spent_again(value: str, fields: dict[str, Any]) -> Spent:
    return Spent(value, **fields)


class Request:
    """A request that costs: the most that it can cost, and what it did cost.

    Its body is read when that is asked for.
    """

    def __init__(self, body: bytes, table: PriceTable | None, *, batch: bool = False) -> None:
        self._body, self.table, self._batch = body, table or LISTED, batch

    @cached_property
    def _asked(self) -> _Body | None:
        return json_or_none(self._body, _Body)

    @cached_property
    def _estimate(self) -> Estimate:
        return Estimate(self._body)

    @cached_property
    def most(self) -> int:
        """The most that the request can cost, in units.

        Raises:
            BudgetExceededError: A price is not known, and so no bound of the cost.
        """
        asked = self._asked
        if asked is None:
            raise BudgetExceededError("budget_usd: the request cannot be read, so it has no bound")
        models = [asked.model, *_alternatives(asked)]
        prices = [_priced(self.table, model) for model in models]
        chain = tuple(_hops(asked.fallbacks, self.table))
        held = None
        if asked.thread is not None:
            held = unknown_held(prices[0].window or MAX_WINDOW)
        if self._batch:
            prices = [batch_price(price) for price in prices]
            chain = tuple(hop._replace(prices=tuple(map(batch_price, hop.prices))) for hop in chain)
        return self._estimate.reservation_units(asked.max_tokens, tuple(prices), chain, held)

    @cached_property
    def most_tokens(self) -> int:
        """The most tokens that the request can come to, read and generated."""
        asked = self._asked or _Body(thread=True)
        most = MAX_WINDOW if asked.thread is not None else self._estimate.input_tokens
        return most + max(asked.max_tokens, 0)

    def at_most(self, at_least: int = 0) -> Cost:
        """Return the cost where nothing is known of it, but that it is not below `at_least`."""
        try:
            return Cost(max(self.most, at_least), sure=False)
        except BudgetExceededError:
            return Cost(at_least, sure=False)

    def unsure(self, use: Use | None, others: Iterable[Use], model: str, seen: int) -> Cost | None:
        """Return the cost by counts that are not all there; None where a price is not known."""
        total = 0
        max_tokens = 0 if self._asked is None else self._asked.max_tokens
        for one in (use or _NOTHING, *others):
            # One without a price may cost what was asked for does.
            price = self.table.find(one.model or model) or self.table.find(self.model)
            if price is None:
                return None
            tokens, _ = completed(
                one,
                price,
                max_tokens=max_tokens,
                likely_input=lambda: self._estimate.likely_tokens,
                output_seen=min(seen, max_tokens),
            )
            total += cost_units(tokens, price, self._batch)
        return Cost(total, sure=False)

    @property
    def model(self) -> str:
        """The model that was asked; empty where that cannot be read."""
        return "" if self._asked is None else self._asked.model


def message_cost_of(request: Request, body: bytes, *, batch: bool = False) -> Cost:
    """Return what a whole response cost: its message's `cost`, where that is known."""
    if not batch and (units := PlainCosts().units(body, request.table)) is not None:
        return Cost(units)
    response = json_or_none(body, _RESPONSE)
    if response is None:
        return request.at_most()
    if response.type == "error":
        return FREE
    usage = _object(response.usage)
    if usage:
        model = _text(response.model) or request.model
        units = listed_units(usage, model, request.table, batch=batch)
        if units is not None:
            return Cost(units)
        reading = read_message(body)
        found = request.unsure(reading.use, reading.others, model, reading.output_estimate)
        return request.at_most(found.units if found is not None else 0)
    return request.at_most()


class PlainCosts:
    """The costs of many responses that are plain ones: a price is looked for once."""

    def __init__(self) -> None:
        # By the model and the table, which is kept for its id.
        self._prices: dict[tuple[str, int], tuple[Price | None, PriceTable | None]] = {}

    def units(self, body: bytes, table: PriceTable | None) -> int | None:
        """Return what a response costs; None if that must be looked at with care."""
        try:
            response = _PLAIN.decode(body)
        except UNREADABLE:
            return None
        key = (response.model, id(table))
        if key not in self._prices:
            self._prices[key] = (table or LISTED).find(response.model), table
        price = self._prices[key][0]
        usage = response.usage
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        sent, output, writes = usage.input_tokens, usage.output_tokens, usage.cache_creation
        if writes is not None and writes.ephemeral_5m_input_tokens > written:
            return None
        if price is None or min(sent, read, written, output) < 0:
            return None
        if 0 < price.long_prompt < sent + read + written:
            return None
        sum_ = sent * price.input + output * price.output
        if read or written:
            sum_ += read * price.cache_read + written * price.cache_write_5m
        return -(-sum_ // _MILLION)


class Told:
    """A stream's own words on its price: `take` whole ones, from the first to the last."""

    def __init__(self) -> None:
        self.model = ""
        self.usage: dict[str, Any] = {}
        self.counted = False

    def take(self, block: bytes) -> None:
        """Take events; pieces of text among them are passed over."""
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for event in block.split(b"\n\n"):
            if b"message_" in event or b'"fallback"' in event:
                for name, data in parse_events(event + b"\n\n"):
                    self._read(name, data)

    def _read(self, name: bytes, data: bytes) -> None:
        event = json_or_none(data, _EVENT)
        if event is None:
            return
        kind = event.type or name.decode("utf-8", "replace")
        if kind == "message_start" and event.message is not None:
            self.model = _text(event.message.model)
            self._update(event.message.usage)
        elif kind == "message_delta":
            self._update(event.usage)
            usage, delta = _object(event.usage), _object(event.delta)
            ended = delta.get("stop_reason") is not None
            self.counted = ended and usage.get("output_tokens") is not None
        elif kind == "content_block_start":
            block = _object(event.content_block)
            if block.get("type") == "fallback":
                self.model = _text(_object(block.get("to")).get("model")) or self.model

    def _update(self, usage: object) -> None:
        self.usage |= {k: v for k, v in _object(usage).items() if v is not None}

    def units(self, request: Request) -> int | None:
        """Return the cost by what was said last; None where it is not known."""
        return listed_units(self.usage, self.model or request.model, request.table)


class Meter:
    """A reader of one response's bytes, whole or a stream, that knows what it cost."""

    def __init__(self, request: Request, *, is_stream: bool) -> None:
        self._request = request
        self._reader = StreamReader() if is_stream else None
        self._told = Told()
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
            if b"message_" in events or b'"fallback"' in events:
                self._told.take(events)

    def cost(self) -> Cost:
        """Return what came so far has cost."""
        reader, request = self._reader, self._request
        if reader is None:
            return message_cost_of(request, b"".join(self._parts))
        units = self._told.units(request)
        if units is not None and self._told.counted:
            return Cost(units)
        if reader.use is None and reader.error_type is not None:
            return FREE
        model = self._told.model or request.model
        found = request.unsure(reader.use, reader.others, model, reader.output_seen)
        if found is None or (units is None and reader.use is not None):
            return request.at_most(found.units if found is not None else 0)
        return found


def told_cost(request: Request, model: str, usage: dict[str, Any], seen: int | None) -> Cost:
    """Return what a stream cost by its model and usage.

    `seen` is about how many tokens of output were seen of one that was cut, None of a whole one.
    """
    units = listed_units(usage, model or request.model, request.table)
    if units is not None and seen is None:
        return Cost(units)
    counts = UsageCounts()
    counts.update(usage)
    use = counts.use()
    use = msgspec.structs.replace(use, unknown=use.unknown | {"output"})
    found = request.unsure(use, counts.others(), model or request.model, seen or 0)
    if found is None or units is None:
        return request.at_most(found.units if found is not None else 0)
    return found


def batch_requests(body: bytes, table: PriceTable | None) -> dict[str, int]:
    """Return the most that each request of a batch can cost, in units, by its `custom_id`.

    Raises:
        BudgetExceededError: A price is not known, and so no bound of the cost.
    """
    batch = json_or_none(body, _Batch)
    if batch is None:
        raise BudgetExceededError("budget_usd: the batch cannot be read, so it has no bound")
    most: dict[str, int] = {}
    for place, entry in enumerate(batch.requests):
        try:
            units = Request(bytes(entry.params), table, batch=True).most
        except BudgetExceededError as error:
            raise BudgetExceededError(f"requests[{place}]: {error}") from None
        most[entry.custom_id] = most.get(entry.custom_id, 0) + units
    return most


def batch_names(body: bytes) -> dict[str, int]:
    """Return the `custom_id`s of a batch's requests, for each of which nothing is reserved."""
    batch = json_or_none(body, _Batch)
    return {} if batch is None else dict.fromkeys((entry.custom_id for entry in batch.requests), 0)


def is_free_batch(body: bytes) -> bool:
    """Return whether a batch is one that has ended, and none of its requests succeeded."""
    batch = json_or_none(body, _BatchState)
    if batch is None or batch.request_counts is None or batch.processing_status != "ended":
        return False
    return not batch.request_counts.succeeded and not batch.request_counts.processing


def batch_id(body: bytes) -> str | None:
    """Return the id of a batch that was created."""
    batch = json_or_none(body, _BatchState)
    return None if batch is None else batch.id


def result_cost(line: bytes, table: PriceTable | None) -> tuple[str, Cost] | None:
    """Return whose result a line is, and what it cost; None for what is no result."""
    read = json_or_none(line, _LINE)
    if read is None:
        return None
    if not bytes(read.result.message):
        # Errored, canceled and expired ones are not charged.
        return read.custom_id, FREE
    request = Request(b"{}", table, batch=True)
    return read.custom_id, message_cost_of(request, bytes(read.result.message), batch=True)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _priced(table: PriceTable, model: object) -> Price:
    price = table.find(model) if isinstance(model, str) else None
    if price is None:
        raise BudgetExceededError(
            f"budget_usd: no price is known for the model {model!r} (prices of {PRICES_AS_OF}), so "
            "it may cost anything; give prices={...}, or use a client without a budget"
        )
    return price


def _alternatives(asked: _Body) -> list[object]:
    """Return the models of which one may answer in place of the model."""
    models: object = asked.fallback_models
    if not isinstance(models, list) or asked.fallback_enabled is False:
        return []
    return cast("list[object]", models)


def _hops(fallbacks: Any, table: PriceTable) -> Iterable[Attempt]:
    if fallbacks is None:
        return
    if not isinstance(fallbacks, list):
        raise BudgetExceededError(
            f"budget_usd: fallbacks={fallbacks!r} may be any model; name the models in a list"
        )
    for place, given in enumerate(cast("list[object]", fallbacks)):
        if not isinstance(given, dict):
            raise BudgetExceededError(
                f"budget_usd: fallbacks[{place}] names no model; expected {{'model': ...}}, got "
                f"{given!r}"
            )
        entry = cast("dict[str, Any]", given)
        speed, tokens = entry.get("speed"), entry.get("max_tokens")
        fast = None if speed is None else speed == "fast"
        yield Attempt((_priced(table, entry.get("model")),), tokens, fast)
