"""Money is never handed out twice, nor lost, whatever dies, repeats itself or comes too late.

The machine has the store as values, changed by the functions that the real one applies, and real
leases of several processes. Each answer of the store may be lost after it did what was asked.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from apertis.gateway.budgets import accounts as money
from apertis.gateway.budgets.accounts import AccountRow, HeldLease, LeaseReport
from apertis.gateway.budgets.lease import Chain, Lease
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.budgets.periods import TOTAL

if TYPE_CHECKING:
    from collections.abc import Iterable

# A key and another one of the same group: two accounts of one level, and two that have one below.
CHAINS = {"one": ("key", "group", "gateway"), "two": ("group", "gateway"), "ci": ("gateway",)}
NAMES = ("a", "b", "c")
# When leases are closed behind their replica's back.
LOST_AT = 2
LIMITS = {"key": 60, "group": 100, "gateway": 120}

units = st.integers(0, 40)
names = st.sampled_from(NAMES)
places = st.integers(0, 99)
keys = st.sampled_from(sorted(CHAINS))
account_ids = st.sampled_from(sorted(LIMITS))
lost_answers = st.booleans()


class Record(msgspec.Struct, frozen=True):
    id: int
    accounts: tuple[str, ...]
    lease: tuple[str, int] | None
    cost: int


@dataclass
class Held:
    """The store: what one transaction reads and writes."""

    accounts: dict[str, AccountRow]
    leases: dict[tuple[str, str, int], HeldLease] = field(default_factory=dict)
    booked: dict[int, Record] = field(default_factory=dict)
    batches: dict[int, dict[str, int]] = field(default_factory=dict)

    def lease(self, id_: str, name: str, epoch: int) -> HeldLease:
        new = HeldLease(account_id=id_, replica=name, epoch=epoch)
        return self.leases.get((id_, name, epoch), new)

    def keep(self, account: AccountRow, lease: HeldLease | None) -> None:
        self.accounts[account.account_id] = account
        if lease is not None:
            self.leases[lease.account_id, lease.replica, lease.epoch] = lease

    def book(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.id in self.booked:
                continue
            self.booked[record.id] = record
            for id_ in record.accounts:
                lease = None if record.lease is None else self.lease(id_, *record.lease)
                self.keep(*money.spend(self.accounts[id_], lease, record.cost))

    def close(self, name: str, *, upto: int, lost: bool) -> None:
        for id_, replica, epoch in list(self.leases):
            if replica == name and epoch <= upto:
                lease = self.leases[id_, replica, epoch]
                self.keep(
                    *money.close(self.accounts[id_], lease, LOST_AT if lost else 1, lost=lost)
                )


class Process:
    """A gateway of some name, from its start to its death."""

    def __init__(self, name: str, epoch: int) -> None:
        self.name, self.epoch = name, epoch
        self.leases = {id_: _lease(id_) for id_ in LIMITS}
        self.open: list[tuple[Chain, int]] = []
        self.is_asleep = False

    def chain(self, key: str) -> Chain:
        return Chain([self.leases[id_] for id_ in CHAINS[key]])

    def take(self, account: AccountRow, held: HeldLease) -> None:
        lease, row = self.leases[account.account_id], money.row_of(account, held)
        lease.account_spent, lease.settled = row.account_spent, row.spent
        lease.returned = max(lease.returned, row.returned)
        lease.grant(max(row.granted, lease.granted))

    def report(self, id_: str) -> LeaseReport:
        lease = self.leases[id_]
        return LeaseReport(
            account_id=id_, granted=lease.granted, returned=lease.returned, open=lease.open
        )


def _lease(id_: str) -> Lease:
    limit = Limit(id=id_, level="gateway", subject_id="", amount_units=LIMITS[id_])
    lease = Lease(id_, limit, TOTAL)
    lease.grant(0)
    return lease


class Money(RuleBasedStateMachine):
    reports = Bundle("reports")

    def __init__(self) -> None:
        super().__init__()
        self.store = Held(
            {
                id_: AccountRow(account_id=id_, limit_units=most, spent=0, leased=0, held=0)
                for id_, most in LIMITS.items()
            }
        )
        self.snapshot = copy.deepcopy(self.store)
        self.alive: dict[str, Process] = {}
        self.epochs = dict.fromkeys(NAMES, 0)
        # What each name has written to its journal, which outlives it.
        self.journals: dict[str, list[Record]] = {name: [] for name in NAMES}
        self.most = dict(LIMITS)
        # What may be spent above a limit: it was not reserved, or nobody can know of it.
        self.excess = dict.fromkeys(LIMITS, 0)
        self.is_restored = False
        self.records = 0
        self.made = 0
        for name in NAMES:
            self.start(name)

    def awake(self, name: str) -> Process:
        """Return the process, which is started or woken if need be."""
        if name not in self.alive:
            self.start(name)
        if self.alive[name].is_asleep:
            self.wake(name)
        return self.alive[name]

    def written(
        self, accounts: tuple[str, ...], lease: tuple[str, int] | None, cost: int
    ) -> Record:
        self.records += 1
        return Record(self.records, accounts, lease, cost)

    def start(self, name: str) -> None:
        self.store.book(self.journals[name])
        self.epochs[name] += 1
        self.store.close(name, upto=self.epochs[name] - 1, lost=True)
        self.alive[name] = Process(name, self.epochs[name])

    @rule(name=names, id_=account_ids, needed=units, wanted=units, answer_is_lost=lost_answers)
    def acquire(
        self, name: str, id_: str, needed: int, wanted: int, *, answer_is_lost: bool
    ) -> None:
        self._acquire(self.awake(name), id_, needed, wanted, answer_is_lost=answer_is_lost)

    def _acquire(
        self, process: Process, id_: str, needed: int, wanted: int, *, answer_is_lost: bool = False
    ) -> None:
        name = process.name
        account, lease = self.store.accounts[id_], self.store.lease(id_, name, process.epoch)
        after, held = money.grant(
            account, lease, needed=needed, wanted=wanted, replicas=len(self.alive), expires=2
        )
        assert held.granted == lease.granted or money.remaining(after) >= 0
        assert held.granted in (lease.granted, lease.granted + needed) or (
            needed < held.granted - lease.granted <= wanted
        )
        if lease.balance >= 0 and needed > money.remaining(account):
            assert held.granted == lease.granted
        self.store.keep(after, held)
        if not answer_is_lost:
            process.take(after, held)

    def reserved(self, process: Process, key: str, reserved: int) -> Chain | None:
        chain = process.chain(key)
        for lease in chain.leases:
            if lease.free < reserved:
                needed = reserved - lease.free
                self._acquire(process, lease.account_id, needed, 2 * reserved)
        return chain if chain.reserve(reserved) else None

    @rule(name=names, key=keys, reserved=units)
    def request(self, name: str, key: str, reserved: int) -> None:
        process = self.awake(name)
        chain = self.reserved(process, key, reserved)
        if chain is not None:
            process.open.append((chain, reserved))

    @rule(place=places, which=places, cost=units)
    def respond(self, place: int, which: int, cost: int) -> None:
        # Asleep or not: what was let in comes to its end.
        busy = [name for name in NAMES if name in self.alive and self.alive[name].open]
        if not busy:
            return
        name = busy[place % len(busy)]
        process = self.alive[name]
        chain, reserved = process.open.pop(which % len(process.open))
        charges = tuple(chain.settle(reserved, cost).split(","))
        record = self.written(charges, (name, process.epoch), cost)
        self.journals[name].append(record)
        for id_ in charges:
            self.excess[id_] += max(0, cost - reserved)

    @rule(picked=st.lists(places, min_size=1, max_size=5))
    def book(self, picked: list[int]) -> None:
        journal = [
            record
            for name, records in self.journals.items()
            for record in records
            if name in self.alive
        ]
        if not journal:
            return
        self.store.book(journal[place % len(journal)] for place in picked)

    @rule(name=names, target=reports)
    def write_report(self, name: str) -> tuple[str, int, tuple[LeaseReport, ...]]:
        process = self.awake(name)
        return name, process.epoch, tuple(process.report(id_) for id_ in LIMITS)

    @rule(said=consumes(reports), again=st.booleans(), answer_is_lost=lost_answers)
    def renew(
        self,
        said: tuple[str, int, tuple[LeaseReport, ...]],
        *,
        again: bool,
        answer_is_lost: bool,
    ) -> None:
        name, epoch, reports = said
        process = self.alive.get(name)
        if process is None or process.epoch != epoch or process.is_asleep:
            return
        for _ in range(1 + again):
            for report in reports:
                self._report(name, epoch, report)
        if not answer_is_lost:
            self._hear(process)

    def _report(self, name: str, epoch: int, said: LeaseReport) -> None:
        account = self.store.accounts[said.account_id]
        lease = self.store.lease(said.account_id, name, epoch)
        self.store.keep(*money.report(account, lease, said, expires=2))

    def _report_now(self, process: Process) -> None:
        for id_ in LIMITS:
            said = process.report(id_)
            self._report(process.name, process.epoch, said)
            held = self.store.lease(id_, process.name, process.epoch)
            # Also where the store has forgotten what it granted.
            assert (held.granted, held.open) == (max(said.granted, held.granted), said.open)
            assert held.returned >= said.returned
            assert held.closed_ms is None

    def _hear(self, process: Process) -> None:
        for id_ in LIMITS:
            lease = self.store.lease(id_, process.name, process.epoch)
            process.take(self.store.accounts[id_], lease)

    @rule(name=names, id_=account_ids)
    def give_back(self, name: str, id_: str) -> None:
        self.awake(name).leases[id_].give_back()

    @rule(name=names)
    def renew_at_once(self, name: str) -> None:
        process = self.awake(name)
        self._report_now(process)
        self._hear(process)

    @rule(name=names)
    def suspend(self, name: str) -> None:
        process = self.awake(name)
        process.is_asleep = True
        for lease in process.leases.values():
            lease.freeze()

    def wake(self, name: str) -> None:
        process = self.alive[name]
        self._report_now(process)
        for lease in process.leases.values():
            lease.thaw()
        self._hear(process)
        process.is_asleep = False

    @rule(name=names)
    def kill(self, name: str) -> None:
        self.alive.pop(name, None)

    @rule(name=names)
    def replay(self, name: str) -> None:
        self.alive.pop(name, None)
        self.store.book(self.journals[name])
        self.store.close(name, upto=self.epochs[name], lost=True)

    @rule(name=names)
    def forget(self, name: str) -> None:
        # Only one that is gone or sleeps: its leases have expired.
        if name in self.alive:
            self.suspend(name)
        for record in self.journals[name]:
            if record.id not in self.store.booked:
                for id_ in record.accounts:
                    self.excess[id_] += record.cost
        if name in self.alive:
            # What was let in since it last said so.
            for id_, lease in self.alive[name].leases.items():
                said = self.store.lease(id_, name, self.alive[name].epoch).open
                self.excess[id_] += max(0, lease.open - said)
        self.store.close(name, upto=self.epochs[name], lost=True)

    @rule(name=names, key=keys, reserved=units, answer_is_lost=lost_answers)
    def make_batch(self, name: str, key: str, reserved: int, *, answer_is_lost: bool) -> None:
        process = self.awake(name)
        chain = self.reserved(process, key, reserved)
        if chain is None:
            return
        for id_ in CHAINS[key]:
            lease = self.store.leases.get((id_, name, process.epoch))
            self.store.keep(*money.hold(self.store.accounts[id_], lease, reserved))
        self.made += 1
        self.store.batches[self.made] = dict.fromkeys(CHAINS[key], reserved)
        chain.hand_on(reserved)
        if not answer_is_lost:
            self._hear(process)

    @rule(which=places, part=units, cost=units)
    def settle_batch(self, which: int, part: int, cost: int) -> None:
        if not self.store.batches:
            return
        made = sorted(self.store.batches)[which % len(self.store.batches)]
        held = self.store.batches[made]
        for id_ in held:
            released = min(part, held[id_])
            self.store.keep(money.release(self.store.accounts[id_], released), None)
            held[id_] -= released
            self.excess[id_] += max(0, cost - released)
        self.store.book([self.written(tuple(held), None, cost)] * 2)

    @rule(id_=account_ids, most=st.integers(0, 200))
    def change_limit(self, id_: str, most: int) -> None:
        account = self.store.accounts[id_]
        self.store.accounts[id_] = msgspec.structs.replace(account, limit_units=most)
        self.most[id_] = max(self.most[id_], most)

    @rule()
    def back_up(self) -> None:
        self.snapshot = copy.deepcopy(self.store)

    @rule()
    def restore(self) -> None:
        # What was handed out since is the documented loss.
        self.is_restored = True
        self.store = copy.deepcopy(self.snapshot)

    @invariant()
    def the_sums_of_accounts_are_those_of_leases_records_and_batches(self) -> None:
        for id_, account in self.store.accounts.items():
            own = [lease for lease in self.store.leases.values() if lease.account_id == id_]
            records = [one for one in self.store.booked.values() if id_ in one.accounts]
            assert min(account.spent, account.leased, account.held) >= 0
            assert account.leased == sum(
                max(0, lease.granted - lease.returned - lease.spent)
                for lease in own
                if lease.closed_ms is None
            )
            for lease in own:
                of_lease = [one for one in records if one.lease == (lease.replica, lease.epoch)]
                assert lease.spent == sum(record.cost for record in of_lease)
                assert lease.lost == (0 if lease.closed_ms != LOST_AT else lease.open)
            lost = sum(lease.lost for lease in own)
            assert account.spent == sum(record.cost for record in records) + lost
            assert account.held == sum(held.get(id_, 0) for held in self.store.batches.values())

    @invariant()
    def no_more_can_be_spent_than_the_limit_ever_was(self) -> None:
        if self.is_restored:
            return
        for id_, account in self.store.accounts.items():
            waiting = sum(
                record.cost
                for journal in self.journals.values()
                for record in journal
                if record.id not in self.store.booked and id_ in record.accounts
            )
            free = sum(
                max(process.leases[id_].free, 0) + process.leases[id_].open
                for process in self.alive.values()
            )
            lost = sum(one.lost for one in self.store.leases.values() if one.account_id == id_)
            total = account.spent - lost + account.held + waiting + free
            assert total <= self.most[id_] + self.excess[id_]

    def teardown(self) -> None:
        """Let all come to their ends: then nothing is left aside."""
        for name in NAMES:
            process = self.alive.pop(name, None)
            self.store.book(self.journals[name])
            if process is not None and not process.open:
                for id_ in LIMITS:
                    self._report(name, process.epoch, process.report(id_))
                self.store.close(name, upto=process.epoch, lost=False)
            self.store.close(name, upto=self.epochs[name], lost=True)
        for journal in self.journals.values():
            assert all(record.id in self.store.booked for record in journal)
        self.the_sums_of_accounts_are_those_of_leases_records_and_batches()
        for account in self.store.accounts.values():
            assert account.leased == 0
            left = account.limit_units - account.spent - account.held
            assert money.remaining(account) == left


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


def account(limit: int = 100, spent: int = 0, leased: int = 0, held: int = 0) -> AccountRow:
    return AccountRow(account_id="a", limit_units=limit, spent=spent, leased=leased, held=held)


def lease(**fields: int) -> HeldLease:
    return msgspec.structs.replace(HeldLease(account_id="a", replica="r", epoch=1), **fields)


@pytest.mark.parametrize(
    ("of", "needed", "wanted", "replicas", "granted"),
    [
        (account(), 10, 0, 1, 10),
        (account(), 10, 30, 1, 30),
        (account(), 10, 80, 1, 50),
        (account(), 10, 80, 5, 10),
        (account(), 100, 0, 9, 100),
        (account(), 101, 200, 1, 0),
        (account(spent=30, leased=20, held=10), 40, 0, 1, 40),
        (account(spent=30, leased=20, held=10), 41, 0, 1, 0),
        (account(spent=130), 0, 50, 1, 0),
        (account(), -5, 0, 1, 0),
    ],
)
def test_a_grant_is_what_is_needed_and_more_while_there_is_plenty(
    of: AccountRow, needed: int, wanted: int, replicas: int, granted: int
) -> None:
    after, held = money.grant(
        of, lease(), needed=needed, wanted=wanted, replicas=replicas, expires=9
    )
    assert (held.granted, after.leased - of.leased, held.expires_ms) == (granted, granted, 9)


def test_what_a_lease_has_overspent_is_granted_again_before_it_can_spend_more() -> None:
    overspent = lease(granted=10, spent=40)
    after, held = money.grant(
        account(spent=40), overspent, needed=50, wanted=0, replicas=1, expires=9
    )
    assert (held.granted, held.balance, after.leased) == (60, 20, 20)


def test_what_a_batch_holds_has_left_its_lease() -> None:
    after, held = money.hold(account(leased=30), lease(granted=30), 20)
    assert held is not None
    assert (held.returned, after.leased, after.held) == (20, 10, 20)


def test_a_lease_that_was_closed_is_granted_nothing_before_its_replica_reports() -> None:
    closed = msgspec.structs.replace(lease(granted=30, open=10), closed_ms=1)
    same = money.grant(account(), closed, needed=1, wanted=50, replicas=1, expires=9)
    assert same == (account(), closed)
