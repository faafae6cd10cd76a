"""A place that a request can be sent to."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Target"]


class Target(NamedTuple):
    """An upstream, and the name of the model there."""

    upstream: str
    model: str
    """The name to send: it differs from the one asked for if that was an alias."""
    id: str
    """The name by which callers, keys and prices know the model."""
