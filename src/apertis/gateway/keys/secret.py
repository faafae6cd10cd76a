"""The form of a key, and the hash that is kept of it."""

from __future__ import annotations

import hashlib
import secrets
import string

__all__ = ["hash_secret", "hint_of", "new_secret"]

_ALPHABET = string.ascii_letters + string.digits
_RANDOM_LENGTH = 48


def new_secret() -> str:
    """Make a key: `sk-` and 48 characters of A-Z, a-z and 0-9 (285 random bits)."""
    return "sk-" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))


def hash_secret(secret: str) -> str:
    """Hash a key for keeping: SHA-256, as hex.

    A fast hash is enough, since a key has far too many random bits to be guessed.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def hint_of(secret: str) -> str:
    """Name a key without giving it away: its last four characters."""
    return f"sk-...{secret[-4:]}"
