"""Reports of prompt caching: what it saved, what misses cost, and what caused them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from apertis.gateway.admin.usage_report import (
    UsageFields,
    labels_of,
    names_of_all,
    query_of,
    read_groups,
)
from apertis.gateway.errors import Refusal
from apertis.gateway.store.cache_report import HIT, PREFIX, TTL_1H, TTL_5M, UPSTREAM
from apertis.gateway.units import Dollars, Time, iso, usd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from apertis.accounting.prices import Price
    from apertis.gateway.store.cache_report import CacheRow
    from apertis.gateway.store.database import Store

_MILLION = 1_000_000
CACHE_GROUPS: Final = (
    "key",
    "person",
    "group",
    "model",
    "session",
    "class",
    "agent",
    "upstream",
)
Cause = Literal["ttl_5m", "ttl_1h", "upstream", "prefix", "unknown"]
_CAUSES: Final[Mapping[int, Cause]] = {TTL_5M: "ttl_5m", TTL_1H: "ttl_1h", UPSTREAM: "upstream"}


class CacheReportFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A question of prompt caching: from `from` until before `to`, of whom, and how to group it."""

    by: Annotated[
        str, Meta(description=f"One of {', '.join(CACHE_GROUPS)}, or several with commas.")
    ] = "key"
    from_: Annotated[str, Meta(description="ISO 8601 date or time, or a span ago: `7d`.")] = (
        msgspec.field(default="7d", name="from")
    )
    to: Annotated[str, Meta(description="As `from`; a date alone is included.")] | UnsetType = UNSET
    zone: Annotated[str, Meta(description="The time zone of dates: Europe/Berlin.")] = "UTC"
    key: Annotated[str, Meta(description="A key's id, or its name.")] | UnsetType = UNSET
    person: Annotated[str, Meta(description="A person's id, or name.")] | UnsetType = UNSET
    group: (
        Annotated[str, Meta(description="A group's id, or name; with the groups in it.")]
        | UnsetType
    ) = UNSET
    model: str | UnsetType = UNSET
    session: str | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000


class CacheMiss(Struct, kw_only=True, frozen=True):
    """All misses of one cause: requests, tokens that were sent anew, and what these cost more."""

    cause: Annotated[
        Cause,
        Meta(
            description="The time to live had passed, of 5 minutes or an hour; another upstream "
            "answered; the prefix of a breakpoint had changed; or nobody knows."
        ),
    ]
    breakpoint: Annotated[
        int | UnsetType,
        Meta(description="Of `prefix`: which breakpoint of the request before, counted from 1."),
    ] = UNSET
    requests: int
    tokens: int
    lost_units: int
    lost_usd: Dollars


class CacheSums(Struct, kw_only=True, frozen=True):
    """Prompt caching of one group; of the group's own fields only those that were asked for."""

    key: str | UnsetType | None = UNSET
    key_name: str | UnsetType | None = UNSET
    person: str | UnsetType | None = UNSET
    person_name: str | UnsetType | None = UNSET
    group: str | UnsetType | None = UNSET
    group_name: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    session: str | UnsetType | None = UNSET
    class_: str | UnsetType | None = msgspec.field(default=UNSET, name="class")
    agent: str | UnsetType | None = UNSET
    upstream: str | UnsetType | None = UNSET
    requests: int
    unpriced: Annotated[int, Meta(description="Requests of models without a price: no money.")]
    prompt_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    read_percent: Annotated[
        float | None, Meta(description="The share of the prompts that was read from a cache.")
    ]
    saved_units: Annotated[int, Meta(description="What reads cost less than plain input.")]
    saved_usd: Dollars
    lost_units: Annotated[int, Meta(description="What misses cost more than reads.")]
    lost_usd: Dollars
    misses: tuple[CacheMiss, ...]


class CacheReport(Struct, kw_only=True, frozen=True):
    """Prompt caching by group, those that lost most first, and of all of them."""

    data: tuple[CacheSums, ...]
    totals: CacheSums
    from_: Time | None = msgspec.field(name="from")
    to: Time | None
    has_more: bool


@dataclass(slots=True)
class _Missed:
    requests: int = 0
    tokens: int = 0
    # A millionth of a unit.
    lost: int = 0


@dataclass(slots=True)
class _Sums:
    requests: int = 0
    unpriced: int = 0
    input: int = 0
    read: int = 0
    written: int = 0
    saved: int = 0
    missed: dict[int, _Missed] = field(default_factory=lambda: defaultdict(_Missed))

    def add(self, row: CacheRow, price: Price | None) -> None:
        self.requests += row.requests
        self.input += row.input_tokens
        self.read += row.cache_read_tokens
        self.written += row.cache_write_5m_tokens + row.cache_write_1h_tokens
        if price is None:
            self.unpriced += row.requests
        else:
            self.saved += saved_by_reads(row.cache_read_tokens, price)
        if row.cause != HIT:
            missed = self.missed[row.cause]
            missed.requests += row.requests
            missed.tokens += row.missed_input_tokens + row.missed_5m_tokens + row.missed_1h_tokens
            missed.lost += 0 if price is None else _lost(row, price)

    @property
    def lost(self) -> int:
        return sum(missed.lost for missed in self.missed.values())

    def view(self, **group: Any) -> CacheSums:
        prompt = self.input + self.read + self.written
        saved, lost = round(self.saved / _MILLION), round(self.lost / _MILLION)
        misses = sorted(self.missed.items(), key=lambda item: (-item[1].lost, item[0]))
        return CacheSums(
            **group,
            requests=self.requests,
            unpriced=self.unpriced,
            prompt_tokens=prompt,
            cache_read_tokens=self.read,
            cache_write_tokens=self.written,
            read_percent=round(100 * self.read / prompt, 1) if prompt else None,
            saved_units=saved,
            saved_usd=usd(saved),
            lost_units=lost,
            lost_usd=usd(lost),
            misses=tuple(_miss(cause, missed) for cause, missed in misses),
        )


def saved_by_reads(tokens: int, price: Price) -> int:
    """Return what tokens from a cache cost less than plain input, in millionths of a unit."""
    return tokens * (price.input - price.cache_read)


def _lost(row: CacheRow, price: Price) -> int:
    return (
        row.missed_input_tokens * (price.input - price.cache_read)
        + row.missed_5m_tokens * (price.cache_write_5m - price.cache_read)
        + row.missed_1h_tokens * (price.cache_write_1h - price.cache_read)
    )


def _miss(cause: int, missed: _Missed) -> CacheMiss:
    lost = round(missed.lost / _MILLION)
    return CacheMiss(
        cause="prefix" if cause > PREFIX else _CAUSES.get(cause, "unknown"),
        breakpoint=cause - PREFIX if cause > PREFIX else UNSET,
        requests=missed.requests,
        tokens=missed.tokens,
        lost_units=lost,
        lost_usd=usd(lost),
    )


async def cache_report(
    asked: CacheReportFields, store: Store, prices: Callable[[str], Price | None], now: float
) -> CacheReport | Refusal:
    """Answer a question of prompt caching, at today's prices."""
    groups = read_groups(asked.by, CACHE_GROUPS)
    if isinstance(groups, Refusal):
        return groups
    keys, organization = await store.keys.list(), await store.organization.all()
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
    query = query_of(UsageFields(**fields), groups, keys, organization, now)
    if isinstance(query, Refusal):
        return query
    rows = await store.usage.cache_report(query)
    totals, sums = add_up(rows, prices)
    found = sorted(sums.items(), key=lambda item: (-item[1].lost, -item[1].saved, str(item[0])))
    names = names_of_all(keys, organization)
    return CacheReport(
        data=tuple(
            one.view(**labels_of(groups, group, names)) for group, one in found[: asked.limit]
        ),
        totals=totals.view(),
        from_=None if query.since_ms is None else iso(query.since_ms / 1000),
        to=None if query.until_ms is None else iso(query.until_ms / 1000),
        has_more=len(found) > asked.limit,
    )


def add_up(
    rows: Iterable[CacheRow], prices: Callable[[str], Price | None]
) -> tuple[_Sums, dict[tuple[str | None, ...], _Sums]]:
    """Add up all rows, and those of each group."""
    totals = _Sums()
    sums: dict[tuple[str | None, ...], _Sums] = defaultdict(_Sums)
    for row in rows:
        price = prices(row.model)
        totals.add(row, price)
        sums[row.group].add(row, price)
    return totals, sums
