"""The gateways of a store as an administrator sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, update

from apertis.gateway.admin.status import replica_page
from apertis.gateway.replicas.presence import State, encode_state
from apertis.gateway.store.schema import leases, replicas

if TYPE_CHECKING:
    from tests.kit.stores import Opened


def write(opened: Opened, statement: Any) -> None:
    opened.run(opened.store._database.write(lambda connection: connection.execute(statement)))


def lease(replica: str, epoch: int, expires_ms: int) -> dict[str, object]:
    amounts = {"granted": 3_000_000, "returned": 500_000, "spent": 1_000_000, "lost": 0}
    name = {"account_id": "a@0", "replica": replica, "epoch": epoch}
    return {**name, **amounts, "open": 250_000, "expires_ms": expires_ms}


def test_each_start_is_shown_with_what_it_may_spend(opened: Opened) -> None:
    stored = opened.store.replicas
    state = State(version="1.2.3", breakers={"one": (2, "bad host", 9.0), "two": (1, None, 0.0)})
    here = opened.run(stored.start("a", encode_state(state)))
    gone = opened.run(stored.start("b", "not JSON"))
    opened.run(stored.stop(opened.run(stored.start("c", "{}"))))
    now = opened.run(stored.read()).at_ms
    write(opened, insert(leases).values([lease("a", here.epoch, now + 60_000)]))
    write(opened, insert(leases).values([lease("a", 1, now - 60_000)]))
    of_b = replicas.c.name == "b"
    write(opened, update(replicas).where(of_b).values(seen_ms=gone.seen_ms - 20_000))
    page = opened.run(replica_page(opened.store))
    views = {(view.name, view.started_at is not None): view for view in page.data}
    assert {key: view.state for key, view in views.items()} == {
        ("a", False): "gone",
        ("a", True): "here",
        ("b", True): "gone",
        ("c", True): "stopped",
    }
    a = views["a", True]
    assert (a.version, a.open_breakers, a.leases) == ("1.2.3", ("one",), 1)
    assert (a.leased_usd, a.reserved_usd, a.free_usd) == ("3", "0.5", "2.5")
    assert a.seconds_left is not None
    assert 40 < a.seconds_left <= 50
    assert views["a", False].seconds_left == 0
    assert (views["b", True].version, views["c", True].seen_at) == (None, None)
