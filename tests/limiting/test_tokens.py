from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.limiting.tokens import Reservation, TokenWindow

START = 1_798_761_600.0
LIMIT = 1_000


def in_minute(log: list[list[float]], now: float) -> float:
    return sum(tokens for then, tokens in log if round((now - then) * 1000) < 60_000)


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 25_000), st.integers(0, 700), st.integers(0, 900), st.integers(0, 3)
        ),
        max_size=60,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_answer_is_that_of_a_complete_log(
    steps: list[tuple[int, int, int, int]],
) -> None:
    window = TokenWindow()
    log: list[list[float]] = []
    under_way: list[tuple[Reservation, list[float], int]] = []
    now = START
    for milliseconds, estimate, actual, patience in steps:
        now = round(now + milliseconds / 1000, 3)
        reservation = window.reserve("key", estimate, LIMIT, now)
        allowed = in_minute(log, now) + estimate <= LIMIT
        assert reservation.standing.allowed is allowed
        if allowed:
            log.append([now, estimate])
            under_way.append((reservation, log[-1], actual))
        assert reservation.standing.remaining == max(0, LIMIT - in_minute(log, now))
        if len(under_way) > patience:
            settled, entry, used = under_way.pop(0)
            window.correct(settled, used, now)
            if round((now - entry[0]) * 1000) < 60_000:
                entry[1] = used
            elif used > entry[1]:
                log.append([now, used - entry[1]])


@given(
    steps=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 20)), min_size=150, max_size=300)
)
@settings(max_examples=40, deadline=None)
def test_with_many_requests_the_limit_holds_in_every_minute_and_the_memory_too(
    steps: list[tuple[int, int]],
) -> None:
    window = TokenWindow()
    log: list[list[float]] = []
    now = START
    for milliseconds, tokens in steps:
        now = round(now + milliseconds / 1000, 3)
        if window.reserve("key", tokens, LIMIT, now).standing.allowed:
            log.append([now, tokens])
            assert in_minute(log, now) <= LIMIT
        else:
            # What is held a little longer came within half a second of the minute's beginning.
            assert in_minute(log, now - 0.47) + tokens > LIMIT
    assert len(window._logs["key"].times) <= 3 * 128


def test_less_than_the_estimate_makes_room_at_once() -> None:
    window = TokenWindow()
    first = window.reserve("key", 900, LIMIT, START)
    assert not window.reserve("key", 200, LIMIT, START + 1).standing.allowed
    window.correct(first, 100, START + 2)
    assert window.reserve("key", 900, LIMIT, START + 2).standing.allowed


def test_more_than_the_estimate_keeps_later_requests_out() -> None:
    window = TokenWindow()
    first = window.reserve("key", 100, LIMIT, START)
    window.correct(first, 2_500, START + 5)
    refused = window.reserve("key", 1, LIMIT, START + 6).standing
    assert (refused.allowed, refused.remaining, refused.retry_after_seconds) == (False, 0, 54)
    assert window.reserve("key", 1_000, LIMIT, START + 60).standing.allowed


def test_an_excess_that_is_known_after_the_minute_counts_when_it_is_known() -> None:
    window = TokenWindow()
    first = window.reserve("key", 100, LIMIT, START)
    window.correct(first, 700, START + 300)
    assert window.reserve("key", 401, LIMIT, START + 301).standing.remaining == 400
    assert window.reserve("key", 401, LIMIT, START + 360).standing.allowed


def test_an_excess_that_is_known_as_the_minute_ends_counts_from_then() -> None:
    window = TokenWindow()
    first = window.reserve("key", 100, LIMIT, START)
    window.correct(first, 250, START + 60)
    assert window.reserve("key", 0, LIMIT, START + 119.9).standing.remaining == 850
    assert window.reserve("key", 0, LIMIT, START + 120).standing.remaining == LIMIT


def test_a_growing_number_may_be_told_again_and_again() -> None:
    window = TokenWindow()
    first = window.reserve("key", 500, LIMIT, START)
    for used in (100, 300, 200, 200):
        window.correct(first, used, START + 1)
        assert window.reserve("key", 0, LIMIT, START + 1).standing.remaining == LIMIT - used


def test_retry_after_is_when_enough_has_left_the_minute() -> None:
    window = TokenWindow()
    for second in range(10):
        window.reserve("key", 100, LIMIT, START + second)
    for tokens, leaves in ((1, 0), (100, 0), (101, 1), (1_000, 9)):
        standing = window.reserve("key", tokens, LIMIT, START + 20.5).standing
        assert not standing.allowed
        assert standing.retry_after_seconds == 40 + leaves
        assert standing.reset_at == START + 60
    assert window.reserve("key", 1_000, LIMIT, START + 69).standing.allowed


def test_what_can_never_come_in_is_told_to_wait_a_minute() -> None:
    standing = TokenWindow().reserve("key", LIMIT + 1, LIMIT, START).standing
    assert (standing.allowed, standing.retry_after_seconds) == (False, 60)


def test_a_refused_request_is_not_counted_even_if_corrected() -> None:
    window = TokenWindow()
    refused = window.reserve("key", 1_001, LIMIT, START)
    window.correct(refused, 1_001, START + 1)
    assert window.reserve("key", 1_000, LIMIT, START + 1).standing.allowed


def test_a_limit_that_was_lowered_holds_at_once() -> None:
    window = TokenWindow()
    window.reserve("key", 800, LIMIT, START)
    standing = window.reserve("key", 1, 500, START + 1).standing
    assert (standing.allowed, standing.remaining, standing.limit) == (False, 0, 500)


def test_idle_parties_are_forgotten_while_others_come() -> None:
    window = TokenWindow()
    for number in range(1_000):
        window.reserve(f"key {number}", 1, LIMIT, START)
        window.reserve(f"refused {number}", LIMIT + 1, LIMIT, START)
    for number in range(1_100):
        window.reserve("busy", 1, 10**9, START + 61 + number)
    assert len(window) == 1


def test_a_party_that_stays_does_not_keep_the_idle_in_memory() -> None:
    window = TokenWindow()
    window.reserve("busy", 1, LIMIT, START)
    late = window.reserve("late", 1, LIMIT, START)
    for number in range(500):
        window.reserve(f"once {number}", 1, LIMIT, START + 1)
    window.reserve("busy", 1, LIMIT, START + 50)
    window.correct(late, 5, START + 65)
    for number in range(300):
        window.reserve("busy", 1, 10**9, START + 66 + number / 10)
    assert len(window) == 2
    assert window.reserve("late", 0, LIMIT, START + 97).standing.remaining == LIMIT - 4


def test_a_clock_that_is_set_back_opens_no_minute_early() -> None:
    window = TokenWindow()
    first = window.reserve("key", LIMIT, LIMIT, START)
    for step_back in (1, 50, 5_000):
        assert not window.reserve("key", 1, LIMIT, START - step_back).standing.allowed
    window.correct(first, 10, START - 5_000)
    assert window.reserve("key", 990, LIMIT, START - 5_000).standing.allowed
