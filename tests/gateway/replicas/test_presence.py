"""A gateway among those of its store: its name, who is there, and who does what one must do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.replicas.presence import (
    Presence,
    State,
    decode_state,
    encode_state,
    live_replicas,
    replica_name,
)
from apertis.gateway.store.replicas import Replica, Seen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.stores import Opened

STATE = State(version="1.2.3", breakers={"main": (3, "bad host", 12.0), "spare": (1, None, 0.0)})


def replica(name: str, seen_ms: int = 0, state: str = "{}") -> Replica:
    return Replica(name=name, epoch=1, sequence=0, started_ms=0, seen_ms=seen_ms, state=state)


def test_a_name_is_made_once_and_moves_with_the_data(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    name = replica_name(None, one)
    assert replica_name(None, one) == name
    assert replica_name(None, other) != name
    moved = one.rename(tmp_path / "moved")
    assert replica_name(None, moved) == name
    assert replica_name("web-1", moved) == "web-1"
    assert [path.name for path in moved.iterdir()] == ["replica"]


def test_a_directory_that_cannot_keep_the_name_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigurationError, match="replica"):
        replica_name(None, file)


def test_a_file_that_has_no_name_in_it_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "replica").write_text("not a name\n")
    name = replica_name(None, tmp_path)
    assert (tmp_path / "replica").read_text() == f"{name}\n"


def test_who_was_not_seen_lately_is_gone_and_oneself_never_is() -> None:
    seen = Seen(100_000, (replica("a"), replica("b", 95_001), replica("c", 95_000)))
    live = live_replicas(seen, replica("a"), 5000)
    assert [one.name for one in live] == ["a", "b"]


def test_a_state_of_any_version_is_read_or_passed_over() -> None:
    assert decode_state(encode_state(STATE)) == STATE
    assert decode_state('{"version": "9", "more": [1]}') == State(version="9")
    assert decode_state("[]") is None


def test_one_of_those_that_are_there_is_the_first(opened: Opened) -> None:
    stored = opened.store.replicas

    def start(name: str) -> Presence:
        own = opened.run(stored.start(name, encode_state(STATE)))
        return Presence(stored, own, lambda: STATE)

    b, a = start("b"), start("a")
    assert a.is_first
    assert b.is_first, "it has not looked yet"
    for one in (a, b):
        opened.run(one.beat())
    assert (a.is_first, b.is_first) == (True, False)
    assert b.names == ("a", "b")
    assert b.count == 2
    assert b.states() == {"a": STATE}
    opened.run(a.leave())
    opened.run(b.beat())
    assert b.is_first


def test_a_name_that_another_process_has_now_is_noticed(opened: Opened) -> None:
    stored = opened.store.replicas
    first, second = (
        Presence(stored, opened.run(stored.start("a", "{}")), lambda: STATE) for _ in range(2)
    )
    for one in (first, second):
        opened.run(one.beat())
    assert (first.is_taken, second.is_taken) == (True, False)
    assert not first.is_first
    opened.run(first.leave())
    opened.run(second.beat())
    assert second.names == ("a",)


class Stored:
    """A store that may fail, and tells who comes."""

    def __init__(self) -> None:
        self.fails = False
        self.beats = 0
        self.seen: asyncio.Event = asyncio.Event()
        self.others: tuple[Replica, ...] = ()

    async def start(self, name: str, state: str) -> Replica:
        return replica(name, state=state)

    async def see(self, own: Replica, state: str) -> Seen | None:
        self.beats += 1
        self.seen.set()
        if self.fails:
            raise StoreUnavailableError("away")
        own = msgspec.structs.replace(own, seen_ms=1_000_000, state=state)
        return Seen(1_000_000, (own, *self.others))

    async def stop(self, own: Replica) -> None:
        raise AssertionError(own)


def test_it_beats_on_when_the_store_fails_and_tells_of_changes() -> None:
    async def run() -> None:
        stored, changes = Stored(), []
        presence = Presence(
            stored,
            replica("a"),
            lambda: STATE,
            on_change=lambda: changes.append(presence.names),
            beat_seconds=1000,
        )
        task = asyncio.get_running_loop().create_task(presence.run())

        async def beat() -> None:
            stored.seen.clear()
            presence.tell()
            async with asyncio.timeout(20):
                await stored.seen.wait()
                await asyncio.sleep(0)

        await beat()
        stored.others = (replica("b", 999_999),)
        await beat()
        stored.fails = True
        await beat()
        assert presence.names == ("a", "b")
        stored.fails, stored.others = False, ()
        await beat()
        await beat()
        # The first one was the own state's.
        assert changes == [("a",), ("a", "b"), ("a",)]
        task.cancel()

    asyncio.run(run())
