"""What is kept of a key, as the store holds it and every part of the gateway reads it."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["KeyRecord", "Status"]

Status = Literal["enabled", "disabled", "deleted"]


# Without `gc`, 100,000 records cost the collector nothing; no field can hold a cycle.
class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A key's name, rights and limits, and the hash of its secret; never the secret itself.

    Times are Unix seconds, and so in UTC. Money is in units: 500,000 to the US dollar. What is
    None here is not limited by the key: `quota_units` (no quota), `models` and `addresses` (all),
    `expires_at` (never); or, for `fallback_*`, `requests_limit`, `tokens_per_minute` and
    `in_flight`, it is as configured for all keys, where 0 ("0") switches a limit off.
    """

    id: str
    name: str
    owner: str | None = None
    tags: tuple[str, ...] = ()
    sha256: str
    hint: str
    # The secret before the last rotation is let in until, but not at, this time.
    previous_sha256: str | None = None
    previous_until: int | None = None
    admin: bool = False
    status: Status = "enabled"
    expires_at: int | None = None
    quota_units: int | None = None
    used_units: int = 0
    models: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    fallback_models: tuple[str, ...] = ()
    fallback_timeout_ms: int | None = None
    fallback_enabled: bool | None = None
    requests_limit: str | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None
    response_cache: bool = False
    # Whether its requests may let somebody else be billed.
    billing_policy: bool = False
    created_at: int
    # Set by the store; it grows with every change of any key.
    version: int = 0
