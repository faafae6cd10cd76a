from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.config.settings import LimitSettings
from apertis.gateway.limits.limiter import InFlight, Limiter, subject_of
from apertis.limiting.rates import Rate
from apertis.limiting.windows import Windows

START = 1_798_761_600.0
SMALL = LimitSettings(
    per_address=Rate(2, 180), per_key=Rate(3, 60), tokens_per_minute=100, in_flight=1
)
NONE = LimitSettings(per_address=None, per_key=None)


def admitted(limiter: Limiter, address: str, times: int) -> int:
    standings = [limiter.admit_address(address, START) for _ in range(times)]
    return sum(standing is None or standing.allowed for standing in standings)


def test_an_address_has_the_configured_limit() -> None:
    limiter = Limiter(SMALL)
    assert admitted(limiter, "203.0.113.9", 3) == 2
    assert admitted(limiter, "203.0.113.10", 3) == 2


def test_the_addresses_of_one_ipv6_network_are_one_client() -> None:
    limiter = Limiter(SMALL)
    assert admitted(limiter, "2001:db8:0:1::1", 1) == 1
    assert admitted(limiter, "2001:db8:0:1:ffff::2", 2) == 1
    assert admitted(limiter, "2001:db8:0:2::1", 2) == 2


def test_a_mapped_address_is_the_ipv4_address_that_it_is() -> None:
    limiter = Limiter(SMALL)
    assert admitted(limiter, "::ffff:203.0.113.9", 2) == 2
    assert admitted(limiter, "203.0.113.9", 1) == 0
    assert admitted(limiter, "::ffff:203.0.113.10", 2) == 2


def test_a_peer_without_an_address_is_limited_by_its_name() -> None:
    limiter = Limiter(SMALL)
    assert admitted(limiter, "", 3) == 2
    assert admitted(limiter, "unix:/run/socket", 3) == 2


def test_a_keys_own_rate_stands_in_place_of_the_configured_one() -> None:
    limiter = Limiter(SMALL)
    limits = []
    for key_id, own in (("key_a", None), ("key_b", "7/2m"), ("key_c", "0")):
        standing = limiter.admit_key(key_id, START, own)
        limits.append(None if standing is None else (standing.limit, standing.reset_at - START))
    assert limits == [(3, 60), (7, 120), None]


def test_an_own_rate_that_equals_the_configured_one_is_the_same_window() -> None:
    limiter = Limiter(SMALL)
    standings = [limiter.admit_key("key_a", START, own) for own in (None, "3/1m", "3/60s", None)]
    assert [standing is not None and standing.allowed for standing in standings] == [
        True,
        True,
        True,
        False,
    ]


def test_limits_that_are_switched_off_answer_nothing() -> None:
    limiter = Limiter(NONE)
    assert limiter.admit_address("203.0.113.9", START) is None
    assert limiter.admit_key("key_a", START) is None
    assert limiter.reserve_tokens("key_a", 10**9, START) is None
    assert all(limiter.enter("key_a") for _ in range(100))


def test_a_key_may_have_limits_where_none_are_configured() -> None:
    limiter = Limiter(NONE)
    standing = limiter.admit_key("key_a", START, "5/1s")
    reservation = limiter.reserve_tokens("key_a", 11, START, 10)
    assert standing is not None
    assert standing.limit == 5
    assert reservation is not None
    assert not reservation.standing.allowed
    assert [limiter.enter("key_a", 2) for _ in range(3)] == [True, True, False]


def test_a_key_may_be_free_of_limits_that_are_configured() -> None:
    limiter = Limiter(SMALL)
    assert limiter.reserve_tokens("key_a", 101, START, 0) is None
    assert limiter.enter("key_a", 0)
    assert limiter.enter("key_a", 0)


def test_tokens_are_reserved_and_corrected() -> None:
    limiter = Limiter(SMALL)
    reservation = limiter.reserve_tokens("key_a", 90, START)
    assert reservation is not None
    assert reservation.standing.allowed
    reservation.correct(20, START + 1)
    second = limiter.reserve_tokens("key_a", 80, START + 1)
    assert second is not None
    assert second.standing.allowed


def test_a_request_that_leaves_makes_room() -> None:
    limiter = Limiter(SMALL)
    assert limiter.enter("key_a")
    assert not limiter.enter("key_a")
    limiter.leave("key_a")
    assert limiter.enter("key_a")
    assert limiter.in_flight.total == 1


def test_other_settings_act_on_the_next_request_and_keep_what_is_counted() -> None:
    limiter = Limiter(SMALL)
    assert admitted(limiter, "203.0.113.9", 2) == 2
    limiter.admit_key("key_a", START)
    limiter.reconfigure(LimitSettings(per_address=Rate(2, 180), per_key=Rate(9, 60)))
    assert admitted(limiter, "203.0.113.9", 1) == 0
    standing = limiter.admit_key("key_a", START)
    assert standing is not None
    assert standing.limit == 9
    limiter.reconfigure(SMALL)
    standing = limiter.admit_key("key_a", START)
    assert standing is not None
    assert (standing.limit, standing.remaining) == (3, 1)
    limiter.reconfigure(NONE)
    assert limiter.admit_address("203.0.113.9", START) is None
    assert limiter.admit_key("key_a", START) is None


def test_rates_that_nobody_has_any_more_are_dropped() -> None:
    limiter = Limiter(NONE)
    for number in range(1, 300):
        limiter.admit_key("key_a", START + number * 61, f"{number}/1m")
    assert len(limiter._per_key) <= 2
    assert len(limiter._by_override) <= 2


def test_a_rate_that_was_dropped_is_still_one_window_for_all_who_have_it() -> None:
    limiter = Limiter(SMALL)
    limiter.admit_key("key_a", START, "3/60s")
    limiter.admit_key("key_b", START + 100, "9/1m")
    now = START + 101
    standings = [limiter.admit_key("key_a", now, own) for own in ("3/60s", None, "3/1m", None)]
    assert [standing is not None and standing.remaining for standing in standings] == [2, 1, 0, 0]


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


class Party(msgspec.Struct, frozen=True):
    """A person or a group."""

    name: str = "research"
    requests_limit: str | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None


def test_a_request_counts_for_its_key_its_person_and_their_groups() -> None:
    limiter = Limiter(LimitSettings(per_address=None, per_key=Rate(5, 60)))
    person, group = Party(requests_limit="4/1m"), Party(requests_limit="6/1m")
    ann = (("person:ann", person), ("group:g", group))
    bob = (("group:g", group),)
    for number in range(4):
        _, own = limiter.admit(None, "key_a", START, None, ann)
        assert own is not None
        assert (own.allowed, own.who, own.remaining) == (True, "person:ann", 3 - number)
    _, own = limiter.admit(None, "key_a", START, None, ann)
    assert own is not None
    assert (own.allowed, own.who, subject_of(own.who, ann)) == (False, "person:ann", "this person")
    standings = [limiter.admit(None, "key_b", START, None, bob)[1] for _ in range(3)]
    assert [one is not None and one.allowed for one in standings] == [True, True, False]
    assert standings[-1] is not None
    assert subject_of(standings[-1].who, bob) == "the group 'research'"
    # What a person or a group rejects costs the key nothing: it has what it had.
    (key_a, key_b) = (limiter.admit_key(key, START) for key in ("key_a", "key_b"))
    assert key_a is not None
    assert key_b is not None
    assert (key_a.remaining, key_b.remaining) == (0, 2)
    # And what the key rejects, the others.
    _, own = limiter.admit(None, "key_a", START, None, ann)
    assert own is not None
    assert (own.allowed, own.who, subject_of(own.who)) == (False, "", "this API key")


def test_tokens_are_reserved_for_all_or_none() -> None:
    limiter = Limiter(LimitSettings(per_key=None, tokens_per_minute=100))
    parties = (("person:ann", Party()), ("group:g", Party(tokens_per_minute=80)))
    one = limiter.reserve_tokens("key_a", 60, START, None, parties)
    assert one is not None
    assert (one.allowed, one.who, one.standing.remaining) == (True, "group:g", 20)
    two = limiter.reserve_tokens("key_a", 30, START, None, parties)
    assert two is not None
    assert (two.allowed, two.who) == (False, "group:g")
    # It was given back to the key.
    own = limiter.reserve_tokens("key_a", 40, START)
    assert own is not None
    assert own.allowed
    one.correct(10, START)
    again = limiter.reserve_tokens("key_b", 70, START, None, parties)
    assert again is not None
    assert again.allowed
    assert limiter.reserve_tokens("key_c", 5, START, 0, (("person:bob", Party()),)) is None


def test_requests_under_way_count_for_all_or_none() -> None:
    limiter = Limiter(LimitSettings(per_key=None, in_flight=3))
    parties = (("person:ann", Party(in_flight=5)), ("group:g", Party(in_flight=2)))
    assert [limiter.enter("key_a", None, parties) for _ in range(3)] == [True, True, False]
    assert limiter.crowded("key_a", None, parties) == "group:g"
    names = ("key_a", "person:ann", "group:g")
    assert [limiter.in_flight.count(name) for name in names] == [2, 2, 2]
    assert limiter.enter("key_a")
    assert limiter.crowded("key_a", None, parties) == "key_a"
    limiter.leave("key_a")
    for _ in range(2):
        limiter.leave("key_a", parties)
    assert [limiter.in_flight.count(name) for name in names] == [0, 0, 0]
    assert limiter.in_flight.total == 0


def test_a_request_that_another_limit_rejects_leaves_the_window_as_it_was() -> None:
    for count in (3, 9000):
        windows = Windows(Rate(count, 60))
        windows.give_back("a")
        for _ in range(2):
            windows.take("a", START)
        windows.give_back("a")
        assert windows.used("a", START) == 1
        assert windows.take("a", START).remaining == count - 2
