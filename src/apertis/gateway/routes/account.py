"""`GET /api/user/token`: what the calling key has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.forward import Plain

if TYPE_CHECKING:
    from apertis.gateway.exchange import Request
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.visit import Visit

__all__ = ["user_token"]


async def user_token(_visit: Visit, key: Key, _request: Request, _name: str) -> Plain:
    """Answer with the key's name, quota, use and rest, in units of 1/500,000 US dollar.

    `remain_quota` counts what requests under way have set aside as used. An unlimited key has
    `unlimited_quota` true and no rest.
    """
    record, account = key.record, key.account
    remaining = account.remaining
    data = {
        "name": record.name,
        "remain_quota": None if remaining is None else max(remaining, 0),
        "used_quota": account.used,
        "reserved_quota": account.set_aside,
        "unlimited_quota": account.quota is None,
        "models": record.models,
        "expired_time": -1 if record.expires_at is None else record.expires_at,
    }
    body = msgspec.json.encode({"success": True, "data": data})
    return Plain(200, [(b"content-type", b"application/json")], body)
