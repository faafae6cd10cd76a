"""Alerts are claimed once, whoever looks, and each delivery is one process's at a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, update

from apertis.gateway.budgets.limit import Limit, account_id
from apertis.gateway.store.alerts import Alert, budget_alert_id, forget_alerts
from apertis.gateway.store.database import Store
from apertis.gateway.store.schema import accounts, alerts, groups, limits, people

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.keys.record import KeyRecord
    from tests.kit.stores import Opened

NOW = int(time.time())


def alert(alert_id: str = "budget:a@0:100:50", **fields: Any) -> Alert:
    made: dict[str, Any] = {
        "id": alert_id,
        "kind": "budget",
        "level": "info",
        "text": "Ada has spent it.",
        "data": {"spent_usd": "1"},
    }
    return Alert(**{**made, **fields})


def write(opened: Opened, statement: Any) -> None:
    opened.run(opened.store._database.write(lambda connection: connection.execute(statement)))


def claim(opened: Opened, found: Alert, *targets: str, **more: Any) -> bool:
    return bool(opened.run(opened.store.alerts.claim([found], {found.id: targets}, **more)))


@pytest.mark.parametrize("round_", range(3))
def test_of_three_replicas_that_claim_at_once_one_tells(location: Path | str, round_: int) -> None:
    ids = [f"budget:a@{round_}:100:{percent}" for percent in (50, 75, 95, 100)]

    async def run() -> list[str]:
        stores = [await Store.open(location) for _ in range(3)]
        found = [alert(each) for each in ids]
        targets = {each: ["ops"] for each in ids}
        told = await asyncio.gather(*(store.alerts.claim(found, targets) for store in stores))
        for store in stores:
            await store.close()
        return [each.alert.id for own in told for each in own]

    assert sorted(asyncio.run(run())) == sorted(ids)


def test_of_three_replicas_that_deliver_at_once_one_takes_each(location: Path | str) -> None:
    ids = [f"budget:a@0:100:{percent}" for percent in range(1, 21)]

    async def run() -> list[str]:
        stores = [await Store.open(location) for _ in range(3)]
        await stores[0].alerts.claim([alert(each) for each in ids], {each: ["ops"] for each in ids})
        taken: list[str] = []
        while True:
            found = await asyncio.gather(
                *(store.alerts.take(["ops"], limit=5, hold_ms=60_000) for store in stores)
            )
            if not any(found):
                break
            taken += [attempt.told.alert.id for own in found for attempt in own]
        for store in stores:
            await store.close()
        return taken

    assert sorted(asyncio.run(run())) == sorted(ids)


def test_a_restart_tells_nothing_again(location: Path | str) -> None:
    async def start() -> int:
        async with await Store.open(location) as store:
            told = await store.alerts.claim([alert()], {alert().id: ["ops"]})
            known = await store.alerts.known([alert().id, "budget:b@0:100:50"])
            assert known == {alert().id}
            return len(told)

    assert [asyncio.run(start()) for _ in range(2)] == [1, 0]


def test_a_delivery_that_nobody_ended_is_taken_by_another_after_a_while(opened: Opened) -> None:
    stored = opened.store.alerts
    assert claim(opened, alert(), "ops", "chat")
    first = opened.run(stored.take(["ops"], limit=9, hold_ms=0))
    assert [(each.target, each.number) for each in first] == [("ops", 1)]
    # Whoever took it is heard of no more.
    (second,) = opened.run(stored.take(["ops"], limit=9, hold_ms=60_000))
    assert (second.number, second.told.message_id) == (2, first[0].told.message_id)
    assert not opened.run(stored.take(["ops"], limit=9, hold_ms=60_000))
    # And what it then says comes too late.
    opened.run(stored.end(first[0], "it was the first"))
    opened.run(stored.end(second, None))
    (told,) = opened.run(stored.list(limit=9))
    assert [(each.target, each.state, each.attempts) for each in told.deliveries] == [
        ("chat", "waiting", 0),
        ("ops", "delivered", 2),
    ]


def test_a_failed_delivery_waits_for_the_next_attempt_or_ends(opened: Opened) -> None:
    stored = opened.store.alerts
    claim(opened, alert(), "ops")
    (attempt,) = opened.run(stored.take(["ops"], limit=9, hold_ms=60_000))
    opened.run(stored.end(attempt, "it answered 500", 0))
    (again,) = opened.run(stored.take(["ops"], limit=9, hold_ms=60_000))
    (told,) = opened.run(stored.list(limit=9, failed_only=True))
    assert (told.deliveries[0].state, told.deliveries[0].error) == ("waiting", "it answered 500")
    opened.run(stored.end(again, "it answered 410"))
    (told,) = opened.run(stored.list(limit=9, failed_only=True))
    assert (told.deliveries[0].state, told.deliveries[0].attempts) == ("failed", 2)
    assert not opened.run(stored.take(["ops"], limit=9, hold_ms=60_000))


def test_only_own_targets_are_taken(opened: Opened) -> None:
    claim(opened, alert(), "elsewhere")
    assert not opened.run(opened.store.alerts.take(["ops"], limit=9, hold_ms=1000))
    assert not opened.run(opened.store.alerts.take([], limit=9, hold_ms=1000))


def test_the_same_trouble_is_told_once_in_a_while(opened: Opened) -> None:
    first, second, other = (
        alert(each, kind="breaker") for each in ("breaker:a:1", "breaker:a:2", "breaker:ab:2")
    )
    assert claim(opened, first, quiet_ms=60_000)
    assert not claim(opened, second, quiet_ms=60_000)
    assert claim(opened, other, quiet_ms=60_000)
    write(opened, update(alerts).values(at_ms=alerts.c.at_ms - 61_000))
    assert claim(opened, second, quiet_ms=60_000)


def test_what_was_sent_before_the_claim_is_not_sent_again(opened: Opened) -> None:
    assert claim(opened, alert(), "chat", "ops", delivered={"ops"})
    taken = opened.run(opened.store.alerts.take(["chat", "ops"], limit=9, hold_ms=60_000))
    assert [attempt.target for attempt in taken] == ["chat"]


def test_what_nothing_tells_again_is_forgotten_and_lost_targets_are_given_up(
    opened: Opened,
) -> None:
    stored = opened.store.alerts
    claim(opened, alert("key:a:1:7", kind="key", forget_ms=NOW * 1000 - 1), "ops")
    claim(opened, alert(), "gone", "ops")
    assert opened.run(stored.clean(["ops"], give_up_ms=-5000)) == 1
    (told,) = opened.run(stored.list(limit=9))
    assert told.alert.id == alert().id
    assert [(each.target, each.state) for each in told.deliveries] == [
        ("gone", "failed"),
        ("ops", "waiting"),
    ]


def test_the_names_of_who_is_removed_are_taken_out_and_it_stays_told(opened: Opened) -> None:
    claim(opened, alert(subject_id="per_a"), "ops")
    opened.run(opened.store._database.write(lambda at: forget_alerts(at, ["per_a"])))
    (told,) = opened.run(opened.store.alerts.list(limit=9))
    assert (told.alert.text, told.alert.data) == ("(removed)", {})
    assert not claim(opened, alert(), "ops")


def test_alerts_show_nothing_of_their_text(opened: Opened) -> None:
    claim(opened, alert(), "ops")
    assert "Ada" not in repr(opened.run(opened.store.alerts.list(limit=9)))


def make_limit(opened: Opened, own: Limit) -> None:
    values: dict[str, Any] = {
        column.name: getattr(own, column.name)
        for column in limits.columns
        if column.name != "thresholds"
    }
    written = f"[{','.join(map(str, own.thresholds))}]"
    write(opened, insert(limits).values(**values, thresholds=written))


def spend(
    opened: Opened, own: Limit, spent: int, start: int, end: int | None, scope: str = ""
) -> None:
    write(
        opened,
        insert(accounts).values(
            id=account_id(own, start, scope),
            limit_id=own.id,
            scope=scope,
            period_start=start,
            period_end=end,
            limit_units=own.most_units,
            spent=spent,
            leased=0,
            held=0,
        ),
    )


def seen(opened: Opened) -> list[tuple[str, str | None, int]]:
    found = opened.run(opened.store.alerts.look())
    return sorted((each.account_id, each.name, each.spent) for each in found.budgets)


def made(**fields: Any) -> Limit:
    known: dict[str, Any] = {
        "id": "lim_a",
        "level": "person",
        "subject_id": "per_a",
        "amount_units": 100,
        "period": "month",
    }
    return Limit(**{**known, **fields})


def test_running_accounts_past_the_lowest_threshold_are_seen_with_their_names(
    opened: Opened,
) -> None:
    common = {"status": "enabled", "created_at": 0, "sequence": 0, "version": 1}
    write(opened, insert(people).values(id="per_a", name="Ada", role="member", **common))
    write(opened, insert(groups).values(id="grp_a", name="team", **common))
    end = NOW + 1000
    for own, spent in (
        (made(), 50),
        (made(id="lim_group", level="group", subject_id="grp_a", thresholds=(20, 80)), 30),
        (made(id="lim_all", level="gateway", subject_id=""), 200),
        (made(id="lim_low"), 19),
        (made(id="lim_off", status="removed"), 99),
    ):
        make_limit(opened, own)
        spend(opened, own, spent, NOW - 1000, end)
    # Periods that are over, and those of single sessions.
    spend(opened, made(), 99, NOW - 5000, NOW - 1000)
    guard = made(id="lim_guard", per_session=True)
    make_limit(opened, guard)
    spend(opened, guard, 99, NOW - 1000, end, "session")
    old = made(id="lim_old")
    make_limit(opened, old)
    spend(opened, old, 99, NOW - 5000, NOW - 1000)
    start = NOW - 1000
    assert seen(opened) == [
        (f"lim_a@{start}", "Ada", 50),
        (f"lim_all@{start}", None, 200),
        (f"lim_group@{start}", "team", 30),
    ]


def test_a_budget_is_seen_until_its_highest_threshold_is_told(opened: Opened) -> None:
    own = made()
    make_limit(opened, own)
    spend(opened, own, 96, NOW - 1000, NOW + 1000)
    name = f"lim_a@{NOW - 1000}"
    assert seen(opened) == [(name, None, 96)]
    claim(opened, alert(budget_alert_id(name, 100, 75)))
    assert seen(opened) == [(name, None, 96)]
    claim(opened, alert(budget_alert_id(name, 100, 95)))
    assert seen(opened) == []
    write(opened, update(accounts).values(spent=100))
    assert seen(opened) == [(name, None, 100)]
    claim(opened, alert(budget_alert_id(name, 100, 100)))
    assert seen(opened) == []
    # Another amount is another budget.
    write(opened, update(limits).values(amount_units=120))
    assert seen(opened) == [(name, None, 100)]


def test_quotas_are_seen_as_the_limits_that_they_are(
    opened: Opened, make_key: Callable[..., KeyRecord]
) -> None:
    for name, status, quota in (
        ("a", "enabled", 100),
        ("b", "disabled", 100),
        ("c", "enabled", None),
        ("d", "enabled", 1000),
    ):
        key = make_key(id=f"key_{name}", name=name, status=status, quota_units=quota)
        opened.run(opened.store.keys.insert(key))
        write(opened, delete(accounts).where(accounts.c.limit_id == f"quota-key_{name}"))
        spend(opened, made(id=f"quota-key_{name}", amount_units=quota or 0), 60, 0, None)
    (state,) = opened.run(opened.store.alerts.look()).budgets
    assert (state.account_id, state.name, state.limit.amount_units) == ("quota-key_a@0", "a", 100)
    assert (state.limit.period, state.period_end) == ("total", None)


def test_keys_that_end_soon_are_seen(opened: Opened, make_key: Callable[..., KeyRecord]) -> None:
    for name, expires_at in (("a", NOW + 500), ("b", NOW + 5000), ("c", NOW - 5), ("d", None)):
        opened.run(opened.store.keys.insert(make_key(name=name, expires_at=expires_at)))
    found = opened.run(opened.store.alerts.look(key_seconds=1000))
    assert [key.name for key in found.keys] == ["a"]
    assert not opened.run(opened.store.alerts.look()).keys


def test_keys_of_sign_ins_get_a_new_end_by_themselves_and_are_not_told_of(
    opened: Opened, make_key: Callable[..., KeyRecord]
) -> None:
    opened.run(opened.store.keys.insert(make_key(kind="sign_in", expires_at=NOW + 500)))
    assert not opened.run(opened.store.alerts.look(key_seconds=1000)).keys


def test_an_hours_spending_is_seen_beside_that_of_the_same_hour_of_days_before(
    opened: Opened, make_usage: Callable[..., UsageRecord]
) -> None:
    empty = opened.run(opened.store.alerts.look(days=7)).spending
    assert (empty.spent, empty.before) == (0, ())
    start = empty.hour_start * 1000
    day = 86_400_000
    records: Sequence[UsageRecord] = [
        make_usage(at_ms=start + 1, cost_units=7),
        make_usage(at_ms=start - day, cost_units=3),
        make_usage(at_ms=start - day + 3_599_999, cost_units=4),
        make_usage(at_ms=start - day - 1, cost_units=100),
        make_usage(at_ms=start - 3 * day - 1, cost_units=100),
    ]
    opened.run(opened.store.usage.add(records))
    spending = opened.run(opened.store.alerts.look(days=7)).spending
    assert (spending.spent, spending.before) == (7, (7, 0, 0))
