"""Answers that conversations go on from are known at once, and written behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apertis.accounting.estimate import Held
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.request.threads import KEPT_SECONDS, MAX_KEPT, Threads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.store.records import ThreadMessage


class Kept:
    """A store in memory, which can be away."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], ThreadMessage] = {}
        self.away = False
        self.asked: list[str] = []
        self.dropped: list[tuple[int, int]] = []
        self.written = asyncio.Event()

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailableError("away")

    async def add(self, messages: Iterable[ThreadMessage], /) -> None:
        self._answer()
        self.messages |= {(m.key_id, m.message_id): m for m in messages}
        self.written.set()

    async def find(self, key_id: str, message_ids: Iterable[str], /) -> dict[str, ThreadMessage]:
        self._answer()
        ids = list(message_ids)
        self.asked += ids
        found = {id_: self.messages.get((key_id, id_)) for id_ in ids}
        return {id_: message for id_, message in found.items() if message is not None}

    async def drop(self, before: int, keep: int, /) -> None:
        self._answer()
        self.dropped.append((before, keep))


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_was_just_answered_is_known_without_the_store() -> None:
    kept = Kept()
    threads = Threads(kept, Clock(), lambda _: None)
    threads.remember("key_a", "msg_1", "first", Held(5, 1, 2, hour=True))
    found = asyncio.run(threads.find("key_a", ["msg_1"]))["msg_1"]
    assert (found.upstream, found.held) == ("first", Held(5, 1, 2, hour=True))
    assert not kept.asked
    assert asyncio.run(threads.find("key_b", ["msg_1"])) == {}


def test_another_process_finds_what_was_written() -> None:
    kept = Kept()
    one, other = (Threads(kept, Clock(), lambda _: None) for _ in range(2))
    one.remember("key_a", "msg_1", "first", Held(5))
    assert asyncio.run(other.find("key_a", ["msg_1"])) == {}
    assert asyncio.run(one.flush())
    assert asyncio.run(other.find("key_a", ["msg_1"]))["msg_1"].held == Held(5)
    assert kept.dropped == [(int(Clock.now) - KEPT_SECONDS, MAX_KEPT)]


def test_a_store_that_is_away_loses_nothing_and_answers_that_nothing_is_known() -> None:
    kept, told = Kept(), list[Exception]()
    threads = Threads(kept, Clock(), told.append)
    threads.remember("key_a", "msg_1", "first", Held(5))
    kept.away = True
    assert not asyncio.run(threads.flush())
    assert asyncio.run(threads.find("key_a", ["msg_1", "msg_2"])).keys() == {"msg_1"}
    assert [str(error) for error in told] == ["away", "away"]
    kept.away = False
    assert asyncio.run(threads.flush())
    assert kept.messages.keys() == {("key_a", "msg_1")}


def test_a_store_that_is_away_fails_nobody_who_has_nothing_to_write() -> None:
    """As at a stop, which would tell of conversations that were lost."""
    kept, told = Kept(), list[Exception]()
    kept.away = True
    assert asyncio.run(Threads(kept, Clock(), told.append).flush())
    assert not told


def test_an_answer_is_forgotten_after_its_time() -> None:
    kept, clock = Kept(), Clock()
    threads = Threads(kept, clock, lambda _: None)
    threads.remember("key_a", "msg_1", "first", Held(5))
    clock.now += KEPT_SECONDS
    assert asyncio.run(threads.find("key_a", ["msg_1"]))
    clock.now += 1
    assert not asyncio.run(threads.find("key_a", ["msg_1"]))


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    kept = Kept()
    threads = Threads(kept, Clock(), lambda _: None)
    kept.away = True
    for n in range(10_050):
        threads.remember("key_a", f"msg_{n}", "first", Held(n))
    found = asyncio.run(threads.find("key_a", ["msg_49", "msg_50"]))
    assert found.keys() == {"msg_50"}
    kept.away = False
    assert asyncio.run(threads.flush())
    assert len(kept.messages) == 10_000


def test_it_writes_by_itself_and_is_idle_otherwise() -> None:
    kept = Kept()

    async def story() -> None:
        threads = Threads(kept, Clock(), lambda _: None)
        running = asyncio.get_running_loop().create_task(threads.run())
        threads.remember("key_a", "msg_1", "first", Held(5))
        async with asyncio.timeout(5):
            await kept.written.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
    assert kept.messages
