"""The money of a gateway, alone or among others, over the real stores."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.gateway.budgets.accounts import Hold
from apertis.gateway.budgets.budgets import (
    MAX_SESSIONS,
    OTHER_SESSIONS,
    Budgets,
    LeaseTimes,
    Seat,
    lease_times,
)
from apertis.gateway.budgets.lease import Chain
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.errors import StoreSilentError, StoreUnavailableError
from apertis.gateway.keys.directory import Key
from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person
from apertis.gateway.store.records import Batch, BatchLine, BatchResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.store.database import Store
    from tests.kit.stores import MakeRecord, Opened

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
TIMES = LeaseTimes(expiry=60, margin=10, renewal=1)


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Unreliable:
    """The real accounts, which fail before or after they have done what was asked."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.fails: str | None = None
        self.is_waiting, self.gives_up = asyncio.Event(), asyncio.Event()
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._store, name)

        async def run(*arguments: Any) -> Any:
            self.asked.append(name)
            if self.fails == "waiting":
                self.is_waiting.set()
                await self.gives_up.wait()
                raise StoreSilentError("no answer in time")
            if self.fails == "silent":
                raise StoreSilentError("no answer in time")
            if self.fails == "before":
                raise StoreUnavailableError("no route to the store")
            result = await work(*arguments)
            if self.fails == "after":
                raise StoreUnavailableError("the answer was lost")
            return result

        return run


@dataclass
class Gateway:
    """The budgets of one gateway, and what it has booked."""

    budgets: Budgets
    store: Unreliable
    wall: Clock
    steady: Clock
    restored: list[bool] = field(default_factory=list)


@dataclass
class Place:
    """A store and its gateways, which share an organization."""

    store: Store
    make_usage: Callable[..., UsageRecord]
    gateways: dict[str, Gateway] = field(default_factory=dict)
    booked: int = 0

    async def gateway(self, name: str = "", *changes: Any, now: float = NOON) -> Gateway:
        """Start one; without a name it has the store to itself."""
        wall, steady, unreliable = Clock(now), Clock(1000.0), Unreliable(self.store.accounts)
        seat = None
        if name:
            own = await self.store.replicas.start(name, "{}")
            seat = Seat(name, own.epoch, self.recall, lambda: max(len(self.gateways), 1))
        organization = Organization(_changes(changes))
        restored: list[bool] = []
        budgets = Budgets(
            organization,
            unreliable,  # type: ignore[arg-type]
            wall_clock=wall,
            steady_clock=steady,
            seat=seat,
            times=TIMES,
            on_restored=lambda: restored.append(True),
        )
        await budgets.start()
        made = self.gateways[name] = Gateway(budgets, unreliable, wall, steady, restored)
        return made

    def recall(self, account: str) -> None:
        for gateway in self.gateways.values():
            gateway.budgets.recalled(account)

    async def book(self, gateway: Gateway, charges: str, units: int) -> None:
        """Book what a request cost, as its record says."""
        self.booked += 1
        record = self.make_usage(request_id=f"req_{self.booked}", cost_units=units)
        kept = msgspec.structs.replace(
            record, accounts=charges, lease=gateway.budgets.lease_name, cost_units=units
        )
        await self.store.usage.add([kept])

    async def account(self, account_id: str) -> tuple[int, int, int, int] | None:
        """What there is, and what is spent, leased and held; None where nothing is kept."""
        from apertis.gateway.store.accounts import read_accounts

        found = await self.store.accounts._database.read(lambda at: read_accounts(at, [account_id]))
        row = found.get(account_id)
        return None if row is None else (row.limit_units, row.spent, row.leased, row.held)


def _changes(given: tuple[Any, ...]) -> Changes:
    numbered = [
        msgspec.structs.replace(one, version=one.version or number + 1)
        for number, one in enumerate(given)
    ]
    return Changes(
        tuple(one for one in numbered if isinstance(one, Group)),
        tuple(one for one in numbered if isinstance(one, Person)),
        tuple(one for one in numbered if isinstance(one, Limit)),
    )


def monthly(units: int, name: str = "lim_1", **fields: Any) -> Limit:
    return Limit(
        **{
            "id": name,
            "level": "gateway",
            "subject_id": "",
            "amount_units": units,
            "period": "month",
            **fields,
        }
    )


NOVEMBER = "lim_1@1793491200"
DECEMBER = "lim_1@1796083200"


@pytest.fixture
def place(opened: Opened, make_usage: Callable[..., UsageRecord]) -> Place:
    return Place(opened.store, make_usage)


def test_the_names_of_accounts_are_those_of_their_months() -> None:
    assert datetime.fromtimestamp(1793491200, UTC) == datetime(2026, 11, 1, tzinfo=UTC)
    assert datetime.fromtimestamp(1796083200, UTC) == datetime(2026, 12, 1, tzinfo=UTC)


def test_a_gateway_that_is_alone_has_the_whole_of_each_budget(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        key = Key(await place.store.keys.insert(make_record(quota_units=500)))
        limit = await place.store.organization.insert(monthly(1_000))
        gateway = await place.gateway("", limit)
        chain = gateway.budgets.chain(key)
        assert not chain.reserve(10)
        assert await gateway.budgets.refill(chain, 10) is None
        assert gateway.budgets.chain(key) is chain is key.chain
        assert chain.reserve(500)
        lacking = await gateway.budgets.refill(chain, 1)
        assert lacking is not None
        assert lacking.account_id == "quota-key_first@0"
        charges = chain.settle(500, 300)
        assert charges == f"quota-key_first@0,{NOVEMBER}"
        await place.book(gateway, charges, 300)
        assert await place.account(NOVEMBER) == (1_000, 300, 0, 0)
        assert await place.account("quota-key_first@0") == (500, 300, 0, 0)
        quota, _ = await gateway.budgets.standings(chain)
        assert (quota.spent, quota.set_aside, quota.left) == (300, 0, 200)
        assert (gateway.budgets.seconds_left(), gateway.budgets.lease_name) == (None, "")
        # After a restart it is what it was.
        again = await place.gateway("", limit)
        standing = await again.budgets.standings(again.budgets.chain(Key(key.record)))
        assert [one.left for one in standing] == [200, 700]

    opened.run(run())


def test_accounts_that_many_wait_for_are_read_at_once_and_nothing_is_written(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        gateway = await place.gateway()
        budgets, store = gateway.budgets, gateway.store
        chains = [
            budgets.chain(Key(make_record(id=f"key_{number}", quota_units=number)))
            for number in range(50)
        ]
        store.fails = "before"
        outcomes = await asyncio.gather(
            *(budgets.refill(chain, 20) for chain in chains), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
        store.fails = None
        store.asked.clear()
        lacking = await asyncio.gather(*(budgets.refill(chain, 20) for chain in chains))
        assert [lease is None for lease in lacking] == [number >= 20 for number in range(50)]
        # The first one asks for its own, and the next one for all that came meanwhile.
        assert store.asked == ["whole", "whole"]
        assert await place.account("quota-key_49@0") is None

    opened.run(run())


def test_a_new_month_begins_without_the_store_and_without_what_was_spent(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        key = Key(make_record())
        limit = await place.store.organization.insert(monthly(100))
        gateway = await place.gateway("", limit)
        chain = gateway.budgets.chain(key)
        await gateway.budgets.refill(chain, 90)
        assert chain.reserve(90)
        gateway.wall.now = MIDNIGHT
        gateway.store.fails = "before"
        following = gateway.budgets.chain(key)
        assert following is not chain
        assert following.charges == DECEMBER
        assert following.reserve(100)
        # What was reserved in November is settled in November.
        assert chain.settle(90, 95) == NOVEMBER
        assert following.leases[0].spent == 0
        await place.book(gateway, NOVEMBER, 95)
        await place.book(gateway, following.settle(100, 40), 40)
        assert await place.account(NOVEMBER) == (100, 95, 0, 0)
        assert await place.account(DECEMBER) == (100, 40, 0, 0)
        # The old lease is forgotten.
        await gateway.budgets.settle()
        assert gateway.budgets.lease(NOVEMBER) is None

    opened.run(run())


def test_the_period_is_that_of_the_stores_clock(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        slow, fast = await place.gateway("slow"), await place.gateway("fast")
        for gateway, off in ((slow, -90.0), (fast, 90.0)):
            gateway.budgets.organization.apply(_changes((monthly(100),)))
            gateway.budgets.changed()
            await gateway.budgets.settle()
            # What each clock shows is the store's time and its own fault.
            store_now = gateway.budgets.now()
            gateway.wall.now += off
            await gateway.budgets.settle()
            assert abs(gateway.budgets.now() - store_now) < 5
        key = Key(make_record())
        assert slow.budgets.chain(key).charges == fast.budgets.chain(key).charges

    opened.run(run())


def test_limits_change_in_place_and_a_removed_one_limits_nothing(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        key = Key(make_record())
        gateway = await place.gateway("", monthly(100))
        budgets = gateway.budgets
        await budgets.refill(budgets.chain(key), 80)
        assert budgets.chain(key).reserve(80)
        budgets.organization.apply(_changes((monthly(70, version=5),)))
        budgets.changed()
        lowered = budgets.chain(key)
        assert (lowered.leases[0].free, lowered.reserve(0)) == (-10, False)
        budgets.organization.apply(_changes((monthly(70, version=6, overdraft_units=20),)))
        budgets.changed()
        assert budgets.chain(key).reserve(10)
        budgets.organization.apply(_changes((monthly(70, version=7, status="removed"),)))
        budgets.changed()
        assert budgets.chain(key).leases == ()

    opened.run(run())


def test_a_request_is_of_the_person_that_stands_behind_a_shared_key(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        key = Key(make_record())
        ada = Person(id="per_a", name="Ada", group_id="grp_t")
        gateway = await place.gateway(
            "",
            Group(id="grp_t", name="team"),
            ada,
            monthly(100, "own", level="person", subject_id="per_a"),
            monthly(100, "team", level="group", subject_id="grp_t"),
            monthly(10, "two", level="group", subject_id="grp_t", period="day"),
        )
        shared = gateway.budgets.chain(key)
        hers = gateway.budgets.chain(key, ada)
        assert (shared.leases, shared.person_id, shared.group_id) == ((), None, None)
        assert [lease.limit.id for lease in hers.leases] == ["own", "team", "two"]
        assert (hers.person_id, hers.group_id) == ("per_a", "grp_t")
        assert gateway.budgets.chain(key, ada) is hers
        assert gateway.budgets.chain(key) is shared
        # Two limits of one level: both must have it.
        lacking = await gateway.budgets.refill(hers, 11)
        assert lacking is not None
        assert lacking.limit.id == "two"

    opened.run(run())


def test_each_session_has_its_own_budget_and_their_number_is_bounded(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        key = Key(make_record())
        gateway = await place.gateway("", monthly(100, per_session=True))
        budgets = gateway.budgets
        first = budgets.chain(key, session="one")
        assert await budgets.refill(first, 100) is None
        assert first.reserve(100)
        again, other = budgets.chain(key, session="one"), budgets.chain(key, session="two")
        assert not again.reserve(1)
        assert await budgets.refill(other, 100) is None
        assert key.chain is None
        for number in range(MAX_SESSIONS):
            budgets.chain(key, session=f"s{number}")
        crowd = [budgets.chain(key, session=f"late{number}") for number in range(3)]
        assert {chain.leases[0].scope for chain in crowd} == {OTHER_SESSIONS}
        assert budgets.chain(key).leases[0].scope == OTHER_SESSIONS
        assert budgets.chain(key, session="two").leases[0].free == 100

    opened.run(run())


def test_what_one_replica_has_is_there_for_another_that_needs_it(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        limit = monthly(100)
        a, b = await place.gateway("a", limit), await place.gateway("b", limit)
        key, same = Key(make_record()), Key(make_record())
        first, second = a.budgets.chain(key), b.budgets.chain(same)
        for _ in range(10):
            assert await a.budgets.refill(first, 5) is None
            assert first.reserve(5)
            await place.book(a, first.settle(5, 1), 1)
        free = first.leases[0].free
        assert free > 0
        assert key.chain is None
        # More than is left beside what the first one has.
        settling = asyncio.get_running_loop().create_task(a.budgets.run())
        try:
            assert await b.budgets.refill(second, 85) is None
        finally:
            settling.cancel()
        assert second.reserve(85)
        assert not first.reserve(6)
        lacking = await a.budgets.refill(first, 6)
        assert lacking is not None
        # For a second nobody asks again; then what is there is found.
        a.store.fails = "before"
        assert await a.budgets.refill(first, 6) is not None
        a.store.fails = None
        await place.book(b, second.settle(85, 20), 20)
        a.steady.now += 2
        assert b.budgets.units_left() > 0
        settling = asyncio.get_running_loop().create_task(b.budgets.run())
        try:
            assert await a.budgets.refill(first, 60) is None
        finally:
            settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)
        for gateway in (a, b):
            await gateway.budgets.stop()
        assert await place.account(NOVEMBER) == (100, 30, 0, 0)

    opened.run(run())


def test_what_was_booked_since_the_last_renewal_is_told_once(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        limit = monthly(100)
        a, b = await place.gateway("a", limit), await place.gateway("b", limit)
        key = Key(make_record())
        for gateway, cost in ((a, 3), (b, 4)):
            chain = gateway.budgets.chain(key)
            assert await gateway.budgets.refill(chain, 5) is None
            assert chain.reserve(5)
            charges = chain.settle(5, cost)
            assert (await gateway.budgets.standings(chain))[0].spent >= cost
            await place.book(gateway, charges, cost)
        for gateway in (a, b):
            (standing,) = await gateway.budgets.standings(gateway.budgets.chain(key))
            assert standing.spent == 7
        for gateway in (a, b):
            await gateway.budgets.stop()

    opened.run(run())


@pytest.mark.parametrize("fails", ["before", "after"])
def test_an_answer_that_was_lost_makes_no_money_and_loses_none(
    opened: Opened, place: Place, make_record: MakeRecord, fails: str
) -> None:
    async def run() -> None:
        gateway = await place.gateway("a", monthly(100))
        chain = gateway.budgets.chain(Key(make_record()))
        gateway.store.fails = fails
        with pytest.raises(StoreUnavailableError):
            await gateway.budgets.refill(chain, 40)
        assert chain.leases[0].granted == 0
        gateway.store.fails = None
        assert await gateway.budgets.refill(chain, 60) is None
        gateway.store.fails = fails
        chain.leases[0].give_back()
        await gateway.budgets.settle()
        await gateway.budgets.settle()
        gateway.store.fails = None
        await gateway.budgets.settle()
        assert await place.account(NOVEMBER) == (100, 0, 0, 0)
        assert await gateway.budgets.refill(chain, 100) is None

    opened.run(run())


def test_without_the_store_a_lease_lasts_its_time_and_what_a_limit_lends_after_it(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        limit = monthly(1_000, store_loss_units=30)
        gateway = await place.gateway("a", limit)
        key = Key(make_record())
        chain = gateway.budgets.chain(key)
        assert await gateway.budgets.refill(chain, 100) is None
        assert chain.reserve(10)
        await gateway.budgets.settle()
        assert 40 < (gateway.budgets.seconds_left() or 0) < 60
        gateway.store.fails = "before"
        await gateway.budgets.settle()
        assert chain.reserve(1)
        chain.settle(1, 0)
        gateway.steady.now += 55
        assert gateway.budgets.seconds_left() == 0
        # A process that slept looks at its clock before it lets anybody in.
        assert gateway.budgets.chain(key).leases[0].free == 0
        assert not chain.reserve(1)
        assert await gateway.budgets.refill(chain, 20) is None
        assert chain.reserve(20)
        assert await gateway.budgets.refill(chain, 20) is not None
        gateway.store.fails = None
        chain.settle(20, 20)
        await gateway.budgets.settle()
        (lease,) = chain.leases
        assert (lease.frozen, lease.lent) == (0, 0)
        assert lease.free == lease.granted - 10 - 20

    opened.run(run())


def test_without_a_word_about_it_nothing_is_lent(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        gateway = await place.gateway("a", monthly(1_000))
        chain = gateway.budgets.chain(Key(make_record()))
        gateway.store.fails = "before"
        gateway.steady.now += 55
        with pytest.raises(StoreUnavailableError):
            await gateway.budgets.refill(chain, 1)

    opened.run(run())


def test_what_a_replica_had_that_is_gone_is_kept_until_its_records_are_booked(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        gateway = await place.gateway("a", monthly(100))
        chain = gateway.budgets.chain(Key(make_record()))
        assert await gateway.budgets.refill(chain, 60) is None
        assert chain.reserve(25)
        assert chain.reserve(5)
        await gateway.budgets.settle()
        charges = chain.settle(25, 20)
        # It is killed; its journal has what the first request cost, and the second was under way.
        other = await place.gateway("b", monthly(100))
        beside = other.budgets.chain(Key(make_record()))
        assert await other.budgets.refill(beside, 41) is not None
        await place.book(gateway, charges, 20)
        again = await place.gateway("a", monthly(100))
        # What was open when it was last heard of, 30 units, counts as spent.
        assert await place.account(NOVEMBER) == (100, 20 + 30, beside.leases[0].granted, 0)
        assert await again.budgets.refill(again.budgets.chain(Key(make_record())), 10) is None

    opened.run(run())


def test_a_store_that_was_restored_hears_again_what_is_leased(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        gateway = await place.gateway("a", monthly(1_000))
        chain = gateway.budgets.chain(Key(make_record()))
        assert await gateway.budgets.refill(chain, 100) is None
        assert chain.reserve(50)
        for _ in range(3):
            await gateway.budgets.settle()
        assert not gateway.restored
        # As it was before it knew any of this.
        await place.store.accounts._database.write(
            lambda at: [
                at.exec_driver_sql(statement)
                for statement in (
                    "DELETE FROM leases",
                    "UPDATE accounts SET leased = 0",
                    "UPDATE replicas SET sequence = 0",
                )
            ]
        )
        assert chain.reserve(1)
        for _ in range(2):
            await gateway.budgets.settle()
        assert gateway.restored
        granted = chain.leases[0].granted
        assert await place.account(NOVEMBER) == (1_000, 0, granted, 0)

    opened.run(run())


def test_money_that_nobody_needs_goes_back_and_more_comes_in_advance(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        gateway = await place.gateway("a", monthly(10_000))
        chain = gateway.budgets.chain(Key(make_record()))
        (lease,) = chain.leases
        for _ in range(5):
            assert await gateway.budgets.refill(chain, 10) is None
            assert chain.reserve(10)
            await place.book(gateway, chain.settle(10, 10), 10)
        before = lease.free
        assert before < 50
        await gateway.budgets.settle()
        # Twice of what was spent lately.
        assert lease.free == before + 100
        for _ in range(3):
            gateway.steady.now += 16
            await gateway.budgets.settle()
        assert (lease.free, lease.recent) == (0, 0)
        assert await place.account(NOVEMBER) == (10_000, 50, 0, 0)

    opened.run(run())


def test_headers_are_made_anew_with_each_settlement(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        gateway = await place.gateway("", monthly(100))
        chain = gateway.budgets.chain(Key(make_record()))
        said = gateway.budgets.headers(chain)
        assert gateway.budgets.headers(chain) is said is chain.headers
        await gateway.budgets.settle()
        assert chain.headers is None

    opened.run(run())


def test_only_what_others_have_is_waited_for(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        limit = await place.store.organization.insert(monthly(100))
        key = Key(make_record())
        first = await place.gateway("a", limit)
        chain = first.budgets.chain(key)
        assert await first.budgets.refill(chain, 60) is None
        assert chain.reserve(60)
        first.store.asked.clear()
        # Not even if the request under way cost nothing, and nobody else has anything of it.
        assert await first.budgets.refill(chain, 101) is not None
        assert first.store.asked == ["acquire"]
        await place.book(first, chain.settle(60, 60), 60)
        first.steady.now += 2
        first.store.asked.clear()
        assert await first.budgets.refill(chain, 50) is not None
        assert first.store.asked == ["acquire"]
        assert await first.budgets.refill(chain, 10) is None
        second = await place.gateway("b", limit)
        other = second.budgets.chain(key)
        # More than there is, which says nothing of what a smaller request can have.
        assert await second.budgets.refill(other, 90) is not None
        assert await second.budgets.refill(other, 90) is not None
        assert second.store.asked.count("acquire") == 1
        # The first one has a part of what would be enough, and may not need it.
        assert await second.budgets.refill(other, 35) is not None
        asked = second.store.asked.count("acquire")
        assert asked > 2
        # It was asked for that, and had nothing to give.
        assert await second.budgets.refill(other, 35) is not None
        assert second.store.asked.count("acquire") == asked

    opened.run(run())


def test_a_store_that_is_silent_is_waited_for_once(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        limit = await place.store.organization.insert(monthly(100))
        gateway = await place.gateway("a", limit)
        budgets, store = gateway.budgets, gateway.store
        chain = budgets.chain(Key(make_record()))
        store.fails = "silent"
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await budgets.refill(chain, 10)
        assert store.asked.count("acquire") == 1
        await budgets.settle()
        assert store.asked.count("renew") == 1
        # Whoever keeps leases asks on, and nobody waits for that.
        store.fails = "waiting"

        async def ask() -> None:
            await store.is_waiting.wait()
            with pytest.raises(StoreUnavailableError):
                await budgets.refill(chain, 10)
            store.gives_up.set()

        async with asyncio.timeout(5):
            await asyncio.gather(budgets.settle(), ask())
        # It finds that the store answers.
        store.fails = None
        await budgets.settle()
        assert await budgets.refill(chain, 10) is None

    opened.run(run())


def test_shorter_leases_are_told_about_sooner() -> None:
    assert lease_times(60) == LeaseTimes(60, 10, 1)
    assert lease_times(2) == LeaseTimes(2, 2 / 6, 0.2)


def test_a_chain_without_a_limit_needs_no_store(make_record: MakeRecord) -> None:
    async def run() -> None:
        budgets = Budgets(
            Organization(),
            None,  # type: ignore[arg-type]
            wall_clock=lambda: NOON,
            steady_clock=lambda: 1.0,
        )
        chain = budgets.chain(Key(make_record()))
        assert isinstance(chain, Chain)
        assert await budgets.refill(chain, 10**9) is None

    asyncio.run(run())


def test_a_batch_made_before_midnight_is_held_and_booked_in_its_own_month(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        limit = await place.store.organization.insert(monthly(1_000))
        gateway = await place.gateway("", limit)
        chain = gateway.budgets.chain(Key(make_record()))
        assert await gateway.budgets.refill(chain, 300) is None
        assert chain.reserve(300)
        lines = [BatchLine(custom_id=name, model="m", held_units=100) for name in "abc"]
        batch = Batch(id="b", upstream="up", key_id="key_first", created_at=int(NOON))
        await place.store.batches.insert(batch, lines, [Hold(account_id=NOVEMBER, units=300)])
        chain.hand_on(300)
        assert await place.account(NOVEMBER) == (1_000, 0, 0, 300)
        # Results come in December, twice and in any order.
        for name in ("c", "a", "c"):
            record = place.make_usage(
                request_id=f"b/{name}", at_ms=int(MIDNIGHT * 1000) + 5, kind="batch", model="m"
            )
            priced = msgspec.structs.replace(record, cost_units=70)
            await place.store.batches.settle("b", [BatchResult(custom_id=name, record=priced)])
        assert await place.account(NOVEMBER) == (1_000, 140, 0, 100)
        await place.store.batches.release("b")
        assert await place.account(NOVEMBER) == (1_000, 140, 0, 0)

    opened.run(run())


def test_a_key_that_moves_pays_what_is_under_way_where_it_was(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        limits = [
            await place.store.organization.insert(
                monthly(100, name, level="group", subject_id=group)
            )
            for name, group in (("lim_1", "grp_a"), ("lim_2", "grp_b"))
        ]
        key = Key(make_record(group_id="grp_a"))
        gateway = await place.gateway(
            "", Group(id="grp_a", name="a"), Group(id="grp_b", name="b"), *limits
        )
        before = gateway.budgets.chain(key)
        await gateway.budgets.refill(before, 60)
        assert before.reserve(60)
        key.change(msgspec.structs.replace(key.record, group_id="grp_b", version=9))
        after = gateway.budgets.chain(key)
        assert (before.group_id, after.group_id) == ("grp_a", "grp_b")
        assert await gateway.budgets.refill(after, 100) is None
        assert before.settle(60, 50) == NOVEMBER
        assert after.reserve(100)
        assert [lease.spent for lease in (*before.leases, *after.leases)] == [50, 0]

    opened.run(run())


def test_day_week_and_month_that_begin_together_are_three_budgets(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        first = datetime(2027, 2, 1, 9, tzinfo=UTC).timestamp()
        limits = [
            monthly(units, f"lim_{period}", period=period)
            for units, period in ((50, "day"), (80, "week"), (100, "month"))
        ]
        gateway = await place.gateway("", *limits, now=first)
        chain = gateway.budgets.chain(Key(make_record()))
        start = int(datetime(2027, 2, 1, tzinfo=UTC).timestamp())
        assert chain.charges == f"lim_day@{start},lim_week@{start},lim_month@{start}"
        assert await gateway.budgets.refill(chain, 50) is None
        assert chain.reserve(50)
        charges = chain.settle(50, 50)
        gateway.wall.now = first + 86_400
        following = gateway.budgets.chain(Key(make_record()))
        await gateway.budgets.refill(following, 30)
        # A new day; the week and the month go on.
        assert [lease.free for lease in following.leases] == [50, 30, 50]
        assert charges.count(",") == 2

    opened.run(run())


def test_replicas_that_lock_the_same_budgets_in_any_order_never_wait_for_each_other(
    opened: Opened, place: Place, make_record: MakeRecord
) -> None:
    async def run() -> None:
        limits = [
            await place.store.organization.insert(monthly(10**6, f"lim_{number}"))
            for number in (1, 2, 3)
        ]
        gateways = [await place.gateway(name, *limits) for name in ("a", "b")]
        chains = [gateway.budgets.chain(Key(make_record())) for gateway in gateways]
        chains[1].leases = tuple(reversed(chains[1].leases))

        async def one(number: int) -> None:
            gateway, chain = gateways[number % 2], chains[number % 2]
            assert await gateway.budgets.refill(chain, 500) is None
            assert chain.reserve(500)
            names = [lease.account_id for lease in chain.leases]
            chain.settle(500, 3)
            await place.book(gateway, ",".join(names), 3)

        await asyncio.gather(*map(one, range(60)))
        for gateway in gateways:
            await gateway.budgets.settle()
            await gateway.budgets.stop()
        for number in (1, 2, 3):
            account = NOVEMBER.replace("lim_1", f"lim_{number}")
            assert await place.account(account) == (10**6, 180, 0, 0)

    opened.run(run())
