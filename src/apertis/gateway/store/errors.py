"""How the store fails while it is open; what keeps it from opening is a `ConfigurationError`."""

from __future__ import annotations

from apertis.errors import ApertisError

__all__ = ["LockLostError", "StoreUnavailableError", "UnknownBatchError", "UnknownKeyError"]


class StoreUnavailableError(ApertisError):
    """The database did not do it: nothing was changed, and the same call may succeed later."""


class LockLostError(StoreUnavailableError):
    """The store belongs to another gateway now: what this one counts, it counts alone."""


class UnknownKeyError(ApertisError):
    """No key has this id."""


class UnknownBatchError(ApertisError):
    """No batch with this id was made here."""
