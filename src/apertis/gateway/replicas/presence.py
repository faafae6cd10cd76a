"""Presence: the name of a gateway among those of its store, and who else is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from apertis.errors import ConfigurationError
from apertis.gateway.config.settings import REPLICA_NAME
from apertis.gateway.errors import StoreUnavailableError
from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.gateway.store.replicas import Replica, Seen

BEAT_SECONDS: Final = 2.0
# Who was not seen for so long is taken for gone.
GONE_SECONDS: Final = 10.0
_FILE = "replica"
_MAX_HOST_LENGTH = 50


class State(msgspec.Struct, frozen=True, kw_only=True):
    """State that a gateway tells the others of itself.

    `breakers` has the newest change of each upstream's breaker: its serial number, why it is open
    if it is, and for how many seconds yet.
    """

    version: str
    breakers: dict[str, tuple[int, str | None, float]] = {}


def replica_name(configured: str | None, directory: Path) -> str:
    """Return the name of this gateway among those of its store.

    Without a configured one, it is made of the host's at the first start and kept in the data
    directory, beside the journal: wherever both are moved, what its leases had left is found again.
    """
    if configured is not None:
        return configured
    file = directory / _FILE
    try:
        known = file.read_text("utf-8").strip()
        if re.fullmatch(REPLICA_NAME, known):
            return known
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {file}: {error}") from error
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname())[:_MAX_HOST_LENGTH] or "host"
    name = f"{host}-{secrets.token_hex(3)}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = file.with_name(f".{_FILE}.{os.getpid()}")
        made.write_text(f"{name}\n", "utf-8")
        made.replace(file)
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}") from error
    return name


class ReplicaStore(Protocol):
    """The store of presence. Raises `StoreUnavailableError` when it fails."""

    async def see(self, own: Replica, state: str, /) -> Seen | None:
        """Say that one is there; None when another process has its name."""
        ...

    async def stop(self, own: Replica, /) -> None:
        """Say that one has stopped."""
        ...


class Presence:
    """One gateway among those of its store.

    `is_taken`: another process started with the same name, and has it now. `state` gives what the
    others are told; `on_change` is called when somebody came, left, or says something else.
    """

    def __init__(
        self,
        store: ReplicaStore,
        own: Replica,
        state: Callable[[], State],
        *,
        on_change: Callable[[], None] = lambda: None,
        beat_seconds: float = BEAT_SECONDS,
        gone_seconds: float = GONE_SECONDS,
    ) -> None:
        self.own = own
        self.is_taken = False
        self.live: tuple[Replica, ...] = (own,)
        self._store = store
        self._state = state
        self._on_change = on_change
        self._beat_seconds = beat_seconds
        self._gone_ms = round(gone_seconds * 1000)
        self._told = asyncio.Event()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all that are there, in their order, this one among them."""
        return tuple(replica.name for replica in self.live)

    @property
    def count(self) -> int:
        """Number of those that are there, this one among them."""
        return len(self.live)

    @property
    def is_first(self) -> bool:
        """True if this one does what one gateway does for all."""
        return not self.is_taken and self.names[0] == self.own.name

    def states(self) -> dict[str, State]:
        """Return what the others say of themselves, by their names."""
        found: dict[str, State] = {}
        for replica in self.live:
            state = decode_state(replica.state)
            if state is not None and replica.name != self.own.name:
                found[replica.name] = state
        return found

    def tell(self) -> None:
        """Say at once that the state is another."""
        self._told.set()

    async def run(self) -> None:
        """Be there until canceled; without the store, everybody stays who was there."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._beat_seconds):
                    await self._told.wait()
            self._told.clear()
            try:
                await self.beat()
            except StoreUnavailableError:
                # Readiness and the watch for keys tell of it.
                continue

    async def beat(self) -> None:
        """Say once that it is there, and read who else is."""
        seen = await self._store.see(self.own, encode_state(self._state()))
        self.is_taken = seen is None
        if seen is None:
            return
        before = _said(self.live)
        self.live = live_replicas(seen, self.own, self._gone_ms)
        if before != _said(self.live):
            self._on_change()

    async def leave(self) -> None:
        """Say that it has stopped."""
        if not self.is_taken:
            await self._store.stop(self.own)


def _said(replicas: tuple[Replica, ...]) -> dict[str, str]:
    return {replica.name: replica.state for replica in replicas}


def live_replicas(seen: Seen, own: Replica, gone_ms: int) -> tuple[Replica, ...]:
    """Return those that were seen lately, and the own one in any case, in the order of names."""
    return tuple(
        replica
        for replica in seen.replicas
        if replica.name == own.name or replica.seen_ms > seen.at_ms - gone_ms
    )


def encode_state(state: State) -> str:
    """Return a state as it is kept."""
    return msgspec.json.encode(state).decode()


def decode_state(text: str) -> State | None:
    """Read what another gateway, of any version, says of itself; None where it cannot be read."""
    return json_or_none(text.encode(), _STATE)


_STATE = msgspec.json.Decoder(State)
