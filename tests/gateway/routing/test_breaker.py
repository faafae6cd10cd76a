"""A breaker opens, lets one probe through, and closes; a bad key is no bad host."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.routing import BreakerState, Cause, Outcome
from apertis.gateway.routing.breaker import BAD_KEY_FACTOR, Breaker

HOST_FAULTS = [
    Outcome.UNREACHABLE,
    Outcome.TIMEOUT,
    Outcome.OVERLOADED,
    Outcome.SERVER_ERROR,
    Outcome.MALFORMED,
]
NEUTRAL = [
    Outcome.LATE,
    Outcome.LEFT,
    Outcome.CONFLICT,
    Outcome.MODEL_MISSING,
    Outcome.FORBIDDEN,
]
SOUND = [Outcome.OK, Outcome.CLIENT_FAULT, Outcome.RATE_LIMITED]


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(3, 30.0)
    for _ in range(3):
        breaker.report(Outcome.UNREACHABLE, at)
    return breaker


@pytest.mark.parametrize("fault", HOST_FAULTS)
def test_failures_of_the_host_in_a_row_open_it(fault: Outcome) -> None:
    breaker = Breaker(3, 30.0)
    for _ in range(2):
        breaker.report(fault, 0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED
    breaker.report(fault, 0.0)
    assert (breaker.state(29.9), breaker.cause) == (BreakerState.OPEN, Cause.BAD_HOST)
    assert breaker.state(30.0) is BreakerState.HALF_OPEN


@pytest.mark.parametrize("sound", SOUND)
def test_a_sensible_answer_ends_the_row(sound: Outcome) -> None:
    breaker = Breaker(3, 30.0)
    for outcome in [Outcome.TIMEOUT, Outcome.TIMEOUT, sound, Outcome.TIMEOUT, Outcome.TIMEOUT]:
        breaker.report(outcome, 0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED


@pytest.mark.parametrize("neutral", NEUTRAL)
def test_what_says_nothing_about_the_host_neither_opens_nor_closes(neutral: Outcome) -> None:
    breaker = Breaker(3, 30.0)
    for _ in range(9):
        breaker.report(neutral, 0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED
    breaker = opened()
    breaker.report(neutral, 31.0)
    assert breaker.cause is Cause.BAD_HOST


@pytest.mark.parametrize("outcome", [Outcome.BAD_KEY, Outcome.UNPAID])
def test_a_refused_credential_opens_it_at_once_and_for_longer(outcome: Outcome) -> None:
    breaker = Breaker(3, 30.0)
    breaker.report(outcome, 0.0)
    assert (breaker.state(299.9), breaker.cause) == (BreakerState.OPEN, Cause.BAD_KEY)
    assert breaker.state(30.0 * BAD_KEY_FACTOR) is BreakerState.HALF_OPEN


def test_a_host_that_comes_back_with_a_refused_key_is_a_bad_key() -> None:
    breaker = opened()
    breaker.report(Outcome.BAD_KEY, 1.0)
    assert (breaker.cause, breaker.until) == (Cause.BAD_KEY, 301.0)


def test_late_refusals_do_not_move_the_probe_away() -> None:
    breaker = Breaker(3, 30.0)
    for now in [0.0, 100.0, 200.0]:
        breaker.report(Outcome.BAD_KEY, now)
    assert breaker.until == 300.0


def test_half_open_gives_one_probe() -> None:
    breaker = opened()
    assert not breaker.is_due(29.0)
    assert breaker.is_due(30.0)
    breaker.probe(30.0)
    assert breaker.state(30.0) is BreakerState.HALF_OPEN
    assert not breaker.is_due(59.0)


def test_a_probe_that_is_never_heard_of_makes_room_for_another() -> None:
    breaker = opened()
    breaker.probe(30.0)
    breaker.report(Outcome.LEFT, 31.0)
    assert not breaker.is_due(59.0)
    assert breaker.is_due(60.0)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.probe(30.0)
    breaker.report(Outcome.OK, 31.0)
    assert (breaker.state(31.0), breaker.cause, breaker.failures) == (BreakerState.CLOSED, None, 0)


def test_a_probe_that_fails_opens_it_again() -> None:
    breaker = opened()
    breaker.probe(30.0)
    breaker.report(Outcome.TIMEOUT, 40.0)
    assert breaker.state(69.0) is BreakerState.OPEN
    assert breaker.is_due(70.0)


def test_failures_while_it_is_open_do_not_keep_it_open() -> None:
    breaker = opened()
    for now in range(1, 30):
        breaker.report(Outcome.UNREACHABLE, float(now))
    assert breaker.is_due(30.0)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(Outcome), st.booleans(), st.floats(0, 400)), max_size=40))
def test_it_always_gives_another_probe_and_a_sound_answer_always_closes_it(
    steps: list[tuple[Outcome, bool, float]],
) -> None:
    breaker, now = Breaker(3, 30.0), 0.0
    for outcome, probes, seconds in steps:
        now += seconds
        if probes and breaker.is_due(now):
            breaker.probe(now)
            assert not breaker.is_due(now)
        breaker.report(outcome, now)
        assert (breaker.state(now) is BreakerState.CLOSED) == (breaker.cause is None)
    if breaker.cause is not None:
        assert breaker.is_due(now + 30.0 * BAD_KEY_FACTOR)
    breaker.report(Outcome.OK, now)
    assert breaker.state(now) is BreakerState.CLOSED


def test_a_breaker_follows_that_of_another_gateway() -> None:
    breaker = Breaker(3, 30.0)
    # It is closed: somebody's probe is no news.
    breaker.follow(Cause.BAD_HOST, 5.0, 100.0, probing=True)
    assert breaker.state(100.0) is BreakerState.CLOSED
    breaker.follow(Cause.BAD_KEY, 5.0, 100.0, probing=False)
    assert (breaker.state(104.9), breaker.is_due(105.0)) == (BreakerState.OPEN, True)
    breaker.follow(Cause.BAD_KEY, 30.0, 105.0, probing=True)
    assert not breaker.is_due(134.9)
    breaker.follow(None, 0.0, 110.0, probing=False)
    assert (breaker.state(110.0), breaker.failures) == (BreakerState.CLOSED, 0)
