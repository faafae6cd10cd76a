from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.budgets.lease import Chain
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.secrets import hash_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord

    MakeRecord = Callable[..., KeyRecord]

NOW = 2_000.0


def test_each_secret_finds_its_own_key(make_record: MakeRecord) -> None:
    directory = Directory([make_record("sk-first"), make_record("sk-second")])
    for secret in ("sk-first", "sk-second"):
        key = directory.find(secret, NOW)
        assert key is not None
        assert key.record.name == secret[3:]
    assert directory.find("sk-third", NOW) is None
    assert len(directory) == 2


def test_a_hash_is_no_secret(make_record: MakeRecord) -> None:
    record = make_record()
    assert Directory([record]).find(record.sha256, NOW) is None


def test_an_empty_directory_finds_nobody() -> None:
    assert Directory().find("", NOW) is None


def test_a_secret_before_a_rotation_is_good_until_its_grace_ends(make_record: MakeRecord) -> None:
    directory = Directory([make_record("sk-old", version=1)])
    rotated = make_record(
        "sk-old",
        sha256=hash_secret("sk-new"),
        previous_sha256=hash_secret("sk-old"),
        previous_until=2_100,
        version=2,
    )
    directory.apply([rotated])
    key = directory.get("key_old")
    assert key is not None
    assert directory.find("sk-new", 10_000) is key
    assert directory.find("sk-old", 2_099.9) is key
    assert directory.find("sk-old", 2_100) is None


def test_a_secret_that_was_replaced_without_grace_is_gone(make_record: MakeRecord) -> None:
    directory = Directory([make_record("sk-old", version=1)])
    directory.apply([make_record("sk-old", sha256=hash_secret("sk-new"), version=2)])
    assert directory.find("sk-old", NOW) is None
    assert directory.find("sk-new", NOW) is not None


def test_a_change_reaches_those_who_hold_the_key(make_record: MakeRecord) -> None:
    directory = Directory([make_record(models=("claude-a",), addresses=("10.0.0.1",))])
    key = directory.find("sk-first", NOW)
    assert key is not None
    assert key.allows("claude-a")
    assert key.allows_address("10.0.0.1")
    directory.apply([make_record(models=("claude-b",), addresses=("10.0.0.2",), version=1)])
    assert not key.allows("claude-a")
    assert key.allows("claude-b")
    assert not key.allows_address("10.0.0.1")
    assert key.allows_address("10.0.0.2")
    directory.apply([make_record(version=2)])
    assert key.allows("claude-a")
    assert key.allows_address("no address")


def test_a_model_may_be_allowed_by_another_of_its_names(make_record: MakeRecord) -> None:
    key = Directory([make_record(models=("team-default",))]).get("key_first")
    assert key is not None
    assert not key.allows("claude-sonnet-4-6")
    assert key.allows("claude-sonnet-4-6", ("sonnet", "team-default"))


def test_a_change_leaves_what_is_used(make_record: MakeRecord) -> None:
    directory = Directory([make_record(quota_units=100, used_units=10)])
    key = directory.get("key_first")
    assert key is not None
    key.used_units += 25
    key.chain = Chain([])
    directory.apply([make_record(quota_units=200, used_units=10, version=1)])
    # The store has not heard of what was used here a moment ago; budgets are looked up anew.
    assert (key.record.quota_units, key.used_units) == (200, 35)
    assert key.chain is None
    directory.apply([make_record(quota_units=None, used_units=40, version=2)])
    assert (key.record.quota_units, key.used_units) == (None, 40)


def test_a_store_that_knows_less_than_before_is_believed(make_record: MakeRecord) -> None:
    directory = Directory([make_record("sk-first", version=3)])
    directory.apply([make_record("sk-second", version=7)])
    assert directory.version == 7
    directory.restart([make_record("sk-first", status="disabled", version=2)])
    first, second = directory.find("sk-first", NOW), directory.get("key_second")
    assert first is not None
    assert (first.record.status, directory.version) == ("disabled", 2)
    assert second is not None
    assert second.record.status == "deleted"
    assert directory.find("sk-second", NOW) is None


def test_a_deleted_key_is_still_there_but_has_no_secret(make_record: MakeRecord) -> None:
    directory = Directory([make_record(quota_units=100)])
    key = directory.get("key_first")
    assert key is not None
    directory.apply([make_record(quota_units=100, status="deleted", version=1)])
    assert directory.find("sk-first", NOW) is None
    assert directory.get("key_first") is key
    assert list(directory.all()) == [key]


def test_an_older_record_does_not_undo_a_newer_one(make_record: MakeRecord) -> None:
    directory = Directory()
    directory.apply([make_record(status="disabled", version=7), make_record(version=6)])
    key = directory.get("key_first")
    assert key is not None
    assert key.record.status == "disabled"
    assert directory.version == 7


def test_the_version_is_that_of_the_newest_record(make_record: MakeRecord) -> None:
    directory = Directory([make_record("sk-a", version=3), make_record("sk-b", version=2)])
    assert directory.version == 3
