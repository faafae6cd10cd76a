"""JSON representations of keys, usage and money, for the admin API and `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

from msgspec import Meta, Struct

from apertis.gateway.admin.keys import KeyStore

if TYPE_CHECKING:
    import enum
    from collections.abc import Iterable, Sequence

    from apertis.gateway.admin.usage_report import UsageStore
    from apertis.gateway.keys.record import KeyRecord

__all__ = [
    "Cache",
    "Caller",
    "Directory",
    "Keys",
    "LiveAccount",
    "LiveKey",
    "Purged",
    "Store",
    "UpstreamList",
    "UpstreamState",
    "UpstreamView",
    "Upstreams",
    "upstream_view",
]


class UpstreamView(Struct, kw_only=True, frozen=True):
    """The health of an upstream, as observed by requests."""

    name: str
    breaker: Annotated[str, Meta(description="closed, open or half_open.")]
    cause: Annotated[str | None, Meta(description="Why it is not closed.")]
    failures: Annotated[int, Meta(description="In a row.")]
    usable: Annotated[bool, Meta(description="Whether it is asked before the others failed.")]


class UpstreamList(Struct, kw_only=True, frozen=True):
    """The state of each upstream's breaker."""

    data: tuple[UpstreamView, ...]


class Purged(Struct, kw_only=True, frozen=True):
    """The number of responses removed from the response cache."""

    purged: int


def upstream_view(state: UpstreamState) -> UpstreamView:
    """Show how an upstream fares."""
    return UpstreamView(
        name=state.name,
        breaker=state.breaker.name.lower(),
        cause=None if state.cause is None else state.cause.name.lower(),
        failures=state.failures,
        usable=state.usable,
    )


class Keys(KeyStore, Protocol):
    """The store of keys."""

    async def changes_since(self, version: int) -> Sequence[KeyRecord]:
        """Read all keys that were made or changed after this version."""
        ...


class Store(Protocol):
    """The store of keys and usage."""

    @property
    def keys(self) -> Keys:
        """The keys."""
        ...

    @property
    def usage(self) -> UsageStore:
        """The usage records."""
        ...


class LiveAccount(Protocol):
    """Current usage of a key."""

    @property
    def used(self) -> int:
        """Units, also those that are on their way to the store."""
        ...


class LiveKey(Protocol):
    """A key as requests meet it."""

    @property
    def record(self) -> KeyRecord:
        """The stored record."""
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
        """Return all keys, deleted ones too."""
        ...

    def get(self, key_id: str) -> LiveKey | None:
        """Find a key by its id."""
        ...


class UpstreamState(Protocol):
    """The health of one upstream."""

    @property
    def name(self) -> str:
        """The upstream's name."""
        ...

    @property
    def breaker(self) -> enum.Enum:
        """The state of its circuit breaker."""
        ...

    @property
    def cause(self) -> enum.Enum | None:
        """The reason it is open."""
        ...

    @property
    def failures(self) -> int:
        """Consecutive failures."""
        ...

    @property
    def usable(self) -> bool:
        """True if it is tried before all others have failed."""
        ...


class Upstreams(Protocol):
    """The health of all upstreams."""

    def states(self, now: float) -> Sequence[UpstreamState]:
        """Describe each breaker, in the order of the settings."""
        ...


class Cache(Protocol):
    """The response cache."""

    def __len__(self) -> int:
        """Return the number of cached responses."""
        ...

    def purge(self, key_id: str) -> int:
        """Forget all responses to a key, and say how many there were."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class Caller(Protocol):
    """The caller: an authenticated key."""

    @property
    def record(self) -> KeyRecord:
        """The stored record of the key."""
        ...
