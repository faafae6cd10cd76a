"""Who may come in: the key of a request, and where the request came from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apertis.gateway.errors import (
    Refusal,
    expired_api_key,
    invalid_api_key,
    ip_not_allowed,
    missing_api_key,
)

if TYPE_CHECKING:
    from apertis.gateway.keys.directory import Directory, Key

__all__ = ["UNKNOWN_KEY", "admit"]

_MISSING = missing_api_key()
UNKNOWN_KEY = invalid_api_key()
_DISABLED = invalid_api_key("This API key is disabled; its administrator can enable it again")


def admit(directory: Directory, credential: str | None, address: str, now: float) -> Key | Refusal:
    """Find the key that a request presents, or say why the request stays outside.

    `credential` is what `credential_of` read, `address` what `client_address` gave, `now` Unix
    seconds. A deleted key is refused like one that never was. A disabled or expired one is told
    so: whoever has its secret knows already that it exists. A key is expired from the second
    `expires_at` on.
    """
    if credential is None:
        return _MISSING
    key = directory.find(credential, now)
    if key is None:
        return UNKNOWN_KEY
    record = key.record
    if record.status != "enabled":
        return _DISABLED if record.status == "disabled" else UNKNOWN_KEY
    if record.expires_at is not None and now >= record.expires_at:
        return expired_api_key(_utc(record.expires_at))
    if record.addresses is not None and not key.allows_address(address):
        return ip_not_allowed(address)
    return key


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
