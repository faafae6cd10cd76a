"""Money around one request: reserved before it is sent, booked once when it ends.

Whatever ends it: a whole response, an error, a cut stream, a caller who left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from apertis.accounting.counts import completed
from apertis.accounting.estimate import Attempt
from apertis.accounting.prices import cost_units
from apertis.accounting.prompt import MAX_WINDOW
from apertis.accounting.record import MAX_COST_UNITS, UsageRecord
from apertis.accounting.tokens import COUNTED, Tokens, Use, classes_of
from apertis.gateway.errors import Refusal, service_unavailable, unpriced_model
from apertis.gateway.request.context import CLIENT_LEFT, Used

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apertis.accounting.estimate import Held
    from apertis.accounting.prices import Price, PriceTable
    from apertis.accounting.readers import StreamReader
    from apertis.gateway.budgets.lease import Chain
    from apertis.gateway.limits.limiter import JointReservation
    from apertis.gateway.request.body import Body
    from apertis.gateway.request.context import Progress
    from apertis.limiting.tokens import Reservation

# Names come from callers: what is remembered of them is bounded.
_MAX_NAMES = 4096

_NOTHING = Use()


class Hop(NamedTuple):
    """A model of the upstream's own chain: the ids that it may have, and what differs there."""

    models: tuple[str, ...]
    max_tokens: int | None = None
    fast: bool | None = None


class Shortage(NamedTuple):
    """A budget that cannot pay for a request with what is at hand; the store may have more."""

    chain: Chain
    units: int
    # What the request may cost where its whole conversation is in its body; None: it is.
    alone: int | None


class Journal(Protocol):
    """The journal that keeps usage records until the store has them."""

    def append(self, record: UsageRecord) -> None:
        """Keep a record; as soon as the disk takes it, it survives the end of the process."""
        ...

    def add(self, record: UsageRecord) -> None:
        """Keep a record likewise, by the end of this turn of the event loop."""
        ...

    def begin(self, record: UsageRecord) -> None:
        """Keep what is known of a stream that begins, in case that its end is never booked."""
        ...

    def standstill(self, *, limited: bool) -> str | None:
        """Say why who has a budget (`limited`) or none is not served; None when they are."""
        ...


class Prices:
    """Prices of models, by the names that callers use and that upstreams use."""

    def __init__(
        self,
        table: PriceTable,
        *,
        unpriced_is_free: bool,
        other_names: Callable[[str], Iterable[str]] = lambda _: (),
    ) -> None:
        self._table = table
        self.unpriced_is_free = unpriced_is_free
        # The id that an alias stands for, and what upstreams call the model.
        self._other_names = other_names
        self._known: dict[str, Price | None] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """All models that have a price."""
        return self._table.models

    def of(self, model: str) -> Price | None:
        """Find a model's price; None when nobody has said one."""
        try:
            return self._known[model]
        except KeyError:
            price = self._find(model)
            if len(self._known) < _MAX_NAMES:
                self._known[model] = price
            return price

    def _find(self, model: str) -> Price | None:
        found = map(self._table.find, (model, *self._other_names(model)))
        return next((price for price in found if price is not None), None)

    def may_be_used(self, model: str, *, limited: bool) -> bool:
        """Return whether who has a budget (`limited`) or none may use the model, by its price."""
        return self.unpriced_is_free or not limited or self.of(model) is not None

    def id_of(self, name: str, models: Iterable[str]) -> str:
        """Give the one of these models that an upstream calls so; else the name itself."""
        return next((m for m in models if name == m or name in self._other_names(m)), name)

    def cost(
        self, model: str, tokens: Tokens, others: Iterable[Use] = (), *, batch: bool = False
    ) -> int:
        """Return the cost of tokens on a model; zero where no price is known.

        Another model without a price is charged as the one that answered.
        """
        price = self.of(model)
        if price is None:
            return 0
        units = cost_units(tokens, price, batch)
        for use in others:
            units += cost_units(use.tokens, self.of(use.model or model) or price, batch)
        return min(units, MAX_COST_UNITS)

    def window(self, models: Iterable[str]) -> int:
        """Return the largest window of these models, as far as it is known."""
        prices = map(self.of, models)
        windows = [price.window or MAX_WINDOW if price else MAX_WINDOW for price in prices]
        return max(windows, default=MAX_WINDOW)

    def dearest(self, tokens: Tokens, models: Iterable[str]) -> int:
        """Return the cost of tokens on the dearest of these models; zero where none has a price."""
        return max((self.cost(model, tokens) for model in models), default=0)


class Ledger:
    """The ledger: it opens charges and books them."""

    def __init__(
        self,
        prices: Prices,
        journal: Journal,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        lease_name: str = "",
    ) -> None:
        self.prices = prices
        self._journal = journal
        # The replica that reserves here, as records say it.
        self._lease_name = lease_name
        self._clock = clock
        self.now = wall_clock
        # Each once: alike names have one.
        self._of_models: dict[tuple[tuple[str, ...], bool], tuple[Price, ...] | Refusal] = {}

    def closed(self, chain: Chain) -> Refusal | None:
        """Reject requests while what they use could not be kept."""
        reason = self._journal.standstill(limited=bool(chain.leases))
        return None if reason is None else service_unavailable(reason)

    def open(
        self,
        progress: Progress,
        chain: Chain,
        body: Body,
        models: tuple[str, ...],
        hops: tuple[Hop, ...] = (),
        held: Held | None = None,
        *,
        free: bool = False,
    ) -> Charge | Refusal | Shortage:
        """Set the most aside that the request can cost, in all budgets of its chain or in none.

        That is on any of the models that may answer it, and on all `hops` of the upstream's own on
        top. `held` is what the upstream holds of the conversation already. `free`: somebody else
        pays, and nothing is reserved or booked.
        """
        closed = self.closed(chain)
        if closed is not None:
            return closed
        limited = bool(chain.leases)
        prices = self._prices_of(models, limited=limited)
        if isinstance(prices, Refusal):
            return prices
        attempts: tuple[Attempt, ...] = ()
        names = models
        for hop in hops:
            found = self._prices_of(hop.models, limited=limited)
            if isinstance(found, Refusal):
                return found
            if found:
                attempts += (Attempt(found, hop.max_tokens, hop.fast),)
            names += hop.models
        if not chain.is_plain:
            chain = chain.of_models(names)
        most = 0
        if (prices or attempts) and not free:
            most = body.estimate.reservation_units(body.max_tokens, prices, attempts, held)
        if not chain.reserve(most):
            alone = None
            if held is not None and most:
                alone = body.estimate.reservation_units(body.max_tokens, prices, attempts)
            return Shortage(chain, most, alone)
        return Charge(self, progress, chain, most, body, names, held, free=free)

    def _prices_of(self, models: tuple[str, ...], *, limited: bool) -> tuple[Price, ...] | Refusal:
        """Return the prices of models for who has a budget (`limited`); nothing for any other."""
        found = self._of_models.get((models, limited))
        if found is None:
            found = self._found_prices(models) if limited else ()
            if len(self._of_models) < _MAX_NAMES:
                self._of_models[models, limited] = found
        return found

    def _found_prices(self, models: tuple[str, ...]) -> tuple[Price, ...] | Refusal:
        prices: dict[Price, None] = {}
        for model in models:
            price = self.prices.of(model)
            if price is not None:
                prices[price] = None
            elif not self.prices.unpriced_is_free:
                return unpriced_model(model)
        return tuple(prices)

    def begin(self, progress: Progress) -> None:
        """Keep the usage that a stream began with."""
        self._journal.begin(self.record(progress))

    def book(self, progress: Progress, *, with_others: bool = False) -> None:
        """Keep the record of a request that is over.

        `with_others`: it is written with those of the same turn, before the response leaves.
        """
        if with_others:
            self._journal.add(self.record(progress))
        else:
            self._journal.append(self.record(progress))

    def record(self, progress: Progress) -> UsageRecord:
        """Describe a request as it is booked."""
        context, used, key = progress.context, progress.used, progress.key
        chain, accounts = progress.chain, progress.charged_to
        first_byte, started = progress.first_byte, context.started
        return UsageRecord(
            request_id=context.id,
            at_ms=int(context.at * 1000),
            key_id="" if key is None else key.record.id,
            model=progress.model,
            requested_model=progress.requested_model,
            upstream=progress.upstream or None,
            status=progress.status,
            code=progress.code,
            tokens=used.tokens,
            cost_units=used.cost_units,
            estimated=used.estimated,
            cached=progress.cached,
            streamed=progress.streamed,
            session=context.session,
            agent=context.agent,
            request_class=context.request_class,
            upstream_request_id=progress.upstream_request_id,
            first_byte_ms=None if first_byte is None else int((first_byte - started) * 1000),
            total_ms=int((self._clock() - started) * 1000),
            interrupted=progress.interrupted,
            bill_to=progress.bill_to,
            person_id=None if chain is None else chain.person_id,
            group_id=None if chain is None else chain.group_id,
            prefix_change=progress.prefix_change,
            attempts=progress.attempts,
            fallback_reason=progress.fallback_reason,
            reserved_units=progress.reserved_units,
            accounts=accounts,
            lease=self._lease_name if accounts else "",
        )


class Charge:
    """A request's reservation. It is settled exactly once; further calls change nothing."""

    def __init__(
        self,
        ledger: Ledger,
        progress: Progress,
        chain: Chain,
        reserved: int,
        body: Body,
        models: tuple[str, ...],
        held: Held | None = None,
        *,
        free: bool = False,
    ) -> None:
        self._ledger = ledger
        self._progress = progress
        # What it is paid from.
        self.chain = chain
        progress.reserved_units = reserved
        self._body = body
        self._held = held
        self._free = free
        # All that the reservation was made for.
        self._models = models
        self._settled = False
        # Whether the response leaves as a whole, right after it was settled.
        self.is_whole = False
        # The stream of a response that was given up before anything of it was handed out.
        self.seen: StreamReader | None = None
        # What counts in the limit of tokens a minute until the real number is known.
        self.reservation: Reservation | JointReservation | None = None

    @property
    def held(self) -> Held | None:
        """Tokens that the upstream held of the conversation when the request came."""
        return self._held

    @property
    def settled(self) -> bool:
        """True once the request is settled."""
        return self._settled

    def guess(self, output_tokens: int) -> Tokens:
        """Estimate the usage that the upstream did not report; within the reservation."""
        return Tokens(input=self._likely_input(), output=min(output_tokens, self._body.max_tokens))

    def begin(self, use: Use | None) -> None:
        """Note what a stream has used when its first bytes leave; None where it did not say."""
        progress = self._progress
        if use is not None:
            tokens, _, cost = self._priced(use, progress.model, 0)
            progress.used = Used(tokens, 0 if self._free else cost)
        progress.charged_to = self.chain.charges
        self._ledger.begin(progress)

    def settle(
        self,
        use: Use = _NOTHING,
        others: Iterable[Use] = (),
        *,
        output_seen: int = 0,
        estimated: bool = False,
        interrupted: bool = False,
    ) -> None:
        """Book what was used, at the prices of the models that answered.

        `output_seen` is about how many tokens of output were seen: it counts where the upstream's
        own count is missing or impossible.
        """
        if self._settled:
            return
        progress = self._progress
        asked = progress.model
        if use.model is not None:
            progress.model = self._ledger.prices.id_of(use.model, self._models)
        tokens, unsure, cost = self._priced(use, asked, output_seen)
        costs = None if self.chain.is_plain else [(progress.model, cost)]
        for other in others:
            _, more, units = self._priced(other, asked, 0)
            unsure += more
            cost += units
            if costs is not None:
                costs.append((self._model_of(other, asked), units))
        if unsure and not interrupted and progress.reason is None:
            progress.reason = (
                f"its usage is missing or impossible, and estimated: {', '.join(unsure)}"
            )
        self._book(
            tokens, cost, costs, estimated=estimated or bool(unsure), interrupted=interrupted
        )

    def settle_unread(self, output_seen: int) -> None:
        """Book the reservation of a whole response that does not say what it used."""
        if self._settled:
            return
        progress = self._progress
        cost = progress.reserved_units
        price = self._ledger.prices.of(progress.model)
        if not self.chain.leases and price is not None:
            # Nothing was reserved.
            body = self._body
            cost = body.estimate.reservation_units(body.max_tokens, (price,), held=self._held)
        progress.reason = progress.reason or "its usage cannot be read: the reservation is booked"
        self._book(self.guess(output_seen), cost, None, estimated=True, interrupted=False)

    def _likely_input(self) -> int:
        likely = self._body.estimate.likely_tokens
        if self._held is not None and self._held.known:
            likely += self._held.tokens
        return likely

    def _priced(
        self, use: Use, asked: str, output_seen: int
    ) -> tuple[Tokens, tuple[str, ...], int]:
        """Give what a model used, what of it is not sure, and what it costs."""
        prices = self._ledger.prices
        model = self._model_of(use, asked)
        price, max_tokens = prices.of(model), self._body.max_tokens
        names: tuple[str, ...]
        tokens, names = completed(
            use,
            price,
            max_tokens=max_tokens,
            likely_input=self._likely_input,
            output_seen=output_seen,
        )
        if "output" in names and tokens.output > max_tokens:
            # Few tokens can be many bytes. No response has more of them than it may.
            tokens = msgspec.structs.replace(tokens, output=max_tokens)
        unsure = tuple([COUNTED[name].counter for name in names]) if names else ()
        if price is not None:
            return tokens, unsure, min(cost_units(tokens, price), MAX_COST_UNITS)
        if use.model is None:
            return tokens, unsure, 0
        unsure += (f"the price of {model!r}",)
        return tokens, unsure, prices.dearest(tokens, self._models)

    def _model_of(self, use: Use, asked: str) -> str:
        if use.model is None:
            return asked
        return self._ledger.prices.id_of(use.model, self._models)

    def _book(
        self,
        tokens: Tokens,
        cost: int,
        costs: list[tuple[str, int]] | None,
        *,
        estimated: bool,
        interrupted: bool,
    ) -> None:
        """Settle; `costs` is the cost by model where that matters and is known."""
        self._settled = True
        progress = self._progress
        cost = 0 if self._free else min(cost, MAX_COST_UNITS)
        progress.used = Used(tokens, cost, estimated)
        progress.interrupted = interrupted
        if costs is None or self._free or (len(costs) > 1 and cost == MAX_COST_UNITS):
            progress.charged_to = self.chain.settle(progress.reserved_units, cost)
        else:
            progress.charged_to = self.chain.settle_by_model(progress.reserved_units, costs)
        if progress.key is not None:
            progress.key.used_units += cost
        if self.reservation is not None:
            self.reservation.correct(sum(classes_of(tokens)), self._ledger.now())
        self._ledger.book(progress, with_others=self.is_whole)

    def abandon(self) -> None:
        """End a request whose answer nobody saw; if it was sent, its input is booked as estimated.

        An upstream bills a request that was given up, and says nothing of it any more.
        """
        if self._settled:
            return
        if self._progress.sent is None:
            self._settled = True
            self.chain.settle(self._progress.reserved_units, 0)
            if self.reservation is not None:
                self.reservation.correct(0, self._ledger.now())
            return
        self._progress.status = CLIENT_LEFT
        seen = self.seen
        use = None if seen is None else seen.use
        if seen is None or use is None:
            self.settle(Use(self.guess(0)), estimated=True, interrupted=True)
        else:
            self.settle(
                use, seen.others, output_seen=seen.output_seen, estimated=True, interrupted=True
            )
