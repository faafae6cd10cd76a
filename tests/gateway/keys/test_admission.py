from __future__ import annotations

import pytest

from apertis.gateway.errors import Refusal
from apertis.gateway.keys.admission import KeyRecord, admit, credential_of
from apertis.gateway.keys.secret import hash_secret


def record(secret: str) -> KeyRecord:
    return KeyRecord(hash_secret(secret), "sk-...", "2026-11-22T00:00:00+00:00")


FIRST, SECOND = record("sk-first"), record("sk-second")
KNOWN = (FIRST, SECOND)


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({"authorization": "Bearer sk-first"}, "sk-first"),
        ({"authorization": "bearer   sk-first "}, "sk-first"),
        ({"x-api-key": "sk-first"}, "sk-first"),
        ({"authorization": "Bearer sk-first", "x-api-key": "sk-second"}, "sk-first"),
        ({"authorization": "Bearer ", "x-api-key": "sk-second"}, "sk-second"),
        ({"authorization": "Basic abc", "x-api-key": "sk-second"}, "sk-second"),
        ({"authorization": "Basic abc"}, None),
        ({"x-api-key": " "}, None),
        ({}, None),
    ],
)
def test_the_bearer_token_wins_over_the_key_header(
    headers: dict[str, str], credential: str | None
) -> None:
    assert credential_of(headers) == credential


def test_each_known_key_comes_in_as_itself() -> None:
    assert admit({"x-api-key": "sk-first"}, KNOWN) is FIRST
    assert admit({"authorization": "Bearer sk-second"}, KNOWN) is SECOND


def test_a_wrong_bearer_is_refused_beside_a_right_key() -> None:
    refusal = admit({"authorization": "Bearer sk-third", "x-api-key": "sk-first"}, KNOWN)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (401, "invalid_api_key")


def test_the_hash_of_a_key_is_no_key() -> None:
    refusal = admit({"x-api-key": FIRST.sha256}, KNOWN)
    assert isinstance(refusal, Refusal)


def test_no_key_is_another_error_than_a_wrong_one() -> None:
    refusal = admit({}, KNOWN)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (401, "missing_api_key")


def test_nobody_comes_in_where_no_key_is_known() -> None:
    assert isinstance(admit({"x-api-key": ""}, ()), Refusal)
    assert isinstance(admit({"x-api-key": "sk-first"}, ()), Refusal)
