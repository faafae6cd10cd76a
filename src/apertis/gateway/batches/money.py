"""The money of batches: what is held for each, and what its results cost, in store and account.

What a batch may cost is reserved on the leases of its chain, and handed on to the store in the
transaction that keeps the batch: from then on the accounts hold it, over restarts and for all
replicas. Results are booked in the same accounts, in the periods in which the batch was made. Where
this process has a whole account to itself, its lease follows what the store has done.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from apertis.accounting.counts import completed
from apertis.accounting.estimate import Estimate
from apertis.accounting.prices import batch_price
from apertis.accounting.readers import read_message
from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens, Use
from apertis.gateway.budgets.lease import Chain
from apertis.gateway.store.records import BatchResult, UnknownBatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from apertis.accounting.estimate import Attempt, Held
    from apertis.accounting.prices import Price
    from apertis.gateway.batches.results_stream import LineResult
    from apertis.gateway.budgets.accounts import AccountChange
    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.budgets.lease import Lease
    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.request.charge import Prices
    from apertis.gateway.store.batches import StoredBatches
    from apertis.gateway.store.records import Batch, BatchLine

T = TypeVar("T")

# What a beta header allows in batches, to models that else say less:
# https://platform.claude.com/docs/en/build-with-claude/batch-processing
_MAX_OUTPUT = 300_000


class Part(NamedTuple):
    """Units that one budget must have for a batch."""

    lease: Lease
    units: int


@dataclass(slots=True)
class Booked:
    """The cost so far of the results of one reading: only lines that nobody read before."""

    records: list[UsageRecord]
    cost_units: int = 0


class BatchBooks:
    """The money of batches: store and accounts in step.

    What has begun comes to its end, also when its caller leaves: `finish` waits for it.
    """

    def __init__(
        self,
        store: StoredBatches,
        directory: Directory,
        budgets: Budgets,
        wall_clock: Callable[[], float],
    ) -> None:
        self.store = store
        self.budgets = budgets
        self._directory = directory
        self._now = wall_clock
        self._tasks: set[asyncio.Task[object]] = set()

    async def through(self, work: Coroutine[object, object, T]) -> T:
        """Do something to its end, whoever leaves meanwhile."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def finish(self, patience_seconds: float) -> None:
        """Wait for what has begun, and give up what takes longer."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def reserve(self, parts: Sequence[Part]) -> Part | None:
        """Reserve all parts or none; the first that lacks the money, None when none does."""
        for part in parts:
            if part.lease.free < part.units:
                # What is left is asked for, so that nobody else takes it meanwhile.
                await self.budgets.refill(Chain([part.lease]), part.units)
        for part in parts:
            if part.lease.free < part.units:
                return part
        for part in parts:
            Chain([part.lease]).reserve(part.units)
        return None

    def end_reservation(self, parts: Sequence[Part], *, kept: bool) -> None:
        """Hand reservations on to the batch that was `kept`, or give them back."""
        for part in parts:
            if kept:
                part.lease.hand_on(part.units)
            else:
                Chain([part.lease]).settle(part.units, 0)

    async def settle(self, batch: Batch, results: Iterable[LineResult], prices: Prices) -> Booked:
        """Book results, each once however often it is read.

        `StoreUnavailableError` when they could not be booked: then they are not to be handed out.
        """
        return await self.through(self._settle(batch, {r.custom_id: r for r in results}, prices))

    async def _settle(
        self, batch: Batch, results: Mapping[str, LineResult], prices: Prices
    ) -> Booked:
        lines = await self.store.find_lines(batch.id, results)
        fresh = [
            _result(batch, result, lines.get(custom_id), prices, self._now())
            for custom_id, result in results.items()
            if custom_id not in lines or not lines[custom_id].settled
        ]
        if not fresh:
            return Booked([])
        # Until the store has answered, all that may be booked is used: a record of the key that is
        # read meanwhile, and knows of it already, changes nothing then.
        most = sum(result.record.cost_units for result in fresh if result.record is not None)
        self._count(batch.key_id, most)
        booked = 0
        async with self.budgets.settling():
            try:
                settlement = await self.store.settle(batch.id, fresh)
                booked = settlement.cost_units
            finally:
                self._count(batch.key_id, booked - most)
            self._follow(settlement.accounts)
        ids = set(settlement.custom_ids)
        records = [r.record for r in fresh if r.record is not None and r.custom_id in ids]
        return Booked(records, settlement.cost_units)

    def _count(self, key_id: str, units: int) -> None:
        key = self._directory.get(key_id)
        if key is not None:
            key.used_units += units

    def _follow(self, accounts: Iterable[AccountChange]) -> None:
        """Let the leases of whole accounts know what the store has done with them."""
        for change in accounts:
            lease = self.budgets.lease(change.account_id)
            if lease is not None and lease.is_whole:
                lease.takes_back(change.released_units)
                lease.book(change.cost_units)

    async def release(self, batch: Batch) -> None:
        """Give up what is still held for a batch of which no more results will come."""
        await self.through(self._free(self.store.release(batch.id)))

    async def release_expired(self) -> None:
        """Give up what is held for batches whose results will not come any more.

        Their upstream may be gone from the configuration, so that nobody can ask for them.
        """
        for batch_id in await self.store.expired(self._now()):
            with contextlib.suppress(UnknownBatchError):
                await self.through(self._free(self.store.release(batch_id)))

    async def forget(self, batch: Batch) -> None:
        """Forget a batch that its upstream has deleted."""
        await self.through(self._free(self.store.delete(batch.id)))

    async def _free(self, work: Coroutine[object, object, Iterable[AccountChange]]) -> None:
        async with self.budgets.settling():
            self._follow(await work)


def hold_units(
    params: bytes,
    max_tokens: int,
    *prices: Price,
    chain: tuple[Attempt, ...] = (),
    held: Held | None = None,
) -> int:
    """Return the most that a request of a batch can cost, in units, at batch prices."""
    if not (prices or chain):
        # Nothing is to be read for that.
        return 0
    attempts = (
        attempt._replace(prices=tuple(map(batch_price, attempt.prices))) for attempt in chain
    )
    own = tuple(map(batch_price, prices))
    return Estimate(params).reservation_units(max_tokens, own, tuple(attempts), held)


def _result(
    batch: Batch, result: LineResult, line: BatchLine | None, prices: Prices, now: float
) -> BatchResult:
    if result.message is None:
        return BatchResult(custom_id=result.custom_id)
    reading = read_message(result.message)
    # Prices go by the names that callers use; a line that nobody sent has the upstream's only.
    asked = line.model if line is not None and line.model else reading.model or ""
    use = reading.use or Use(unknown=frozenset({"input", "output"}))
    names = (asked, *prices.models)
    model = asked if use.model is None else prices.id_of(use.model, names)
    tokens, unsure = _completed(use, prices.of(model), reading.output_estimate)
    others: list[Use] = []
    for other in reading.others:
        other_model = asked if other.model is None else prices.id_of(other.model, names)
        used, more = _completed(other, prices.of(other_model), 0)
        others.append(Use(used, other_model))
        unsure += more
    cost = prices.cost(model, tokens, others, batch=True)
    if line is not None and unsure and unsure != ("output",):
        # The prompt is not at hand to be estimated: what was reserved for it is the bound.
        cost = max(cost, line.held_units)
    costs = tuple(
        (use.model or model, prices.cost(model, Tokens(), [use], batch=True)) for use in others
    )
    if costs:
        costs = ((model, max(0, cost - sum(units for _, units in costs))), *costs)
    record = UsageRecord(
        request_id=f"{batch.id}/{result.custom_id}",
        at_ms=int(now * 1000),
        key_id=batch.key_id,
        kind="batch",
        model=model,
        requested_model=asked,
        upstream=batch.upstream,
        status=200,
        tokens=tokens,
        cost_units=cost,
        estimated=bool(unsure),
        person_id=batch.person_id,
        group_id=batch.group_id,
    )
    return BatchResult(custom_id=result.custom_id, record=record, costs=costs)


def _completed(use: Use, price: Price | None, seen: int) -> tuple[Tokens, tuple[str, ...]]:
    if price is not None and price.max_output:
        most = max(price.max_output, _MAX_OUTPUT)
        price = msgspec.structs.replace(price, max_output=most)
    return completed(use, price, max_tokens=_MAX_OUTPUT, likely_input=lambda: 0, output_seen=seen)
