"""Changes of keys by other processes, taken over while a gateway runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.keys.directory import Directory
from apertis.gateway.observe.log import Log
from apertis.gateway.people.organization import Changes
from apertis.gateway.store import keys as key_watch
from apertis.gateway.store.keys import KeyWatch
from tests.kit.chains import no_budgets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from apertis.gateway.keys.record import KeyRecord
    from tests.kit.stores import MakeRecord


@dataclass
class Keys:
    """A store's keys: what others have written, how often it was asked, and whether it fails."""

    records: list[KeyRecord] = field(default_factory=list)
    looks: int = 0
    fails: bool = False

    async def current_version(self) -> int:
        self.looks += 1
        if self.fails:
            raise StoreUnavailableError("no route to the database")
        return max((record.version for record in self.records), default=0)

    async def changes_since(self, version: int) -> list[KeyRecord]:
        return [record for record in self.records if record.version > version]

    async def list(self) -> list[KeyRecord]:
        return self.records


class People:
    """A store without people, groups and limits."""

    async def changes_since(self, _: int) -> Changes:
        return Changes()

    async def all(self) -> Changes:
        return Changes()


@contextlib.asynccontextmanager
async def watching(keys: Keys, directory: Directory, log: Path) -> AsyncIterator[KeyWatch]:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    written = Log(descriptor, asyncio.get_running_loop())
    watch = KeyWatch(keys, People(), directory, no_budgets(), written)
    task = asyncio.get_running_loop().create_task(watch.run())
    yield watch
    task.cancel()
    await asyncio.wait({task})
    written.flush()
    os.close(descriptor)


def test_who_catches_up_knows_what_was_written_before(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    async def run() -> tuple[Any, Any]:
        keys, directory = Keys(), Directory()
        async with watching(keys, directory, tmp_path / "log") as watch:
            await watch.catch_up()
            before = directory.get("key_first")
            keys.records.append(make_record("sk-first", version=1))
            await watch.catch_up()
            return before, directory.get("key_first")

    before, after = asyncio.run(run())
    assert before is None
    assert after is not None


def test_many_who_ask_at_once_share_a_look(tmp_path: Path) -> None:
    async def run() -> int:
        keys = Keys()
        async with watching(keys, Directory(), tmp_path / "log") as watch:
            await asyncio.gather(*(watch.catch_up() for _ in range(50)))
            return keys.looks

    assert asyncio.run(run()) <= 2


def test_a_store_that_fails_is_told_once_and_asked_again(tmp_path: Path) -> None:
    async def run() -> None:
        keys = Keys(fails=True)
        async with watching(keys, Directory(), tmp_path / "log") as watch:
            for _ in range(3):
                await watch.catch_up()
            assert keys.looks >= 3
            keys.fails = False
            await watch.catch_up()

    asyncio.run(run())
    (line,) = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert line["event"] == "the store cannot be read"
    assert line["reason"] == "no route to the database"


def test_a_change_that_nobody_asks_for_is_seen_within_a_second() -> None:
    assert key_watch._WATCH_SECONDS + key_watch._GAP_SECONDS < 0.5
