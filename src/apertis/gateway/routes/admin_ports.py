"""What the admin API needs of the rest of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from apertis.gateway.routes.admin_keys import KeyStore

if TYPE_CHECKING:
    import enum
    from collections.abc import Iterable, Sequence

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.routes.admin_usage import UsageStore

__all__ = [
    "Cache",
    "Caller",
    "Directory",
    "Keys",
    "LiveAccount",
    "LiveKey",
    "Store",
    "UpstreamState",
    "Upstreams",
]


class Keys(KeyStore, Protocol):
    """Where keys are kept."""

    async def changes_since(self, version: int) -> Sequence[KeyRecord]:
        """Read all keys that were made or changed after this version."""
        ...


class Store(Protocol):
    """Where keys and usage are kept."""

    @property
    def keys(self) -> Keys:
        """The keys."""
        ...

    @property
    def usage(self) -> UsageStore:
        """What was used."""
        ...


class LiveAccount(Protocol):
    """What a key has used by now."""

    @property
    def used(self) -> int:
        """Units, also those that are on their way to the store."""
        ...


class LiveKey(Protocol):
    """A key as requests meet it."""

    @property
    def record(self) -> KeyRecord:
        """What is kept of it."""
        ...

    @property
    def account(self) -> LiveAccount:
        """Its quota and use."""
        ...


class Directory(Protocol):
    """The keys as requests of this process meet them."""

    @property
    def version(self) -> int:
        """The newest change that it knows."""
        ...

    def apply(self, records: Sequence[KeyRecord]) -> None:
        """Let changed keys act at once."""
        ...

    def all(self) -> Iterable[LiveKey]:
        """All keys, deleted ones too."""
        ...

    def get(self, key_id: str) -> LiveKey | None:
        """Find a key by its id."""
        ...


class UpstreamState(Protocol):
    """How one upstream fares."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def breaker(self) -> enum.Enum:
        """Whether requests pass."""
        ...

    @property
    def cause(self) -> enum.Enum | None:
        """Why they do not."""
        ...

    @property
    def failures(self) -> int:
        """How many failed in a row."""
        ...

    @property
    def usable(self) -> bool:
        """Whether it is asked before all others have failed."""
        ...


class Upstreams(Protocol):
    """What is known of the upstreams' health."""

    def states(self, now: float) -> Sequence[UpstreamState]:
        """Describe each breaker, in the order of the settings."""
        ...


class Cache(Protocol):
    """The response cache."""

    def __len__(self) -> int:
        """How many answers are kept."""
        ...

    def purge(self, key_id: str) -> int:
        """Forget all answers to a key, and say how many there were."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class Caller(Protocol):
    """Who asks: a key that was let in."""

    @property
    def record(self) -> KeyRecord:
        """What is kept of the key."""
        ...
