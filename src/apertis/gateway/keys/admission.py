"""Who may come in: the key of a request, held against the hashes of the known ones."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.gateway.errors import Refusal, invalid_api_key, missing_api_key
from apertis.gateway.keys.credential import credential_of
from apertis.gateway.keys.secret import hash_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KeyRecord", "admit", "credential_of"]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of a key: never the key itself."""

    sha256: str
    hint: str
    created_at: str


def admit(headers: Mapping[str, str], known: tuple[KeyRecord, ...]) -> KeyRecord | Refusal:
    """Find the record of the key that a request presents, or say why it stays outside."""
    secret = credential_of(headers)
    if secret is None:
        return missing_api_key()
    presented = hash_secret(secret)
    found: KeyRecord | None = None
    # All records are compared, in constant time each: the time tells nothing about a key.
    for record in known:
        if hmac.compare_digest(record.sha256, presented):
            found = record
    return found or invalid_api_key()
