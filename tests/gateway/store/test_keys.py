"""Keys are kept whole, and every change of one is seen by those who ask what changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.database import Store
from apertis.gateway.store.records import UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.accounting.record import UsageRecord
    from apertis.gateway.keys.record import KeyRecord

FULL: dict[str, Any] = {
    "owner": "Ada's team",
    "tags": ("ci", "naïve, 'quoted'"),
    "previous_sha256": "0" * 64,
    "previous_until": 1_790_000_500,
    "admin": True,
    "status": "disabled",
    "expires_at": 1_800_000_000,
    "quota_units": 2**60,
    "models": ("claude-sonnet-4-5",),
    "addresses": ("10.0.0.0/8", "2001:db8::/32"),
    "fallback_models": ("a", "b"),
    "fallback_timeout_ms": 0,
    "fallback_enabled": False,
    "requests_limit": "3000/1m",
    "tokens_per_minute": 0,
    "in_flight": 4,
    "response_cache": True,
    "billing_policy": True,
}


@pytest.mark.parametrize("fields", [{}, FULL, {"models": (), "addresses": ()}])
def test_a_key_comes_back_as_it_was_kept(
    opened: Any, make_key: Callable[..., KeyRecord], fields: dict[str, Any]
) -> None:
    kept = opened.run(opened.store.keys.insert(make_key(**fields)))
    assert opened.run(opened.store.keys.get(kept.id)) == kept
    assert opened.run(opened.store.keys.list()) == (kept,)


def test_units_that_a_key_brings_along_are_kept(
    opened: Any, make_key: Callable[..., KeyRecord]
) -> None:
    kept = opened.run(opened.store.keys.insert(make_key(used_units=77)))
    assert opened.run(opened.store.keys.get(kept.id)).used_units == 77


def test_each_field_can_be_changed_and_no_other_changes(
    opened: Any, make_key: Callable[..., KeyRecord]
) -> None:
    key = opened.run(opened.store.keys.insert(make_key()))
    for name, value in FULL.items():
        changed = opened.run(opened.store.keys.update(key.id, **{name: value}))
        key = msgspec.structs.replace(key, **{name: value}, version=key.version + 1)
        assert changed == key
        assert opened.run(opened.store.keys.get(key.id)) == key


@pytest.mark.parametrize("name", ["id", "version", "used_units", "created_at", "colour"])
def test_what_the_store_keeps_itself_cannot_be_set(
    opened: Any, make_key: Callable[..., KeyRecord], name: str
) -> None:
    key = opened.run(opened.store.keys.insert(make_key()))
    with pytest.raises(TypeError, match=name):
        opened.run(opened.store.keys.update(key.id, **{name: 1}))
    assert opened.run(opened.store.keys.get(key.id)) == key


def test_changing_a_key_that_is_not_there_is_told_and_changes_nothing(
    opened: Any, make_key: Callable[..., KeyRecord]
) -> None:
    opened.run(opened.store.keys.insert(make_key()))
    before = opened.run(opened.store.keys.current_version())
    with pytest.raises(UnknownKeyError, match="key_nobody"):
        opened.run(opened.store.keys.update("key_nobody", name="x"))
    assert opened.run(opened.store.keys.current_version()) == before


def test_two_keys_never_share_a_secret(opened: Any, make_key: Callable[..., KeyRecord]) -> None:
    first = opened.run(opened.store.keys.insert(make_key()))
    before = opened.run(opened.store.keys.current_version())
    with pytest.raises(StoreUnavailableError) as caught:
        opened.run(opened.store.keys.insert(make_key(sha256=first.sha256)))
    assert first.sha256 not in str(caught.value)
    assert opened.run(opened.store.keys.current_version()) == before


def test_changes_since_a_version_are_those_that_came_after_it_in_their_order(
    opened: Any, make_key: Callable[..., KeyRecord]
) -> None:
    keys = opened.store.keys
    assert opened.run(keys.current_version()) == 0
    first, second, third = (opened.run(keys.insert(make_key())) for _ in range(3))
    seen = opened.run(keys.current_version())
    assert seen == third.version
    assert opened.run(keys.changes_since(seen)) == []
    third = opened.run(keys.update(third.id, status="disabled"))
    first = opened.run(keys.update(first.id, status="deleted"))
    assert opened.run(keys.changes_since(seen)) == [third, first]
    assert opened.run(keys.changes_since(0)) == [second, third, first]
    assert opened.run(keys.current_version()) == first.version == seen + 2


def test_keys_of_one_second_are_listed_in_the_order_of_their_creation(
    opened: Any, make_key: Callable[..., KeyRecord]
) -> None:
    keys = opened.store.keys
    records = [make_key(id=f"key_{name}", created_at=1_790_000_000) for name in "kbzac"]
    made = [opened.run(keys.insert(record)) for record in records]
    opened.run(keys.update("key_k", owner="ann"))
    opened.run(keys.update("key_b", owner="ann"))
    assert [key.id for key in opened.run(keys.list())] == [key.id for key in made]


def test_a_change_made_elsewhere_is_seen_by_a_running_gateway(
    location: Path | str, make_key: Callable[..., KeyRecord]
) -> None:
    async def change_beside() -> tuple[list[KeyRecord], KeyRecord]:
        async with await Store.open(location, exclusive=True) as gateway:
            key = await gateway.keys.insert(make_key())
            seen = await gateway.keys.current_version()
            async with await Store.open(location) as command_line:
                changed = await command_line.keys.update(key.id, status="disabled")
            assert await gateway.keys.current_version() > seen
            return await gateway.keys.changes_since(seen), changed

    changes, changed = asyncio.run(change_beside())
    assert changes == [changed]


def test_changes_at_once_all_get_versions_of_their_own(
    opened: Any, make_key: Callable[..., KeyRecord]
) -> None:
    keys = opened.store.keys
    made = [opened.run(keys.insert(make_key())) for _ in range(3)]

    async def change() -> list[KeyRecord]:
        work = (keys.update(key.id, in_flight=n) for n in range(8) for key in made)
        return list(await asyncio.gather(*work))

    changed = opened.run(change())
    assert sorted(key.version for key in changed) == list(range(4, 28))


def test_usage_is_no_change_of_a_key(
    opened: Any, make_key: Callable[..., KeyRecord], make_usage: Callable[..., Any]
) -> None:
    key = opened.run(opened.store.keys.insert(make_key()))
    opened.run(opened.store.usage.add([make_usage(key_id=key.id, cost_units=5)]))
    assert opened.run(opened.store.keys.changes_since(key.version)) == []
    assert opened.run(opened.store.keys.get(key.id)) == msgspec.structs.replace(key, used_units=5)


def test_the_last_use_of_a_key_is_that_of_its_latest_request(
    opened: Any, make_key: Callable[..., KeyRecord], make_usage: Callable[..., UsageRecord]
) -> None:
    keys, usage = opened.store.keys, opened.store.usage
    used, other, idle = (opened.run(keys.insert(make_key())) for _ in range(3))
    for records in (
        [
            make_usage(key_id=used.id, at_ms=5000, cost_units=3),
            # Another quarter hour, out of order.
            make_usage(key_id=used.id, at_ms=2_000_000, cost_units=0),
            make_usage(key_id=other.id, at_ms=7000, cost_units=1),
        ],
        # One that arrives late does not count as the last.
        [make_usage(key_id=used.id, at_ms=6000, cost_units=4)],
    ):
        opened.run(usage.add(records))
    assert opened.run(keys.uses([used.id, other.id, idle.id])) == {
        used.id: (7, 2_000_000),
        other.id: (1, 7000),
    }
    assert opened.run(keys.uses([])) == {}


def test_one_of_many_processes_makes_the_first_key(
    location: Path | str, make_key: Callable[..., KeyRecord]
) -> None:
    async def run() -> None:
        stores = [await Store.open(location) for _ in range(4)]
        made = await asyncio.gather(*(store.keys.insert_first(make_key()) for store in stores))
        (kept,) = [record for record in made if record is not None]
        assert await stores[0].keys.list() == (kept,)
        for store in stores:
            await store.close()

    asyncio.run(run())
