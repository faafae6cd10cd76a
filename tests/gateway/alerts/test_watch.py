"""Looking, claiming and delivering, with real stores and a real receiver."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, update

from apertis.gateway.alerts.decide import OpenBreaker
from apertis.gateway.alerts.watch import Alerts, Conditions, send_test, targets_of
from apertis.gateway.config import AlertSettings, AlertTargetSettings, Secret
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.database import Store
from apertis.gateway.store.schema import accounts, alert_deliveries
from tests.kit.webhooks import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from apertis.gateway.keys.record import KeyRecord
    from tests.kit.gateways import RunningGateway
    from tests.kit.webhooks import Receiver

NOW = 1_795_000_000.0


class Place:
    """What a gateway says of itself, and what was logged."""

    def __init__(self, *, is_first: bool = True) -> None:
        self.is_first = is_first
        self.now = NOW
        self.breakers: tuple[OpenBreaker, ...] = ()
        self.lag = (0, 0.0)
        self.console_url: str | None = None
        self.lines: list[tuple[Any, ...]] = []

    def conditions(self) -> Conditions:
        return Conditions(
            replica="gw-1",
            is_first=lambda: self.is_first,
            breakers=lambda: self.breakers,
            journal_lag=lambda: self.lag,
            console_url=lambda: self.console_url,
            wall_clock=lambda: self.now,
            log=lambda *line, **facts: self.lines.append((*line, facts)),
        )


def settings(receiver: Receiver, **fields: Any) -> AlertSettings:
    own = AlertTargetSettings("ops", Secret(receiver.url), Secret(SECRET))
    return AlertSettings(targets=(own,), allow_private_addresses=True, **fields)


async def spend(store: Store, key: KeyRecord, spent: int) -> None:
    """Make a key with a quota of 100 units, of which so many are spent."""
    await store.keys.insert(key)
    values = {"limit_units": 100, "spent": spent, "leased": 0, "held": 0, "scope": ""}
    row = insert(accounts).values(
        id=f"quota-{key.id}@0", limit_id=f"quota-{key.id}", period_start=0, **values
    )

    def work(connection: Any) -> None:
        connection.execute(accounts.delete().where(accounts.c.limit_id == f"quota-{key.id}"))
        connection.execute(row)

    await store._database.write(work)


async def everything(alerts: Alerts) -> None:
    await alerts.look()
    while await alerts.deliver():
        pass


def test_three_replicas_tell_each_thing_once(
    location: Path | str, receiver: Receiver, make_key: Callable[..., KeyRecord]
) -> None:
    """All of them take themselves for the first, as after a change of who is."""

    async def run() -> None:
        stores = [await Store.open(location) for _ in range(3)]
        await spend(stores[0], make_key(name="ci", quota_units=100), 80)
        place = Place()
        place.breakers = (OpenBreaker("anthropic", "bad host", 5),)
        place.console_url = "https://claude.example.com"
        gateways = [
            Alerts(store.alerts, settings(receiver), place.conditions(), look_seconds=1)
            for store in stores
        ]
        for _ in range(2):
            await asyncio.gather(*map(everything, gateways))
        # A restart knows nothing but what the store has.
        again = Alerts(stores[0].alerts, settings(receiver), place.conditions(), look_seconds=1)
        await everything(again)
        for one in (*gateways, again):
            await one.close()
        for store in stores:
            await store.close()
        assert sum(one.attempts["ops", "delivered"] for one in gateways) == 2

    asyncio.run(run())
    assert sorted(message["type"] for message in receiver.messages) == [
        "breaker.opened",
        "budget.threshold_passed",
    ]
    for message in receiver.messages:
        assert message["data"]["text"].endswith(f" {message['data']['console_url']}")
        assert message["data"]["console_url"].startswith("https://claude.example.com/console/")
    assert len({headers["webhook-id"] for headers in receiver.headers}) == 2


def test_only_the_first_replica_looks_at_the_store(
    location: Path | str, receiver: Receiver, make_key: Callable[..., KeyRecord]
) -> None:
    async def run() -> list[int]:
        async with await Store.open(location) as store:
            await spend(store, make_key(quota_units=100), 80)
            place = Place(is_first=False)
            alerts = Alerts(store.alerts, settings(receiver), place.conditions(), look_seconds=1)
            await alerts.look()
            before = len(await store.alerts.list(limit=9))
            place.is_first = True
            await alerts.look()
            return [before, len(await store.alerts.list(limit=9))]

    assert asyncio.run(run()) == [0, 1]


def test_what_a_process_took_and_did_not_end_is_sent_by_another(
    tmp_path: Path, receiver: Receiver, make_key: Callable[..., KeyRecord]
) -> None:
    async def run() -> None:
        async with await Store.open(tmp_path) as store:
            await spend(store, make_key(quota_units=100), 100)
            first = Alerts(store.alerts, settings(receiver), Place().conditions(), look_seconds=1)
            await first.look()
            # It takes the delivery, and is killed.
            assert len(await store.alerts.take(["ops"], limit=9, hold_ms=0)) == 1
            other = Alerts(store.alerts, settings(receiver), Place().conditions(), look_seconds=1)
            assert await other.deliver() == 1
            await other.close()

    asyncio.run(run())
    assert len(receiver.messages) == 1


def test_a_failed_attempt_is_made_again_with_the_same_id_and_shown(
    tmp_path: Path, receiver: Receiver, make_key: Callable[..., KeyRecord]
) -> None:
    receiver.statuses.extend([500])
    place = Place()

    async def run() -> None:
        async with await Store.open(tmp_path) as store:
            await spend(store, make_key(quota_units=100), 100)
            alerts = Alerts(store.alerts, settings(receiver), place.conditions(), look_seconds=1)
            await everything(alerts)
            (told,) = await store.alerts.list(limit=9)
            (delivery,) = told.deliveries
            assert (delivery.state, delivery.error) == ("waiting", "it answered 500")
            assert delivery.next_ms is not None
            assert 3000 < delivery.next_ms - told.at_ms < 60_000
            # Its time has come.
            due = update(alert_deliveries).values(next_ms=0)
            await store._database.write(lambda connection: connection.execute(due))
            await everything(alerts)
            (told,) = await store.alerts.list(limit=9)
            assert (told.deliveries[0].state, told.deliveries[0].attempts) == ("delivered", 2)
            await alerts.close()

    asyncio.run(run())
    assert len({headers["webhook-id"] for headers in receiver.headers}) == 1
    assert len(receiver.messages) == 2
    assert [line[:2] for line in place.lines] == [
        ("error", "alert"),
        ("warning", "an alert was not delivered"),
    ]
    assert "token" not in json.dumps(place.lines)


def test_a_target_gets_the_kinds_and_levels_that_it_wants(receiver: Receiver) -> None:
    from apertis.gateway.alerts.decide import open_breakers

    (alert,) = open_breakers([OpenBreaker("a", "bad key", 1)], frozenset(), int(NOW * 1000))
    url, secret = Secret(receiver.url), Secret(SECRET)
    targets = (
        AlertTargetSettings("all", url, secret),
        AlertTargetSettings("budgets", url, secret, kinds=("budget",)),
        AlertTargetSettings("errors", url, secret, level="error"),
    )
    assert targets_of(alert, targets) == ["all", "errors"]


class Away:
    """A store that can be away."""

    def __init__(self, store: Store) -> None:
        self.store, self.is_away = store, False

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            raise StoreUnavailableError("the store failed")
        return getattr(self.store.alerts, name)


def test_the_journal_is_told_of_while_the_store_is_away_and_put_down_later(
    tmp_path: Path, receiver: Receiver
) -> None:
    place = Place()

    async def run() -> list[tuple[str, str]]:
        async with await Store.open(tmp_path) as store:
            away: Any = Away(store)
            alerts = Alerts(away, settings(receiver), place.conditions(), look_seconds=1)
            away.is_away, place.lag = True, (20_000, 400.0)
            await alerts.look()
            await alerts.look()
            assert [message["type"] for message in receiver.messages] == ["journal.lag"]
            away.is_away = False
            await everything(alerts)
            place.lag = (0, 0.0)
            await everything(alerts)
            await alerts.close()
            told = await store.alerts.list(limit=9)
            return [(one.alert.kind, way.state) for one in told for way in one.deliveries]

    assert asyncio.run(run()) == [("journal", "delivered")]
    assert len(receiver.messages) == 1


def test_a_breaker_that_opens_again_within_the_hour_is_not_told_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    place = Place()

    async def run() -> None:
        async with await Store.open(tmp_path) as store:
            alerts = Alerts(store.alerts, settings(receiver), place.conditions(), look_seconds=1)
            for breakers in ((OpenBreaker("a", "bad host", 5),), ()) * 3:
                place.breakers = breakers
                await everything(alerts)
                # Over the border of an hour, which is not an hour by the store's clock.
                place.now += 1800
            await alerts.close()

    asyncio.run(run())
    assert len(receiver.messages) == 1


def test_new_settings_are_taken_over(tmp_path: Path, receiver: Receiver) -> None:
    place = Place()

    async def run() -> None:
        async with await Store.open(tmp_path) as store:
            alerts = Alerts(store.alerts, AlertSettings(), place.conditions(), look_seconds=1)
            place.breakers = (OpenBreaker("a", "bad host", 5),)
            await everything(alerts)
            alerts.reconfigure(settings(receiver))
            place.breakers = (OpenBreaker("b", "bad host", 5),)
            await everything(alerts)
            await alerts.close()

    asyncio.run(run())
    assert [message["data"]["upstream"] for message in receiver.messages] == ["b"]


def test_a_test_goes_to_each_target(receiver: Receiver) -> None:
    from apertis.gateway.alerts.delivery import build_targets

    async def run() -> Any:
        return await send_test(build_targets(settings(receiver)), "msg_1", NOW)

    assert [(name, outcome.error) for name, outcome in asyncio.run(run())] == [("ops", None)]
    assert receiver.messages[0]["type"] == "alert.test"


def test_a_gateway_tells_of_a_budget_that_its_requests_use_up(
    start_gateway: Callable[..., RunningGateway],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.kit.waiting import until

    monkeypatch.setattr("apertis.gateway.gateway._ALERT_SECONDS", 0.05)
    running = start_gateway(
        "[alerts]\nallow_private_addresses = true\nschemes = ['http']\n"
        "[[alerts.targets]]\nname = 'ops'\nurl_env = 'HOOK'\nsecret_env = 'SECRET'\n",
        HOOK=receiver.url,
        SECRET=SECRET,
    )
    _, client = running.make_key(name="ci", quota_usd="0.01")
    while client.ask().status == 200:
        pass
    until(lambda: receiver.messages)
    message = receiver.messages[-1]
    assert message["data"]["subject"]["name"] == "ci"
    assert message["data"]["limit_usd"] == "0.01"
    metrics = running.client.call("GET", "/metrics").body
    assert b'apertis_alert_attempts_total{outcome="delivered",target="ops"}' in metrics
    log = running.log.read_text()
    assert '"kind":"budget"' in log
    assert "token-in-the-path" not in log
    assert SECRET not in log
