"""Usage is booked once for each request id, however often and in whatever pieces it is added."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.tokens import Tokens
from apertis.gateway.store import usage
from apertis.gateway.store.records import RecentQuery, SessionQuery, SessionRow, UsageQuery

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


AT_MS = 1_790_000_000_000


def kept(record: UsageRecord, query: RecentQuery) -> bool:
    """What the query keeps, by the simplest means."""
    filters: list[tuple[tuple[str, ...], set[str | None]]] = [
        (query.keys, {record.key_id}),
        (query.people, {record.person_id}),
        (query.groups, {record.group_id}),
        (query.models, {record.model, record.requested_model}),
        (query.sessions, {record.session}),
        (query.upstreams, {record.upstream}),
        (query.codes, {record.code}),
    ]
    whose = [
        (query.of_keys, record.key_id),
        (query.of_people, record.person_id),
        (query.of_groups, record.group_id),
    ]
    ranges = [
        (record.at_ms, query.since_ms, query.until_ms),
        (record.status, query.min_status, query.end_status),
    ]
    return (
        all(not names or not found.isdisjoint(names) for names, found in filters)
        and (not any(ids for ids, _ in whose) or any(own in ids for ids, own in whose))
        and all(
            (first is None or first <= number) and (end is None or number < end)
            for number, first, end in ranges
        )
    )


@pytest.fixture
def hundred(opened: Any, make_usage: Callable[..., UsageRecord]) -> list[UsageRecord]:
    """A hundred records, some of one moment, that differ in all that can be asked for."""
    records = [
        make_usage(
            at_ms=AT_MS + number // 3,
            key_id=("key_a", "key_b")[number % 2],
            model=("opus", "sonnet", "haiku")[number % 3],
            requested_model=("opus", "sonnet")[number % 4 > 0],
            upstream=(None, "anthropic")[number % 5 > 0],
            session=(None, "s1", "s2")[number % 7 % 3],
            status=(200, 400, 499, 529)[number % 17 % 4],
            code=(None, "overloaded_error", "invalid_request_error")[number % 11 % 3],
            person_id=(None, "ann", "bob")[number % 19 % 3],
            group_id=(None, "team", "other")[number % 23 % 3],
            attempts=(None, 0, 2)[number % 3],
            fallback_reason=(None, "primary_model_overloaded")[number % 6 // 5],
            reserved_units=(None, 0, 2**40)[number % 3],
        )
        for number in range(100)
    ]
    opened.run(opened.store.usage.add(records))
    # A query gives the records that were found last first.
    return sorted(records, key=lambda each: (each.at_ms, each.request_id), reverse=True)


def test_the_last_requests_are_those_that_filtering_all_gives_page_by_page(
    opened: Any, hundred: list[UsageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
        return st.one_of(st.just(()), st.lists(st.sampled_from(names), max_size=2).map(tuple))

    moments = st.one_of(st.none(), st.integers(AT_MS - 2, AT_MS + 36))
    statuses = st.one_of(st.none(), st.sampled_from([200, 201, 400, 499, 500, 529, 600]))
    queries = st.builds(
        RecentQuery,
        since_ms=moments,
        until_ms=moments,
        keys=some("key_a", "key_c"),
        people=some("ann", "bob"),
        groups=some("team", "other"),
        models=some("opus", "haiku", "nobody"),
        sessions=some("s1", "s2"),
        upstreams=some("anthropic"),
        codes=some("overloaded_error"),
        min_status=statuses,
        end_status=statuses,
        of_keys=some("key_b"),
        of_people=some("ann"),
        of_groups=some("team", "nobody"),
        limit=st.integers(1, 40),
    )

    @settings(max_examples=50, deadline=None)
    @given(queries, st.lists(st.integers(1, 30), min_size=1, max_size=5))
    def check(query: RecentQuery, steps: list[int]) -> None:
        # Records are few here, and so are those that a step looks at.
        monkeypatch.setattr(usage, "_STEPS", steps)
        expected = [record for record in hundred if kept(record, query)]
        found: list[UsageRecord] = []
        for _ in range(400):
            page = opened.run(opened.store.usage.recent(query))
            assert len(page.records) <= query.limit
            found += page.records
            if page.looked_until_ms is not None:
                # All that is newer was found.
                missed = [r for r in expected if r.at_ms > page.looked_until_ms and r not in found]
                assert missed == []
            if page.next is None:
                break
            query = msgspec.structs.replace(query, before=page.next)
        assert found == expected

    check()


def test_a_search_that_is_given_up_says_how_far_it_looked(
    opened: Any, hundred: list[UsageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "_STEPS", (10, 20))
    page = opened.run(opened.store.usage.recent(RecentQuery(codes=("nothing_has_it",))))
    assert page.records == ()
    assert page.looked_until_ms == hundred[29].at_ms
    assert page.next == (hundred[29].at_ms, hundred[29].request_id)


def test_a_search_that_takes_long_is_given_up(
    opened: Any, hundred: list[UsageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "_STEPS", (10,) * 10)
    monkeypatch.setattr(usage, "_SEARCH_SECONDS", 0.0)
    page = opened.run(opened.store.usage.recent(RecentQuery(codes=("nothing_has_it",))))
    assert page.looked_until_ms == hundred[9].at_ms


def test_all_records_are_pages_of_their_own_time(opened: Any, hundred: list[UsageRecord]) -> None:
    first = opened.run(opened.store.usage.recent(RecentQuery(limit=60)))
    assert list(first.records) == hundred[:60]
    assert first.looked_until_ms is None
    rest = opened.run(opened.store.usage.recent(RecentQuery(limit=60, before=first.next)))
    assert (list(rest.records), rest.next) == (hundred[60:], None)


@pytest.mark.parametrize("order", ["last", "cost"])
@pytest.mark.parametrize("since", [0, 3, 20])
@pytest.mark.parametrize(
    ("keys", "sessions"), [((), ()), (("key_a",), ()), ((), ("s1", "s4")), (("key_b",), ("s2",))]
)
def test_sessions_are_what_adding_up_their_records_gives(
    opened: Any,
    make_usage: Callable[..., UsageRecord],
    order: Any,
    since: int,
    keys: tuple[str, ...],
    sessions: tuple[str, ...],
) -> None:
    day = 86_400_000
    first = AT_MS // day * day
    records = [
        make_usage(
            at_ms=first + number * day // 7,
            key_id=("key_a", "key_b")[number % 2],
            session=(None, "s1", "s2", "s3", "s4")[number % 13 % 5],
            agent=(None, "a1", "a2")[number % 11 % 3],
            status=(200, 529)[number % 5 // 4],
            tokens=Tokens(input=number, output=2 * number, cache_read=3 * number),
            cost_units=number * number % 97,
        )
        for number in range(80)
    ]
    # In pieces, whose times are between each other's.
    for piece in range(3):
        opened.run(opened.store.usage.add(records[piece::3]))
    groups: dict[tuple[str, str], list[UsageRecord]] = {}
    for record in records:
        kept_ = (not keys or record.key_id in keys) and (not sessions or record.session in sessions)
        if record.session is not None and kept_ and record.at_ms >= first + since * day:
            groups.setdefault((record.session, record.key_id), []).append(record)
    expected = [
        SessionRow(
            session=session,
            key=key,
            first_ms=min(each.at_ms for each in of),
            last_ms=max(each.at_ms for each in of),
            agents=len({each.agent for each in of} - {None}),
            requests=len(of),
            failed=sum(each.status >= 400 for each in of),
            input_tokens=sum(each.tokens.input for each in of),
            output_tokens=sum(each.tokens.output for each in of),
            cache_read_tokens=sum(each.tokens.cache_read for each in of),
            cost_units=sum(each.cost_units for each in of),
        )
        for (session, key), of in groups.items()
    ]
    expected.sort(key=lambda row: (row.session, row.key))
    expected.sort(key=lambda row: row.last_ms if order == "last" else row.cost_units, reverse=True)
    query = SessionQuery(since_ms=first + since * day, keys=keys, sessions=sessions, order=order)
    assert opened.run(opened.store.usage.sessions(query)) == expected
    page = msgspec.structs.replace(query, offset=1, limit=2)
    assert opened.run(opened.store.usage.sessions(page)) == expected[1:3]
