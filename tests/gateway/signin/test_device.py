"""The decisions of Claude Code's sign-in: codes, polls, refreshes, tokens, who may approve."""

from __future__ import annotations

import math
import secrets

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.signin import device
from apertis.gateway.store.sign_ins import DeviceCode, SignIn

SIGNING = b"a secret of the store"
CODES = st.text(device.USER_ALPHABET, min_size=8, max_size=8)
NOW = 1_800_000_000

KEY = KeyRecord(id="key_1", name="Ann's key", sha256="0" * 64, hint="sk-...abcd", created_at=0)


def waiting(**fields: object) -> DeviceCode:
    code = DeviceCode(
        device_sha256="d",
        user_sha256="u",
        id="sign_in_1",
        client="claude-code/2.1",
        address="192.0.2.1",
        party="192.0.2.1",
        created_at=NOW,
        expires_at=NOW + device.CODE_SECONDS,
        interval_seconds=device.INTERVAL_SECONDS,
    )
    return msgspec.structs.replace(code, **fields)


def signed_in(refresh: str, **fields: object) -> SignIn:
    sign_in = SignIn(
        id="sign_in_1",
        key_id="key_2",
        person_id="person_1",
        approved_by_key_id=None,
        client="claude-code/2.1",
        address="192.0.2.1",
        refresh_sha256=device.hash_code(refresh),
        created_at=NOW,
        refreshed_at=NOW,
        expires_at=NOW + 30 * 86_400,
    )
    return msgspec.structs.replace(sign_in, **fields)


def test_codes_for_people_have_34_bits_of_letters_that_make_no_words() -> None:
    assert len(set(device.USER_ALPHABET)) == 20
    assert not set(device.USER_ALPHABET) & set("AEIOUY0123456789")
    assert math.log2(20**device.USER_CODE_LENGTH) > 34
    code = device.new_user_code(secrets.choice)
    assert device.read_user_code(device.shown_user_code(code)) == code


def test_a_device_code_has_256_bits() -> None:
    assert device.DEVICE_CODE_BYTES * 8 == 256


@given(code=CODES, gaps=st.lists(st.sampled_from("- \t"), max_size=6), lower=st.booleans())
def test_a_code_is_read_however_it_is_written(code: str, gaps: list[str], lower: bool) -> None:
    written = code.lower() if lower else code
    for place, gap in enumerate(gaps):
        written = written[:place] + gap + written[place:]
    assert device.read_user_code(written) == code


@given(st.text())
def test_anything_else_is_no_code(entered: str) -> None:
    read = device.read_user_code(entered)
    assert read is None or (len(read) == 8 and set(read) <= set(device.USER_ALPHABET))


@given(st.text(), st.text())
def test_a_clients_name_is_one_short_line_of_ascii(user_agent: str, surface: str) -> None:
    name = device.client_of(user_agent, surface)
    assert 0 < len(name) <= 100
    assert name.isascii()
    assert name.isprintable()


@pytest.mark.parametrize(
    ("fields", "at", "error"),
    [
        ({}, 0, "authorization_pending"),
        ({"status": "denied"}, 0, "access_denied"),
        ({"status": "used"}, 0, "invalid_grant"),
        ({"status": "approved"}, 0, None),
        ({}, device.CODE_SECONDS, "expired_token"),
        ({"status": "approved"}, device.CODE_SECONDS, "expired_token"),
        ({"status": "denied"}, device.CODE_SECONDS, "expired_token"),
    ],
)
def test_a_poll_is_answered_by_the_state_of_its_code(
    fields: dict[str, object], at: int, error: str | None
) -> None:
    assert device.judge_poll(waiting(**fields), (NOW + at) * 1000).error == error


def test_a_code_that_never_was_is_invalid() -> None:
    assert device.judge_poll(None, NOW * 1000) == device.Polled("invalid_grant")


@given(gaps=st.lists(st.integers(0, 30_000), min_size=1, max_size=20))
def test_whoever_asks_too_often_has_to_wait_five_seconds_longer(gaps: list[int]) -> None:
    code, at = waiting(), NOW * 1000
    for place, gap in enumerate(gaps):
        at += gap
        before = code.interval_seconds
        polled = device.judge_poll(code, at)
        if polled.error == "expired_token":
            return
        assert polled.code is not None
        early = place > 0 and gap < before * 1000 - 1000
        assert polled.error == ("slow_down" if early else "authorization_pending")
        assert polled.code.interval_seconds == before + 5 * early
        assert polled.code.asked_ms == at
        code = polled.code


@given(st.integers(1, 40))
def test_refresh_tokens_follow_each_other_and_each_one_gives_always_the_same(
    count: int,
) -> None:
    tokens = [device.first_tokens(SIGNING, "sign_in_1", b"r" * 32)]
    for _ in range(count):
        tokens.append(device.next_tokens(SIGNING, tokens[-1].refresh))
    assert len({one.refresh for one in tokens}) == len({one.access for one in tokens}) == count + 1
    assert device.next_tokens(SIGNING, tokens[0].refresh) == tokens[1]
    assert device.next_tokens(b"another", tokens[0].refresh) != tokens[1]
    for one in tokens:
        assert device.sign_in_of(SIGNING, one.refresh) == "sign_in_1"
        assert one.access.startswith("sk-")
        assert len(one.access) == 51
        assert one.access[3:].isalnum()
        assert one.access[3:] not in repr(one)


@given(st.text(max_size=300), st.integers(0, 200), st.characters())
def test_a_refresh_token_that_was_not_made_here_is_nobodys(
    text: str, place: int, char: str
) -> None:
    assert device.sign_in_of(SIGNING, text) is None
    token = device.first_tokens(SIGNING, "sign_in_1", b"r" * 32).refresh
    changed = token[:place] + char + token[place + 1 :]
    assert (device.sign_in_of(SIGNING, changed) is None) == (changed != token)
    assert device.sign_in_of(b"another", token) is None


@given(uses=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 200)), max_size=20))
def test_the_newest_rotates_the_one_before_repeats_for_a_minute_and_any_other_ends_it(
    uses: list[tuple[int, int]],
) -> None:
    first = device.first_tokens(SIGNING, "sign_in_1", b"r" * 32)
    issued, now = [first.refresh], NOW
    sign_in, rotated_at = signed_in(first.refresh), None
    for age, later in uses:
        now += later
        token = issued[max(len(issued) - 1 - age, 0)]
        behind = len(issued) - 1 - issued.index(token)
        judged = device.judge_refresh(sign_in, device.hash_code(token), now)
        if behind == 0:
            assert judged == "rotate"
            following = device.next_tokens(SIGNING, token)
            issued.append(following.refresh)
            rotated_at = now
            sign_in = msgspec.structs.replace(
                sign_in,
                refresh_sha256=device.hash_code(following.refresh),
                previous_refresh_sha256=device.hash_code(token),
                previous_until=now + device.GRACE_SECONDS,
            )
        elif behind == 1 and rotated_at is not None and now < rotated_at + 60:
            assert judged == "repeat"
        else:
            assert judged == "reused"


@pytest.mark.parametrize("fields", [{"ended_at": NOW}, {"expires_at": NOW}])
def test_an_ended_sign_in_gives_nothing(fields: dict[str, object]) -> None:
    assert device.judge_refresh(signed_in("r", **fields), device.hash_code("r"), NOW) == "ended"


def test_a_sign_in_may_do_no_more_than_the_key_that_approved_it() -> None:
    approver = msgspec.structs.replace(
        KEY,
        admin=True,
        models=("claude-haiku-4.5",),
        addresses=("192.0.2.0/24",),
        requests_limit="10/1m",
        tokens_per_minute=5,
        in_flight=2,
        billing_policy=True,
        group_id="group_1",
    )
    made = device.key_of(
        key_id="key_2",
        owner="Ann",
        sha256="1" * 64,
        hint="sk-...wxyz",
        person_id=None,
        approved_by=approver,
        now=NOW,
        expires_at=NOW + 3600,
    )
    assert made.kind == "sign_in"
    assert made.name == "Claude Code of Ann"
    assert not made.admin
    assert not made.billing_policy
    for name in ("models", "addresses", "requests_limit", "tokens_per_minute", "in_flight"):
        assert getattr(made, name) == getattr(approver, name)
    assert made.group_id == "group_1"


@given(st.text(min_size=1, max_size=300))
def test_its_name_fits_whoever_approved_it(owner: str) -> None:
    made = device.key_of(
        key_id="key_2",
        owner=owner,
        sha256="",
        hint="",
        person_id="person_1",
        approved_by=None,
        now=NOW,
        expires_at=NOW,
    )
    assert made.name.startswith("Claude Code of")
    assert len(made.name) <= 100


def test_a_key_with_a_budget_of_its_own_and_one_of_a_sign_in_approve_nothing() -> None:
    assert device.refuse_approver(None, has_budget=False) is None
    assert device.refuse_approver(KEY, has_budget=False) is None
    assert "budget" in (device.refuse_approver(KEY, has_budget=True) or "")
    for kind in ("sign_in", "chat"):
        other = msgspec.structs.replace(KEY, kind=kind)
        assert device.refuse_approver(other, has_budget=False) is not None
