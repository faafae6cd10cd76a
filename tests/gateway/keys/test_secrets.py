from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.secrets import (
    MAX_GRACE_SECONDS,
    hash_secret,
    hint_of,
    new_key_id,
    new_secret,
    rotated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord

    MakeRecord = Callable[..., KeyRecord]


def test_a_key_has_the_documented_form() -> None:
    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}", new_secret())


def test_no_two_keys_are_equal() -> None:
    assert len({new_secret() for _ in range(200)}) == 200


def test_a_hash_is_sha_256_in_hex() -> None:
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_secret("abc") == known


def test_a_hint_shows_only_the_end() -> None:
    secret = new_secret()
    assert hint_of(secret) == f"sk-...{secret[-4:]}"


def test_an_id_has_the_documented_form() -> None:
    assert re.fullmatch(r"key_[A-Za-z0-9]{20}", new_key_id())
    assert len({new_key_id() for _ in range(200)}) == 200


def rotate(record: KeyRecord, secret: str, grace_seconds: int, now: float) -> KeyRecord:
    return rotated(
        record, sha256=hash_secret(secret), hint="new", grace_seconds=grace_seconds, now=now
    )


def test_only_the_secret_changes(make_record: MakeRecord) -> None:
    before = make_record(quota_units=5, used_units=3, models=("a",), tags=("t",), expires_at=9)
    after = rotate(before, "sk-new", 60, 1_000.9)
    assert after == msgspec.structs.replace(
        before,
        sha256=hash_secret("sk-new"),
        hint="new",
        previous_sha256=before.sha256,
        previous_until=1_060,
    )


def test_both_secrets_are_good_during_the_grace(make_record: MakeRecord) -> None:
    directory = Directory([rotate(make_record("sk-old"), "sk-new", 60, 1_000)])
    assert directory.find("sk-old", 1_059) is directory.find("sk-new", 1_059) is not None
    assert directory.find("sk-old", 1_060) is None


def test_without_grace_the_old_secret_ends_at_once(make_record: MakeRecord) -> None:
    after = rotate(make_record("sk-old"), "sk-new", 0, 1_000)
    assert (after.previous_sha256, after.previous_until) == (None, None)
    assert Directory([after]).find("sk-old", 1_000) is None


def test_a_second_rotation_ends_the_secret_that_was_in_grace(make_record: MakeRecord) -> None:
    twice = rotate(rotate(make_record("sk-old"), "sk-new", 600, 1_000), "sk-newest", 600, 1_001)
    directory = Directory([twice])
    assert directory.find("sk-old", 1_002) is None
    assert directory.find("sk-new", 1_002) is directory.find("sk-newest", 1_002) is not None


@pytest.mark.parametrize("grace_seconds", [-1, MAX_GRACE_SECONDS + 1])
def test_a_grace_has_bounds(make_record: MakeRecord, grace_seconds: int) -> None:
    with pytest.raises(ValueError, match=f"grace of {grace_seconds} seconds"):
        rotate(make_record(), "sk-new", grace_seconds, 1_000)


def test_a_deleted_key_gets_no_secret(make_record: MakeRecord) -> None:
    with pytest.raises(ValueError, match="deleted"):
        rotate(make_record(status="deleted"), "sk-new", 0, 1_000)
