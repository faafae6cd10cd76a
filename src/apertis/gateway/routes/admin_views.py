"""How keys, usage and money are shown: the JSON shapes of the admin API and of `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.routes.admin_fields import UNITS_PER_DOLLAR
from apertis.gateway.routes.admin_moments import iso

if TYPE_CHECKING:
    from apertis.gateway.keys.record import KeyRecord

__all__ = ["key_view", "usd"]

_PARTS_OF_A_CENT_DIGITS = 6


def usd(units: int) -> str:
    """Write units as US dollars, exactly: `12.5`, `0.000002`, `-3`; 500,000 units are 1."""
    sign = "-" if units < 0 else ""
    dollars, rest = divmod(abs(units), UNITS_PER_DOLLAR)
    millionths = rest * (10**_PARTS_OF_A_CENT_DIGITS // UNITS_PER_DOLLAR)
    fraction = f"{millionths:0{_PARTS_OF_A_CENT_DIGITS}d}".rstrip("0")
    return f"{sign}{dollars}.{fraction}" if fraction else f"{sign}{dollars}"


def key_view(record: KeyRecord, secret: str | None = None) -> dict[str, object]:
    """Show a key; `secret` only in the answer to the request that made it."""
    quota = record.quota_units
    view: dict[str, object] = {
        "id": record.id,
        "name": record.name,
        "owner": record.owner,
        "tags": list(record.tags),
        "hint": record.hint,
        "admin": record.admin,
        "status": record.status,
        "quota_units": quota,
        "used_units": record.used_units,
        "remaining_units": None if quota is None else max(quota - record.used_units, 0),
        "models": None if record.models is None else list(record.models),
        "addresses": None if record.addresses is None else list(record.addresses),
        "expires_at": None if record.expires_at is None else iso(record.expires_at),
        "fallback_models": list(record.fallback_models),
        "fallback_timeout_ms": record.fallback_timeout_ms,
        "fallback_enabled": record.fallback_enabled,
        "requests_limit": record.requests_limit,
        "tokens_per_minute": record.tokens_per_minute,
        "in_flight": record.in_flight,
        "response_cache": record.response_cache,
        "created_at": iso(record.created_at),
    }
    if secret is not None:
        view["secret"] = secret
    return view
