"""`POST /v1/messages/batches`: a new batch, on one upstream, with the money for all of it held."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from apertis.accounting.estimate import Attempt, unknown_held
from apertis.accounting.prompt import MAX_WINDOW
from apertis.gateway.batches.body import read_batch
from apertis.gateway.batches.links import batch_path, describe
from apertis.gateway.batches.money import Part, hold_units
from apertis.gateway.budgets.accounts import Hold
from apertis.gateway.budgets.lease import Chain
from apertis.gateway.errors import (
    BILLING_POLICY_DENIED,
    Refusal,
    StoreUnavailableError,
    invalid_value,
    model_access_denied,
    model_not_found,
    unpriced_model,
    upstream_error,
)
from apertis.gateway.store.records import Batch, BatchLine
from apertis.gateway.upstreams.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apertis.accounting.prices import Price
    from apertis.gateway.batches.body import BatchBody, BatchRequest
    from apertis.gateway.batches.money import BatchBooks
    from apertis.gateway.batches.upstream import BatchCalls
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.request.charge import Prices
    from apertis.gateway.request.context import Progress
    from apertis.gateway.request.forward import WholeAnswer
    from apertis.gateway.routing.targets import Target
    from apertis.gateway.upstreams.contract import Request

P = ParamSpec("P")
T = TypeVar("T")

_LARGE_BYTES = 256 * 1024
_SHOWN_MODELS = 10
# The upstream did not take the batch, and another one may.
_NOT_TAKEN = frozenset(
    {Outcome.UNREACHABLE, Outcome.BAD_KEY, Outcome.RATE_LIMITED, Outcome.OVERLOADED}
)

# The upstreams that serve all models of a batch, best first: of each model, what it is there.
Places = list[dict[str, "Target"]]


@dataclass(slots=True)
class _Order:
    progress: Progress
    key: Key
    chain: Chain
    request: Request
    body: BatchBody
    places: Places
    held: list[int]
    prices: Mapping[str, list[Price]]


class BatchCreation:
    """Creation of batches."""

    def __init__(
        self,
        calls: BatchCalls,
        books: BatchBooks,
        wall_clock: Callable[[], float],
        pick: Callable[[], float],
    ) -> None:
        self._calls = calls
        self._books = books
        self._now = wall_clock
        self._pick = pick

    async def create(self, progress: Progress, key: Key, request: Request) -> WholeAnswer | Refusal:
        """Answer with the new batch as its upstream describes it."""
        body = await _beside(request, read_batch, request.body)
        if isinstance(body, Refusal):
            return body
        progress.asks(next(iter(body.models)) if len(body.models) == 1 else "several")
        refusal = self._admit(key, body)
        if refusal is not None:
            return refusal
        places = self._places(body)
        if isinstance(places, Refusal):
            return places
        chain = self._books.budgets.chain(key, progress.person, progress.context.session)
        progress.pays_from(chain)
        prices = self._prices(chain, places)
        if isinstance(prices, str):
            return _of_model(unpriced_model(prices), body, prices)
        order = _Order(progress, key, chain, request, body, places, [], prices)
        order.held = await self._holds(order)
        # A caller who leaves does not undo a batch that the upstream may have taken.
        return await self._books.through(self._place(order))

    def _admit(self, key: Key, body: BatchBody) -> Refusal | None:
        if not key.record.billing_policy and any(r.asked.bill_to for r in body.requests):
            return BILLING_POLICY_DENIED
        if key.record.models is None:
            return None
        router = self._calls.wiring.router
        every = self._every_model(body)
        for model in (*body.models, *body.fallbacks, *every):
            if not key.allows(model, (router.model_id(model),)):
                return _of_model(model_access_denied(model), body, model)
        return None

    def _every_model(self, body: BatchBody) -> tuple[str, ...]:
        """Return all models with a price, where a request leaves the choice to its upstream."""
        chains = (request.asked.fallbacks for request in body.requests)
        if any(chain is not None and chain.any_model for chain in chains):
            return self._calls.wiring.prices.models
        return ()

    def _places(self, body: BatchBody) -> Places | Refusal:
        router, now, pick = self._calls.wiring.router, self._now(), self._pick()
        by_model: dict[str, dict[str, Target]] = {}
        for model in body.models:
            targets = router.candidates(model, None, now, pick)
            if not targets:
                return _of_model(model_not_found(model), body, model)
            by_model[model] = {target.upstream: target for target in reversed(targets)}
        for model in body.fallbacks:
            by_model[model] = router.at(model)
            if not by_model[model]:
                return _of_model(model_not_found(model), body, model)
        first = router.candidates(next(iter(by_model)), None, now, pick)
        common = [
            {model: targets[best.upstream] for model, targets in by_model.items()}
            for best in first
            if all(best.upstream in targets for targets in by_model.values())
        ]
        if common:
            return common
        names = ", ".join(repr(model[:200]) for model in list(by_model)[:_SHOWN_MODELS])
        return invalid_value(
            "requests",
            f"a batch runs on one upstream, and none has all of its models ({names}); "
            "make a batch for each",
        )

    def _prices(self, chain: Chain, places: Places) -> dict[str, list[Price]] | str:
        """Return the price bound of each model, or the model that has no price."""
        if not chain.leases:
            return {}
        prices = self._calls.wiring.prices
        found: dict[str, list[Price]] = {}
        for targets in places:
            for model, target in targets.items():
                if not prices.may_be_used(target.id, limited=True):
                    return model
                price = prices.of(target.id)
                known = found.setdefault(model, [])
                if price is not None and price not in known:
                    known.append(price)
        return found

    async def _holds(self, order: _Order, *, threads: bool = True) -> list[int]:
        known = self._calls.wiring.prices
        return await _beside(order.request, _holds, order.body, order.prices, known, threads)

    async def _place(self, order: _Order) -> WholeAnswer | Refusal:
        # What the store cannot keep is not to be sent.
        await self._books.store.get(order.progress.context.id)
        parts = self._parts(order, order.held)
        lacking = await self._books.reserve(parts)
        if lacking is not None:
            fits_alone = False
            if any(r.asked.thread is not None for r in order.body.requests):
                alone = self._parts(order, await self._holds(order, threads=False))
                fits_alone = all(part.lease.free >= part.units for part in alone)
            return self._books.budgets.refusal(
                order.key,
                Chain([lacking.lease]),
                lacking.lease,
                lacking.units,
                fits_alone=fits_alone,
            )
        kept = False
        try:
            answer, targets = await self._send(order)
            if isinstance(answer, Refusal) or answer.status != 200:
                return answer
            refusal = await self._keep(order, answer, targets, parts)
            kept = refusal is None
            return refusal or answer
        except StoreUnavailableError:
            # Nobody knows whether it was kept. Among replicas the accounts have the money then in
            # either case: held by the batch, or given back.
            kept = self._books.budgets.seat is not None
            raise
        finally:
            self._books.end_reservation(parts, kept=kept)

    def _parts(self, order: _Order, held: Sequence[int]) -> list[Part]:
        """Say what each budget must hold for the batch: all that counts in it by its models."""
        parts: list[Part] = []
        for lease in order.chain.leases:
            units = sum(
                units
                for request, units in zip(order.body.requests, held, strict=True)
                if lease.models is None or any(map(lease.models.allows, self._ids(order, request)))
            )
            parts.append(Part(lease, units))
        return parts

    def _ids(self, order: _Order, request: BatchRequest) -> set[str]:
        """Return the ids of all models that may answer a request, whatever it calls them."""
        fallbacks = request.asked.fallbacks
        hops = () if fallbacks is None else fallbacks.hops
        names = {request.model, *(hop.model for hop in hops)}
        ids = {targets[name].id for targets in order.places for name in names}
        if fallbacks is not None and fallbacks.any_model:
            ids.update(self._calls.wiring.prices.models)
        return ids

    async def _send(self, order: _Order) -> tuple[WholeAnswer | Refusal, Mapping[str, Target]]:
        request, body = order.request, order.body
        path = f"{request.path}?{request.query}" if request.query else request.path
        answer: WholeAnswer | Refusal = upstream_error("there was no response")
        targets: Mapping[str, Target] = {}
        for targets in order.places:
            names = {model: target.model for model, target in targets.items()}
            data = await _beside(request, body.to, names)
            outcome, answer = await self._calls.post(
                order.progress, next(iter(targets.values())), path, request.raw_headers, data
            )
            if outcome not in _NOT_TAKEN:
                break
        return answer, targets

    async def _keep(
        self,
        order: _Order,
        answer: WholeAnswer,
        targets: Mapping[str, Target],
        parts: Sequence[Part],
    ) -> Refusal | None:
        description = describe(answer.body)
        if description is None:
            return upstream_error("its response to a new batch does not describe one")
        store = self._books.store
        if await store.get(description.id) is not None:
            return upstream_error("it gave a new batch the id of another one")
        batch = Batch(
            id=description.id,
            upstream=order.progress.upstream,
            key_id=order.key.record.id,
            created_at=int(self._now()),
            person_id=order.chain.person_id,
            group_id=order.chain.group_id,
        )
        lines = [
            BatchLine(
                custom_id=request.custom_id, model=targets[request.model].id, held_units=units
            )
            for request, units in zip(order.body.requests, order.held, strict=True)
        ]
        holds = [Hold(account_id=part.lease.account_id, units=part.units) for part in parts]
        try:
            await store.insert(batch, lines, holds, self._books.budgets.seat)
        except StoreUnavailableError:
            # Nobody could ever ask for it.
            path = f"{batch_path(batch.id)}/cancel"
            await self._calls.whole(order.progress, batch.upstream, "POST", path, order.request)
            raise
        return None


async def _beside(request: Request, read: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Do what takes as long as a body is large: in a thread, so that others do not wait for it."""
    if len(request.body) <= _LARGE_BYTES:
        return read(*given, **named)
    return await asyncio.to_thread(read, *given, **named)


def _holds(
    body: BatchBody, prices: Mapping[str, list[Price]], known: Prices, threads: bool
) -> list[int]:
    """Return the units to reserve for each request; without those that upstreams hold for it."""
    return [
        _hold(body.params(request), request, prices, known, threads) for request in body.requests
    ]


def _hold(
    params: bytes,
    request: BatchRequest,
    prices: Mapping[str, list[Price]],
    known: Prices,
    threads: bool,
) -> int:
    own = prices.get(request.model, ())
    thread, chain = request.asked.thread, request.asked.fallbacks
    attempts: tuple[Attempt, ...] = ()
    if chain is not None:
        attempts = tuple(
            Attempt(tuple(prices[hop.model]), hop.max_tokens, hop.fast)
            for hop in chain.hops
            if prices.get(hop.model)
        )
        if chain.any_model and prices:
            found = map(known.of, known.models)
            attempts = tuple(Attempt((price,)) for price in found if price is not None)
    held = None
    if threads and thread is not None and thread.continues:
        # A batch may wait for a day: what is remembered of the response before can be gone by then.
        held = unknown_held(max((price.window or MAX_WINDOW for price in own), default=MAX_WINDOW))
    return hold_units(params, request.max_tokens, *own, chain=attempts, held=held)


def _of_model(refusal: Refusal, body: BatchBody, model: str) -> Refusal:
    if model in body.models:
        return replace(refusal, param=f"requests.{body.models[model]}.params.model")
    if model in body.fallbacks:
        return replace(refusal, param=f"requests.{body.fallbacks[model]}.params.fallbacks")
    return refusal
