"""The store and the accounts of keys say the same about batches, whatever fails in between."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.prices import Price, PriceTable, cost_units
from apertis.accounting.tokens import Tokens
from apertis.gateway.batches.money import BatchBooks, hold_units
from apertis.gateway.batches.results_stream import LineResult
from apertis.gateway.budgets.accounts import Hold
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.request.charge import Prices
from apertis.gateway.store.database import Store
from apertis.gateway.store.records import (
    Batch,
    BatchLine,
    BatchResult,
    Settlement,
)
from tests.kit.chains import budgets_of, money_of, no_budgets

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.keys.directory import Key

MODEL = "claude-sonnet-4-5"
PRICES = Prices(PriceTable(), unpriced_is_free=False)
KEY = KeyRecord(
    id="key_a", name="a", sha256="0" * 64, hint="sk-...a", quota_units=10_000, created_at=0
)
BATCH = Batch(id="b", upstream="up", key_id="key_a", created_at=0)
LINES = [BatchLine(custom_id=name, model=MODEL, held_units=100) for name in "abc"]
COST = 8


def answered(name: str) -> LineResult:
    """An answer of 5 input and 1 output tokens: 7.5 / 2 + 7.5 / 2 units."""
    usage = b'{"input_tokens":5,"output_tokens":1}'
    return LineResult(name, b'{"model":"claude-sonnet-4-5","usage":%b}' % usage)


class FlakyStore:
    """The real store, which fails or is changed at the moment that a test names."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.fails = False
        self.settled: list[BatchResult] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def settle(self, batch_id: str, results: Iterable[BatchResult]) -> Settlement:
        if self.fails:
            raise StoreUnavailableError("it is gone")
        self.settled += results
        settlement: Settlement = await self._store.settle(batch_id, results)
        return settlement


@dataclass
class Place:
    store: Store
    directory: Directory
    budgets: Budgets

    @property
    def key(self) -> Key:
        (key,) = self.directory.all()
        return key

    @property
    def money(self) -> tuple[int, int]:
        """What the key has used, and what is set aside."""
        money = money_of(self.key, self.budgets)
        assert money.used == self.key.used_units
        return money.used, money.set_aside

    def books(self, store: Any = None) -> BatchBooks:
        return BatchBooks(store or self.store.batches, self.directory, self.budgets, lambda: 1.0)


async def opened(stack: contextlib.AsyncExitStack, path: Path) -> Place:
    store = await Store.open(path)
    stack.push_async_callback(store.close)
    await store.keys.insert(KEY)
    directory = Directory(await store.keys.list())
    await budgets_of(store, directory)
    await store.batches.insert(BATCH, LINES, [Hold(account_id="quota-key_a@0", units=300)])
    # As after a restart: what is held is what the store says.
    return Place(store, directory, await budgets_of(store, directory))


def booked(tmp_path: Path, message: bytes, prices: Prices = PRICES) -> UsageRecord:
    """What the answer to the request `a` is booked as, for which 100 units are held."""

    async def run() -> UsageRecord:
        async with contextlib.AsyncExitStack() as stack:
            place = await opened(stack, tmp_path)
            (record,) = (
                await place.books().settle(BATCH, [LineResult("a", message)], prices)
            ).records
            return record

    return asyncio.run(run())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b'{"model":"claude-sonnet-4-5"}',
        b'{"usage":{"output_tokens":1}}',
        b'{"usage":{"input_tokens":-5,"output_tokens":1}}',
        b'{"usage":{"input_tokens":1000000000000,"output_tokens":1}}',
    ],
)
def test_an_answer_whose_prompt_is_not_counted_costs_what_was_held_for_it(
    tmp_path: Path, message: bytes
) -> None:
    record = booked(tmp_path, message)
    assert (record.cost_units, record.estimated) == (100, True)


@pytest.mark.parametrize("output", [b"1000000000000", b'"many"', b"-1", b"null"])
def test_an_output_that_cannot_be_is_what_was_answered(tmp_path: Path, output: bytes) -> None:
    message = b'{"content":"%b","usage":{"input_tokens":5,"output_tokens":%b}}'
    record = booked(tmp_path, message % (b"x" * 398, output))
    assert record.tokens == Tokens(input=5, output=100)
    assert (record.cost_units, record.estimated) == (379, True)


def test_an_answer_of_any_content_is_booked_by_its_usage(tmp_path: Path) -> None:
    deep = b"[" * 3000 + b"]" * 3000
    usage = b'{"input_tokens":5.0,"output_tokens":1e0}'
    record = booked(tmp_path, b'{"content":[%b,"\\ud83d\xff"],"usage":%b}' % (deep, usage))
    assert (record.cost_units, record.estimated) == (COST, False)


def test_a_batch_may_answer_more_than_a_message_does(tmp_path: Path) -> None:
    record = booked(tmp_path, b'{"usage":{"input_tokens":5,"output_tokens":300000}}')
    assert (record.tokens.output, record.estimated) == (300_000, False)


def test_a_chain_of_models_is_booked_at_the_price_of_each_by_what_its_upstream_calls_it(
    tmp_path: Path,
) -> None:
    called = {"claude-opus-4-5": ("claude-opus-4-5", "big"), "claude-haiku-4-5": ("little",)}
    prices = Prices(
        PriceTable(), unpriced_is_free=False, other_names=lambda model: called.get(model, ())
    )
    turn = b'{"type":%b,"model":%b,"input_tokens":1000,"output_tokens":0}'
    turns = (
        turn % (b'"message"', b'"claude-sonnet-4-5"'),
        turn % (b'"message"', b'"little"'),
        turn % (b'"fallback_message"', b'"big"'),
    )
    usage = b'{"input_tokens":1000,"output_tokens":0,"iterations":[%b]}' % b",".join(turns)
    record = booked(tmp_path, b'{"model":"big","usage":%b}' % usage, prices)
    # A batch costs half: of 3, 1 and 5 dollars a million, half as many units a token.
    assert (record.model, record.cost_units) == ("claude-opus-4-5", 750 + 250 + 1250)


def test_what_each_model_of_a_chain_cost_is_told_to_the_store(tmp_path: Path) -> None:
    turn = b'{"type":"message","model":%b,"input_tokens":1000,"output_tokens":0}'
    turns = [turn % b'"claude-haiku-4-5"', turn % b'"claude-sonnet-4-5"']
    usage = b'{"input_tokens":1000,"output_tokens":0,"iterations":[%b]}' % b",".join(turns)
    chained = LineResult("a", b'{"model":"claude-sonnet-4-5","usage":%b}' % usage)

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            place = await opened(stack, tmp_path)
            store = FlakyStore(place.store.batches)
            await place.books(store).settle(BATCH, [chained, answered("b")], PRICES)
            found = {result.custom_id: result.costs for result in store.settled}
            expected = (("claude-sonnet-4-5", 750), ("claude-haiku-4-5", 250))
            assert found == {"a": expected, "b": ()}

    asyncio.run(run())


def test_what_the_store_did_not_book_is_not_booked_at_all(tmp_path: Path) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            place = await opened(stack, tmp_path)
            flaky = FlakyStore(place.store.batches)
            books = place.books(flaky)
            flaky.fails = True
            with pytest.raises(StoreUnavailableError):
                await books.settle(BATCH, [answered("a")], PRICES)
            assert place.money == (0, 300)
            flaky.fails = False
            await books.settle(BATCH, [answered("a"), answered("a")], PRICES)
            assert place.money == (COST, 200)

    asyncio.run(run())


def test_a_key_that_is_read_anew_while_its_batch_is_booked_is_not_charged_twice(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            place = await opened(stack, tmp_path)

            class Reread(FlakyStore):
                async def settle(self, batch_id: str, results: Iterable[BatchResult]) -> Settlement:
                    settlement = await super().settle(batch_id, results)
                    # What the watcher does when an administrator changes the key just now.
                    await place.store.keys.update("key_a", name="new")
                    place.directory.apply(await place.store.keys.list())
                    return settlement

            await place.books(Reread(place.store.batches)).settle(
                BATCH, [answered("a"), answered("b")], PRICES
            )
            assert place.key.record.name == "new"
            assert place.money == (2 * COST, 100)
            stored = await place.store.keys.get("key_a")
            assert stored is not None
            assert stored.used_units == 2 * COST

    asyncio.run(run())


def test_an_account_that_is_first_needed_while_its_batch_is_booked_has_its_cost_once(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            place = await opened(stack, tmp_path)
            restarted = await budgets_of(place.store, Directory())
            place = Place(place.store, place.directory, restarted)
            asking: list[asyncio.Task[object]] = []

            class Meanwhile(FlakyStore):
                async def settle(self, batch_id: str, results: Iterable[BatchResult]) -> Settlement:
                    settlement = await super().settle(batch_id, results)
                    chain = restarted.chain(place.key)
                    asking.append(
                        asyncio.get_running_loop().create_task(restarted.refill(chain, 0))
                    )
                    # Time enough for what must not happen.
                    for _ in range(50):
                        await place.store.batches.get(batch_id)
                    return settlement

            await place.books(Meanwhile(place.store.batches)).settle(
                BATCH, [answered("a"), answered("b")], PRICES
            )
            await asyncio.gather(*asking)
            assert place.money == (2 * COST, 100)

    asyncio.run(run())


def test_a_caller_who_leaves_does_not_stop_the_booking(tmp_path: Path) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            place = await opened(stack, tmp_path)
            books = place.books()
            reading = asyncio.get_running_loop().create_task(
                books.settle(BATCH, [answered("a")], PRICES)
            )
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await books.finish(10)
            assert place.money == (COST, 200)
            kept = await place.store.batches.get("b")
            assert kept is not None
            assert (kept.settled_lines, kept.held_units) == (1, 200)

    asyncio.run(run())


def test_what_takes_too_long_is_given_up_at_the_end() -> None:
    async def run() -> None:
        books = BatchBooks(Any, Directory(), no_budgets(), lambda: 0.0)  # type: ignore[arg-type]
        waiting = asyncio.get_running_loop().create_task(books.through(asyncio.Event().wait()))
        await asyncio.sleep(0)
        await books.finish(0.01)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())


def test_released_and_forgotten_batches_hold_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            place = await opened(stack, tmp_path)
            books = place.books()
            await books.settle(BATCH, [answered("a"), LineResult("b", None)], PRICES)
            assert place.money == (COST, 100)
            await books.release(BATCH)
            await books.release(BATCH)
            assert place.money == (COST, 0)
            # Lines that come after all are booked, and only once.
            for _ in range(2):
                await books.settle(BATCH, [answered("a"), answered("c")], PRICES)
            assert place.money == (2 * COST, 0)
            await books.forget(BATCH)
            assert await place.store.batches.get("b") is None

    asyncio.run(run())


def test_what_is_held_two_days_after_a_batch_was_made_is_given_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            place = await opened(stack, tmp_path)
            now = [2 * 86_400.0]
            books = BatchBooks(place.store.batches, place.directory, place.budgets, lambda: now[0])
            await books.settle(BATCH, [answered("a")], PRICES)
            await books.release_expired()
            assert place.money == (COST, 200)
            now[0] += 1
            await books.release_expired()
            await books.release_expired()
            assert place.money == (COST, 0)

    asyncio.run(run())


UNITS = st.integers(0, 10**7)
PERCENT = st.integers(0, 300)


@settings(max_examples=150)
@given(
    st.builds(
        Price,
        input=UNITS,
        output=UNITS,
        cache_read=UNITS,
        cache_write_5m=UNITS,
        cache_write_1h=UNITS,
        batch_percent=st.integers(1, 100),
        us_percent=PERCENT,
        fast_percent=PERCENT,
        long_prompt=st.sampled_from([0, 10]),
        long_percent=st.integers(100, 200),
    ),
    st.integers(0, 40),
    st.integers(0, 500),
)
def test_what_is_held_pays_for_what_an_answer_costs(
    price: Price, prompt: int, max_tokens: int
) -> None:
    params = b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % (b"x" * prompt * 2)
    used = Tokens(input=prompt, output=max_tokens)
    assert hold_units(params, max_tokens, price) >= cost_units(used, price, batch=True)
