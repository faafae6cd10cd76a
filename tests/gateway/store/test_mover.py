"""Every record of the journal is booked exactly once, whatever fails in between."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.record import UsageRecord
from apertis.errors import ConfigurationError
from apertis.gateway.budgets.accounts import AccountSpec, Want
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.budgets.periods import TOTAL
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.journal import Journal
from apertis.gateway.store.mover import Mover, book_left

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.kit.stores import Opened


def record(name: object, cost_units: int = 1) -> UsageRecord:
    return UsageRecord(
        request_id=f"req_{name}",
        at_ms=0,
        key_id="k",
        model="m",
        requested_model="m",
        status=200,
        cost_units=cost_units,
    )


class Book:
    """A ledger in memory that books a request id once, and fails when it is told to."""

    def __init__(self) -> None:
        self.rows: dict[str, UsageRecord] = {}
        self.batches: list[int] = []
        self.booked = 0
        self.failures: list[str] = []
        self.changed = asyncio.Event()

    async def add(self, records: Sequence[UsageRecord], /) -> int:
        failure = self.failures.pop(0) if self.failures else ""
        await asyncio.sleep(0)
        if failure == "before":
            raise StoreUnavailableError("the store failed")
        self.batches.append(len(records))
        new = [one for one in records if one.request_id not in self.rows]
        self.rows |= {one.request_id: one for one in new}
        self.booked += sum(one.cost_units for one in new)
        self.changed.set()
        if failure == "after":
            # It was booked, but nobody was told.
            raise StoreUnavailableError("the store failed")
        return len(new)


def test_records_go_in_batches_and_the_rest_when_it_is_time(tmp_path: Path) -> None:
    journal, book = Journal.open(tmp_path), Book()
    for n in range(25):
        journal.append(record(n))
    assert asyncio.run(Mover(journal, book, records_at_once=10).flush(10))
    assert book.batches == [10, 10, 5]
    assert book.booked == 25
    assert journal.lag() == (0, 0.0)


def test_a_journal_without_records_asks_nothing_of_the_ledger(tmp_path: Path) -> None:
    journal, book = Journal.open(tmp_path), Book()
    journal.begin(record(1))
    assert asyncio.run(Mover(journal, book).flush(10))
    assert book.batches == []


def test_a_ledger_that_fails_is_told_of_and_tried_again(tmp_path: Path) -> None:
    journal, book, told = Journal.open(tmp_path), Book(), list[Exception | None]()
    journal.append(record(1))
    book.failures = ["before", "after", "before"]
    mover = Mover(journal, book, interval_seconds=0, on_change=told.append)
    assert asyncio.run(mover.flush(10))
    assert book.booked == 1
    assert [type(error) for error in told] == [StoreUnavailableError, type(None)]
    assert not mover.is_failing


def test_a_flush_without_time_loses_nothing(tmp_path: Path) -> None:
    journal, book = Journal.open(tmp_path), Book()
    journal.append(record(1))
    book.failures = ["before"] * 1000
    assert not asyncio.run(Mover(journal, book, interval_seconds=60).flush(0))
    assert journal.lag()[0] == 1
    journal.close()
    book.failures = []
    assert asyncio.run(Mover(Journal.open(tmp_path), book).flush(10))
    assert book.booked == 1


def test_it_keeps_moving_until_it_is_cancelled(tmp_path: Path) -> None:
    journal, book = Journal.open(tmp_path), Book()

    async def run() -> None:
        async with asyncio.timeout(20):
            task = asyncio.get_running_loop().create_task(
                Mover(journal, book, interval_seconds=0.001).run()
            )
            for n in range(20):
                journal.append(record(n))
                book.failures += ["before"] * (n % 2)
                await book.changed.wait()
                book.changed.clear()
                assert book.booked == n + 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert book.booked == 20


def test_what_is_cancelled_halfway_comes_again_and_is_booked_once(tmp_path: Path) -> None:
    journal, book = Journal.open(tmp_path), Book()
    journal.append(record(1))

    async def run() -> None:
        mover = Mover(journal, book)
        task = asyncio.get_running_loop().create_task(mover.move_once())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await mover.flush(10)

    asyncio.run(run())
    assert book.booked == 1


def test_two_who_move_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    journal, book = Journal.open(tmp_path), Book()
    for n in range(50):
        journal.append(record(n))

    async def run() -> None:
        mover = Mover(journal, book, records_at_once=7)
        await asyncio.gather(mover.flush(10), mover.flush(10))

    asyncio.run(run())
    assert sum(book.batches) == book.booked == 50


STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 1000)),
    st.tuples(st.just("begin"), st.integers(0, 1000)),
    st.tuples(st.just("end"), st.integers(0, 1000)),
    st.tuples(st.just("move"), st.sampled_from(["", "", "before", "after"])),
    st.tuples(st.just("read"), st.none()),
    st.tuples(st.sampled_from(["die", "stop"]), st.none()),
)


class Gateway:
    """A process that serves, dies and comes again; and what must be in the ledger at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.book = Book()
        self.running: dict[str, UsageRecord] = {}
        self.owed: dict[str, int] = {}
        self.interrupted: set[str] = set()
        self.number = 0
        self.start()

    def start(self) -> None:
        self.journal = Journal.open(self.folder, segment_bytes=1000)
        self.mover = Mover(self.journal, self.book, records_at_once=3)

    def new(self, cost_units: int) -> UsageRecord:
        self.number += 1
        return record(self.number, cost_units)

    async def step(self, name: str, argument: object) -> None:
        if name == "append" and isinstance(argument, int):
            one = self.new(argument)
            self.journal.append(one)
            self.owed[one.request_id] = argument
        elif name == "begin" and isinstance(argument, int):
            one = self.new(argument)
            self.journal.begin(one)
            self.running[one.request_id] = one
            self.owed[one.request_id] = argument
        elif name == "end" and isinstance(argument, int) and self.running:
            id, _ = self.running.popitem()
            self.journal.append(record(id.removeprefix("req_"), argument))
            self.owed[id] = argument
        elif name == "move" and isinstance(argument, str):
            self.book.failures = [argument]
            try:
                await self.mover.move_once()
            except StoreUnavailableError:
                assert argument
            self.book.failures = []
        elif name == "read":
            self.journal.read(2)
        elif name in ("die", "stop"):
            self.again(stopped=name == "stop")

    def again(self, *, stopped: bool) -> None:
        if stopped:
            self.journal.close()
        else:
            self.journal.abandon()
        self.interrupted |= self.running.keys()
        self.running = {}
        self.start()


@given(st.lists(STEP, max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_course_of_events_books_every_record_exactly_once(
    steps: list[tuple[str, object]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder))

        async def run() -> None:
            for name, argument in steps:
                await gateway.step(name, argument)
            gateway.again(stopped=False)
            assert await gateway.mover.flush(10)

        asyncio.run(run())
        book = gateway.book
        assert {id: one.cost_units for id, one in book.rows.items()} == gateway.owed
        assert book.booked == sum(gateway.owed.values())
        cut = {id for id, one in book.rows.items() if one.interrupted}
        assert cut == gateway.interrupted
        assert gateway.journal.lag() == (0, 0.0)
        gateway.journal.close()
        assert list(Path(folder).iterdir()) == []


def test_what_processes_left_that_are_no_more_is_booked_and_their_leases_are_closed(
    opened: Opened, tmp_path: Path
) -> None:
    store, book, own = opened.store, Book(), tmp_path / "usage-journal"
    limit = Limit(id="lim_a", level="gateway", subject_id="", amount_units=1000, created_at=0)
    opened.run(store.organization.insert(limit))
    want = Want(
        spec=AccountSpec(account_id="lim_a@0", limit=limit, span=TOTAL), needed=100, wanted=100
    )
    for number, replica in enumerate(("r", "r/0", "r/1", "r/2")):
        folder = own if replica == "r" else own / replica[2:]
        journal = Journal.open(folder)
        journal.append(record(number))
        journal.abandon()
        opened.run(store.accounts.acquire(replica, 1, [want], 1, 60_000))

    def leased() -> int:
        (row,) = opened.run(store.accounts.whole([want.spec]))
        return int(row.leased)

    async def left(slots_from: int, *, alone: bool) -> None:
        accounts = store.accounts
        await book_left(
            own,
            book,
            accounts,
            "r",
            slots_from=slots_from,
            alone=alone,
            tell=lambda *_, **__: None,
        )

    assert leased() == 400
    opened.run(left(1, alone=True))
    assert sorted(book.rows) == ["req_0", "req_2", "req_3"]
    assert [path.name for path in own.iterdir()] == ["0"]
    # Those of the process that still has its place are its own to close.
    assert leased() == 100
    with_a_worker = Journal.open(own / "0")
    with pytest.raises(ConfigurationError, match="another gateway uses the usage journal"):
        opened.run(left(0, alone=False))
    with_a_worker.abandon()
    opened.run(left(0, alone=False))
    assert (len(book.rows), leased()) == (4, 0)
