"""A new secret for a key, while the old one may go on for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from apertis.gateway.keys.record import KeyRecord

__all__ = ["LONGEST_GRACE_SECONDS", "rotated"]

LONGEST_GRACE_SECONDS = 366 * 86_400


def rotated(
    record: KeyRecord, *, sha256: str, hint: str, grace_seconds: int, now: float
) -> KeyRecord:
    """Give the record of the key with a new secret, whose hash and hint are passed.

    The secret that it had is let in for `grace_seconds` more, 0 to 366 days; 0 ends it at once,
    which is right after a leak. One that was in grace from an earlier rotation ends at once. All
    else stays, and so does what is spent. `ValueError` for a grace out of range, and for a
    deleted key.
    """
    if not 0 <= grace_seconds <= LONGEST_GRACE_SECONDS:
        raise ValueError(
            f"a grace of {grace_seconds} seconds: expected 0 to {LONGEST_GRACE_SECONDS} (366 days)"
        )
    if record.status == "deleted":
        raise ValueError(f"the key {record.id} is deleted: it cannot get a new secret")
    return msgspec.structs.replace(
        record,
        sha256=sha256,
        hint=hint,
        previous_sha256=record.sha256 if grace_seconds else None,
        previous_until=int(now) + grace_seconds if grace_seconds else None,
    )
