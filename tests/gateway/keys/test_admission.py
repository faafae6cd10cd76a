from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apertis.gateway.errors import Refusal
from apertis.gateway.keys.admission import admit, client_address, credential_of, trusted_networks
from apertis.gateway.keys.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord

    MakeRecord = Callable[..., KeyRecord]

NOW = 1_798_761_600.0


def refused(directory: Directory, credential: str | None, address: str = "10.0.0.1") -> Refusal:
    refusal = admit(directory, credential, address, NOW)
    assert isinstance(refusal, Refusal)
    return refusal


def test_a_good_key_comes_in(make_record: MakeRecord) -> None:
    directory = Directory([make_record()])
    assert admit(directory, "sk-first", "10.0.0.1", NOW) is directory.get("key_first")


def test_no_key_is_another_error_than_a_wrong_one(make_record: MakeRecord) -> None:
    directory = Directory([make_record()])
    assert (refused(directory, None).status, refused(directory, None).code) == (
        401,
        "missing_api_key",
    )
    assert refused(directory, "sk-third").code == "invalid_api_key"
    assert refused(Directory(), "").code == "invalid_api_key"


def test_a_deleted_key_is_refused_exactly_like_an_unknown_one(make_record: MakeRecord) -> None:
    directory = Directory([make_record(status="deleted")])
    assert refused(directory, "sk-first") == refused(directory, "sk-unknown")


def test_a_disabled_key_is_told_so(make_record: MakeRecord) -> None:
    refusal = refused(Directory([make_record(status="disabled")]), "sk-first")
    assert (refusal.status, refusal.code) == (401, "invalid_api_key")
    assert "disabled" in refusal.message


def test_a_key_expires_at_its_second(make_record: MakeRecord) -> None:
    refusal = refused(Directory([make_record(expires_at=int(NOW))]), "sk-first")
    assert (refusal.status, refusal.code) == (401, "expired_api_key")
    assert "2027-01-01T00:00:00Z" in refusal.message
    alive = Directory([make_record(expires_at=int(NOW) + 1)])
    assert admit(alive, "sk-first", "10.0.0.1", NOW) is alive.get("key_first")


@pytest.mark.parametrize(
    ("address", "comes_in"),
    [("10.0.0.1", True), ("2001:db8::1", True), ("203.0.113.9", False), ("", False)],
)
def test_a_key_with_a_list_is_good_from_its_addresses_only(
    make_record: MakeRecord, address: str, comes_in: bool
) -> None:
    directory = Directory([make_record(addresses=("10.0.0.0/8", "2001:db8::/32"))])
    answer = admit(directory, "sk-first", address, NOW)
    if comes_in:
        assert answer is directory.get("key_first")
    else:
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.code) == (403, "ip_not_allowed")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, None),
        ({"status": "disabled"}, "invalid_api_key"),
        ({"status": "deleted"}, "invalid_api_key"),
        ({"expires_at": int(NOW)}, "expired_api_key"),
        ({"addresses": ("10.1.0.0/16",)}, "ip_not_allowed"),
    ],
)
def test_a_key_without_its_secret_is_held_to_the_same(
    make_record: MakeRecord, fields: dict[str, object], code: str | None
) -> None:
    key = Directory([make_record(**fields)]).get("key_first")
    assert key is not None
    answer = admit(Directory(), key, "10.0.0.1", NOW)
    assert answer is key if code is None else isinstance(answer, Refusal) and answer.code == code
    key.is_barred = True
    assert isinstance(admit(Directory(), key, "10.0.0.1", NOW), Refusal)


def test_a_disabled_key_is_refused_for_that_whatever_else_is_wrong(make_record: MakeRecord) -> None:
    record = make_record(status="disabled", expires_at=1, addresses=("192.0.2.1",))
    assert "disabled" in refused(Directory([record]), "sk-first").message


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({"authorization": "Bearer sk-first"}, "sk-first"),
        ({"authorization": "bearer   sk-first "}, "sk-first"),
        ({"x-api-key": " sk-first "}, "sk-first"),
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


TRUSTED = trusted_networks(("10.0.0.0/8", "2001:db8:ff::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("10.0.0.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("2001:db8:ff::1", "2001:DB8:0::1", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.1, unknown, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "198.51.100.1, ", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1" + "0" * 5000, "10.0.0.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_no_trusted_proxy(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert client_address(peer, forwarded, TRUSTED) == client


def test_nobody_is_believed_unless_configured() -> None:
    assert trusted_networks(()) is None
    assert client_address("127.0.0.1", "198.51.100.1", None) == "127.0.0.1"
    assert client_address("::ffff:127.0.0.1", "198.51.100.1", None) == "127.0.0.1"


def test_an_endless_chain_is_not_walked_to_its_end() -> None:
    chain = ", ".join(["198.51.100.1"] + ["10.0.0.2"] * 5_000)
    assert client_address("10.0.0.1", chain, TRUSTED) == "10.0.0.2"
