from __future__ import annotations

import asyncio
import contextlib

from apertis.gateway.catalogue.catalogue import FRESH_SECONDS, Kept
from apertis.gateway.upstreams.contract import UpstreamFailure
from apertis.gateway.upstreams.outcome import Fault

FAILURE = UpstreamFailure(Fault.CONNECT, "away")


class Source:
    """Gives one answer after the other, each when it is let."""

    def __init__(self, *answers: str | UpstreamFailure, held: bool = False) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.free = asyncio.Event()
        if not held:
            self.free.set()

    async def fetch(self) -> str | UpstreamFailure:
        self.asked += 1
        await self.free.wait()
        return self.answers.pop(0)


def test_it_is_fetched_once_while_it_is_fresh() -> None:
    async def main() -> None:
        source = Source("one", "two")
        kept = Kept(source.fetch)
        assert await kept.get(1000.0) == "one"
        assert await kept.get(1000.0 + FRESH_SECONDS - 1) == "one"
        assert source.asked == 1
        assert await kept.get(1000.0 + FRESH_SECONDS) == "two"

    asyncio.run(main())


def test_many_who_wait_are_served_by_one_fetch() -> None:
    async def main() -> None:
        source = Source("one", held=True)
        kept = Kept(source.fetch)
        waiting = asyncio.gather(*[kept.get(0.0) for _ in range(20)])
        await asyncio.sleep(0)
        source.free.set()
        assert await waiting == ["one"] * 20
        assert source.asked == 1

    asyncio.run(main())


def test_a_fetch_survives_the_caller_who_began_it() -> None:
    async def main() -> None:
        source = Source("one", held=True)
        kept = Kept(source.fetch)
        first = asyncio.get_running_loop().create_task(kept.get(0.0))
        await asyncio.sleep(0)
        second = asyncio.get_running_loop().create_task(kept.get(0.0))
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        source.free.set()
        assert await second == "one"
        assert source.asked == 1

    asyncio.run(main())


def test_what_is_old_is_better_than_nothing() -> None:
    async def main() -> None:
        source = Source("old", FAILURE, "new")
        kept = Kept(source.fetch)
        await kept.get(0.0)
        # A failure is not asked for again by every caller.
        assert [await kept.get(FRESH_SECONDS + n) for n in range(30)] == ["old"] * 30
        assert source.asked == 2
        assert await kept.get(FRESH_SECONDS + 30) == "new"

    asyncio.run(main())


def test_without_any_value_the_failure_is_told_and_a_later_try_mends_it() -> None:
    async def main() -> None:
        source = Source(FAILURE, "new")
        kept = Kept(source.fetch)
        assert [await kept.get(now) for now in (0.0, 29.0, 30.0)] == [FAILURE, FAILURE, "new"]

    asyncio.run(main())


def test_nobody_waits_for_long_and_what_comes_late_serves_the_next() -> None:
    async def main() -> None:
        source = Source("late", held=True)
        kept = Kept(source.fetch, patience_seconds=0.001)
        assert await kept.get(0.0) is None
        source.free.set()
        # The loop goes round, and the fetch comes to its end.
        for _ in range(3):
            await asyncio.sleep(0)
        assert await kept.get(0.0) == "late"
        assert source.asked == 1

    asyncio.run(main())


def test_closing_it_ends_the_fetch() -> None:
    async def main() -> None:
        source = Source("never", held=True)
        kept = Kept(source.fetch)
        waiting = asyncio.get_running_loop().create_task(kept.get(0.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        kept.close()
        assert await waiting is None
        assert source.answers == ["never"]

    asyncio.run(main())
