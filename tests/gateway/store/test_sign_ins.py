"""Sign-ins and codes in the store: bounded, swept, and decided within one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from apertis.gateway.budgets.limit import Limit
from apertis.gateway.store.sign_ins import Change, DeviceCode, SignIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord
    from tests.kit.stores import Opened

NOW = 1_800_000_000


def code(number: int, **fields: Any) -> DeviceCode:
    made = DeviceCode(
        device_sha256=f"d{number}",
        user_sha256=f"u{number}",
        id=f"sign_in_{number}",
        client="claude-code/2.1",
        address="192.0.2.1",
        party="192.0.2.1",
        created_at=NOW,
        expires_at=NOW + 600,
        interval_seconds=5,
    )
    return msgspec.structs.replace(made, **fields)


def signed_in(number: int, key: KeyRecord, **fields: Any) -> SignIn:
    made = SignIn(
        id=f"sign_in_{number}",
        key_id=key.id,
        person_id="person_1",
        approved_by_key_id=None,
        client="claude-code/2.1",
        address="192.0.2.1",
        refresh_sha256=f"r{number}",
        created_at=NOW,
        refreshed_at=NOW,
        expires_at=NOW + 1000,
    )
    return msgspec.structs.replace(made, **fields)


def begin(opened: Opened, one: DeviceCode, most: int = 3, of_party: int = 2) -> bool:
    kept: bool = opened.run(opened.store.sign_ins.begin(one, most=most, most_of_party=of_party))
    return kept


def test_codes_that_wait_are_bounded_for_all_and_for_each_address(opened: Opened) -> None:
    assert begin(opened, code(1))
    assert begin(opened, code(2))
    assert not begin(opened, code(3))
    assert begin(opened, code(3, party="192.0.2.2"))
    assert not begin(opened, code(4, party="192.0.2.3"))
    # Those of before wait no more.
    later = {"created_at": NOW + 600, "expires_at": NOW + 1200}
    assert begin(opened, code(4, **later))


def test_two_codes_are_never_the_same(opened: Opened) -> None:
    assert begin(opened, code(1))
    assert not begin(opened, code(2, user_sha256="u1"))


def test_an_old_code_is_forgotten(opened: Opened) -> None:
    begin(opened, code(1))
    begin(opened, code(2, created_at=NOW + 600 + 3600, expires_at=NOW + 9000))

    def found(one: DeviceCode | None) -> tuple[bool, None]:
        return one is not None, None

    stored = opened.store.sign_ins
    assert not opened.run(stored.change_code(found, device_sha256="d1"))
    assert opened.run(stored.change_code(found, user_sha256="u2"))


def test_a_code_is_found_while_it_waits(opened: Opened) -> None:
    begin(opened, code(1))
    stored = opened.store.sign_ins
    assert opened.run(stored.find_code("u1", NOW)) == code(1)
    assert opened.run(stored.find_code("u1", NOW + 600)) is None
    assert opened.run(stored.find_code("u2", NOW)) is None

    def deny(one: DeviceCode | None) -> tuple[None, DeviceCode]:
        assert one is not None
        return None, msgspec.structs.replace(one, status="denied")

    opened.run(stored.change_code(deny, user_sha256="u1"))
    assert opened.run(stored.find_code("u1", NOW)) is None


def test_an_end_takes_the_key_and_its_limits_along(
    opened: Opened, make_key: Callable[..., KeyRecord]
) -> None:
    stored, key = opened.store.sign_ins, make_key(kind="sign_in")
    begin(opened, code(1, status="approved"))
    assert opened.run(stored.redeem(code(1), key, signed_in(1, key), "person_1"))
    assert not opened.run(stored.redeem(code(1), key, signed_in(1, key), "person_1"))
    limit = Limit(
        id="limit_1",
        level="key",
        subject_id=key.id,
        amount_units=5,
        period="month",
        created_at=NOW,
    )
    opened.run(opened.store.organization.insert(limit))

    def end(sign_in: SignIn, _: KeyRecord) -> tuple[bool, Change]:
        ended = msgspec.structs.replace(sign_in, ended_at=NOW)
        return True, Change("end", ended, {"status": "deleted"}, "person_1", "for a test")

    assert opened.run(stored.change("sign_in_1", end))
    assert opened.run(stored.change("sign_in_2", end)) is None
    assert opened.run(opened.store.keys.get(key.id)).status == "deleted"
    known = opened.run(opened.store.organization.all())
    assert [one.status for one in known.limits] == ["removed"]
    assert opened.run(stored.list(NOW)) == ()
    assert opened.run(stored.find("sign_in_1")).ended_at == NOW


def test_what_ended_long_ago_is_forgotten(
    opened: Opened, make_key: Callable[..., KeyRecord]
) -> None:
    stored = opened.store.sign_ins
    for number, at in ((1, NOW), (2, NOW + 2000), (3, NOW + 200 * 86_400)):
        key = make_key(kind="sign_in")
        one = code(number, status="approved", created_at=at, expires_at=at + 600)
        begin(opened, one)
        sign_in = signed_in(number, key, created_at=at, expires_at=at + 1000)
        assert opened.run(stored.redeem(one, key, sign_in, "person_1"))
    # Of the first, its end is known; the second ended with the third.
    assert opened.run(stored.find("sign_in_1")) is None
    assert opened.run(stored.find("sign_in_2")).ended_at == NOW + 200 * 86_400
    assert [one.id for one in opened.run(stored.list(NOW + 200 * 86_400))] == ["sign_in_3"]
