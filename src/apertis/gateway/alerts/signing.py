"""Standard Webhooks: the headers that say who sent a message, and that it is whole."""

from __future__ import annotations

import base64
import hashlib
import hmac


def signed_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a message that is sent at `timestamp` (Unix seconds)."""
    content = f"{message_id}.{timestamp}.".encode("ascii") + body
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode("ascii")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
