from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.limits.steady_time import SteadyTime

SECOND = 1_000_000


def test_it_is_the_clock_while_the_clock_goes_forward() -> None:
    time = SteadyTime(60)
    assert [time.at(now) for now in (10.0, 10.25, 4_000.5)] == [
        10_000_000,
        10_250_000,
        4_000_500_000,
    ]


def test_a_small_step_back_is_waited_out() -> None:
    time = SteadyTime(60)
    assert time.at(1_000) == 1_000 * SECOND
    assert time.at(940) == 1_000 * SECOND
    assert time.at(999) == 1_000 * SECOND
    assert time.at(1_001) == 1_001 * SECOND


def test_after_a_large_step_back_time_goes_on_at_the_clocks_pace() -> None:
    time = SteadyTime(60)
    time.at(10_000)
    assert time.at(5_000) == 10_000 * SECOND
    assert time.at(5_007.5) == 10_007_500_000
    assert time.clock_seconds(time.at(5_008)) == 5_008


def test_the_clocks_seconds_are_rounded_up() -> None:
    time = SteadyTime(60)
    assert time.clock_seconds(time.at(10.0)) == 10
    assert time.clock_seconds(time.at(10.000001)) == 11


@given(st.lists(st.floats(0, 2e9)))
def test_it_never_runs_backwards(clock: list[float]) -> None:
    time = SteadyTime(60)
    times = [time.at(now) for now in clock]
    assert times == sorted(times)
