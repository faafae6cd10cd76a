"""What may be said of a key when it is made or changed: the JSON fields, read and checked."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.rotation import LONGEST_GRACE_SECONDS
from apertis.gateway.keys.validation import MOST_UNITS, problems_of
from apertis.gateway.routes.admin_moments import read_moment
from apertis.gateway.routes.admin_reading import read_body_as

__all__ = [
    "DEFAULT_GRACE_SECONDS",
    "UNITS_PER_DOLLAR",
    "KeyFields",
    "RotateFields",
    "changes_of",
    "read_fields",
    "refuse_invalid",
    "units_of",
]

UNITS_PER_DOLLAR = 500_000
DEFAULT_GRACE_SECONDS = 24 * 3600

_MOST_TOLD = 5
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation])

_Name = Annotated[str, Meta(min_length=1, max_length=200, description="Names the key to people.")]
_Words = Annotated[tuple[str, ...], Meta(max_length=1000)]
_Count = Annotated[int, Meta(ge=0, le=MOST_UNITS)]


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

    grace_seconds: Annotated[int, Meta(ge=0, le=LONGEST_GRACE_SECONDS)] = DEFAULT_GRACE_SECONDS


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
    told = "; ".join(str(problem) for problem in problems[:_MOST_TOLD])
    more = len(problems) - _MOST_TOLD
    return invalid_parameter(problems[0].field, f"{told}; {more} more" if more > 0 else told)


def units_of(usd: Decimal) -> int | Refusal:
    """Convert dollars to units exactly; what is finer than a unit is refused."""
    try:
        units = _EXACT.multiply(usd, Decimal(UNITS_PER_DOLLAR))
        if 0 <= units <= MOST_UNITS and units == int(units):
            return int(units)
    except ArithmeticError:
        # Too many digits to be an amount of whole units, or no number at all.
        pass
    shown = str(usd)[:40]
    message = f"'quota_usd' must be US dollars in steps of 0.000002 (one unit), not {shown}"
    return invalid_parameter("quota_usd", message)
