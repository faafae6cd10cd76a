"""What gateways say of the parties that they count together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import update

from apertis.gateway.store.schema import shares

if TYPE_CHECKING:
    from tests.kit.stores import Opened


def test_each_reads_what_the_others_said_last(opened: Opened) -> None:
    stored = opened.store.shares
    assert opened.run(stored.exchange("a", [("x", 3, 4), ("y", 1, 1)], [], 0))[1] == []
    at, rows = opened.run(stored.exchange("b", [("x", 5, 6)], [], 0))
    assert sorted(row[:4] for row in rows) == [("x", "a", 3, 4), ("y", "a", 1, 1)]
    assert all(0 <= at - row[4] < 5000 for row in rows)
    opened.run(stored.exchange("a", [("x", 7, 0)], ["y"], at))
    _, rows = opened.run(stored.exchange("b", [], [], at))
    # What is idle is told too: the others would go on counting it.
    assert sorted(row[:4] for row in rows) == [("x", "a", 7, 0), ("y", "a", 0, 0)]


def test_only_what_is_new_is_read(opened: Opened) -> None:
    stored = opened.store.shares
    opened.run(stored.exchange("a", [("x", 3, 4), ("y", 1, 1)], [], 0))
    old = update(shares).where(shares.c.party == "x").values(seen_ms=shares.c.seen_ms - 60_000)
    opened.run(opened.store._database.write(lambda connection: connection.execute(old)))
    at, rows = opened.run(stored.exchange("b", [], [], 0))
    assert {row[0] for row in rows} == {"x", "y"}
    # Behind the time of the last look, since a transaction may end after another one looked.
    assert [row[0] for row in opened.run(stored.exchange("b", [], [], at))[1]] == ["y"]


def test_what_gateways_that_are_gone_have_said_is_forgotten(opened: Opened) -> None:
    stored = opened.store.shares
    opened.run(stored.exchange("a", [("x", 3, 4), ("y", 1, 1)], [], 0))
    old = update(shares).where(shares.c.party == "x").values(seen_ms=0)
    opened.run(opened.store._database.write(lambda connection: connection.execute(old)))
    opened.run(stored.sweep())
    assert [row[0] for row in opened.run(stored.exchange("b", [], [], -(10**9)))[1]] == ["y"]


def test_what_is_idle_is_forgotten_once_all_have_read_it(opened: Opened) -> None:
    stored = opened.store.shares
    opened.run(stored.exchange("a", [("x", 3, 4)], ["y", "z"], 0))
    old = update(shares).where(shares.c.party != "z").values(seen_ms=shares.c.seen_ms - 61_000)
    opened.run(opened.store._database.write(lambda connection: connection.execute(old)))
    opened.run(stored.sweep())
    rows = opened.run(stored.exchange("b", [], [], -(10**9)))[1]
    assert sorted(row[0] for row in rows) == ["x", "z"]
