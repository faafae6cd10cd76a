"""Booking of the usage journal that a gateway left which will not start again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from apertis.errors import ConfigurationError
from apertis.gateway.budgets.accounts import Closed  # noqa: TC001 - msgspec reads it.
from apertis.gateway.store.accounts import is_number
from apertis.gateway.store.journal import OWNER, Journal
from apertis.gateway.store.mover import Mover

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.store.database import Store

JOURNAL = "usage-journal"


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a replay.

    `records` are those that were read, `booked` those that were new. `damaged` lines could not be
    read, and are kept. `replicas` are those whose leases were closed.
    """

    records: int
    booked: int
    damaged: int
    replicas: tuple[str, ...]
    closed: tuple[Closed, ...]


async def replay(store: Store, path: Path, *, actor: str) -> Replayed:
    """Book the journal in a folder, or below a data directory, and close the leases it is of.

    `ConfigurationError` when there is none, or its gateway still runs.
    """
    sink = _Sink(store)
    skipped = 0
    closed: list[Closed] = []
    with ExitStack() as journals:
        for folder in _folders(path):
            journal = Journal.open(folder)
            # A journal forgets whose it is when all is done.
            journals.callback(journal.close)
            mover = Mover(journal, sink)
            while await mover.move_once():
                pass
            skipped += journal.skipped
            owner = folder / OWNER
            if owner.exists():
                sink.note(owner.read_text("utf-8").strip())
        for replica, epoch in sorted(sink.epochs.items()):
            closed += await store.accounts.close_gone(replica, epoch, actor=actor)
    return Replayed(
        records=sink.records,
        booked=sink.booked,
        damaged=skipped,
        replicas=tuple(sorted(sink.epochs)),
        closed=tuple(closed),
    )


class _Sink:
    """The store, and what the records that go there say of leases."""

    def __init__(self, store: Store) -> None:
        self._usage = store.usage
        self.records = 0
        self.booked = 0
        # The last start of each replica.
        self.epochs: dict[str, int] = {}

    async def add(self, records: Sequence[UsageRecord], /) -> int:
        booked = await self._usage.add(records)
        self.records += len(records)
        self.booked += booked
        for record in records:
            self.note(record.lease)
        return booked

    def note(self, lease: str) -> None:
        replica, separator, epoch = lease.rpartition("#")
        if separator and is_number(epoch):
            self.epochs[replica] = max(self.epochs.get(replica, 0), int(epoch))


def _folders(path: Path) -> list[Path]:
    """Find the journals: that of a process, or of all workers of one machine."""
    folder = path / JOURNAL if (path / JOURNAL).is_dir() else path
    try:
        below = [one for one in folder.iterdir() if one.is_dir() and one.name.isdecimal()]
        folders = [one for one in (folder, *sorted(below)) if _is_journal(one)]
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    if not folders:
        raise ConfigurationError(
            f"there is no usage journal in {path}: give the folder {JOURNAL!r} of a gateway, or "
            "its data directory"
        )
    return folders


def _is_journal(folder: Path) -> bool:
    return (folder / OWNER).exists() or any(folder.glob("usage-*.jsonl"))
