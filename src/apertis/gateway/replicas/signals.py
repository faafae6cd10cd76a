"""Signals between the gateways of one store: hints to look at once at what the store has.

Nothing depends on a signal's arrival. Who missed one finds the same in the store a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# `recall` says that an account's money is wanted by another (the text is the account's id), `keys`
# that a key, person, group or limit changed, `breaker` that one opened or closed (JSON), `cache`
# that cached responses are to be forgotten: to a key (the text is its id), or all.
Signal = Literal["recall", "keys", "breaker", "cache"]
SIGNALS: Final[tuple[Signal, ...]] = ("recall", "keys", "breaker", "cache")
# What PostgreSQL carries, with some room for what is put around it.
MAX_SIGNAL_BYTES: Final = 7000


class Signals(Protocol):
    """A way to the other gateways."""

    on_signal: Callable[[Signal, str], None]
    """Called in the event loop for each signal of another gateway, never for an own one. After
    others may have been missed, it is called with "keys" and an empty text."""

    def send(self, kind: Signal, text: str = "") -> None:
        """Tell all others, soon; where they cannot be reached, nothing happens."""
        ...

    async def run(self) -> None:
        """Send and receive until canceled."""
        ...


class NoSignals:
    """The signals of a gateway that is alone."""

    def __init__(self) -> None:
        self.on_signal: Callable[[Signal, str], None] = _ignore

    def send(self, kind: Signal, text: str = "") -> None:
        """Tell nobody."""

    async def run(self) -> None:
        """Return at once: there is nothing to do."""


def _ignore(_: Signal, __: str) -> None:
    return None
