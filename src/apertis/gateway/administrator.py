"""The administrator's key: made at the first start, shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.rotation import rotated
from apertis.gateway.keys.secret import hash_secret, hint_of, new_key_id, new_secret

if TYPE_CHECKING:
    from apertis.gateway.keys.directory import Directory

__all__ = ["ADMIN_NAME", "ensure_administrator"]

ADMIN_NAME = "admin"


class KeyStore(Protocol):
    """Where keys are kept."""

    async def insert(self, record: KeyRecord) -> KeyRecord:
        """Keep a new key."""
        ...

    async def update(self, key_id: str, **changes: Any) -> KeyRecord:
        """Change fields of a key, and give the changed one."""
        ...


async def ensure_administrator(
    keys: KeyStore, directory: Directory, *, new_secret_wanted: bool, now: float
) -> str | None:
    """Make the first key, or on demand a new secret for the administrator's; give its secret.

    None when there is nothing to make. Without any enabled administrator's key a wanted secret
    gets a new key. `now` is in Unix seconds.
    """
    if len(directory) and not new_secret_wanted:
        return None
    secret = new_secret()
    sha256, hint = hash_secret(secret), hint_of(secret)
    old = _administrator(directory) if new_secret_wanted else None
    if old is None:
        record = KeyRecord(
            id=new_key_id(),
            name=ADMIN_NAME,
            sha256=sha256,
            hint=hint,
            admin=True,
            created_at=int(now),
        )
        changed = await keys.insert(record)
    else:
        # Whoever asks for it may have lost the old one to somebody: that ends at once.
        new = rotated(old, sha256=sha256, hint=hint, grace_seconds=0, now=now)
        changed = await keys.update(
            old.id,
            sha256=new.sha256,
            hint=new.hint,
            previous_sha256=new.previous_sha256,
            previous_until=new.previous_until,
        )
    directory.apply([changed])
    return secret


def _administrator(directory: Directory) -> KeyRecord | None:
    """The key that was made at the first start, or else the first that may administer."""
    enabled = [
        key.record for key in directory.all() if key.record.admin and key.record.status == "enabled"
    ]
    named = [record for record in enabled if record.name == ADMIN_NAME]
    return next(iter(named or enabled), None)
