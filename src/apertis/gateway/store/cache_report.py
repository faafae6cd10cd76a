"""The report of prompt caching: what was read from caches, and what was missed, and why.

A session's cache holds after a response what that one read and wrote. If the next one reads less,
the rest was missed, as far as it wrote or sent so many tokens anew. The cause follows from what
lies between the two. Conversations of one session are told apart by agent, request class and model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, Integer, and_, case, cast, func, literal, select

from apertis.gateway.store.booking import FIRST_FAILURE, TIMED
from apertis.gateway.store.schema import usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Select

# Causes as numbers; of a changed prefix, the number of the breakpoint is added.
HIT, TTL_5M, TTL_1H, UPSTREAM, UNKNOWN, PREFIX = 0, 1, 2, 3, 4, 100
_MINUTES_5_MS, _HOUR_MS = 300_000, 3_600_000
# Whoever comes back later than this begins anew.
_BEFORE_MS = 24 * _HOUR_MS
_NEXT = [usage.c.at_ms, usage.c.request_id]
_CONVERSATION = [
    usage.c.key_id,
    usage.c.session,
    usage.c.agent,
    usage.c.request_class,
    usage.c.model,
]


class CacheRow(NamedTuple):
    """Sums of one group, one model and one cause: of a miss, the tokens by what they cost."""

    group: tuple[str | None, ...]
    model: str
    cause: int
    requests: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    missed_input_tokens: int
    missed_5m_tokens: int
    missed_1h_tokens: int


def cache_statement(
    groups: Sequence[ColumnElement[Any]],
    filters: Mapping[ColumnElement[Any], Sequence[str]],
    since_ms: int,
    until_ms: int,
) -> Select[Any]:
    """Build the statement that gives the columns of `CacheRow`, with `groups` in front."""
    before = _followed(groups, filters, since_ms, until_ms).subquery()
    missed = _missed(before.c)
    cause = _cause(before.c)
    names = [f"group_{place}" for place in range(len(groups))]
    judged = (
        select(
            *(before.c[name] for name in names),
            before.c.model,
            *(before.c[name] for name in _TOKENS),
            case((missed > 0, cause), else_=HIT).label("cause"),
            missed.label("missed"),
        )
        .where(before.c.at_ms >= since_ms)
        .subquery()
    )
    of = judged.c
    # What was missed was written for five minutes or an hour, and else sent as plain input.
    in_5m = _least(of.missed, of.cache_write_5m_tokens)
    in_1h = _least(of.missed - in_5m, of.cache_write_1h_tokens)
    sums = [literal(1), *(of[name] for name in _TOKENS), of.missed - in_5m - in_1h, in_5m, in_1h]
    keys: list[ColumnElement[Any]] = [*(of[name] for name in names), of.model, of.cause]
    keys_and_sums = [*keys, *(cast(func.sum(column), BigInteger) for column in sums)]
    return select(*keys_and_sums).group_by(*keys)


_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def _followed(
    groups: Sequence[ColumnElement[Any]],
    filters: Mapping[ColumnElement[Any], Sequence[str]],
    since_ms: int,
    until_ms: int,
) -> Select[Any]:
    """Put beside each request what its conversation's last one left in the cache, and where."""
    cached = (
        usage.c.cache_read_tokens + usage.c.cache_write_5m_tokens + usage.c.cache_write_1h_tokens
    )

    def last(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.lag(column).over(partition_by=_CONVERSATION, order_by=_NEXT)

    def ever(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.max(column).over(partition_by=_CONVERSATION, order_by=_NEXT, rows=(None, -1))

    return select(
        *(column.label(f"group_{place}") for place, column in enumerate(groups)),
        usage.c.model,
        usage.c.at_ms,
        usage.c.session,
        *(usage.c[name] for name in _TOKENS),
        usage.c.prefix_change,
        func.coalesce(usage.c.upstream, "").label("upstream"),
        func.coalesce(last(usage.c.upstream), "").label("last_upstream"),
        last(usage.c.at_ms).label("last_at_ms"),
        last(cached).label("held"),
        ever(usage.c.cache_write_5m_tokens).label("wrote_5m"),
        ever(usage.c.cache_write_1h_tokens).label("wrote_1h"),
    ).where(
        usage.c.at_ms >= since_ms - _BEFORE_MS,
        usage.c.at_ms < until_ms,
        usage.c.kind == TIMED,
        usage.c.status < FIRST_FAILURE,
        usage.c.cached.is_(False),
        *(column.in_(values) for column, values in filters.items()),
    )


def _missed(of: Any) -> ColumnElement[Any]:
    anew = of.input_tokens + of.cache_write_5m_tokens + of.cache_write_1h_tokens
    missed = _least(of.held - of.cache_read_tokens, anew)
    is_known = and_(of.session.is_not(None), of.held > of.cache_read_tokens)
    return case((is_known, missed), else_=0)


def _cause(of: Any) -> ColumnElement[Any]:
    pause = of.at_ms - of.last_at_ms
    return case(
        (of.upstream != of.last_upstream, UPSTREAM),
        (and_(pause > _HOUR_MS, of.wrote_1h > 0), TTL_1H),
        (pause > _HOUR_MS, TTL_5M),
        (and_(pause > _MINUTES_5_MS, of.wrote_5m > 0), TTL_5M),
        (of.prefix_change > 0, cast(of.prefix_change, Integer) + PREFIX),
        else_=UNKNOWN,
    )


def _least(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((one < other, one), else_=other)
