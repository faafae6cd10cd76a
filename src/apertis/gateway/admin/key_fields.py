"""What may be said of a key when it is made or changed: the JSON fields, read and checked."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from apertis.gateway.admin.reading import read_body_as
from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.gateway.keys.record import (
    KeyRecord,
    Status,
)
from apertis.gateway.keys.secrets import MAX_GRACE_SECONDS
from apertis.gateway.keys.validation import MAX_UNITS, problems_of
from apertis.gateway.units import UNITS_PER_DOLLAR, Time, iso, read_moment

__all__ = [
    "DEFAULT_GRACE_SECONDS",
    "KeyFields",
    "KeyPage",
    "KeyView",
    "RotateFields",
    "changes_of",
    "key_view",
    "read_fields",
    "refuse_invalid",
    "units_of",
]

DEFAULT_GRACE_SECONDS = 24 * 3600

_MAX_TOLD = 5
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation])

_Name = Annotated[str, Meta(min_length=1, max_length=200, description="Names the key to people.")]
_Words = Annotated[tuple[str, ...], Meta(max_length=1000)]
_Count = Annotated[int, Meta(ge=0, le=MAX_UNITS)]


class KeyFields(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The fields of a key that an administrator sets; what is left out stays as it is.

    `null` takes a limit away: no quota, all models, all addresses, no expiry, and for
    `fallback_*`, `requests_limit`, `tokens_per_minute` and `in_flight` the gateway's own setting.
    """

    name: _Name | UnsetType = UNSET
    owner: Annotated[str, Meta(max_length=200)] | UnsetType | None = UNSET
    tags: _Words | UnsetType = UNSET
    admin: bool | UnsetType = UNSET
    quota_units: (
        Annotated[_Count, Meta(description="Granted in all; 500,000 units are 1 US dollar.")]
        | UnsetType
        | None
    ) = UNSET
    quota_usd: (
        Annotated[Decimal, Meta(description="The quota in US dollars, instead of `quota_units`.")]
        | UnsetType
        | None
    ) = UNSET
    models: _Words | UnsetType | None = UNSET
    addresses: (
        Annotated[_Words, Meta(description="Addresses and networks: 10.0.0.0/8, 2001:db8::/32.")]
        | UnsetType
        | None
    ) = UNSET
    expires_at: (
        Annotated[str, Meta(description="ISO 8601; without a zone it is UTC.")] | UnsetType | None
    ) = UNSET
    fallback_models: _Words | UnsetType = UNSET
    fallback_timeout_ms: int | UnsetType | None = UNSET
    fallback_enabled: bool | UnsetType | None = UNSET
    requests_limit: (
        Annotated[str, Meta(description='As "3000/1m"; "0" for none.')] | UnsetType | None
    ) = UNSET
    tokens_per_minute: _Count | UnsetType | None = UNSET
    in_flight: _Count | UnsetType | None = UNSET
    response_cache: bool | UnsetType = UNSET
    billing_policy: (
        Annotated[bool, Meta(description="Whether its requests may let somebody else be billed.")]
        | UnsetType
    ) = UNSET


_SETTABLE = KeyFields.__struct_fields__
_KEPT = "the gateway keeps it itself"
_FORBIDDEN = {
    **dict.fromkeys((*KeyRecord.__struct_fields__, "remaining_units"), _KEPT),
    "status": "POST to the key's /enable or /disable, or DELETE it",
    "secret": "the gateway makes it; POST to the key's /rotate for another",
    "expires_in": "give the moment in 'expires_at'",
}


class RotateFields(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How long the secret before a rotation is still let in."""

    grace_seconds: Annotated[int, Meta(ge=0, le=MAX_GRACE_SECONDS)] = DEFAULT_GRACE_SECONDS


def read_fields(body: bytes) -> KeyFields | Refusal:
    """Read the JSON body of a request that makes or changes a key."""
    return read_body_as(body, KeyFields, _FORBIDDEN)


def changes_of(fields: KeyFields) -> dict[str, Any] | Refusal:
    """Turn the fields that were given into values of a `KeyRecord`, by its names."""
    given = {name: value for name in _SETTABLE if (value := getattr(fields, name)) is not UNSET}
    if "quota_usd" in given:
        if "quota_units" in given:
            return invalid_parameter("quota_usd", "Give 'quota_units' or 'quota_usd', not both")
        usd: Decimal | None = given.pop("quota_usd")
        units = None if usd is None else units_of(usd)
        if isinstance(units, Refusal):
            return units
        given["quota_units"] = units
    if isinstance(given.get("expires_at"), str):
        text: str = given["expires_at"]
        given["expires_at"] = read_moment(text)
        if given["expires_at"] is None:
            message = f"'expires_at' must be a date or time as 2026-12-31T18:00:00Z, not {text!r}"
            return invalid_parameter("expires_at", message)
    return given


def refuse_invalid(record: KeyRecord) -> Refusal | None:
    """Say what is wrong with a record that is about to be kept; None lets it pass."""
    problems = problems_of(record)
    if not problems:
        return None
    told = "; ".join(str(problem) for problem in problems[:_MAX_TOLD])
    more = len(problems) - _MAX_TOLD
    return invalid_parameter(problems[0].field, f"{told}; {more} more" if more > 0 else told)


def units_of(usd: Decimal) -> int | Refusal:
    """Convert dollars to units exactly; what is finer than a unit is refused."""
    try:
        units = _EXACT.multiply(usd, Decimal(UNITS_PER_DOLLAR))
        if 0 <= units <= MAX_UNITS and units == int(units):
            return int(units)
    except ArithmeticError:
        # Too many digits to be an amount of whole units, or no number at all.
        pass
    shown = str(usd)[:40]
    message = f"'quota_usd' must be US dollars in steps of 0.000002 (one unit), not {shown}"
    return invalid_parameter("quota_usd", message)


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
    expires_at: Time | None
    fallback_models: tuple[str, ...]
    fallback_timeout_ms: int | None
    fallback_enabled: bool | None
    requests_limit: str | None
    tokens_per_minute: int | None
    in_flight: int | None
    response_cache: bool
    billing_policy: bool
    created_at: Time
    previous_secret_until: (
        Annotated[Time, Meta(description="After a rotation: the old secret works until then.")]
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
