"""A batch belongs to one key and one upstream, and each of its lines is paid for once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.records import (
    Batch,
    BatchLine,
    BatchResult,
    Settlement,
    UnknownBatchError,
    UsageQuery,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord


def batch(number: int = 1, key_id: str = "key_a") -> Batch:
    return Batch(
        id=f"msgbatch_{number}", upstream="anthropic", key_id=key_id, created_at=1_790_000_000
    )


def held_by_key(opened: Any) -> dict[str, int]:
    """What is held for batches, by key, where it is anything."""
    held: dict[str, int] = {}
    for one in opened.run(opened.store.batches.list()):
        held[one.key_id] = held.get(one.key_id, 0) + one.held_units
    return {key_id: units for key_id, units in held.items() if units}


def lines(*held: int) -> list[BatchLine]:
    return [
        BatchLine(custom_id=f"line-{place}", model="sonnet", held_units=units)
        for place, units in enumerate(held)
    ]


def test_a_batch_comes_back_with_what_is_held_for_its_lines(opened: Any) -> None:
    batches = opened.store.batches
    kept = opened.run(batches.insert(batch(), lines(5, 7)))
    assert kept == msgspec.structs.replace(batch(), held_units=12, lines=2)
    assert opened.run(batches.get(kept.id)) == kept
    assert opened.run(batches.lines(kept.id)) == tuple(lines(5, 7))
    assert opened.run(batches.get("msgbatch_other")) is None


def test_a_batch_of_very_many_lines_is_kept(opened: Any) -> None:
    many = lines(*range(20_001))
    kept = opened.run(opened.store.batches.insert(batch(), many))
    assert (kept.lines, kept.held_units) == (20_001, sum(range(20_001)))
    results = [BatchResult(custom_id=line.custom_id) for line in many]
    settlement = opened.run(opened.store.batches.settle(kept.id, results))
    assert settlement.released_units == kept.held_units
    assert opened.run(opened.store.batches.get(kept.id)).settled_lines == 20_001


def test_batches_are_listed_by_key_the_newest_first(opened: Any) -> None:
    batches = opened.store.batches
    ours, other, newest = batch(1), batch(2, "key_b"), batch(3)
    newest = msgspec.structs.replace(newest, created_at=ours.created_at + 1)
    for made in (ours, other, newest):
        opened.run(batches.insert(made))
    assert opened.run(batches.list()) == (newest, other, ours)
    assert opened.run(batches.list(key_id="key_a")) == (newest, ours)
    assert opened.run(batches.list(key_id="key_c")) == ()


def test_batches_of_one_second_are_listed_in_the_order_of_their_creation(opened: Any) -> None:
    made = [msgspec.structs.replace(batch(), id=f"msgbatch_{name}") for name in "kbzac"]
    for each in made:
        opened.run(opened.store.batches.insert(each))
    assert opened.run(opened.store.batches.list()) == tuple(reversed(made))


def test_a_batch_is_not_kept_twice(opened: Any) -> None:
    opened.run(opened.store.batches.insert(batch(), lines(5)))
    with pytest.raises(StoreUnavailableError):
        opened.run(opened.store.batches.insert(batch(key_id="key_b"), lines(7)))
    assert opened.run(opened.store.batches.get(batch().id)).key_id == "key_a"


def test_settling_a_line_books_its_usage_and_gives_up_what_was_held(
    opened: Any, make_key: Callable[..., Any], make_usage: Callable[..., UsageRecord]
) -> None:
    key = opened.run(opened.store.keys.insert(make_key()))
    batches = opened.store.batches
    kept = opened.run(batches.insert(batch(key_id=key.id), lines(50, 70)))
    record = make_usage(key_id=key.id, kind="batch", cost_units=30)
    results = [BatchResult(custom_id="line-1", record=record)]

    settlement = opened.run(batches.settle(kept.id, results))
    assert settlement == Settlement(custom_ids=("line-1",), released_units=70, cost_units=30)
    changed = opened.run(batches.get(kept.id))
    assert (changed.held_units, changed.settled_lines, changed.lines) == (50, 1, 2)
    assert [line.settled for line in opened.run(batches.lines(kept.id))] == [False, True]
    assert opened.run(opened.store.keys.get(key.id)).used_units == 30
    assert opened.run(opened.store.usage.get(record.request_id)) == record
    assert held_by_key(opened) == {key.id: 50}


def test_reading_results_again_pays_nothing_again(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    batches = opened.store.batches
    kept = opened.run(batches.insert(batch(), lines(50)))
    # Each reading makes records with request ids of its own.
    first = [BatchResult(custom_id="line-0", record=make_usage())]
    again = [BatchResult(custom_id="line-0", record=make_usage())]
    opened.run(batches.settle(kept.id, first))
    assert opened.run(batches.settle(kept.id, again)) == Settlement()
    (row,) = opened.run(opened.store.usage.report(UsageQuery()))
    assert (row.requests, row.cost_units) == (1, 30)
    assert opened.run(batches.get(kept.id)).held_units == 0


def test_a_line_that_used_nothing_is_settled_without_a_record(opened: Any) -> None:
    batches = opened.store.batches
    kept = opened.run(batches.insert(batch(), lines(50)))
    settlement = opened.run(batches.settle(kept.id, [BatchResult(custom_id="line-0")]))
    assert settlement == Settlement(custom_ids=("line-0",), released_units=50)
    assert opened.run(opened.store.usage.report(UsageQuery())) == []


def test_a_line_that_was_not_kept_is_paid_for_once_too(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    batches = opened.store.batches
    kept = opened.run(batches.insert(batch(), lines(50)))
    results = [BatchResult(custom_id="stranger", record=make_usage())]
    settlement = opened.run(batches.settle(kept.id, results))
    assert settlement == Settlement(custom_ids=("stranger",), cost_units=30)
    assert opened.run(batches.settle(kept.id, results)) == Settlement()
    changed = opened.run(batches.get(kept.id))
    assert (changed.held_units, changed.settled_lines, changed.lines) == (50, 1, 2)


def test_what_is_released_is_held_no_more_and_a_late_result_is_still_booked(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    batches = opened.store.batches
    kept = opened.run(batches.insert(batch(), lines(50, 70)))
    assert opened.run(batches.release(kept.id)) == ()
    assert opened.run(batches.release(kept.id)) == ()
    assert held_by_key(opened) == {}
    late = [BatchResult(custom_id="line-0", record=make_usage())]
    settlement = opened.run(batches.settle(kept.id, late))
    assert (settlement.released_units, settlement.cost_units) == (0, 30)
    assert opened.run(batches.get(kept.id)).held_units == 0


def test_a_batch_that_is_not_kept_here_is_told(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    record = make_usage()
    with pytest.raises(UnknownBatchError, match="msgbatch_other"):
        opened.run(
            opened.store.batches.settle(
                "msgbatch_other", [BatchResult(custom_id="line-0", record=record)]
            )
        )
    with pytest.raises(UnknownBatchError):
        opened.run(opened.store.batches.release("msgbatch_other"))
    assert opened.run(opened.store.usage.get(record.request_id)) is None


def test_settling_at_once_pays_each_line_once(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    batches = opened.store.batches
    kept = opened.run(batches.insert(batch(), lines(*[10] * 40)))

    async def read_results() -> Settlement:
        results = [
            BatchResult(custom_id=line.custom_id, record=make_usage()) for line in lines(*[0] * 40)
        ]
        settlement: Settlement = await batches.settle(kept.id, results)
        return settlement

    async def read_by_many() -> list[Settlement]:
        return list(await asyncio.gather(*(read_results() for _ in range(4))))

    settlements = opened.run(read_by_many())
    assert sum(settlement.released_units for settlement in settlements) == 400
    assert sum(settlement.cost_units for settlement in settlements) == 40 * 30
    (row,) = opened.run(opened.store.usage.report(UsageQuery()))
    assert row.requests == 40


def test_in_any_order_of_settling_what_is_held_is_that_of_the_open_lines(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    batches = opened.store.batches
    numbers = iter(range(10_000))

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.integers(0, 10**9), max_size=6),
        st.lists(st.lists(st.integers(0, 7), max_size=5), max_size=4),
    )
    def check(held: list[int], readings: list[list[int]]) -> None:
        key_id = f"key_{next(numbers)}"
        kept = opened.run(batches.insert(batch(next(numbers), key_id), lines(*held)))
        settled: set[int] = set()
        for reading in readings:
            results = [
                BatchResult(custom_id=f"line-{n}", record=make_usage(key_id=key_id))
                for n in reading
            ]
            opened.run(batches.settle(kept.id, results))
            settled |= set(reading)
        still = sum(units for place, units in enumerate(held) if place not in settled)
        after = opened.run(batches.get(kept.id))
        assert (after.held_units, after.settled_lines) == (still, len(settled))
        assert after.lines == len(settled | set(range(len(held))))
        assert held_by_key(opened).get(key_id, 0) == still
        rows = opened.run(opened.store.usage.report(UsageQuery(keys=(key_id,))))
        assert [row.requests for row in rows] == ([len(settled)] if settled else [])

    check()


def test_lines_are_found_by_their_ids(opened: Any) -> None:
    batches = opened.store.batches
    opened.run(batches.insert(batch(), lines(5, 7, 9)))
    opened.run(batches.settle("msgbatch_1", [BatchResult(custom_id="line-1")]))
    found = opened.run(batches.find_lines("msgbatch_1", ["line-2", "line-1", "line-8"]))
    assert {line.custom_id: (line.held_units, line.settled) for line in found.values()} == {
        "line-1": (7, True),
        "line-2": (9, False),
    }
    assert opened.run(batches.find_lines("msgbatch_2", ["line-1"])) == {}


def test_a_batch_that_is_deleted_holds_nothing_and_can_be_made_anew(opened: Any) -> None:
    batches = opened.store.batches
    opened.run(batches.insert(batch(), lines(5, 7)))
    opened.run(batches.settle("msgbatch_1", [BatchResult(custom_id="line-0")]))
    assert opened.run(batches.delete("msgbatch_1")) == ()
    assert opened.run(batches.get("msgbatch_1")) is None
    assert opened.run(batches.lines("msgbatch_1")) == ()
    assert held_by_key(opened) == {}
    with pytest.raises(UnknownBatchError):
        opened.run(batches.delete("msgbatch_1"))
    opened.run(batches.insert(batch(), lines(3)))
    assert held_by_key(opened) == {"key_a": 3}
