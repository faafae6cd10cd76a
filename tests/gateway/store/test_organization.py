"""Groups, people and limits are kept whole, and every change of one is seen and written down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import insert, select, update

from apertis.gateway.budgets.limit import Limit
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person
from apertis.gateway.store.audit import AuditQuery
from apertis.gateway.store.database import Store
from apertis.gateway.store.schema import accounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.store.organization import Turn

GROUP = Group(id="group_a", name="research", requests_limit="10/1m", in_flight=3, created_at=1)
PERSON = Person(
    id="person_a",
    name="Ann",
    email="ann@example.com",
    external_id="00u1",
    role="viewer",
    group_id="group_a",
    tokens_per_minute=1000,
    created_at=2,
)
LIMIT = Limit(
    id="limit_a",
    level="person",
    subject_id="person_a",
    amount_units=100,
    overdraft_units=7,
    period="month",
    zone="Asia/Kolkata",
    models=("claude-opus-*",),
    per_session=True,
    thresholds=(80,),
    contact="ask Bob",
    cheaper_model="claude-haiku-4-5",
    store_loss_units=5,
    created_at=3,
)


@pytest.mark.parametrize("record", [GROUP, PERSON, LIMIT], ids=["group", "person", "limit"])
def test_what_is_kept_comes_back_with_its_version(opened: Any, record: Any) -> None:
    organization = opened.store.organization
    kept = opened.run(organization.insert(record))
    assert kept == msgspec.structs.replace(record, sequence=1, version=1)
    changed = opened.run(organization.update(msgspec.structs.replace(kept, status="removed")))
    assert changed == msgspec.structs.replace(kept, status="removed", version=2)
    everything = opened.run(organization.all())
    assert [*everything.groups, *everything.people, *everything.limits] == [changed]


def test_changes_since_a_version_are_those_that_came_after_it_in_their_order(
    opened: Any, make_key: Callable[..., KeyRecord]
) -> None:
    organization = opened.store.organization
    group = opened.run(organization.insert(GROUP))
    opened.run(opened.store.keys.insert(make_key()))
    other = opened.run(organization.insert(Group(id="group_b", name="sales")))
    person = opened.run(organization.insert(PERSON))
    limit = opened.run(organization.insert(LIMIT))
    assert [group.version, other.version, person.version, limit.version] == [1, 3, 4, 5]
    group = opened.run(organization.update(msgspec.structs.replace(group, name="lab")))
    assert opened.run(organization.changes_since(0)) == Changes((other, group), (person,), (limit,))
    assert opened.run(organization.changes_since(4)) == Changes((group,), (), (limit,))
    assert opened.run(organization.changes_since(6)) == Changes()
    known = Organization(opened.run(organization.all()))
    assert known.version == opened.run(opened.store.keys.current_version()) == 6


def test_a_change_beside_a_look_is_never_behind_what_the_look_has_seen(location: Any) -> None:
    """Groups are read before people; a change of both in between is seen whole, or later."""

    async def look_and_change() -> None:
        async with await Store.open(location) as one, await Store.open(location) as other:
            seen = Organization()
            people = groups = 0
            for number in range(20):
                change = asyncio.gather(
                    other.organization.insert(Group(id=f"g{number}", name=f"g{number}")),
                    other.organization.insert(Person(id=f"p{number}", name=f"p{number}")),
                )
                for _ in range(3):
                    seen.apply(await one.organization.changes_since(seen.version))
                await change
                people, groups = number + 1, number + 1
            seen.apply(await one.organization.changes_since(seen.version))
            assert (len(seen.people), len(seen.groups)) == (people, groups)

    asyncio.run(look_and_change())


def test_each_change_is_written_down_with_what_differs(opened: Any) -> None:
    organization = opened.store.organization
    kept = opened.run(organization.insert(GROUP, "cli:ann@desk"))
    opened.run(organization.update(msgspec.structs.replace(kept, in_flight=9), "key_b"))
    opened.run(organization.update(msgspec.structs.replace(kept, in_flight=9, status="removed")))
    told = [
        (e.actor, e.action, e.subject, e.subject_id, _decoded(e.before), _decoded(e.after))
        for e in opened.run(opened.store.audit.list(AuditQuery()))
    ]
    made = {
        "name": "research",
        "requests_limit": "10/1m",
        "in_flight": 3,
        "status": "enabled",
        "created_at": 1,
    }
    assert told == [
        ("gateway", "remove", "group", "group_a", {"status": "enabled"}, {"status": "removed"}),
        ("key_b", "change", "group", "group_a", {"in_flight": 3}, {"in_flight": 9}),
        ("cli:ann@desk", "create", "group", "group_a", None, made),
    ]


def _decoded(raw: msgspec.Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


def test_a_change_that_fails_leaves_no_version_and_no_entry(opened: Any) -> None:
    organization = opened.store.organization
    opened.run(organization.insert(GROUP))

    def two(turn: Turn) -> None:
        turn.insert(PERSON)
        turn.insert(Group(id="group_b", name="research"))

    with pytest.raises(StoreUnavailableError):
        opened.run(organization.change(two))
    assert opened.run(organization.all()).people == ()
    assert opened.run(opened.store.keys.current_version()) == 1
    assert len(opened.run(opened.store.audit.list(AuditQuery()))) == 1


def test_what_is_not_there_is_not_changed(opened: Any) -> None:
    with pytest.raises(KeyError, match="group_a"):
        opened.run(opened.store.organization.update(GROUP))


def _accounts(opened: Any, *rows: tuple[str, str, int]) -> None:
    values = [
        {
            "id": id_,
            "limit_id": limit_id,
            "scope": "",
            "period_start": 0,
            "limit_units": most,
            "spent": 50,
            "leased": 0,
            "held": 0,
        }
        for id_, limit_id, most in rows
    ]

    def work(connection: Any) -> None:
        connection.execute(insert(accounts), values)

    opened.run(opened.store._database.write(work))


def _most(opened: Any) -> dict[str, int]:
    def work(connection: Any) -> dict[str, int]:
        rows = connection.execute(select(accounts.c.id, accounts.c.limit_units)).all()
        return {row.id: row.limit_units for row in rows}

    found: dict[str, int] = opened.run(opened.store._database.read(work))
    return found


def test_the_accounts_of_a_limit_follow_its_amount_and_overdraft(opened: Any) -> None:
    organization = opened.store.organization
    limit = opened.run(organization.insert(LIMIT))
    _accounts(opened, ("limit_a@1", "limit_a", 107), ("limit_a@2", "limit_a", 107), ("x@1", "x", 3))
    limit = opened.run(organization.update(msgspec.structs.replace(limit, amount_units=20)))
    # Below what is spent, too: it then only hands nothing out.
    assert _most(opened) == {"limit_a@1": 27, "limit_a@2": 27, "x@1": 3}
    limit = opened.run(organization.update(msgspec.structs.replace(limit, overdraft_units=0)))
    assert _most(opened) == {"limit_a@1": 20, "limit_a@2": 20, "x@1": 3}
    opened.run(organization.update(msgspec.structs.replace(limit, status="removed")))
    assert _most(opened) == {"limit_a@1": 20, "limit_a@2": 20, "x@1": 3}


def test_the_account_of_a_key_follows_its_quota(
    opened: Any, make_key: Callable[..., KeyRecord], make_usage: Callable[..., Any]
) -> None:
    keys = opened.store.keys
    key = opened.run(keys.insert(make_key(quota_units=1000)))
    _accounts(opened, ("x@0", "quota-x", 1))
    opened.run(keys.update(key.id, quota_units=10))
    assert _most(opened) == {f"quota-{key.id}@0": 10, "x@0": 1}
    opened.run(keys.update(key.id, quota_units=None))
    assert _most(opened) == {f"quota-{key.id}@0": 10, "x@0": 1}
    # What is spent meanwhile is in no account; with a quota again, it counts.
    opened.run(opened.store.usage.add([make_usage(key_id=key.id, cost_units=70)]))
    opened.run(keys.update(key.id, quota_units=200))
    assert _most(opened) == {f"quota-{key.id}@0": 200, "x@0": 1}

    def spent(connection: Any) -> Any:
        return connection.execute(
            select(accounts.c.spent).where(accounts.c.id == f"quota-{key.id}@0")
        ).scalar_one()

    assert opened.run(opened.store._database.read(spent)) == 70


def test_the_limits_that_are_nearest_to_their_end_are_found(opened: Any) -> None:
    organization = opened.store.organization
    limits = {
        # Of each 50 are spent; the last one's period is over.
        "sessions": 60,
        "double": 25,
        "half": 100,
        "nothing": 0,
        "removed": 50,
        "before": 50,
    }
    for name, amount in limits.items():
        status = "removed" if name == "removed" else "enabled"
        limit = msgspec.structs.replace(
            LIMIT, id=name, amount_units=amount, per_session=True, status=status
        )
        opened.run(organization.insert(limit))
    _accounts(
        opened,
        ("sessions@0/a", "sessions", 60),
        ("sessions@0/b", "sessions", 60),
        *((f"{name}@0", name, amount) for name, amount in limits.items() if name != "sessions"),
    )
    over = update(accounts).where(accounts.c.limit_id == "before").values(period_end=1000)
    opened.run(opened.store._database.write(lambda at: at.execute(over)))

    def fullest(percent: int, most: int = 10) -> tuple[str, ...]:
        found: tuple[str, ...] = opened.run(organization.fullest(percent, 1000, most))
        return found

    assert fullest(50) == ("double", "sessions", "half")
    assert fullest(51) == ("double", "sessions")
    assert fullest(84) == ("double",)
    assert fullest(201) == ()
    assert fullest(50, 1) == ("double",)
