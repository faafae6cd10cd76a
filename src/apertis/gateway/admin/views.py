"""How keys, usage and money are shown: the JSON shapes of the admin API and of `--json`."""

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
    """How an upstream fares, by what requests saw of it."""

    name: str
    breaker: Annotated[str, Meta(description="closed, open or half_open.")]
    cause: Annotated[str | None, Meta(description="Why it is not closed.")]
    failures: Annotated[int, Meta(description="In a row.")]
    usable: Annotated[bool, Meta(description="Whether it is asked before the others failed.")]


class UpstreamList(Struct, kw_only=True, frozen=True):
    """The state of each upstream's breaker."""

    data: tuple[UpstreamView, ...]


class Purged(Struct, kw_only=True, frozen=True):
    """How many answers the response cache forgot."""

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
