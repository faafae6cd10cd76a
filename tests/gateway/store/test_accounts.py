"""Money in the store: handed out within the limit, booked whatever happens, and found again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import func, select, update

from apertis.gateway.budgets.accounts import AccountRow, AccountSpec, Hold, LeaseReport, Want
from apertis.gateway.budgets.limit import Limit, account_id, quota_limit
from apertis.gateway.budgets.periods import TOTAL, Span, span_of
from apertis.gateway.people.record import Group
from apertis.gateway.store.audit import AuditQuery
from apertis.gateway.store.database import Store
from apertis.gateway.store.records import (
    Batch,
    BatchLine,
    BatchResult,
    ReplicaRunningError,
    UnknownReplicaError,
)
from apertis.gateway.store.schema import accounts, leases

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.keys.record import KeyRecord

TTL_MS = 60_000
AT = 1_790_000_000


def limit(amount: int = 1000, **fields: Any) -> Limit:
    made = {"id": "lim_a", "level": "key", "subject_id": "key_a", "created_at": AT, **fields}
    return Limit(amount_units=amount, **made)


def spec(of: Limit, at: int = AT, session: str = "", scope_hash: str = "") -> AccountSpec:
    span = span_of(of.period, of.zone, at)
    return AccountSpec(
        account_id=account_id(of, span.start, scope_hash), limit=of, span=span, scope=session
    )


def want(of: Limit, needed: int, wanted: int = 0) -> Want:
    return Want(spec=spec(of), needed=needed, wanted=wanted)


def row(opened: Any, id_: str = "lim_a@0") -> AccountRow:
    work = select(accounts).where(accounts.c.id == id_)
    found = opened.run(opened.store._database.read(lambda at: at.execute(work).one()))
    return AccountRow(
        account_id=found.id,
        limit_units=found.limit_units,
        spent=found.spent,
        leased=found.leased,
        held=found.held,
    )


def sums(opened: Any, id_: str = "lim_a@0") -> tuple[int, int, int]:
    found = row(opened, id_)
    return found.spent, found.leased, found.held


def expire(opened: Any) -> None:
    """Let all leases end, as if their replicas had been gone for a while."""
    store = opened.store
    opened.run(store._database.write(lambda at: at.execute(update(leases).values(expires_ms=0))))


def keep(opened: Any, of: Limit) -> Limit:
    kept: Limit = opened.run(opened.store.organization.insert(of))
    return kept


def test_an_account_that_is_not_there_yet_is_told_as_it_will_be_made(opened: Any) -> None:
    of = keep(opened, limit(1000, overdraft_units=50))
    store = opened.store.accounts
    made = opened.run(store.whole([spec(of)]))
    expected = AccountRow(account_id="lim_a@0", limit_units=1050, spent=0, leased=0, held=0)
    assert made == (expected,)
    assert opened.run(store.whole([spec(of)])) == made
    assert opened.run(store.whole([])) == ()


def test_what_is_granted_is_never_above_the_limit(opened: Any) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    first = opened.run(store.acquire("a", 1, [want(of, 10, 1000)], 1, TTL_MS)).rows[0]
    # All that is left, halved for those that may come.
    assert (first.granted, first.leased) == (50, 50)
    second = opened.run(store.acquire("b", 1, [want(of, 50)], 1, TTL_MS)).rows[0]
    assert (second.granted, second.leased) == (50, 100)
    none = opened.run(store.acquire("c", 1, [want(of, 1, 100)], 1, TTL_MS)).rows[0]
    assert (none.granted, none.leased, none.is_closed) == (0, 100, False)
    assert sums(opened) == (0, 100, 0)


def test_shares_become_smaller_with_the_replicas_that_there_are(opened: Any) -> None:
    of = keep(opened, limit(800))
    store = opened.store.accounts
    first = opened.run(store.acquire("d", 1, [want(of, 1, 10_000)], 4, TTL_MS)).rows[0]
    assert first.granted == 100


def test_accounts_are_granted_each_for_itself(opened: Any) -> None:
    small, large = keep(opened, limit(5)), keep(opened, limit(1000, id="lim_b"))
    store = opened.store.accounts
    wants = [want(large, 10), want(small, 10)]
    rows = opened.run(store.acquire("a", 1, wants, 1, TTL_MS)).rows
    assert [(row.account_id, row.granted) for row in rows] == [("lim_b@0", 10), ("lim_a@0", 0)]


def test_what_is_spent_is_booked_once_and_leaves_the_lease(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    opened.run(store.acquire("a", 7, [want(of, 40)], 1, TTL_MS))
    record = make_usage(accounts="lim_a@0", lease="a#7", cost_units=30)
    for _ in range(3):
        opened.run(opened.store.usage.add([record]))
    assert sums(opened) == (30, 10, 0)
    # Above the lease, and above the limit: booked, and nothing more is granted.
    opened.run(opened.store.usage.add([make_usage(accounts="lim_a@0", lease="a#7", cost_units=90)]))
    assert sums(opened) == (120, 0, 0)
    rows = opened.run(store.acquire("a", 7, [want(of, 1)], 1, TTL_MS)).rows
    assert (rows[0].granted, rows[0].spent) == (40, 120)


def test_a_record_says_in_which_accounts_it_counts_and_with_how_much(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    for name in ("lim_a", "lim_b"):
        keep(opened, limit(1000, id=name))
    records = [
        make_usage(accounts="lim_a@0,lim_b@0=7", cost_units=30),
        make_usage(accounts="lim_a@0,lim_b@0", cost_units=5),
        make_usage(accounts="lim_a@0=x,lim_b@0=-3,no_such@0,,lim_a@x", cost_units=1),
        make_usage(cost_units=1000),
    ]
    assert opened.run(opened.store.usage.add(records)) == 4
    assert (sums(opened), sums(opened, "lim_b@0")) == ((36, 0, 0), (13, 0, 0))


def test_money_is_not_lost_with_an_account_that_is_missing(
    opened: Any, make_usage: Callable[..., UsageRecord], make_key: Callable[..., KeyRecord]
) -> None:
    key = opened.run(opened.store.keys.insert(make_key(quota_units=500)))
    of = keep(opened, limit(1000, period="month"))
    span = span_of("month", "UTC", AT)
    name = account_id(of, span.start)
    quota = f"quota-{key.id}@0"
    record = make_usage(
        key_id=key.id, accounts=f"{quota},{name},gone@0", lease="a#1", cost_units=30
    )
    assert opened.run(opened.store.usage.add([record])) == 1
    assert row(opened, name) == AccountRow(
        account_id=name, limit_units=1000, spent=30, leased=0, held=0
    )
    assert (row(opened, quota).limit_units, sums(opened, quota)) == (500, (30, 0, 0))


@pytest.mark.parametrize(
    ("of", "spent"),
    [
        (limit(), 111),
        (limit(models=("claude-haiku-*",)), 10),
        (limit(period="month"), 11),
        (limit(period="month", created_at=AT - 90 * 86_400), 0),
        (limit(level="person", subject_id="per_a"), 1),
        (limit(level="group", subject_id="grp_top"), 101),
        (limit(level="gateway", subject_id=""), 1111),
        (limit(level="gateway", subject_id="", period="day", zone="Asia/Kathmandu"), 1011),
    ],
)
def test_a_new_limit_begins_with_what_was_spent_in_its_period(
    opened: Any, make_usage: Callable[..., UsageRecord], of: Limit, spent: int
) -> None:
    for id_, parent in (("grp_top", None), ("grp_mid", "grp_top"), ("grp_low", "grp_mid")):
        group = Group(id=id_, name=id_, parent_id=parent, created_at=AT)
        opened.run(opened.store.organization.insert(group))
    records = [
        make_usage(cost_units=1, person_id="per_a", group_id="grp_low"),
        make_usage(cost_units=10, model="claude-haiku-4-5"),
        make_usage(cost_units=100, at_ms=(AT - 60 * 86_400) * 1000, group_id="grp_top"),
        make_usage(cost_units=1000, key_id="key_b", group_id="grp_other"),
    ]
    opened.run(opened.store.usage.add(records))
    keep(opened, of)
    (made,) = opened.run(opened.store.accounts.whole([spec(of)]))
    assert made.spent == spent
    # Once: what is booked from now on names the account.
    more = make_usage(cost_units=5, accounts=made.account_id)
    opened.run(opened.store.usage.add([more]))
    assert opened.run(opened.store.accounts.whole([spec(of)]))[0].spent == spent + 5


def test_an_account_of_a_session_begins_with_that_session_and_is_dropped_when_it_is_old(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    of = keep(opened, limit(per_session=True))
    used = [make_usage(session="s1", cost_units=3), make_usage(session="s2", cost_units=4)]
    opened.run(opened.store.usage.add(used))
    store = opened.store.accounts
    specs = [spec(of, session="s1", scope_hash="f1"), spec(of, session="old", scope_hash="f2")]
    assert [made.spent for made in opened.run(store.whole(specs))] == [3, 0]
    assert opened.run(store.drop_sessions(AT - 30 * 86_400)) == 1
    assert sums(opened, "lim_a@0/f1") == (3, 0, 0)
    assert opened.run(store.drop_sessions(AT + 1)) == 1


def test_a_new_account_has_its_limit_as_it_is_now(opened: Any) -> None:
    of = keep(opened, limit(1000))
    opened.run(opened.store.organization.update(msgspec.structs.replace(of, amount_units=10)))
    # The replica has not heard of it.
    opened.run(opened.store.accounts.acquire("a", 1, [want(of, 1)], 1, TTL_MS))
    assert row(opened).limit_units == 10


def test_a_lowered_limit_grants_nothing_and_takes_nothing_back(opened: Any) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    opened.run(store.acquire("a", 1, [want(of, 80)], 1, TTL_MS))
    opened.run(opened.store.organization.update(msgspec.structs.replace(of, amount_units=10)))
    held = opened.run(store.acquire("a", 1, [want(of, 1)], 1, TTL_MS)).rows[0]
    assert (held.granted, held.limit_units, held.leased) == (80, 10, 80)


def test_reports_are_totals_and_can_come_twice_and_late(opened: Any) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    epoch = opened.run(opened.store.replicas.start("a", "{}")).epoch
    opened.run(store.acquire("a", epoch, [want(of, 80)], 1, TTL_MS))

    def report(sequence: int, returned: int, open_: int) -> Any:
        said = LeaseReport(account_id="lim_a@0", granted=80, returned=returned, open=open_)
        return opened.run(store.renew("a", epoch, sequence, [said], TTL_MS))

    answer = report(1, 30, 5)
    assert answer.sequence_before == 0
    assert (answer.rows[0].returned, answer.rows[0].leased) == (30, 50)
    assert report(2, 30, 4).rows[0].leased == 50
    assert report(2, 10, 4).rows[0].returned == 30
    assert report(3, 30, 0).sequence_before == 2
    assert sums(opened) == (0, 50, 0)


def test_a_restored_store_takes_the_word_of_a_replica(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    # Nothing of it is in the store: it was put back to before all that.
    keep(opened, limit(100))
    said = LeaseReport(account_id="lim_a@0", granted=80, returned=20, open=5)
    answer = opened.run(opened.store.accounts.renew("a", 3, 9, [said], TTL_MS))
    assert answer.sequence_before == -1
    assert (answer.rows[0].granted, answer.rows[0].returned) == (80, 20)
    assert sums(opened) == (0, 60, 0)
    opened.run(opened.store.usage.add([make_usage(accounts="lim_a@0", lease="a#3", cost_units=9)]))
    assert sums(opened) == (9, 51, 0)


def test_a_restored_store_that_hears_of_the_cost_before_the_lease_counts_it_once(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    keep(opened, limit(100))
    opened.run(opened.store.usage.add([make_usage(accounts="lim_a@0", lease="a#3", cost_units=9)]))
    assert sums(opened) == (9, 0, 0)
    said = LeaseReport(account_id="lim_a@0", granted=80, returned=20, open=5)
    opened.run(opened.store.accounts.renew("a", 3, 9, [said], TTL_MS))
    assert sums(opened) == (9, 51, 0)


def test_leases_that_nobody_reports_hold_for_longer_too(opened: Any) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    opened.run(store.acquire("a", 1, [want(of, 10)], 1, 1))
    now_ms = opened.run(store.renew("a", 1, 1, [], TTL_MS)).now_ms
    (held,) = opened.run(store.overview()).held
    assert held.expires_ms == now_ms + TTL_MS
    assert (held.replica, held.leases, held.leased, held.open) == ("a", 1, 10, 0)


def test_one_that_leaves_gives_all_back(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    joined = opened.run(opened.store.replicas.start("a", "{}"))
    opened.run(store.acquire("a", joined.epoch, [want(of, 80)], 1, TTL_MS))
    lease = f"a#{joined.epoch}"
    opened.run(opened.store.usage.add([make_usage(accounts="lim_a@0", lease=lease, cost_units=9)]))
    opened.run(store.leave("a", joined.epoch))
    assert sums(opened) == (9, 0, 0)
    assert opened.run(opened.store.replicas.start("a", "{}")).epoch > joined.epoch


def test_what_was_open_when_one_died_counts_as_spent_when_it_starts_again(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    first = opened.run(opened.store.replicas.start("a", "{}")).epoch
    opened.run(store.acquire("a", first, [want(of, 80)], 1, TTL_MS))
    said = LeaseReport(account_id="lim_a@0", granted=80, returned=0, open=25)
    opened.run(store.renew("a", first, 1, [said], TTL_MS))
    second = opened.run(opened.store.replicas.start("a", "{}")).epoch
    # Until its records are booked nobody may spend it.
    assert opened.run(store.acquire("b", 1, [want(of, 21)], 1, TTL_MS)).rows[0].granted == 0
    lease = f"a#{first}"
    opened.run(opened.store.usage.add([make_usage(accounts="lim_a@0", lease=lease, cost_units=9)]))
    (closed,) = opened.run(store.close_earlier("a", second))
    assert (closed.epoch, closed.lost_units, closed.freed_units) == (first, 25, 46)
    assert sums(opened) == (34, 0, 0)
    assert opened.run(store.close_earlier("a", second)) == ()
    assert opened.run(store.overview()).lost_units == 25
    # A record that turns up after all is booked all the same.
    opened.run(opened.store.usage.add([make_usage(accounts="lim_a@0", lease=lease, cost_units=1)]))
    assert sums(opened) == (35, 0, 0)


def test_leases_that_ended_long_ago_are_forgotten_and_no_money_with_them(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    def record(lease: str, units: int) -> UsageRecord:
        return make_usage(accounts="lim_a@0", lease=lease, cost_units=units)

    of = keep(opened, limit(100))
    store = opened.store.accounts
    for name in ("gone", "lost", "here"):
        opened.run(store.acquire(name, 1, [want(of, 20)], 1, TTL_MS))
        opened.run(opened.store.usage.add([record(f"{name}#1", 3)]))
    said = LeaseReport(account_id="lim_a@0", granted=20, returned=0, open=10)
    opened.run(store.renew("lost", 1, 1, [said], TTL_MS))
    opened.run(store.leave("gone", 1))
    opened.run(store.close_earlier("lost", 2))
    assert sums(opened) == (19, 17, 0)
    assert opened.run(store.drop_leases(1)) == 0
    far = 10**15
    assert opened.run(store.drop_leases(far)) == 1
    assert opened.run(store.drop_leases(far)) == 0
    assert sums(opened) == (19, 17, 0)
    assert opened.run(store.overview()).lost_units == 10
    # What turns up after all is booked once, and holds nothing of what is left.
    opened.run(opened.store.usage.add([record("gone#1", 2)]))
    assert sums(opened) == (21, 17, 0)
    opened.run(store.leave("here", 1))
    assert sums(opened) == (21, 0, 0)


def test_only_one_that_is_gone_can_be_forgotten_and_that_is_audited(opened: Any) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    with pytest.raises(UnknownReplicaError, match="'a'"):
        opened.run(store.forget("a"))
    opened.run(store.acquire("a", 1, [want(of, 80)], 1, TTL_MS))
    said = LeaseReport(account_id="lim_a@0", granted=80, returned=0, open=25)
    opened.run(store.renew("a", 1, 1, [said], TTL_MS))
    with pytest.raises(ReplicaRunningError, match="60 s"):
        opened.run(store.forget("a"))
    expire(opened)
    closed = opened.run(store.forget("a", actor="cli:me@here", expiry_ms=-1))
    assert [(lease.lost_units, lease.freed_units) for lease in closed] == [(25, 55)]
    assert sums(opened) == (25, 0, 0)
    (entry,) = [
        entry
        for entry in opened.run(opened.store.audit.list(AuditQuery()))
        if entry.action == "forget"
    ]
    assert (entry.actor, entry.subject, entry.subject_id) == ("cli:me@here", "replica", "a")


def test_one_that_was_forgotten_and_lives_gets_only_what_its_requests_need(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    of = keep(opened, limit(100))
    store = opened.store.accounts
    opened.run(store.acquire("a", 1, [want(of, 80)], 1, TTL_MS))
    said = LeaseReport(account_id="lim_a@0", granted=80, returned=0, open=25)
    opened.run(store.renew("a", 1, 1, [said], TTL_MS))
    expire(opened)
    opened.run(store.forget("a", expiry_ms=-1))
    assert opened.run(store.acquire("b", 1, [want(of, 75)], 1, TTL_MS)).rows[0].granted == 75
    refused = opened.run(store.acquire("a", 1, [want(of, 0, 10)], 1, TTL_MS)).rows[0]
    assert (refused.is_closed, refused.granted) == (True, 80)
    answer = opened.run(store.renew("a", 1, 2, [said], TTL_MS)).rows[0]
    assert (answer.is_closed, answer.granted - answer.returned - answer.spent) == (False, 25)
    assert sums(opened) == (0, 100, 0)
    opened.run(opened.store.usage.add([make_usage(accounts="lim_a@0", lease="a#1", cost_units=5)]))
    assert sums(opened) == (5, 95, 0)


def test_a_batch_holds_what_its_lease_had_and_gives_it_back_with_its_results(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    all_, haiku = keep(opened, limit(100)), keep(opened, limit(100, id="lim_b", models=("haiku",)))
    store, batches = opened.store.accounts, opened.store.batches
    opened.run(store.acquire("a", 1, [want(all_, 60), want(haiku, 20)], 1, TTL_MS))
    made = Batch(id="msgbatch_1", upstream="u", key_id="key_a", created_at=AT)
    lines = [
        BatchLine(custom_id="1", model="haiku", held_units=20),
        BatchLine(custom_id="2", model="opus", held_units=30),
    ]
    holds = [Hold(account_id="lim_a@0", units=50), Hold(account_id="lim_b@0", units=20)]
    opened.run(batches.insert(made, lines, holds, ("a", 1)))
    assert (sums(opened), sums(opened, "lim_b@0")) == ((0, 10, 50), (0, 0, 20))
    opus = BatchResult(custom_id="2", record=make_usage(model="opus", kind="batch", cost_units=35))
    changes = opened.run(batches.settle("msgbatch_1", [opus])).accounts
    assert [(c.account_id, c.released_units, c.cost_units) for c in changes] == [
        ("lim_a@0", 30, 35),
        ("lim_b@0", 0, 0),
    ]
    assert opened.run(batches.settle("msgbatch_1", [opus])).accounts == tuple(
        msgspec.structs.replace(change, released_units=0, cost_units=0) for change in changes
    )
    assert (sums(opened), sums(opened, "lim_b@0")) == ((35, 10, 20), (0, 0, 20))
    released = opened.run(batches.release("msgbatch_1"))
    assert [c.released_units for c in released] == [20, 20]
    assert (sums(opened), sums(opened, "lim_b@0")) == ((35, 10, 0), (0, 0, 0))
    # One that comes after all is booked in the periods in which the batch was made.
    late = BatchResult(custom_id="1", record=make_usage(model="haiku", kind="batch", cost_units=2))
    opened.run(batches.settle("msgbatch_1", [late]))
    assert (sums(opened), sums(opened, "lim_b@0")) == ((37, 10, 0), (2, 0, 0))
    opened.run(batches.delete("msgbatch_1"))
    assert (sums(opened), sums(opened, "lim_b@0")) == ((37, 10, 0), (2, 0, 0))


def test_each_model_of_a_batchs_chain_is_booked_in_its_own_limits(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    keep(opened, limit(100))
    keep(opened, limit(100, id="lim_b", models=("haiku",)))
    keep(opened, limit(100, id="lim_c", models=("opus",)))
    batches = opened.store.batches
    made = Batch(id="msgbatch_1", upstream="u", key_id="key_a", created_at=AT)
    # Of two requests to haiku one may be answered by opus in its place.
    lines = [BatchLine(custom_id=name, model="haiku", held_units=30) for name in "ab"]
    holds = [
        Hold(account_id=f"{name}@0", units=units)
        for name, units in (("lim_a", 60), ("lim_b", 60), ("lim_c", 30))
    ]
    opened.run(batches.insert(made, lines, holds))
    plain = make_usage(request_id="b", model="haiku", kind="batch", cost_units=4)
    chained = make_usage(request_id="a", model="opus", kind="batch", cost_units=25)
    both = [
        BatchResult(custom_id="b", record=plain),
        BatchResult(custom_id="a", record=chained, costs=(("opus", 20), ("haiku", 5))),
    ]
    first = opened.run(batches.settle("msgbatch_1", both[:1])).accounts
    assert [(c.released_units, c.cost_units) for c in first] == [(30, 4), (30, 4), (0, 0)]
    # With the last line all of it is given back, whichever model it was held for.
    last = opened.run(batches.settle("msgbatch_1", both)).accounts
    assert [(c.released_units, c.cost_units) for c in last] == [(30, 25), (30, 5), (30, 20)]
    again = opened.run(batches.settle("msgbatch_1", both[::-1])).accounts
    assert [(c.released_units, c.cost_units) for c in again] == [(0, 0)] * 3
    assert [sums(opened, f"{name}@0") for name in ("lim_a", "lim_b", "lim_c")] == [
        (29, 0, 0),
        (9, 0, 0),
        (20, 0, 0),
    ]


def test_a_batch_whose_results_never_come_is_found_two_days_later(opened: Any) -> None:
    of = keep(opened, limit(100))
    batches = opened.store.batches
    made = Batch(id="msgbatch_1", upstream="u", key_id="key_a", created_at=AT)
    line = BatchLine(custom_id="1", model="m", held_units=20)
    # Directly: nothing was reserved on a lease, and the account is made on the way.
    opened.run(batches.insert(made, [line], [Hold(account_id=spec(of).account_id, units=20)]))
    assert sums(opened) == (0, 0, 20)
    assert opened.run(batches.expired(AT + 2 * 86_400)) == ()
    assert opened.run(batches.expired(AT + 2 * 86_400 + 1)) == ("msgbatch_1",)
    opened.run(batches.delete("msgbatch_1"))
    assert sums(opened) == (0, 0, 0)
    assert opened.run(batches.expired(AT + 3 * 86_400)) == ()


def test_two_that_ask_book_and_hold_at_once_never_wait_for_each_other(
    location: Path | str, make_usage: Callable[..., UsageRecord]
) -> None:
    names = [f"lim_{place}" for place in range(12)]

    async def check() -> None:
        async with await Store.open(location) as first, await Store.open(location) as second:
            limits = [await first.organization.insert(limit(100_000, id=name)) for name in names]

            async def work(store: Store, replica: str, order: int) -> int:
                granted = 0
                for turn in range(15):
                    wants = [want(of, 10) for of in limits[::order]]
                    rows = (await store.accounts.acquire(replica, 1, wants, 1, TTL_MS)).rows
                    charges = ",".join(row.account_id for row in rows[::order])
                    record = make_usage(accounts=charges, lease=f"{replica}#1", cost_units=7)
                    await store.usage.add([record, record])
                    reports = [
                        LeaseReport(
                            account_id=row.account_id,
                            granted=row.granted,
                            returned=turn,
                            open=turn % 3,
                        )
                        for row in rows
                    ]
                    await store.accounts.renew(replica, 1, turn, reports, TTL_MS)
                    granted = rows[0].granted
                return granted

            granted = await asyncio.gather(work(first, "a", 1), work(second, "b", -1))
            assert list(granted) == [150, 150]
            found = await first._database.read(lambda at: at.execute(select(accounts)).all())
            assert {(made.spent, made.leased) for made in found} == {(210, 2 * (150 - 105 - 14))}
            assert len(found) == 12
            balance = select(func.sum(leases.c.granted - leases.c.returned - leases.c.spent))
            total = await first._database.read(lambda at: at.execute(balance).scalar_one())
            assert int(total) == sum(made.leased for made in found)

    asyncio.run(check())


def test_an_account_that_two_make_at_once_begins_with_the_past_once(
    location: Path | str, make_usage: Callable[..., UsageRecord]
) -> None:
    async def check() -> None:
        async with await Store.open(location) as first, await Store.open(location) as second:
            await first.usage.add([make_usage(cost_units=11)])
            of = await first.organization.insert(limit())
            record = make_usage(accounts="lim_a@0", cost_units=5)
            await asyncio.gather(
                first.accounts.whole([spec(of)]),
                second.usage.add([record]),
                first.accounts.acquire("a", 1, [want(of, 1)], 1, TTL_MS),
                second.accounts.whole([spec(of)]),
            )
            (made,) = await first.accounts.whole([spec(of)])
            assert (made.spent, made.leased) == (16, 1)

    asyncio.run(check())


def test_a_quota_begins_with_what_its_key_has_used(
    opened: Any, make_usage: Callable[..., UsageRecord], make_key: Callable[..., KeyRecord]
) -> None:
    key = opened.run(opened.store.keys.insert(make_key(quota_units=500)))
    opened.run(opened.store.usage.add([make_usage(key_id=key.id, cost_units=30)]))
    quota = quota_limit(key)
    assert quota is not None
    one = AccountSpec(account_id=account_id(quota, 0), limit=quota, span=TOTAL)
    (made,) = opened.run(opened.store.accounts.whole([one]))
    assert (made.limit_units, made.spent) == (500, 30)


def test_a_period_begins_at_nothing_for_a_limit_that_is_older(
    opened: Any, make_usage: Callable[..., UsageRecord]
) -> None:
    of = keep(opened, limit(period="day", created_at=AT - 86_400 * 5))
    opened.run(opened.store.usage.add([make_usage(cost_units=30)]))
    (made,) = opened.run(opened.store.accounts.whole([spec(of)]))
    assert (made.spent, Span(*span_of("day", "UTC", AT)).start) == (0, spec(of).span.start)
