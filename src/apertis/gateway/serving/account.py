"""A caller's own account: `/api/user/token`, `/api/oauth/usage` and `/v1/me/usage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfoNotFoundError

import msgspec

from apertis.gateway.budgets.periods import span_of, time_zone
from apertis.gateway.budgets.telling import GROUP_OF, NOTICES, notice_at, percent_used, subject
from apertis.gateway.errors import (
    Refusal,
    StoreUnavailableError,
    invalid_value,
    service_unavailable,
)
from apertis.gateway.request.forward import WholeAnswer
from apertis.gateway.units import UNITS_PER_DOLLAR, iso, usd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from apertis.gateway.budgets.budgets import Budgets, Standing
    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.budgets.periods import Period
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.record import Person
    from apertis.gateway.request.context import Progress
    from apertis.gateway.upstreams.contract import Request

_UNITS_PER_CENT = UNITS_PER_DOLLAR // 100
_STORE_AWAY = service_unavailable("The gateway's store does not answer at the moment")


class Asker(NamedTuple):
    """A caller: the person whose key it is, with all of their keys, or else the key alone."""

    key_id: str
    person_id: str | None


class UsageOf(Protocol):
    """The sums of somebody's requests from a moment on (Unix seconds), by day or by model."""

    async def __call__(
        self, asker: Asker, since: int, by: tuple[str, ...], zone: str
    ) -> Sequence[Mapping[str, Any]]:
        """Return them, each with its `cost_units`; one in all without `by`."""
        ...


class Account:
    """The endpoints at which callers read how they stand."""

    def __init__(
        self,
        budgets: Budgets,
        usage: UsageOf,
        stored_key: Callable[[str], Awaitable[KeyRecord | None]],
    ) -> None:
        self._budgets = budgets
        self._stored_key = stored_key
        self._usage = usage

    async def token(
        self, progress: Progress, key: Key, _request: Request, _name: str
    ) -> WholeAnswer | Refusal:
        """Answer `GET /api/user/token`: what a key may still use, in units.

        `remain_quota` is what the tightest of the quota and all limits has left, and counts what
        requests under way have reserved as used. Without any it is null.
        """
        return await _read(self._token(progress, key))

    async def oauth_usage(
        self, progress: Progress, key: Key, _request: Request, _name: str
    ) -> WholeAnswer | Refusal:
        """Answer `GET /api/oauth/usage`, as Claude Code reads it."""
        return await _read(self._oauth_usage(progress, key))

    async def own_usage(
        self, progress: Progress, key: Key, request: Request, _name: str
    ) -> WholeAnswer | Refusal:
        """Answer `GET /v1/me/usage`: limits, and usage of the running month by day and model."""
        zone = _zone_of(request.query)
        if isinstance(zone, Refusal):
            return zone
        return await _read(self._own_usage(progress, key, zone))

    async def _token(self, progress: Progress, key: Key) -> dict[str, Any]:
        record = key.record
        standings = await self._standings(progress, key)
        quota = next((one for one in standings if one.limit.id == f"quota-{record.id}"), None)
        tightest = min(standings, key=lambda one: one.left, default=None)
        data = {
            "name": record.name,
            "remain_quota": None if tightest is None else max(tightest.left, 0),
            "used_quota": await self._used(key) if quota is None else quota.spent,
            "reserved_quota": 0 if quota is None else quota.set_aside,
            "unlimited_quota": tightest is None,
            "models": record.models,
            "expired_time": -1 if record.expires_at is None else record.expires_at,
            "limit": None if tightest is None else self._named(tightest, key),
        }
        return {"success": True, "data": data}

    async def _used(self, key: Key) -> int:
        """Return what a key without a quota has spent in all, over all gateways."""
        stored = await self._stored_key(key.record.id)
        return max(key.used_units, 0 if stored is None else stored.used_units)

    async def _oauth_usage(self, progress: Progress, key: Key) -> dict[str, Any]:
        standings = await self._standings(progress, key)
        if not standings:
            return await self._spent_only(progress, key)
        active = _active(standings)
        cap = active.limit.amount_units
        return {
            "extra_usage": {
                "is_enabled": True,
                "monthly_limit": _cents(cap),
                "used_credits": active.spent // _UNITS_PER_CENT,
                "utilization": _percent(active),
                "currency": "USD",
            },
            "limits": [
                {
                    "kind": "spend",
                    "group": GROUP_OF[one.limit.period],
                    "percent": _percent(one),
                    "resets_at": None if one.span.end is None else iso(one.span.end),
                    "severity": _severity(one),
                    "is_active": one is active,
                }
                for one in standings
            ],
        }

    async def _spent_only(self, progress: Progress, key: Key) -> dict[str, Any]:
        month, day, week = [
            await self._spent(progress, key, period) // _UNITS_PER_CENT
            for period in ("month", "day", "week")
        ]
        return {
            "extra_usage": {
                "is_enabled": True,
                "monthly_limit": None,
                "used_credits": month,
                "utilization": None,
                "currency": "USD",
                "daily": {"limit": None, "used_credits": day, "utilization": None},
                "weekly": {"limit": None, "used_credits": week, "utilization": None},
            },
            "limits": [],
        }

    async def _spent(self, progress: Progress, key: Key, period: Period) -> int:
        since = span_of(period, "UTC", self._budgets.now()).start
        rows = await self._usage(_asker(progress, key), since, (), "UTC")
        return sum(row["cost_units"] for row in rows)

    async def _own_usage(self, progress: Progress, key: Key, zone: str) -> dict[str, Any]:
        record, asker = key.record, _asker(progress, key)
        organization = self._budgets.organization
        person = self._person(progress, key)
        groups = organization.groups_of(record, person)
        standings = await self._standings(progress, key)
        month = span_of("month", zone, self._budgets.now())
        days = await self._usage(asker, month.start, ("day",), zone)
        models = await self._usage(asker, month.start, ("model",), zone)
        totals = await self._usage(asker, month.start, (), zone)
        return {
            "key": {"id": record.id, "name": record.name},
            "person": None if person is None else {"id": person.id, "name": person.name},
            "groups": [{"id": group.id, "name": group.name} for group in groups],
            "currency": "USD",
            "limits": [self._limit(one, key) for one in standings],
            "from": iso(month.start),
            "to": None if month.end is None else iso(month.end),
            "zone": zone,
            "totals": dict(totals[0]) if totals else None,
            "days": list(days),
            "models": list(models),
        }

    def _limit(self, one: Standing, key: Key) -> dict[str, Any]:
        limit = one.limit
        return {
            **self._named(one, key),
            "id": limit.id,
            "zone": limit.zone,
            "models": limit.models,
            "amount_units": limit.amount_units,
            "amount_usd": usd(limit.amount_units),
            "spent_units": one.spent,
            "spent_usd": usd(one.spent),
            "left_units": max(one.left, 0),
            "left_usd": usd(max(one.left, 0)),
            "percent": percent_used(one.spent, limit.amount_units, allowed=False),
            "starts_at": None if one.span.end is None else iso(one.span.start),
        }

    def _named(self, one: Standing, key: Key) -> dict[str, Any]:
        limit = one.limit
        return {
            "level": limit.level,
            "of": self._subject(limit, key),
            "period": limit.period,
            "resets_at": None if one.span.end is None else iso(one.span.end),
            "contact": limit.contact,
        }

    def _subject(self, limit: Limit, key: Key) -> str:
        return subject(limit, key.record, self._budgets.organization)

    def _person(self, progress: Progress, key: Key) -> Person | None:
        return progress.person or self._budgets.organization.person_of(key.record)

    async def _standings(self, progress: Progress, key: Key) -> tuple[Standing, ...]:
        """Return how the budgets stand; a session has no standing before it has a request."""
        chain = self._budgets.chain(key, progress.person)
        standings = await self._budgets.standings(chain)
        return tuple(one for one in standings if not one.limit.per_session)


async def _read(work: Awaitable[dict[str, Any]]) -> WholeAnswer | Refusal:
    try:
        body = msgspec.json.encode(await work)
    except StoreUnavailableError:
        return _STORE_AWAY
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    return WholeAnswer(200, headers, body)


def _asker(progress: Progress, key: Key) -> Asker:
    person = progress.person
    return Asker(key.record.id, key.record.person_id if person is None else person.id)


def _zone_of(query: str) -> str | Refusal:
    asked = dict(parse_qsl(query, keep_blank_values=True))
    zone = asked.pop("zone", "UTC")
    if asked:
        return invalid_value(next(iter(asked))[:100], "there is no such parameter; there is 'zone'")
    try:
        time_zone(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return invalid_value("zone", f"{zone[:100]!r} is no time zone; such as 'Europe/Berlin'")
    return zone


def _is_used_up(one: Standing) -> bool:
    return one.spent >= one.limit.most_units


def _percent(one: Standing) -> int:
    return percent_used(one.spent, one.limit.amount_units, allowed=not _is_used_up(one))


def _severity(one: Standing) -> str:
    notice = notice_at(_percent(one))
    if notice is None:
        return "normal"
    return "critical" if _is_used_up(one) or notice == NOTICES[0] else "warning"


def _active(standings: Sequence[Standing]) -> Standing:
    """Return the one that decides: the fullest, and once blocked the one that resets last."""
    used_up = [one for one in standings if _is_used_up(one)]
    if used_up:
        return max(used_up, key=_reset)
    return max(standings, key=lambda one: (_percent(one), _reset(one)))


def _reset(one: Standing) -> float:
    return float("inf") if one.span.end is None else one.span.end


def _cents(units: int) -> int | float:
    cents = units / _UNITS_PER_CENT
    return int(cents) if cents.is_integer() else cents
