"""How keys, usage and money are shown: the JSON shapes of the admin API and of `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from apertis.gateway.keys.record import Status  # noqa: TC001 - msgspec reads it at run time.
from apertis.gateway.routes.admin_fields import UNITS_PER_DOLLAR
from apertis.gateway.routes.admin_moments import iso

if TYPE_CHECKING:
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.routes.admin_ports import UpstreamState

__all__ = [
    "KeyPage",
    "KeyView",
    "Purged",
    "UpstreamList",
    "UpstreamView",
    "UsageReport",
    "UsageSums",
    "key_view",
    "upstream_view",
    "usd",
]

_DIGITS = 6
_Time = Annotated[
    str, Meta(description="ISO 8601 in UTC.", extra_json_schema={"format": "date-time"})
]
_Dollars = Annotated[str, Meta(description="US dollars, exactly.")]


class KeyView(Struct, kw_only=True, frozen=True):
    """A key as administrators see it. Money is in units: 500,000 are 1 US dollar."""

    id: str
    name: str
    owner: str | None
    tags: tuple[str, ...]
    hint: Annotated[str, Meta(description="The end of the secret.")]
    admin: bool
    status: Status
    quota_units: int | None
    used_units: int
    remaining_units: Annotated[int | None, Meta(description="null: unlimited.")]
    models: Annotated[tuple[str, ...] | None, Meta(description="null: all.")]
    addresses: Annotated[tuple[str, ...] | None, Meta(description="null: all.")]
    expires_at: _Time | None
    fallback_models: tuple[str, ...]
    fallback_timeout_ms: int | None
    fallback_enabled: bool | None
    requests_limit: str | None
    tokens_per_minute: int | None
    in_flight: int | None
    response_cache: bool
    billing_policy: bool
    created_at: _Time
    previous_secret_until: (
        Annotated[_Time, Meta(description="After a rotation: the old secret works until then.")]
        | UnsetType
    ) = UNSET
    secret: (
        Annotated[str, Meta(description="Only in the answer that makes or rotates the key.")]
        | UnsetType
    ) = UNSET


class KeyPage(Struct, kw_only=True, frozen=True):
    """One page of keys, oldest first."""

    data: tuple[KeyView, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class UsageSums(Struct, kw_only=True, frozen=True):
    """The exact sums of one group; of the group's own fields only those that were asked for."""

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
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    web_search_requests: int
    cost_units: int
    cost_usd: _Dollars


class UsageReport(Struct, kw_only=True, frozen=True):
    """Sums for each group, and over all of them, those beyond the limit included."""

    data: tuple[UsageSums, ...]
    totals: UsageSums
    from_: _Time | None = field(name="from")
    to: _Time | None
    has_more: bool


class UpstreamView(Struct, kw_only=True, frozen=True):
    """How an upstream fares, by what requests saw of it."""

    name: str
    breaker: Annotated[str, Meta(description="closed, open or half_open.")]
    cause: Annotated[str | None, Meta(description="Why it is not closed.")]
    failures: Annotated[int, Meta(description="In a row.")]
    usable: Annotated[bool, Meta(description="Whether it is asked before the others failed.")]


class UpstreamList(Struct, kw_only=True, frozen=True):
    """The state of each upstream's breaker."""

    data: tuple[UpstreamView, ...]


class Purged(Struct, kw_only=True, frozen=True):
    """How many answers the response cache forgot."""

    purged: int


def usd(units: int) -> str:
    """Write units as US dollars, exactly: `12.5`, `0.000002`, `-3`; 500,000 units are 1."""
    sign = "-" if units < 0 else ""
    dollars, rest = divmod(abs(units), UNITS_PER_DOLLAR)
    millionths = rest * (10**_DIGITS // UNITS_PER_DOLLAR)
    fraction = f"{millionths:0{_DIGITS}d}".rstrip("0")
    return f"{sign}{dollars}.{fraction}" if fraction else f"{sign}{dollars}"


def key_view(record: KeyRecord, secret: str | None = None) -> KeyView:
    """Show a key; `secret` only in the answer to the request that made it."""
    quota = record.quota_units
    return KeyView(
        id=record.id,
        name=record.name,
        owner=record.owner,
        tags=record.tags,
        hint=record.hint,
        admin=record.admin,
        status=record.status,
        quota_units=quota,
        used_units=record.used_units,
        remaining_units=None if quota is None else max(quota - record.used_units, 0),
        models=record.models,
        addresses=record.addresses,
        expires_at=None if record.expires_at is None else iso(record.expires_at),
        fallback_models=record.fallback_models,
        fallback_timeout_ms=record.fallback_timeout_ms,
        fallback_enabled=record.fallback_enabled,
        requests_limit=record.requests_limit,
        tokens_per_minute=record.tokens_per_minute,
        in_flight=record.in_flight,
        response_cache=record.response_cache,
        billing_policy=record.billing_policy,
        created_at=iso(record.created_at),
        previous_secret_until=(
            UNSET if record.previous_until is None else iso(record.previous_until)
        ),
        secret=UNSET if secret is None else secret,
    )


def upstream_view(state: UpstreamState) -> UpstreamView:
    """Show how an upstream fares."""
    return UpstreamView(
        name=state.name,
        breaker=state.breaker.name.lower(),
        cause=None if state.cause is None else state.cause.name.lower(),
        failures=state.failures,
        usable=state.usable,
    )
