"""Who is there: one process for each name, the one that started last."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from apertis.gateway.store.database import Store
from apertis.gateway.store.schema import leases, replicas

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.stores import Opened


def write(opened: Opened, statement: Any) -> None:
    opened.run(opened.store._database.write(lambda connection: connection.execute(statement)))


def test_everybody_sees_everybody(opened: Opened) -> None:
    stored = opened.store.replicas
    a, b = (opened.run(stored.start(name, "{}")) for name in "ab")
    seen = opened.run(stored.see(a, '{"version":"2"}'))
    assert [(one.name, one.epoch, one.state) for one in seen.replicas] == [
        ("a", a.epoch, '{"version":"2"}'),
        ("b", b.epoch, "{}"),
    ]
    assert all(abs(seen.at_ms - one.seen_ms) < 5000 for one in seen.replicas)
    opened.run(stored.stop(b))
    assert [one.seen_ms == 0 for one in opened.run(stored.read()).replicas] == [False, True]


def test_a_name_belongs_to_the_process_that_started_last(opened: Opened) -> None:
    stored = opened.store.replicas
    first = opened.run(stored.start("a", "{}"))
    second = opened.run(stored.start("a", "{}"))
    assert second.epoch > first.epoch
    assert opened.run(stored.see(first, "{}")) is None
    assert opened.run(stored.see(second, "{}")) is not None
    # The earlier one's end is not the later one's.
    opened.run(stored.stop(first))
    assert opened.run(stored.read()).replicas[0].seen_ms > 0


def test_processes_that_start_at_once_with_one_name_get_an_epoch_each(
    location: Path | str,
) -> None:
    async def run() -> list[int]:
        stores = [await Store.open(location) for _ in range(3)]
        started = await asyncio.gather(*(store.replicas.start("a", "{}") for store in stores))
        for store in stores:
            await store.close()
        return [one.epoch for one in started]

    assert len(set(asyncio.run(run()))) == 3


@pytest.mark.parametrize("is_known", [True, False])
def test_a_store_from_a_backup_hears_of_a_gateway_again(opened: Opened, is_known: bool) -> None:
    stored = opened.store.replicas
    own = opened.run(stored.start("a", "{}"))
    write(opened, update(replicas).values(sequence=7))
    assert opened.run(stored.see(own, "{}")).replicas[0].sequence == 7
    if is_known:
        # An earlier start of it: what that one counted is not this one's.
        write(opened, update(replicas).values(epoch=own.epoch - 1))
    else:
        write(opened, replicas.delete())
    seen = opened.run(stored.see(own, "{}"))
    assert [(one.name, one.epoch, one.sequence) for one in seen.replicas] == [("a", own.epoch, 0)]
    assert opened.run(stored.start("a", "{}")).epoch > own.epoch


def test_those_that_are_gone_for_days_are_forgotten_unless_they_owe(opened: Opened) -> None:
    stored = opened.store.replicas
    for name in ("gone", "owing"):
        opened.run(stored.start(name, "{}"))
    write(opened, update(replicas).values(started_ms=0, seen_ms=0))
    amounts = dict.fromkeys(("granted", "returned", "spent", "open", "lost", "expires_ms"), 0)
    lease = {"account_id": "x", "replica": "owing", "epoch": 1, **amounts}
    write(opened, leases.insert().values(lease))
    opened.run(stored.start("new", "{}"))
    assert [one.name for one in opened.run(stored.read()).replicas] == ["new", "owing"]
