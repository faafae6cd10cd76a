"""Attempts to sign in: how many there may be, and that no way around the bounds is left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.signin.attempts import Attempts

NOW = 1_790_000_000.0


def test_the_twenty_first_failure_of_an_address_waits_until_the_first_is_five_minutes_old() -> None:
    attempts = Attempts()
    assert [attempts.begin("192.0.2.1", NOW + n) for n in range(20)] == [None] * 20
    assert attempts.begin("192.0.2.1", NOW + 20) == 280
    assert attempts.begin("192.0.2.1", NOW + 301) is None


def test_one_address_leaves_the_others_alone() -> None:
    attempts = Attempts()
    for _ in range(30):
        attempts.begin("192.0.2.1", NOW)
    assert attempts.begin("192.0.2.2", NOW) is None


def test_the_addresses_of_one_ipv6_network_are_counted_as_one() -> None:
    attempts = Attempts()
    for n in range(20):
        assert attempts.begin(f"2001:db8::{n:x}", NOW) is None
    assert attempts.begin("2001:db8::ffff:1", NOW) is not None
    assert attempts.begin("2001:db8:0:1::1", NOW) is None


def test_many_addresses_have_one_bound_together() -> None:
    attempts = Attempts()
    begun = [attempts.begin(f"10.0.{n // 250}.{n % 250}", NOW) for n in range(601)]
    assert begun == [None] * 600 + [300]


def test_what_is_rejected_for_all_does_not_count_for_the_address() -> None:
    attempts = Attempts()
    for n in range(600):
        attempts.begin(f"10.0.{n // 250}.{n % 250}", NOW)
    for _ in range(30):
        assert attempts.begin("192.0.2.9", NOW) is not None
    assert [attempts.begin("192.0.2.9", NOW + 301) for _ in range(20)] == [None] * 20


def test_who_succeeds_has_failed_no_more_often_than_before() -> None:
    attempts = Attempts()
    for n in range(100):
        assert attempts.begin("192.0.2.1", NOW + n / 100) is None
        assert attempts.succeeded("192.0.2.1", f"person:{n}", NOW + n / 100) is None


def test_somebody_who_signs_in_all_the_time_has_to_wait() -> None:
    attempts = Attempts()
    waits = []
    for _ in range(301):
        attempts.begin("192.0.2.1", NOW)
        waits.append(attempts.succeeded("192.0.2.1", "person:a", NOW))
    assert waits == [None] * 300 + [300]


def test_a_hundred_failures_an_hour_are_audited() -> None:
    attempts = Attempts()
    assert [attempts.is_audited(NOW) for _ in range(101)] == [True] * 100 + [False]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=200))
def test_no_order_of_attempts_allows_more_than_twenty_failures_in_five_minutes(
    events: list[tuple[bool, float]],
) -> None:
    attempts, now, failures = Attempts(), NOW, list[float]()
    for succeeds, later in events:
        now += later
        if attempts.begin("192.0.2.1", now) is not None:
            continue
        if succeeds:
            attempts.succeeded("192.0.2.1", "person:a", now)
        else:
            failures.append(now)
    for at in failures:
        assert sum(at <= other < at + 300 for other in failures) <= 20
