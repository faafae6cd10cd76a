"""The form of a key and of its id, and the hash that is kept of the key."""

from __future__ import annotations

import hashlib
import secrets
import string
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from apertis.gateway.keys.record import KeyRecord

_ALPHABET = string.ascii_letters + string.digits
_RANDOM_LENGTH = 48
_ID_LENGTH = 20


def new_secret() -> str:
    """Make a key: `sk-` and 48 characters of A-Z, a-z and 0-9 (285 random bits)."""
    return "sk-" + _random_text(_RANDOM_LENGTH)


def new_key_id() -> str:
    """Make the public name of a key: `key_` and 20 characters of A-Z, a-z and 0-9."""
    return new_id("key")


def new_id(kind: str) -> str:
    """Make the public name of anything that is kept: `person_` and 20 such characters."""
    return f"{kind}_{_random_text(_ID_LENGTH)}"


@lru_cache(maxsize=1024)
def hash_secret(secret: str) -> str:
    """Hash a key for keeping: SHA-256, as hex.

    A fast hash is enough, since a key has far too many random bits to be guessed.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def hint_of(secret: str) -> str:
    """Name a key without giving it away: its last four characters."""
    return f"sk-...{secret[-4:]}"


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


MAX_GRACE_SECONDS = 366 * 86_400


def rotated(
    record: KeyRecord, *, sha256: str, hint: str, grace_seconds: int, now: float
) -> KeyRecord:
    """Give the record of the key with a new secret, whose hash and hint are passed.

    The secret that it had is allowed for `grace_seconds` more, 0 to 366 days; 0 ends it at once,
    which is right after a leak. One that was in grace from an earlier rotation ends at once. All
    else stays, and so does what is spent. `ValueError` for a grace out of range, and for a
    deleted key.
    """
    if not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
        raise ValueError(
            f"a grace of {grace_seconds} seconds: expected 0 to {MAX_GRACE_SECONDS} (366 days)"
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
