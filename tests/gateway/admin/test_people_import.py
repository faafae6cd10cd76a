"""People are imported all or not at all, and the same import again changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.gateway.admin.people_import import Imported, PersonRow, import_people
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.errors import Refusal
from apertis.gateway.keys.secrets import hash_secret
from apertis.gateway.people.organization import Changes
from apertis.gateway.people.record import Person
from apertis.gateway.store.audit import AuditQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord
    from tests.kit.stores import Opened

ANN = PersonRow(
    name="Ann",
    email="ann@example.com",
    group="research",
    monthly_usd=Decimal("12.50"),
    key_name="ann",
    models=("claude-haiku-*",),
    tags=("laptop",),
)
BOB = PersonRow(name="Bob", group="research")


def imported(opened: Opened, *rows: PersonRow, **options: Any) -> Any:
    return opened.run(
        import_people(opened.store.organization, rows, actor="cli:me@desk", now=1000.0, **options)
    )


def refused(opened: Opened, *rows: PersonRow) -> tuple[int, str | None, str]:
    refusal = imported(opened, *rows)
    assert isinstance(refusal, Refusal)
    return refusal.status, refusal.param, refusal.message


def everything(opened: Opened) -> Changes:
    found: Changes = opened.run(opened.store.organization.all())
    return found


def test_an_import_makes_groups_people_budgets_and_keys(opened: Opened) -> None:
    result = imported(opened, ANN, BOB)
    assert [(one.action, one.subject, one.name) for one in result.changes] == [
        ("create", "group", "research"),
        ("create", "person", "Ann"),
        ("create", "limit", "Ann"),
        ("create", "key", "ann"),
        ("create", "person", "Bob"),
    ]
    found = everything(opened)
    (group,) = found.groups
    ann, bob = found.people
    assert (ann.name, ann.email, ann.group_id) == ("Ann", "ann@example.com", group.id)
    assert (bob.name, bob.email, bob.group_id) == ("Bob", None, group.id)
    (limit,) = found.limits
    assert (limit.level, limit.subject_id, limit.period) == ("person", ann.id, "month")
    assert limit.amount_units == 6_250_000
    (key,) = opened.run(opened.store.keys.list())
    assert (key.name, key.person_id, key.models) == ("ann", ann.id, ("claude-haiku-*",))
    assert key.tags == ("laptop",)
    (secret,) = [one.secret for one in result.changes if one.subject == "key"]
    assert key.sha256 == hash_secret(secret)
    assert secret not in repr(result)
    assert "ann@example.com" not in repr(ANN)


def test_the_same_import_again_changes_nothing(opened: Opened) -> None:
    imported(opened, ANN, BOB)
    before, version = everything(opened), opened.run(opened.store.keys.current_version())
    result = imported(opened, ANN, BOB)
    assert result == Imported(changes=(), unchanged=2, dry_run=False, problems=())
    assert everything(opened) == before
    assert opened.run(opened.store.keys.current_version()) == version
    assert len(opened.run(opened.store.audit.list(AuditQuery()))) == 1


def test_what_differs_is_changed_and_what_is_left_out_stays(opened: Opened) -> None:
    imported(opened, ANN)
    moved = PersonRow(name="Ann", group="sales", monthly_usd=Decimal(20), key_name="ann")
    result = imported(opened, moved)
    assert [(one.action, one.subject, one.name) for one in result.changes] == [
        ("create", "group", "sales"),
        ("change", "person", "Ann"),
        ("change", "limit", "Ann"),
    ]
    assert [one.fields for one in result.changes] == [(), ("group_id",), ("amount_units",)]
    found = everything(opened)
    (ann,) = found.people
    assert ann.email == "ann@example.com"
    assert ann.group_id == found.groups[1].id
    assert [limit.amount_units for limit in found.limits] == [10_000_000]
    (key,) = opened.run(opened.store.keys.list())
    assert key.models == ("claude-haiku-*",)


def test_all_that_a_row_says_of_a_key_that_is_there_is_kept(opened: Opened) -> None:
    imported(opened, ANN)
    other = msgspec.structs.replace(ANN, tags=("desk", "red"), models=("claude-opus-*",))
    (change,) = imported(opened, other).changes
    assert (change.action, change.subject) == ("change", "key")
    (key,) = opened.run(opened.store.keys.list())
    assert (key.tags, key.models) == (("desk", "red"), ("claude-opus-*",))
    assert imported(opened, other).changes == ()


def test_a_dry_run_says_the_same_and_keeps_nothing(opened: Opened) -> None:
    result = imported(opened, ANN, BOB, dry_run=True)
    assert [(one.action, one.subject) for one in result.changes] == [
        ("create", "group"),
        ("create", "person"),
        ("create", "limit"),
        ("create", "key"),
        ("create", "person"),
    ]
    assert {(one.id, one.secret) for one in result.changes} == {(msgspec.UNSET, msgspec.UNSET)}
    assert result.dry_run
    assert everything(opened) == Changes()
    assert opened.run(opened.store.keys.list()) == ()
    assert opened.run(opened.store.audit.list(AuditQuery())) == ()


def test_one_row_that_cannot_be_keeps_all_others_out(opened: Opened) -> None:
    bad = PersonRow(name="Bob", email="bob")
    status, param, message = refused(opened, ANN, bad, PersonRow(name=" "))
    assert (status, param) == (400, "rows[1].email")
    assert message.startswith("row 2: 'email' is 'bob': expected an address")
    assert "; row 3: 'name' is ' '" in message
    assert everything(opened) == Changes()
    assert opened.run(opened.store.keys.list()) == ()


@pytest.mark.parametrize(
    ("rows", "status", "param", "said"),
    [
        ((BOB, BOB), 400, "rows[1].name", "row 2: 'name' is that of row 1 already"),
        (
            (PersonRow(name="A", email="x@y"), PersonRow(name="B", email="X@y")),
            409,
            "rows[1].email",
            "row 2: 'email': 'X@y' is 'A' already",
        ),
        ((PersonRow(name="A", models=("m",)),), 400, "rows[0].models", "give 'key_name', too"),
        ((PersonRow(name="A", monthly_usd=Decimal("0.0000001")),), 400, "rows[0].monthly_usd", ""),
        ((PersonRow(name="A", monthly_usd=Decimal(-1)),), 400, "rows[0].monthly_usd", ""),
        ((PersonRow(name="A", group=" x"),), 400, "rows[0].group", "'group' is ' x'"),
        ((PersonRow(name="A", key_name="k", models=()),), 400, "rows[0].models", "1 to 1000"),
        ((PersonRow(name="A", key_name="k "),), 400, "rows[0].key_name", "'key_name' is 'k '"),
    ],
)
def test_a_refusal_names_the_row_and_its_field(
    opened: Opened, rows: tuple[PersonRow, ...], status: int, param: str, said: str
) -> None:
    told = refused(opened, *rows)
    assert told[:2] == (status, param)
    assert said in told[2]
    assert everything(opened) == Changes()


def test_a_key_that_is_there_becomes_the_persons_and_anothers_does_not(
    opened: Opened, make_key: Callable[..., KeyRecord]
) -> None:
    free = opened.run(opened.store.keys.insert(make_key(name="ann")))
    opened.run(opened.store.organization.insert(Person(id="person_b", name="Bob")))
    opened.run(opened.store.keys.insert(make_key(name="bob", person_id="person_b")))
    status, param, message = refused(opened, PersonRow(name="Ann", key_name="bob"))
    assert (status, param) == (409, "rows[0].key_name")
    assert "'bob' is somebody else's" in message
    result = imported(opened, PersonRow(name="Ann", key_name="ann"))
    assert [(one.action, one.subject) for one in result.changes] == [
        ("create", "person"),
        ("change", "key"),
    ]
    kept = opened.run(opened.store.keys.get(free.id))
    assert kept.person_id == everything(opened).people[1].id
    assert kept.sha256 == free.sha256


def test_several_monthly_limits_of_a_person_are_not_guessed_at(opened: Opened) -> None:
    opened.run(opened.store.organization.insert(Person(id="person_a", name="Ann")))
    for number, zone in enumerate(("UTC", "Europe/Berlin")):
        limit = Limit(
            id=f"limit_{number}",
            level="person",
            subject_id="person_a",
            amount_units=1,
            period="month",
            zone=zone,
        )
        opened.run(opened.store.organization.insert(limit))
    status, param, message = refused(opened, PersonRow(name="Ann", monthly_usd=Decimal(1)))
    assert (status, param) == (409, "rows[0].monthly_usd")
    assert "limit_0, limit_1" in message


def test_an_import_is_one_entry_without_names_secrets_and_hashes(opened: Opened) -> None:
    imported(opened, ANN)
    imported(opened, msgspec.structs.replace(ANN, monthly_usd=Decimal(1)))
    second, first = opened.run(opened.store.audit.list(AuditQuery()))
    assert (first.actor, first.action, first.subject) == ("cli:me@desk", "import", "people")
    text = bytes(first.after).decode()
    for word in ('"Ann"', "ann@example.com", "sha256", '"hint"', "sk-"):
        assert word not in text
    found = everything(opened)
    assert msgspec.json.decode(second.before) == {found.limits[0].id: {"amount_units": 6_250_000}}
    assert msgspec.json.decode(second.after) == {found.limits[0].id: {"amount_units": 500_000}}
    assert set(msgspec.json.decode(first.after)) == {
        found.groups[0].id,
        found.people[0].id,
        found.limits[0].id,
        opened.run(opened.store.keys.list())[0].id,
    }


def test_a_dry_run_tells_all_that_is_wrong(opened: Opened) -> None:
    imported(opened, BOB)
    rows = (
        PersonRow(name=" ", email="x", group=" g", monthly_usd=Decimal(-1), tags=("a",)),
        ANN,
        PersonRow(name="Ann"),
        PersonRow(name="Cleo", email="ANN@example.com", key_name="k ", models=()),
        *(PersonRow(name=f"{n}", email="x") for n in range(20)),
    )
    result = imported(opened, *rows, dry_run=True)
    told = [(one.row, one.field) for one in result.problems]
    assert told[:5] == [
        *((0, "tags"), (0, "group"), (0, "name"), (0, "email"), (0, "monthly_usd")),
    ]
    assert (2, "name") in told
    assert {(3, "email"), (3, "key_name"), (3, "models")} <= {*told}
    assert told[-20:] == [(4 + n, "email") for n in range(20)]
    assert {one.row for one in result.changes} == {1}
    assert len(everything(opened).people) == 1
    # The same in earnest is an error, and nothing is kept.
    status, param, message = refused(opened, *rows)
    assert (status, param) == (400, "rows[0].tags")
    assert message.endswith(" more")
    assert len(everything(opened).people) == 1
