"""The form of a key and of its id, and the hash that is kept of the key."""

from __future__ import annotations

import hashlib
import secrets
import string

__all__ = ["hash_secret", "hint_of", "new_key_id", "new_secret"]

_ALPHABET = string.ascii_letters + string.digits
_RANDOM_LENGTH = 48
_ID_LENGTH = 20


def new_secret() -> str:
    """Make a key: `sk-` and 48 characters of A-Z, a-z and 0-9 (285 random bits)."""
    return "sk-" + _random_text(_RANDOM_LENGTH)


def new_key_id() -> str:
    """Make the public name of a key: `key_` and 20 characters of A-Z, a-z and 0-9."""
    return "key_" + _random_text(_ID_LENGTH)


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
