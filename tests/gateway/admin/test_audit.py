"""The audit trail tells every change once, and no secret."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from apertis.gateway.admin.key_fields import KeyFields, read_fields
from apertis.gateway.admin.keys import KeyAdministration, Made

if TYPE_CHECKING:
    from tests.kit.resources import Asking


@pytest.fixture
def keys(asking: Asking) -> KeyAdministration:
    store = asking.store
    return KeyAdministration(store.keys, store.organization, lambda: asking.now)


def fields(body: bytes) -> KeyFields:
    read = read_fields(body)
    assert isinstance(read, KeyFields)
    return read


def told(asking: Asking, **query: object) -> list[tuple[Any, ...]]:
    """The entries, the oldest first."""
    return [
        (entry["actor"], entry["action"], entry["subject"], entry["before"], entry["after"])
        for entry in reversed(asking.audit(**query))
    ]


def test_each_change_of_a_key_is_told_without_secret_and_hash(
    asking: Asking, keys: KeyAdministration
) -> None:
    asking("POST", "/people", {"name": "Ann"})
    made = asking.run(
        keys.create(fields(b'{"name": "ci", "person": "Ann", "quota_usd": 1}'), "key_me")
    )
    assert isinstance(made, Made)
    record = made.record
    asking.run(keys.change(record.id, fields(b'{"quota_usd": 2, "models": ["m"]}'), "cli:me@desk"))
    asking.run(keys.change(record.id, fields(b'{"quota_usd": 2}'), "nobody: nothing changes"))
    rotated = asking.run(keys.rotate(record.id, 60, "key_me"))
    asking.run(keys.set_status(record.id, "disabled", "key_me"))
    asking.run(keys.set_status(record.id, "enabled", "key_me"))
    asking.run(keys.delete(record.id, "key_me"))
    asking.run(keys.delete(record.id, "nobody: nothing changes"))
    created = {
        "name": "ci",
        "quota_units": 500_000,
        "status": "enabled",
        "kind": "key",
        "person_id": record.person_id,
        "created_at": int(asking.now),
    }
    until = {"previous_until": int(asking.now) + 60}
    assert told(asking, subject="key") == [
        ("key_me", "create", "key", None, created),
        (
            "cli:me@desk",
            "change",
            "key",
            {"quota_units": 500_000, "models": None},
            {"quota_units": 1_000_000, "models": ["m"]},
        ),
        ("key_me", "rotate", "key", {"previous_until": None}, until),
        ("key_me", "disable", "key", {"status": "enabled"}, {"status": "disabled"}),
        ("key_me", "enable", "key", {"status": "disabled"}, {"status": "enabled"}),
        ("key_me", "delete", "key", {"status": "enabled"}, {"status": "deleted"}),
    ]
    kept = asking.run(
        asking.store._database.read(lambda at: str(at.execute(text("SELECT * FROM audit")).all()))
    )
    for secret in (
        made.secret,
        rotated.secret,
        record.sha256,
        rotated.record.sha256,
        record.hint[-4:] + '"',
    ):
        assert secret not in kept


def test_the_limits_of_a_key_end_with_it(asking: Asking, keys: KeyAdministration) -> None:
    made = asking.run(keys.create(fields(b'{"name": "ci"}'), "key_me"))
    assert isinstance(made, Made)
    limit = asking("POST", "/limits", {"key": "ci", "amount_usd": 1})["id"]
    asking.run(keys.delete(made.record.id, "cli:me@desk"))
    assert asking("GET", f"/limits/{limit}")["status"] == "removed"
    entries = asking.audit(actor="cli:me@desk")
    assert [(entry["subject"], entry["action"]) for entry in entries] == [
        ("key", "delete"),
        ("limit", "remove"),
    ]


def test_every_kind_of_change_has_its_entry(asking: Asking) -> None:
    group = asking("POST", "/groups", {"name": "research"})["id"]
    person = asking("POST", "/people", {"name": "Ann", "group": "research"})["id"]
    limit = asking("POST", "/limits", {"group": "research", "amount_usd": 1})["id"]
    asking("PATCH", f"/groups/{group}", {"name": "lab"})
    asking("PATCH", f"/people/{person}", {"group": None})
    asking("PATCH", f"/limits/{limit}", {"amount_usd": 2})
    asking("POST", f"/people/{person}/disable")
    asking("POST", f"/people/{person}/enable")
    asking("DELETE", f"/limits/{limit}")
    asking("DELETE", f"/people/{person}")
    asking("DELETE", f"/groups/{group}")
    entries = [
        (entry["subject"], entry["action"], entry["subject_id"])
        for entry in reversed(asking.audit())
    ]
    assert entries == [
        ("group", "create", group),
        ("person", "create", person),
        ("limit", "create", limit),
        ("group", "change", group),
        ("person", "change", person),
        ("limit", "change", limit),
        ("person", "disable", person),
        ("person", "enable", person),
        ("limit", "remove", limit),
        ("person", "remove", person),
        ("group", "remove", group),
    ]
    assert {entry["actor"] for entry in asking.audit()} == {"key_me"}


def test_the_trail_is_read_in_pages_and_filtered(asking: Asking) -> None:
    ids = [asking("POST", "/groups", {"name": f"g{n}"})["id"] for n in range(5)]
    asking("POST", "/people", {"name": "Ann"})
    page = asking("GET", "/audit", None, limit=2, subject="group")
    assert [entry["subject_id"] for entry in page["data"]] == [ids[4], ids[3]]
    assert page["has_more"]
    page = asking("GET", "/audit", None, limit=3, subject="group", after_id=page["last_id"])
    assert [entry["subject_id"] for entry in page["data"]] == [ids[2], ids[1], ids[0]]
    assert not page["has_more"]
    assert len(asking.audit(subject_id=ids[1])) == 1
    assert asking.audit(actor="key_other") == []
    assert len(asking.audit(action="create")) == 6
    asking.now = 32_503_680_000.0
    assert asking.audit(**{"from": "1d"}) == []
    assert len(asking.audit(to="2999-01-01")) == 6
    assert asking.refused("GET", "/audit", None, to="soon")[1] == "to"


def test_from_and_to_are_in_the_zone_that_is_asked_for(asking: Asking) -> None:
    asking("POST", "/groups", {"name": "research"})
    (entry,) = asking.audit()
    at = datetime.fromisoformat(entry["at"]).astimezone(ZoneInfo("Asia/Tokyo"))
    local = at.replace(tzinfo=None)
    second = timedelta(seconds=1)
    assert asking.audit(zone="Asia/Tokyo", **{"from": local.isoformat()}) == [entry]
    assert asking.audit(zone="Asia/Tokyo", to=(local + second).isoformat()) == [entry]
    assert asking.audit(zone="Asia/Tokyo", to=local.isoformat()) == []
    # The whole day there, and none of the one before.
    assert asking.audit(zone="Asia/Tokyo", to=local.date().isoformat()) == [entry]
    before = (local - timedelta(days=1)).date().isoformat()
    assert asking.audit(zone="Asia/Tokyo", to=before) == []
    # The same time of day in UTC is nine hours later.
    assert asking.audit(**{"from": local.isoformat()}) == []
    assert asking.refused("GET", "/audit", None, zone="Nowhere/Land")[:2] == (400, "zone")
