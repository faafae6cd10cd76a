from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.limiting.rates import Rate
from apertis.limiting.windows import MonotonicMicroseconds, Windows, party_of

START = 1_798_761_600.0


def used_in_window(log: list[float], now: float, seconds: int) -> int:
    """Count the slow, obvious way: what happened after the window's open end."""
    return sum(1 for then in log if round((now - then) * 1000) < seconds * 1000)


_STEPS = st.lists(
    st.tuples(st.integers(0, 2_500), st.sampled_from(["one", "two"])), min_size=1, max_size=80
)


@given(count=st.integers(1, 6), seconds=st.integers(1, 4), steps=_STEPS)
@settings(max_examples=150, deadline=None)
def test_every_answer_is_that_of_a_complete_log(
    count: int, seconds: int, steps: list[tuple[int, str]]
) -> None:
    windows = Windows(Rate(count, seconds))
    logs: dict[str, list[float]] = {"one": [], "two": []}
    now = START
    for milliseconds, who in steps:
        now = round(now + milliseconds / 1000, 3)
        used = used_in_window(logs[who], now, seconds)
        standing = windows.take(who, now)
        assert standing.allowed is (used < count)
        if standing.allowed:
            logs[who].append(now)
        assert standing.limit == count
        assert standing.remaining == count - used_in_window(logs[who], now, seconds)


@given(
    bursts=st.lists(
        st.tuples(st.integers(0, 25_000), st.integers(1, 6_000)), min_size=1, max_size=5
    )
)
@settings(max_examples=25, deadline=None)
def test_above_4096_requests_none_is_one_too_many_and_few_are_missed(
    bursts: list[tuple[int, int]],
) -> None:
    count, seconds, block = 10_000, 30, 3
    windows = Windows(Rate(count, seconds))
    admitted: list[tuple[float, int]] = []
    now = START
    for milliseconds, asked in bursts:
        now = round(now + milliseconds / 1000, 3)
        used = sum(
            number for then, number in admitted if round((now - then) * 1000) < seconds * 1000
        )
        granted = sum(windows.take("busy", now).allowed for _ in range(asked))
        assert granted <= count - used
        assert granted >= min(asked, count - used - (block - 1))
        admitted.append((now, granted))


@given(count=st.integers(1, 5), seconds=st.integers(1, 90), steps=_STEPS)
@settings(max_examples=150, deadline=None)
def test_a_client_that_waits_as_told_is_let_in_and_not_a_second_earlier(
    count: int, seconds: int, steps: list[tuple[int, str]]
) -> None:
    windows = Windows(Rate(count, seconds))
    now = START
    for milliseconds, who in steps:
        now = round(now + milliseconds / 1000, 3)
        standing = windows.take(who, now)
        if standing.allowed:
            assert standing.retry_after_seconds == 0
            continue
        assert 1 <= standing.retry_after_seconds <= seconds
        copy = Windows(Rate(count, seconds))
        copy._logs = windows._logs.copy()
        assert not copy.peek(who, now + standing.retry_after_seconds - 1).allowed
        return_at = now + standing.retry_after_seconds
        now = round(return_at, 3)
        assert windows.take(who, now).allowed


def test_reset_is_the_second_in_which_remaining_rises_again() -> None:
    windows = Windows(Rate(3, 60))
    assert windows.peek("who", START + 0.5).reset_at == START + 1
    windows.take("who", START + 0.5)
    standing = windows.take("who", START + 20)
    assert (standing.remaining, standing.reset_at) == (1, START + 61)
    assert windows.peek("who", START + 60.4).remaining == 1
    assert windows.peek("who", START + 61).remaining == 2
    assert windows.peek("who", START + 61).reset_at == START + 80


def test_a_burst_at_the_border_of_two_minutes_is_one_burst() -> None:
    windows = Windows(Rate(100, 60))
    before = sum(windows.take("who", START + 59.9).allowed for _ in range(100))
    after = sum(windows.take("who", START + 60.1).allowed for _ in range(100))
    assert (before, after) == (100, 0)


def test_a_refused_request_costs_nothing() -> None:
    windows = Windows(Rate(1, 10))
    windows.take("who", START)
    for second in range(1, 10):
        refused = windows.take("who", START + second)
        assert (refused.allowed, refused.retry_after_seconds) == (False, 10 - second)
    assert windows.take("who", START + 10).allowed


def test_peek_counts_nothing() -> None:
    windows = Windows(Rate(2, 10))
    for _ in range(5):
        assert windows.peek("who", START).remaining == 2
    assert len(windows) == 0


def test_years_later_a_window_is_as_long_as_at_first() -> None:
    windows = Windows(Rate(2, 7))
    for hour in range(500):
        start = START + hour * 3600.1
        answers = [windows.take("who", round(start + s, 3)).allowed for s in (0, 1, 6.999, 7, 8)]
        assert answers == [True, True, False, True, True]


@pytest.mark.parametrize("step_back", [0.001, 5, 59.9, 3_600, 10**8])
def test_a_clock_that_is_set_back_opens_no_window_early(step_back: float) -> None:
    windows = Windows(Rate(2, 60))
    windows.take("who", START)
    windows.take("who", START + 10)
    assert not windows.take("who", START + 10 - step_back).allowed


@pytest.mark.parametrize("step_back", [5, 59, 61, 3_600, 10**8])
def test_a_clock_that_is_set_back_keeps_no_window_closed_for_long(step_back: float) -> None:
    windows = Windows(Rate(1, 60))
    windows.take("who", START)
    refused = windows.take("who", START - step_back)
    assert refused.retry_after_seconds == 60
    assert not windows.take("who", START - step_back + 59).allowed
    assert windows.take("who", START - step_back + 120).allowed


def test_after_a_large_step_back_reset_is_told_in_the_clocks_own_time() -> None:
    windows = Windows(Rate(1, 60))
    windows.take("who", START)
    assert windows.take("who", START - 3_600).reset_at == START - 3_600 + 60


def test_idle_parties_are_forgotten_while_others_come() -> None:
    windows = Windows(Rate(5, 60))
    for number in range(3_000):
        windows.take(f"once {number}", START + number / 1000)
    assert len(windows) == 3_000
    for number in range(1_600):
        windows.take("busy", START + 70 + number)
    assert len(windows) == 1


def test_a_party_that_stays_does_not_keep_the_idle_in_memory() -> None:
    windows = Windows(Rate(5, 60))
    windows.take("busy", START)
    for number in range(500):
        windows.take(f"once {number}", START + 1)
    for number in range(300):
        windows.take("busy", START + 50 + number)
    assert len(windows) == 1


def test_a_block_leaves_with_the_last_of_its_requests() -> None:
    windows = Windows(Rate(8_192, 30))
    assert windows.take("who", START).allowed
    assert windows.take("who", START + 10).allowed
    assert sum(windows.take("who", START + 20).allowed for _ in range(8_191)) == 8_190
    # The first request has left, but shares a block with the one at 10 s.
    assert not windows.take("who", START + 35).allowed
    assert [windows.take("who", START + 40).allowed for _ in range(3)] == [True, True, False]


def test_a_party_in_use_is_never_forgotten() -> None:
    windows = Windows(Rate(3, 60))
    answers = []
    for second in range(0, 120, 10):
        answers.append(windows.take("steady", START + second).allowed)
        for number in range(50):
            windows.take(f"other {second} {number}", START + second)
    assert answers == [True, True, True, False, False, False] * 2


def test_a_sweep_forgets_all_that_are_idle_and_only_those() -> None:
    windows = Windows(Rate(5, 60))
    for number in range(100):
        windows.take(f"old {number}", START)
    windows.take("young", START + 30)
    windows.sweep(START + 60)
    assert len(windows) == 1
    assert windows.peek("young", START + 60).remaining == 4


SECOND = 1_000_000


def test_it_is_the_clock_while_the_clock_goes_forward() -> None:
    time = MonotonicMicroseconds(60)
    assert [time.at(now) for now in (10.0, 10.25, 4_000.5)] == [
        10_000_000,
        10_250_000,
        4_000_500_000,
    ]


def test_a_small_step_back_is_waited_out() -> None:
    time = MonotonicMicroseconds(60)
    assert time.at(1_000) == 1_000 * SECOND
    assert time.at(940) == 1_000 * SECOND
    assert time.at(999) == 1_000 * SECOND
    assert time.at(1_001) == 1_001 * SECOND


def test_after_a_large_step_back_time_goes_on_at_the_clocks_pace() -> None:
    time = MonotonicMicroseconds(60)
    time.at(10_000)
    assert time.at(5_000) == 10_000 * SECOND
    assert time.at(5_007.5) == 10_007_500_000
    assert time.clock_seconds(time.at(5_008)) == 5_008


def test_the_clocks_seconds_are_rounded_up() -> None:
    time = MonotonicMicroseconds(60)
    assert time.clock_seconds(time.at(10.0)) == 10
    assert time.clock_seconds(time.at(10.000001)) == 11


@given(st.lists(st.floats(0, 2e9)))
def test_it_never_runs_backwards(clock: list[float]) -> None:
    time = MonotonicMicroseconds(60)
    times = [time.at(now) for now in clock]
    assert times == sorted(times)


def test_a_part_of_a_limit_that_is_used_up_may_be_another_one_in_a_second() -> None:
    windows = Windows(Rate(10, 60))
    windows.share(2)
    standings = [windows.take("a", 1000.0) for _ in range(6)]
    assert [standing.allowed for standing in standings] == [True] * 5 + [False]
    # The limit is told as it is for all together; what is left, as it is here.
    assert (standings[0].limit, standings[0].remaining) == (10, 4)
    assert (standings[-1].remaining, standings[-1].retry_after_seconds) == (0, 1)
    assert windows.peek("a", 1000.0).allowed is False
    assert windows.caps is not None
    windows.caps["a"] = 10
    assert windows.take("a", 1000.0).allowed
    windows.share(1)
    assert sum(windows.take("a", 1000.0).allowed for _ in range(9)) == 4
    assert windows.take("a", 1000.0).retry_after_seconds == 60


@pytest.mark.parametrize(
    ("address", "party"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "20010db800000000/64"),
        ("2001:db8::ffff:1", "20010db800000000/64"),
        ("2001:db8:0:1::1", "20010db800000001/64"),
        ("a:strange:peer", "a:strange:peer"),
        ("", ""),
    ],
)
def test_one_client_is_one_party_however_many_addresses_it_has(address: str, party: str) -> None:
    assert party_of(address) == party
