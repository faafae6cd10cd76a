"""The four deadlines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sansio.timeouts import Timeout

seconds = st.floats(0.001, 10_000)


def test_a_number_limits_every_wait_and_a_whole_call() -> None:
    assert Timeout.of(5) == Timeout(5, 5, 5, 5)
    assert Timeout.of(100) == Timeout(10.0, 100, 100, 100)
    assert Timeout.of(100, streamed=True) == Timeout(10.0, 100, 100, None)


def test_none_lifts_all_limits() -> None:
    assert Timeout.of(None) == Timeout(None, None, None, None)


def test_a_timeout_stays_as_it_is() -> None:
    given_ = Timeout(total=3)
    assert Timeout.of(given_, streamed=True) is given_
    assert (given_.connect, given_.response, given_.idle) == (10.0, 600.0, 180.0)


@pytest.mark.parametrize(
    ("total", "limit", "now", "expected"),
    [
        (None, 5, 0, (5, None)),
        (None, None, 0, (None, None)),
        (10, 5, 100, (5, None)),
        (10, 5, 107, (3, "total")),
        (10, None, 107, (3, "total")),
        (10, 5, 110, (0, "total")),
        (10, 5, 999, (0, "total")),
    ],
)
def test_the_total_deadline_shortens_the_others(
    total: float | None, limit: float | None, now: float, expected: tuple[float | None, str | None]
) -> None:
    assert Timeout(total=total).limits(100).remaining(limit, now) == expected


@given(seconds, seconds, st.floats(0, 10_000))
def test_no_wait_is_longer_than_what_is_left(total: float, limit: float, passed: float) -> None:
    wait, _ = Timeout(total=total).limits(0).remaining(limit, passed)
    assert wait is not None
    assert 0 <= wait <= limit
    assert passed + wait <= max(total, passed) + 1e-6


def test_a_retry_has_to_begin_before_the_end() -> None:
    limits = Timeout(total=10).limits(100)
    assert limits.allow(4, 105)
    assert not limits.allow(5, 105)
    assert Timeout(total=None).limits(100).allow(10**6, 105)
