"""Reports of usage: what is asked, in words; what the store adds up; how it is shown."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from apertis.accounting.tokens import COLUMNS
from apertis.gateway.admin.keys import find_key
from apertis.gateway.admin.reading import nearest, read_times
from apertis.gateway.budgets.periods import first_second, following, name_of, start_of, time_zone
from apertis.gateway.errors import Refusal, invalid_parameter, not_found
from apertis.gateway.people.organization import Organization
from apertis.gateway.people.record import Group, Person
from apertis.gateway.store.histogram import BUCKETS, percentile
from apertis.gateway.store.records import TIMES, UsageQuery, UsageRow
from apertis.gateway.units import Dollars, Time, iso, usd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from apertis.gateway.budgets.periods import CalendarPeriod
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Changes
    from apertis.gateway.serving.account import Asker
    from apertis.gateway.store.database import Store
    from apertis.gateway.store.records import Dimension
    from apertis.gateway.store.usage import StoredUsage

_Named = TypeVar("_Named", Person, Group)

GROUPS: Final[Mapping[str, Dimension]] = {
    "key": "key",
    "person": "person",
    "group": "group",
    "owner": "key",
    "tag": "key",
    "model": "model",
    "session": "session",
    "hour": "hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "class": "request_class",
    "agent": "agent",
    "upstream": "upstream",
    "kind": "kind",
}
"""The words that callers group by, and what the store groups by for each."""
_PERIODS: Final[Mapping[str, CalendarPeriod]] = {period: period for period in TIMES}
# Of a key as it is today: the store knows keys alone.
_OF_KEYS: Final = ("owner", "tag")


class _Requests(Struct, kw_only=True, frozen=True):
    key: str | UnsetType | None = UNSET
    key_name: str | UnsetType | None = UNSET
    person: str | UnsetType | None = UNSET
    person_name: str | UnsetType | None = UNSET
    group: str | UnsetType | None = UNSET
    group_name: str | UnsetType | None = UNSET
    owner: str | UnsetType | None = UNSET
    tag: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    hour: str | UnsetType | None = UNSET
    day: str | UnsetType | None = UNSET
    week: str | UnsetType | None = UNSET
    month: str | UnsetType | None = UNSET
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


_Percentile = Annotated[
    int | UnsetType | None,
    Meta(description="Estimated from a histogram: at most 19 % off between 0.1 s and 19 minutes."),
]


class UsageSums(_Tokens, kw_only=True, frozen=True):
    """The exact sums of one group; of the group's own fields only those that were asked for.

    Percentiles are there if they were asked for, and are of messages that were no errors.
    """

    cost_units: int
    cost_usd: Dollars
    first_byte_p50_ms: _Percentile = UNSET
    first_byte_p95_ms: _Percentile = UNSET
    total_p50_ms: _Percentile = UNSET
    total_p95_ms: _Percentile = UNSET


class UsageReport(Struct, kw_only=True, frozen=True):
    """Sums for each group, and over all of them, those beyond the limit included.

    A request of a key with two tags is in the rows of both, and once in the totals.
    """

    data: tuple[UsageSums, ...]
    totals: UsageSums
    from_: Time | None = field(name="from")
    to: Time | None
    has_more: bool
    zone: Annotated[str, Meta(description="The time zone of hours, days, weeks and months.")]
    complete_since: Annotated[
        Time | None,
        Meta(
            description="What is older is not summed up yet after an update, and was added up "
            "from single requests; null when all is."
        ),
    ]


# Without a limit of the query: a century of days.
_MAX_PERIODS = 36_525
_TIME_ZONE = "A time zone, such as Europe/Berlin."


class UsageFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A usage query: from `from` until before `to`, of whom or what, and how to group it."""

    by: Annotated[str, Meta(description=f"One of {', '.join(GROUPS)}, or several with commas.")] = (
        "key"
    )
    from_: (
        Annotated[str, Meta(description="ISO 8601 date or time, or a span ago: `7d`.")] | UnsetType
    ) = field(default=UNSET, name="from")
    to: Annotated[str, Meta(description="As `from`; a date alone is included.")] | UnsetType = UNSET
    zone: Annotated[str, Meta(description=_TIME_ZONE)] = "UTC"
    key: Annotated[str, Meta(description="A key's id, or its name.")] | UnsetType = UNSET
    person: Annotated[str, Meta(description="A person's id, or name.")] | UnsetType = UNSET
    group: (
        Annotated[str, Meta(description="A group's id, or name; with the groups in it.")]
        | UnsetType
    ) = UNSET
    owner: Annotated[str, Meta(description="The owner of keys.")] | UnsetType = UNSET
    tag: Annotated[str, Meta(description="A tag of keys.")] | UnsetType = UNSET
    model: str | UnsetType = UNSET
    session: str | UnsetType = UNSET
    percentiles: Annotated[
        bool, Meta(description="Whether to estimate times of first byte and whole response.")
    ] = False
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of each group, and the sums over all of them, cut off ones included."""

    groups: tuple[str, ...]
    query: UsageQuery
    rows: tuple[UsageRow, ...]
    totals: UsageRow
    has_more: bool
    names: Mapping[str, str]
    """The names of keys, people and groups by their ids."""
    complete_since_ms: int = 0

    def sums(self) -> tuple[UsageSums, ...]:
        """Show the rows."""
        return tuple(_sums(row, self.groups, self.names) for row in self.rows)

    def view(self) -> UsageReport:
        """Show the report as JSON."""
        query = self.query
        return UsageReport(
            data=self.sums(),
            totals=_sums(self.totals, (), self.names),
            from_=None if query.since_ms is None else iso(query.since_ms / 1000),
            to=None if query.until_ms is None else iso(query.until_ms / 1000),
            has_more=self.has_more,
            zone=query.zone,
            complete_since=iso(self.complete_since_ms / 1000) if self.complete_since_ms else None,
        )


async def report(asked: UsageFields, store: Store, now: float) -> Report | Refusal:
    """Answer a question of usage."""
    keys, organization = await store.keys.list(), await store.organization.all()
    groups = read_groups(asked.by, GROUPS)
    if isinstance(groups, Refusal):
        return groups
    query = query_of(asked, groups, keys, organization, now)
    if isinstance(query, Refusal):
        return query
    complete_since_ms = await store.usage.complete_since()
    rows = tuple(await store.usage.report(query))
    if not set(_OF_KEYS).isdisjoint(groups):
        rows = by_labels(rows, groups, keys)
    period = _PERIODS.get(groups[0])
    if period is not None:
        rows = with_empty_periods(rows, period, query, now, asked.limit + 1)
    totals = await store.usage.report(
        msgspec.structs.replace(query, group_by=(), order="group", limit=None)
    )
    return Report(
        groups=groups,
        query=query,
        rows=rows[: asked.limit],
        totals=totals[0] if totals else _nothing(query),
        has_more=len(rows) > asked.limit,
        names=names_of_all(keys, organization),
        complete_since_ms=complete_since_ms,
    )


def names_of_all(keys: Iterable[KeyRecord], organization: Changes) -> dict[str, str]:
    """Return the names of keys, people and groups by their ids."""
    return {record.id: record.name for record in keys} | organization.names()


class OwnUsage:
    """The sums of what one person, or one key, has used, as its caller may see them."""

    def __init__(self, store: StoredUsage) -> None:
        self._store = store

    async def __call__(
        self, asker: Asker, since: int, by: tuple[str, ...], zone: str
    ) -> tuple[dict[str, Any], ...]:
        """Add up from a moment on (Unix seconds); without `by` in one row."""
        person = asker.person_id
        query = UsageQuery(
            since_ms=since * 1000,
            group_by=tuple(GROUPS[word] for word in by),
            zone=zone,
            keys=() if person else (asker.key_id,),
            people=(person,) if person else (),
        )
        rows = await self._store.report(query)
        return tuple(msgspec.to_builtins(_sums(row, by, {})) for row in rows)


async def days_of(
    store: StoredUsage,
    days: int,
    *,
    zone: str,
    now: float,
    keys: tuple[str, ...] = (),
    people: tuple[str, ...] = (),
) -> tuple[UsageRow, ...]:
    """Add up the last days of keys or people, today included; a day without usage has its row."""
    query = UsageQuery(
        since_ms=_days_ago(days, zone, now),
        group_by=("day",),
        zone=zone,
        keys=keys,
        people=people,
    )
    return with_empty_periods(tuple(await store.report(query)), "day", query, now, days)


async def models_of(
    store: StoredUsage,
    days: int,
    *,
    zone: str,
    now: float,
    keys: tuple[str, ...] = (),
    people: tuple[str, ...] = (),
) -> tuple[UsageRow, ...]:
    """Add up the last days of keys or people by model, the most expensive first."""
    query = UsageQuery(
        since_ms=_days_ago(days, zone, now),
        group_by=("model",),
        keys=keys,
        people=people,
        order="cost",
    )
    return tuple(await store.report(query))


def _days_ago(days: int, zone: str, now: float) -> int:
    """Return when the first of the last days began, in Unix milliseconds."""
    place = time_zone(zone)
    first = datetime.fromtimestamp(now, place).date() - timedelta(days=days - 1)
    return first_second(first, place) * 1000


def by_labels(
    rows: Iterable[UsageRow], groups: Sequence[str], keys: Iterable[KeyRecord]
) -> tuple[UsageRow, ...]:
    """Group rows of keys by the owners and tags that these keys have today.

    A key with two tags counts in both, and one without any as None.
    """
    by_id = {record.id: record for record in keys}
    found: dict[tuple[str | None, ...], UsageRow] = {}
    for row in rows:
        record = by_id.get(row.key or "")
        tags: Sequence[str | None] = (record.tags if record else ()) or (None,)
        for tag in tags if "tag" in groups else (None,):
            labeled = msgspec.structs.replace(row, owner=record.owner if record else None, tag=tag)
            group = tuple(_label(labeled, word) for word in groups)
            known = found.get(group)
            found[group] = labeled if known is None else _plus(known, labeled)
    if not set(TIMES).isdisjoint(groups):
        return tuple(found[group] for group in sorted(found, key=_in_order(groups)))
    return tuple(sorted(found.values(), key=lambda row: -row.cost_units))


def _in_order(
    groups: Sequence[str],
) -> Callable[[tuple[str | None, ...]], tuple[float | str, ...]]:
    def key(values: tuple[str | None, ...]) -> tuple[float | str, ...]:
        # An hour comes twice where clocks are put back: their names have another order.
        return tuple(
            datetime.fromisoformat(value).timestamp() if word == "hour" and value else value or ""
            for word, value in zip(groups, values, strict=True)
        )

    return key


_SUMS = ("requests", "failed", "cached", "estimated", "interrupted", *COLUMNS.values())


def _plus(one: UsageRow, other: UsageRow) -> UsageRow:
    sums = {name: getattr(one, name) + getattr(other, name) for name in (*_SUMS, "cost_units")}
    times = {
        name: tuple(map(operator.add, getattr(one, name), getattr(other, name)))
        for name in ("first_byte_times", "total_times")
    }
    return msgspec.structs.replace(one, **sums, **times)


def with_empty_periods(
    rows: tuple[UsageRow, ...], period: CalendarPeriod, query: UsageQuery, now: float, limit: int
) -> tuple[UsageRow, ...]:
    """Add a row of zeros for each hour, day, week or month without usage: a plot has no gaps.

    `rows` are in the order of their periods. These count from the first one that was asked for,
    else from the first with usage, and end with the last one asked for, but not past now.
    """
    zone = time_zone(query.zone)
    last = now if query.until_ms is None else min(now, max(query.until_ms - 1, 0) / 1000)
    by_name: dict[str | None, list[UsageRow]] = {}
    for row in rows:
        by_name.setdefault(getattr(row, period), []).append(row)
    filled: list[UsageRow] = []
    for name in _names(zone, period, _first(rows, period, query, zone), last):
        empty = msgspec.structs.replace(_nothing(query), **{period: name})
        filled += by_name.pop(name, [empty])
        if len(filled) >= min(limit, _MAX_PERIODS):
            break
    else:
        # A clock that was set back leaves usage of days to come.
        for later in by_name.values():
            filled += later
    return tuple(filled[:limit])


def _names(
    zone: ZoneInfo, period: CalendarPeriod, first: float | None, last: float
) -> Iterator[str]:
    if first is None:
        return
    start = start_of(period, zone, int(first))
    while start <= last:
        yield name_of(period, zone, start)
        start = following(period, zone, start)


def _first(
    rows: Sequence[UsageRow], period: CalendarPeriod, query: UsageQuery, zone: ZoneInfo
) -> float | None:
    if query.since_ms is not None:
        return query.since_ms / 1000
    if not rows:
        return None
    name = getattr(rows[0], period)
    moment = datetime.fromisoformat(f"{name}-01" if period == "month" else name)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone, hour=12)).timestamp()


def _nothing(query: UsageQuery) -> UsageRow:
    counts = (0,) * (BUCKETS if query.with_times else 0)
    return UsageRow(first_byte_times=counts, total_times=counts)


def query_of(
    asked: UsageFields,
    groups: Sequence[str],
    keys: Sequence[KeyRecord],
    organization: Changes,
    now: float,
) -> UsageQuery | Refusal:
    """Turn what is asked into what the store understands."""
    times = read_times(asked.from_, asked.to, asked.zone, now)
    if isinstance(times, Refusal):
        return times
    of_keys = _keys(asked, keys)
    if isinstance(of_keys, Refusal):
        return of_keys
    person = _named("person", asked.person, organization.people)
    if isinstance(person, Refusal):
        return person
    group = _named("group", asked.group, organization.groups)
    if isinstance(group, Refusal):
        return group
    by_label = not set(_OF_KEYS).isdisjoint(groups)
    return UsageQuery(
        since_ms=times[0],
        until_ms=times[1],
        zone=asked.zone,
        group_by=_dimensions(groups),
        keys=of_keys,
        people=() if person is None else (person.id,),
        groups=() if group is None else Organization(organization).groups_within(group.id),
        models=() if isinstance(asked.model, UnsetType) else (asked.model,),
        sessions=() if isinstance(asked.session, UnsetType) else (asked.session,),
        order="cost" if set(TIMES).isdisjoint(groups) else "group",
        limit=None if by_label else asked.limit + 1,
        with_times=asked.percentiles,
    )


def _dimensions(groups: Iterable[str]) -> tuple[Dimension, ...]:
    return tuple(dict.fromkeys(GROUPS[word] for word in groups))


def _keys(asked: UsageFields, keys: Sequence[KeyRecord]) -> tuple[str, ...] | Refusal:
    """Return the ids of the keys that are asked for; none for all."""
    chosen = list(keys)
    if not isinstance(asked.key, UnsetType):
        key = find_key(keys, asked.key)
        if isinstance(key, Refusal):
            return key
        chosen = [key]
    if not isinstance(asked.owner, UnsetType):
        chosen = [record for record in chosen if record.owner == asked.owner]
        if not chosen:
            return not_found(f"There is no such key of the owner '{asked.owner[:100]}'")
    if not isinstance(asked.tag, UnsetType):
        chosen = [record for record in chosen if asked.tag in record.tags]
        if not chosen:
            return not_found(f"There is no such key with the tag '{asked.tag[:100]}'")
    return () if len(chosen) == len(keys) else tuple(record.id for record in chosen)


def _named(kind: str, named: str | UnsetType, records: Sequence[_Named]) -> _Named | Refusal | None:
    """Find a person or a group by its id or name."""
    if isinstance(named, UnsetType):
        return None
    for record in records:
        if record.id == named:
            return record
    for record in records:
        if record.name == named:
            return record
    shown = named[:100]
    known = nearest(shown, [record.name for record in records]) if records else ""
    return not_found(f"There is no {kind} '{shown}'{known}")


def read_groups(text: str, known: Collection[str]) -> tuple[str, ...] | Refusal:
    """Read the words to group by."""
    words = tuple(dict.fromkeys(map(str.strip, text.split(","))))
    for word in words:
        if word not in known:
            shown = word[:100]
            return invalid_parameter("by", f"'by': no group '{shown}'{nearest(shown, known)}")
    return words


def labels_of(
    groups: Sequence[str], labels: Iterable[str | None], names: Mapping[str, str]
) -> dict[str, str | None]:
    """Return the fields that say which group it is: its labels, with names beside ids."""
    shown: dict[str, str | None] = {}
    for word, label in zip(groups, labels, strict=True):
        shown["class_" if word == "class" else word] = label
        if word in ("key", "person", "group"):
            shown[f"{word}_name"] = names.get(label or "")
    return shown


def _label(row: UsageRow, word: str) -> str | None:
    label: str | None = getattr(row, word if word in _OF_KEYS else GROUPS[word])
    return label


def _sums(row: UsageRow, groups: Sequence[str], names: Mapping[str, str]) -> UsageSums:
    shown: dict[str, Any] = {**labels_of(groups, (_label(row, word) for word in groups), names)}
    shown |= {column: getattr(row, column) for column in COLUMNS.values()}
    shown |= _percentiles(row)
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


def _percentiles(row: UsageRow) -> dict[str, int | None]:
    if not row.total_times:
        return {}
    return {
        f"{name}_p{percent}_ms": percentile(counts, percent)
        for name, counts in (("first_byte", row.first_byte_times), ("total", row.total_times))
        for percent in (50, 95)
    }
