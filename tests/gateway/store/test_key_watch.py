"""Changes of keys by other processes, taken over while a gateway runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.keys.directory import Directory
from apertis.gateway.observe.log import Log
from apertis.gateway.people.organization import Changes
from apertis.gateway.people.record import Person
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
    # Of people, groups and limits.
    others: int = 0

    async def current_version(self) -> int:
        self.looks += 1
        if self.fails:
            raise StoreUnavailableError("no route to the database")
        return max((self.others, *(record.version for record in self.records)))

    async def changes_since(self, version: int) -> list[KeyRecord]:
        return [record for record in self.records if record.version > version]

    async def list(self) -> list[KeyRecord]:
        return self.records


@dataclass
class People:
    """A store's people."""

    people: list[Person] = field(default_factory=list)

    async def changes_since(self, version: int) -> Changes:
        return Changes(people=tuple(one for one in self.people if one.version > version))

    async def all(self) -> Changes:
        return await self.changes_since(0)


@contextlib.asynccontextmanager
async def watching(
    keys: Keys, directory: Directory, log: Path, people: People | None = None
) -> AsyncIterator[KeyWatch]:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    written = Log(descriptor, asyncio.get_running_loop())
    people = people or People()
    budgets = no_budgets()
    budgets.organization.apply(await people.all())
    watch = KeyWatch(keys, people, directory, budgets, written)
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


ANN = Person(id="person_a", name="Ann", version=2)
DISABLED = msgspec.structs.replace(ANN, status="disabled", version=4)


def test_keys_of_people_who_are_disabled_are_barred_from_the_start(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    async def run() -> list[bool]:
        records = [
            make_record("sk-first", person_id="person_a", version=3),
            make_record("sk-second", version=1),
        ]
        directory = Directory(records)
        async with watching(Keys(records), directory, tmp_path / "log", People([DISABLED])):
            return [key.is_barred for key in directory.all()]

    assert asyncio.run(run()) == [True, False]


def test_a_key_is_let_in_or_barred_whoever_brought_its_change_into_the_directory(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    async def run() -> list[bool]:
        keys, people, directory = Keys(), People([DISABLED]), Directory()
        async with watching(keys, directory, tmp_path / "log", people) as watch:
            for version, person_id in enumerate((None, "person_a", None), start=5):
                record = make_record("sk-first", person_id=person_id, version=version)
                keys.records = [record]
                # As the admin API does.
                directory.apply([record])
                await watch.catch_up()
                key = directory.get("key_first")
                assert key is not None
                seen.append(key.is_barred)
        return seen

    seen: list[bool] = []
    assert asyncio.run(run()) == [False, True, False]


def test_what_changes_while_a_change_is_read_is_read_next(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    class Racing(People):
        async def changes_since(self, version: int) -> Changes:
            # A key changes behind the look at keys, and a person behind that.
            if len(keys.records) == 1:
                keys.records.append(make_record("sk-second", version=6))
                keys.others = 7
                self.people.append(msgspec.structs.replace(ANN, version=7))
            return await super().changes_since(version)

    async def run() -> bool:
        directory = Directory()
        async with watching(keys, directory, tmp_path / "log") as watch:
            watch._people = Racing()
            keys.records.append(make_record("sk-first", version=5))
            await watch.catch_up()
            await watch.catch_up()
            return directory.get("key_second") is not None

    keys = Keys()
    assert asyncio.run(run())
