"""Changes of keys by several gateways at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apertis.gateway.admin.keys import KeyAdministration, Made
from apertis.gateway.errors import Refusal
from apertis.gateway.people.record import Person
from apertis.gateway.store.database import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.gateway.keys.record import KeyRecord

NOW = 1_800_000_000.0


def test_of_two_gateways_none_takes_away_the_last_administrator(
    location: Path | str, make_key: Callable[..., KeyRecord]
) -> None:
    async def run() -> None:
        stores = [await Store.open(location) for _ in range(2)]
        one, other = (
            KeyAdministration(store.keys, store.organization, lambda: NOW) for store in stores
        )
        for _ in range(5):
            a, b = [await stores[0].keys.insert(make_key(admin=True)) for _ in range(2)]
            answers = await asyncio.gather(
                one.set_status(a.id, "disabled", "test"), other.set_status(b.id, "disabled", "test")
            )
            refused = [answer for answer in answers if isinstance(answer, Refusal)]
            assert len(refused) == 1
            assert "last administrator" in refused[0].message
            for key in await stores[0].keys.list():
                await stores[0].keys.update(key.id, status="deleted")
        for store in stores:
            await store.close()

    asyncio.run(run())


def test_of_two_rotations_at_once_neither_is_lost(
    location: Path | str, make_key: Callable[..., KeyRecord]
) -> None:
    async def run() -> None:
        stores = [await Store.open(location) for _ in range(2)]
        key = await stores[0].keys.insert(make_key())
        made = await asyncio.gather(
            *(
                KeyAdministration(store.keys, store.organization, lambda: NOW).rotate(
                    key.id, 60, "test"
                )
                for store in stores
            )
        )
        kept = await stores[0].keys.get(key.id)
        assert kept is not None
        # Each followed the other: the earlier secret is good for a time.
        assert {one.record.sha256 for one in made if isinstance(one, Made)} == {
            kept.sha256,
            kept.previous_sha256,
        }
        for store in stores:
            await store.close()

    asyncio.run(run())


def test_two_gateways_make_one_key_for_the_chat_of_a_person(location: Path | str) -> None:
    async def run() -> None:
        stores = [await Store.open(location) for _ in range(2)]
        keys = [KeyAdministration(store.keys, store.organization, lambda: NOW) for store in stores]
        for name in ("Ada", "Grace"):
            person = await stores[0].organization.insert(
                Person(id=f"person_{name}", name=name, created_at=int(NOW))
            )
            one, other = await asyncio.gather(*(each.of_chat(person) for each in keys))
            assert one.id == other.id
            assert (one.kind, one.person_id, one.admin, one.hint) == ("chat", person.id, False, "")
            assert (await keys[0].of_chat(person)).id == one.id
            await keys[0].delete(one.id, "test")
            assert (await keys[1].of_chat(person)).id != one.id
        assert len(await stores[0].keys.list()) == 4
        for store in stores:
            await store.close()

    asyncio.run(run())
