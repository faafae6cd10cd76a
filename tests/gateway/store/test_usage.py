"""Usage is booked once for each request id, however often and in whatever pieces it is added."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.tokens import Tokens
from apertis.gateway.store.records import UsageQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord


def test_a_record_comes_back_as_it_was_added(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    plain = make_usage(upstream=None, tokens=Tokens())
    full = make_usage(
        kind="count_tokens",
        requested_model="sonnet",
        status=529,
        code="overloaded",
        tokens=Tokens(1, 2, 3, 4, 5, 6),
        cost_units=2**50,
        estimated=True,
        cached=True,
        streamed=True,
        interrupted=True,
        session="6f1c",
        agent="a-1",
        request_class="subagent",
        upstream_request_id="req_011",
        first_byte_ms=0,
        total_ms=86_400_000,
        person_id="person_1",
        group_id="group_1",
        prefix_change=2,
    )
    assert opened.run(opened.store.usage.add([plain, full])) == 2
    for record in (plain, full):
        assert opened.run(opened.store.usage.get(record.request_id)) == record
    assert opened.run(opened.store.usage.get("req_other")) is None


def test_adding_nothing_adds_nothing(opened: Any) -> None:
    assert opened.run(opened.store.usage.add([])) == 0
    assert opened.run(opened.store.usage.report(UsageQuery())) == []


def test_the_first_record_of_an_id_stays(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    usage = opened.store.usage
    first = make_usage(cost_units=1)
    other = make_usage(request_id=first.request_id, cost_units=1000)
    assert opened.run(usage.add([first, other])) == 1
    assert opened.run(usage.add([other])) == 0
    assert opened.run(usage.get(first.request_id)) == first


def test_a_batch_of_any_size_is_booked(opened: Any, make_usage: Callable[..., UsageRecord]) -> None:
    records = [make_usage(session=f"s{number}") for number in range(2501)]
    assert opened.run(opened.store.usage.add(records[:1999])) == 1999
    assert opened.run(opened.store.usage.add(records)) == 502
    (row,) = opened.run(opened.store.usage.report(UsageQuery()))
    assert (row.requests, row.cost_units) == (2501, 2501 * 30)
    assert len(opened.run(opened.store.usage.report(UsageQuery(group_by=("session",))))) == 2501


def test_adding_at_once_books_each_once(
    opened: Any, make_key: Callable[..., Any], make_usage: Callable[..., UsageRecord]
) -> None:
    keys = [opened.run(opened.store.keys.insert(make_key())) for _ in range(3)]
    records = [make_usage(key_id=keys[number % 3].id) for number in range(60)]

    async def add_at_once() -> int:
        parts = [records[start : start + 20] for start in range(0, 60, 10)]
        return sum(await asyncio.gather(*(opened.store.usage.add(part) for part in parts)))

    assert opened.run(add_at_once()) == 60
    kept = opened.run(opened.store.keys.list())
    assert [key.used_units for key in kept] == [600, 600, 600]


def test_what_nobody_can_have_meant_never_holds_up_the_ledger(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    odd = make_usage(
        model="a\0b",
        requested_model="x" * 100_000,
        session="é" * 100_000,
        tokens=Tokens(input=10**30),
        cost_units=10**30,
    )
    assert opened.run(opened.store.usage.add([odd])) == 1
    kept = opened.run(opened.store.usage.get(odd.request_id))
    assert kept.model == "a\N{REPLACEMENT CHARACTER}b"
    assert (kept.requested_model, kept.session) == ("x" * 200, "é" * 200)
    assert kept.tokens.input == kept.cost_units == 2**50


def test_usage_of_a_key_that_is_not_kept_is_booked_all_the_same(
    opened: Any, make_key: Callable[..., Any], make_usage: Callable[..., UsageRecord]
) -> None:
    assert opened.run(opened.store.usage.add([make_usage(key_id="key_gone")])) == 1
    (row,) = opened.run(opened.store.usage.report(UsageQuery(group_by=("key",))))
    assert (row.key, row.cost_units) == ("key_gone", 30)


def test_an_addition_that_is_given_up_at_any_moment_can_be_made_again(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    records = [make_usage() for _ in range(30)]

    async def give_up_after(steps: int) -> None:
        work = asyncio.get_running_loop().create_task(opened.store.usage.add(records[:steps]))
        for _ in range(steps):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])

    for steps in range(30):
        opened.run(give_up_after(steps))
    opened.run(opened.store.usage.add(records))
    (row,) = opened.run(opened.store.usage.report(UsageQuery()))
    assert (row.requests, row.cost_units) == (30, 900)


_tokens = st.builds(Tokens, *[st.integers(0, 10**7)] * 6)
# Few ids and keys, so that most sequences have repeats.
_records = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 1), _tokens, st.integers(0, 10**12)), max_size=12
)


def test_any_sequence_of_additions_leaves_the_sums_of_the_distinct_records(
    opened: Any, make_key: Callable[..., Any], make_usage: Callable[..., UsageRecord]
) -> None:
    store = opened.store
    examples = itertools.count()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(_records, max_size=4))
    def check(additions: list[list[tuple[int, int, Tokens, int]]]) -> None:
        example = next(examples)
        keys = [opened.run(store.keys.insert(make_key())) for _ in range(2)]
        distinct: dict[str, UsageRecord] = {}
        for addition in additions:
            records = [
                make_usage(
                    request_id=f"req_{example}_{number}",
                    key_id=keys[key].id,
                    tokens=tokens,
                    cost_units=cost,
                )
                for number, key, tokens, cost in addition
            ]
            new = {record.request_id for record in records} - distinct.keys()
            for record in records:
                distinct.setdefault(record.request_id, record)
            assert opened.run(store.usage.add(records)) == len(new)

        booked = list(distinct.values())
        asked = UsageQuery(keys=tuple(key.id for key in keys), group_by=("key",))
        rows = {row.key: row for row in opened.run(store.usage.report(asked))}
        spent: Counter[str] = Counter()
        for record in booked:
            spent[record.key_id] += record.cost_units
        for key in keys:
            of_key = [record for record in booked if record.key_id == key.id]
            assert opened.run(store.keys.get(key.id)).used_units == spent[key.id]
            assert (key.id in rows) == bool(of_key)
            if of_key:
                row = rows[key.id]
                assert row.requests == len(of_key)
                assert row.cost_units == spent[key.id]
                assert row.input_tokens == sum(record.tokens.input for record in of_key)
                assert row.output_tokens == sum(record.tokens.output for record in of_key)
                assert row.cache_read_tokens == sum(r.tokens.cache_read for r in of_key)
                assert row.cache_write_5m_tokens == sum(r.tokens.cache_write_5m for r in of_key)
                assert row.cache_write_1h_tokens == sum(r.tokens.cache_write_1h for r in of_key)
                searches = sum(record.tokens.web_search_requests for record in of_key)
                assert row.web_search_requests == searches

    check()
