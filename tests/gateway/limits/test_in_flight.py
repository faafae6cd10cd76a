from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.limits.in_flight import InFlight


def test_a_limit_is_what_may_be_under_way_at_once() -> None:
    in_flight = InFlight()
    assert [in_flight.enter("key", 2) for _ in range(3)] == [True, True, False]
    assert in_flight.leave("key")
    assert in_flight.enter("key", 2)
    assert not in_flight.enter("key", 2)
    assert in_flight.enter("other", 2)


def test_requests_without_a_limit_count_for_one_that_comes_later() -> None:
    in_flight = InFlight()
    for _ in range(5):
        assert in_flight.enter("key", 0)
    assert not in_flight.enter("key", 5)


def test_nobody_can_leave_who_is_not_in() -> None:
    in_flight = InFlight()
    assert not in_flight.leave("key")
    in_flight.enter("key", 1)
    assert in_flight.leave("key")
    assert not in_flight.leave("key")
    assert (in_flight.count("key"), in_flight.total) == (0, 0)
    assert in_flight.enter("key", 1)
    assert not in_flight.enter("key", 1)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(0, 3)), max_size=100))
@settings(max_examples=150)
def test_it_counts_like_a_list_of_those_inside(steps: list[tuple[bool, str, int]]) -> None:
    in_flight = InFlight()
    inside: Counter[str] = Counter()
    for enters, who, limit in steps:
        if enters:
            expected = limit == 0 or inside[who] < limit
            assert in_flight.enter(who, limit) is expected
            inside[who] += expected
        else:
            assert in_flight.leave(who) is (inside[who] > 0)
            inside[who] = max(0, inside[who] - 1)
        assert in_flight.count(who) == inside[who]
        assert in_flight.total == inside.total()
