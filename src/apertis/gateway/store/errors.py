"""How the store fails while it is open; what keeps it from opening is a `ConfigurationError`."""

from __future__ import annotations

from apertis.errors import ApertisError

__all__ = ["StoreUnavailableError", "UnknownBatchError", "UnknownKeyError"]


class StoreUnavailableError(ApertisError):
    """The database did not do it: nothing was changed, and the same call may succeed later."""


class UnknownKeyError(ApertisError):
    """No key has this id."""


class UnknownBatchError(ApertisError):
    """No batch with this id was made here."""
