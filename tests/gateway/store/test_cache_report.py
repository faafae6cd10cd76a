"""What a session's cache held and its next request did not read was missed, for one cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apertis.accounting.tokens import Tokens
from apertis.gateway.store.cache_report import (
    HIT,
    PREFIX,
    TTL_1H,
    TTL_5M,
    UNKNOWN,
    UPSTREAM,
    CacheRow,
)
from apertis.gateway.store.records import UsageQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000
FIRST = Tokens(input=10, cache_write_5m=1000)
FIRST_1H = Tokens(input=10, cache_write_1h=1000)


def rows(
    opened: Any, make: Callable[..., UsageRecord], *requests: dict[str, Any], **query: Any
) -> list[CacheRow]:
    plain = {"session": "s", "model": "m", "upstream": "a"}
    records = [
        make(**{**plain, "at_ms": NOW_MS + number * MINUTE_MS, **fields})
        for number, fields in enumerate(requests)
    ]
    opened.run(opened.store.usage.add(records))
    found: list[CacheRow] = opened.run(opened.store.usage.cache_report(UsageQuery(**query)))
    return sorted(found, key=lambda row: row.cause)


@pytest.mark.parametrize(
    ("first", "later", "second", "cause"),
    [
        (FIRST, 6, {}, TTL_5M),
        (FIRST_1H, 61, {}, TTL_1H),
        (FIRST_1H, 6, {}, UNKNOWN),
        (FIRST, 6, {"prefix_change": 1}, TTL_5M),
        (FIRST, 6, {"upstream": "b"}, UPSTREAM),
        (FIRST, 1, {"upstream": None}, UPSTREAM),
        (FIRST, 1, {"prefix_change": 2}, PREFIX + 2),
        (FIRST, 1, {"prefix_change": 0}, UNKNOWN),
        (FIRST, 1, {}, UNKNOWN),
    ],
)
def test_each_miss_has_its_cause(
    opened: Any,
    make_usage: Callable[..., UsageRecord],
    first: Tokens,
    later: int,
    second: dict[str, Any],
    cause: int,
) -> None:
    again = Tokens(input=20, cache_write_5m=1100)
    at_ms = NOW_MS + later * MINUTE_MS
    hit, miss = rows(
        opened, make_usage, {"tokens": first}, {"tokens": again, "at_ms": at_ms} | second
    )
    assert hit.cause == HIT
    assert hit.requests == 1
    assert miss == CacheRow(
        group=(),
        model="m",
        cause=cause,
        requests=1,
        input_tokens=20,
        cache_read_tokens=0,
        cache_write_5m_tokens=1100,
        cache_write_1h_tokens=0,
        missed_input_tokens=0,
        missed_5m_tokens=1000,
        missed_1h_tokens=0,
    )


def test_a_conversation_that_goes_on_misses_nothing(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    (row,) = rows(
        opened,
        make_usage,
        {"tokens": FIRST},
        {"tokens": Tokens(input=5, cache_read=1000, cache_write_5m=200)},
        {"tokens": Tokens(input=5, cache_read=1200)},
    )
    assert (row.cause, row.requests, row.cache_read_tokens) == (HIT, 3, 2200)


def test_no_more_is_missed_than_was_sent_anew_and_it_costs_as_it_was_sent(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    _, miss = rows(
        opened,
        make_usage,
        {"tokens": FIRST},
        {"tokens": Tokens(input=60, cache_read=100, cache_write_5m=30, cache_write_1h=20)},
    )
    assert (miss.missed_5m_tokens, miss.missed_1h_tokens, miss.missed_input_tokens) == (30, 20, 60)


@pytest.mark.parametrize(
    "other",
    [
        {"session": "t"},
        {"session": None},
        {"key_id": "key_b"},
        {"model": "n"},
        {"agent": "x"},
        {"request_class": "subagent"},
        {"status": 529},
        {"kind": "count_tokens"},
        {"cached": True},
    ],
)
def test_other_conversations_are_not_compared(
    opened: Any, make_usage: Callable[..., UsageRecord], other: dict[str, Any]
) -> None:
    found = rows(opened, make_usage, {"tokens": FIRST}, {"tokens": Tokens(input=2000), **other})
    assert {row.cause for row in found} == {HIT}


def test_requests_before_the_range_are_compared_and_not_counted(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    found = rows(
        opened,
        make_usage,
        {"tokens": FIRST},
        {"tokens": Tokens(input=2000)},
        {"tokens": Tokens(input=2000)},
        since_ms=NOW_MS + 1,
        until_ms=NOW_MS + MINUTE_MS + 1,
        group_by=("session", "key"),
    )
    assert [(row.group, row.cause, row.requests) for row in found] == [(("s", "key_a"), UNKNOWN, 1)]
    assert rows(opened, make_usage, sessions=("t",)) == []
