"""Reports of usage: what is asked, in words; what the store adds up; how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from apertis.accounting.tokens import COLUMNS
from apertis.gateway.admin.keys import find_key
from apertis.gateway.admin.reading import nearest
from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.gateway.store.records import UsageQuery, UsageRow
from apertis.gateway.units import Dollars, Time, iso, read_moment, read_span, usd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.store.records import Dimension
    from apertis.gateway.store.usage import StoredUsage


class _Requests(Struct, kw_only=True, frozen=True):
    key: str | UnsetType | None = UNSET
    key_name: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    day: str | UnsetType | None = UNSET
    session: str | UnsetType | None = UNSET
    class_: str | UnsetType | None = field(default=UNSET, name="class")
    agent: str | UnsetType | None = UNSET
    upstream: str | UnsetType | None = UNSET
    kind: str | UnsetType | None = UNSET
    requests: int
    errors: Annotated[int, Meta(description="Requests that ended with status 400 or above.")]
    cached: int
    estimated: int
    interrupted: int


if TYPE_CHECKING:
    _Tokens = _Requests
else:
    _Tokens = msgspec.defstruct(
        "_Tokens",
        [(column, int) for column in COLUMNS.values()],
        bases=(_Requests,),
        kw_only=True,
        frozen=True,
    )


class UsageSums(_Tokens, kw_only=True, frozen=True):
    """The exact sums of one group; of the group's own fields only those that were asked for."""

    cost_units: int
    cost_usd: Dollars


class UsageReport(Struct, kw_only=True, frozen=True):
    """Sums for each group, and over all of them, those beyond the limit included."""

    data: tuple[UsageSums, ...]
    totals: UsageSums
    from_: Time | None = field(name="from")
    to: Time | None
    has_more: bool


# The word for each dimension, as callers say it.
GROUPS: dict[str, Dimension] = {
    "key": "key",
    "model": "model",
    "day": "day",
    "session": "session",
    "class": "request_class",
    "agent": "agent",
    "upstream": "upstream",
    "kind": "kind",
}


_ONE_DAY = timedelta(days=1)
# Without a limit of the query: a century.
_MAX_DAYS = 36_525


class UsageFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A usage query: from `from` until before `to`, of a key or a model, and how to group it."""

    by: Annotated[str, Meta(description="One of the groups, or several with commas.")] = "key"
    from_: (
        Annotated[str, Meta(description="ISO 8601 date or time, or a span ago: `7d`.")] | UnsetType
    ) = field(default=UNSET, name="from")
    to: Annotated[str, Meta(description="As `from`; a date alone is included.")] | UnsetType = UNSET
    key: Annotated[str, Meta(description="A key's id, or its name.")] | UnsetType = UNSET
    model: str | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of each group, and the sums over all of them, cut off ones included."""

    query: UsageQuery
    rows: tuple[UsageRow, ...]
    totals: UsageRow
    has_more: bool
    names: dict[str, str]
    """The names of keys by their ids."""

    def sums(self) -> tuple[UsageSums, ...]:
        """Show the rows."""
        return tuple(_sums(row, self.query.group_by, self.names) for row in self.rows)

    def view(self) -> UsageReport:
        """Show the report as JSON."""
        query = self.query
        return UsageReport(
            data=self.sums(),
            totals=_sums(self.totals, (), self.names),
            from_=None if query.since_ms is None else iso(query.since_ms / 1000),
            to=None if query.until_ms is None else iso(query.until_ms / 1000),
            has_more=self.has_more,
        )


async def report(
    asked: UsageFields, usage: StoredUsage, keys: Sequence[KeyRecord], now: float
) -> Report | Refusal:
    """Answer a question; `keys` are all there are, deleted ones too."""
    query = query_of(asked, keys, now)
    if isinstance(query, Refusal):
        return query
    rows = tuple(await usage.report(query))
    if query.group_by[0] == "day":
        rows = with_empty_days(rows, query, now)
    totals = await usage.report(
        UsageQuery(
            since_ms=query.since_ms, until_ms=query.until_ms, keys=query.keys, models=query.models
        )
    )
    return Report(
        query=query,
        rows=rows[: asked.limit],
        totals=totals[0] if totals else UsageRow(),
        has_more=len(rows) > asked.limit,
        names={record.id: record.name for record in keys},
    )


def with_empty_days(
    rows: tuple[UsageRow, ...], query: UsageQuery, now: float
) -> tuple[UsageRow, ...]:
    """Add a row of zeros for each day without usage, so that a plot has no gaps.

    `rows` are in the order of their days. Days count from the one that was asked for, else from the
    first with usage, and end with the last one asked for, but not past today. The query's limit
    holds.
    """
    first = _day(query.since_ms) if query.since_ms is not None else _first(rows)
    last = _day(int(now * 1000))
    if query.until_ms is not None:
        last = min(last, _day(max(query.until_ms - 1, 0)))
    by_day: dict[str | None, list[UsageRow]] = {}
    for row in rows:
        by_day.setdefault(row.day, []).append(row)
    filled: list[UsageRow] = []
    while first is not None and first <= last and len(filled) < (query.limit or _MAX_DAYS):
        day = first.isoformat()
        filled += by_day.pop(day, [UsageRow(day=day)])
        first += _ONE_DAY
    # A clock that was set back leaves usage of days to come.
    for later in by_day.values():
        filled += later
    return tuple(filled[: query.limit])


def _first(rows: Sequence[UsageRow]) -> date | None:
    day = rows[0].day if rows else None
    return None if day is None else date.fromisoformat(day)


def _day(ms: int) -> date:
    return datetime.fromtimestamp(ms / 1000, UTC).date()


def query_of(asked: UsageFields, keys: Sequence[KeyRecord], now: float) -> UsageQuery | Refusal:
    """Turn what is asked into what the store understands."""
    groups = _groups(asked.by)
    if isinstance(groups, Refusal):
        return groups
    since = _moment("from", asked.from_, now)
    if isinstance(since, Refusal):
        return since
    until = _moment("to", asked.to, now, whole_day=True)
    if isinstance(until, Refusal):
        return until
    key = None if isinstance(asked.key, UnsetType) else find_key(keys, asked.key)
    if isinstance(key, Refusal):
        return key
    return UsageQuery(
        since_ms=since,
        until_ms=until,
        group_by=groups,
        keys=() if key is None else (key.id,),
        models=() if isinstance(asked.model, UnsetType) else (asked.model,),
        order="group" if "day" in groups else "cost",
        limit=asked.limit + 1,
    )


def _groups(text: str) -> tuple[Dimension, ...] | Refusal:
    found: list[Dimension] = []
    for word in text.split(","):
        group = GROUPS.get(word.strip())
        if group is None:
            shown = word.strip()[:100]
            return invalid_parameter("by", f"'by': no group '{shown}'{nearest(shown, GROUPS)}")
        if group not in found:
            found.append(group)
    return tuple(found)


def _moment(
    param: str, text: str | UnsetType, now: float, *, whole_day: bool = False
) -> int | Refusal | None:
    if isinstance(text, UnsetType):
        return None
    span = read_span(text)
    seconds = read_moment(text, whole_day=whole_day) if span is None else int(now) - span
    if seconds is None or seconds < 0:
        message = f"'{param}' must be a date or time as 2026-12-31T18:00Z, or a span ago as 7d"
        return invalid_parameter(param, f"{message}, not {text[:100]!r}")
    return seconds * 1000


def _sums(row: UsageRow, groups: Sequence[Dimension], names: Mapping[str, str]) -> UsageSums:
    shown: dict[str, Any] = {
        "class_" if word == "class" else word: getattr(row, dimension)
        for word, dimension in GROUPS.items()
        if dimension in groups
    }
    if "key" in groups:
        shown["key_name"] = names.get(row.key or "")
    shown |= {column: getattr(row, column) for column in COLUMNS.values()}
    return UsageSums(
        **shown,
        requests=row.requests,
        errors=row.failed,
        cached=row.cached,
        estimated=row.estimated,
        interrupted=row.interrupted,
        cost_units=row.cost_units,
        cost_usd=usd(row.cost_units),
    )
