"""Who is asked first, and who last."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.config import ModelSettings, RoutingSettings, UpstreamSettings
from apertis.gateway.routing import BreakerState, Cause, Outcome, Router, Target

SETTINGS = RoutingSettings(breaker_failures=2, breaker_open_seconds=30.0)


def router(*upstreams: UpstreamSettings, settings: RoutingSettings = SETTINGS) -> Router:
    return Router(upstreams, settings)


def target(upstream: str, model: str = "m") -> Target:
    return Target(upstream, model, model)


def order(router: Router, now: float = 0.0, pick: float = 0.0, affinity: str | None = None) -> str:
    return "".join(t.upstream for t in router.candidates("m", affinity, now, pick))


def break_host(router: Router, upstream: str, now: float = 0.0) -> None:
    for _ in range(2):
        router.report(target(upstream), Outcome.UNREACHABLE, now)


def three() -> Router:
    return router(*(UpstreamSettings(n, priority=p) for n, p in [("c", 3), ("a", 1), ("b", 2)]))


def test_priority_decides_which_upstream_comes_first() -> None:
    assert order(three()) == "abc"


def test_an_unknown_model_has_no_candidates() -> None:
    only = router(UpstreamSettings("a", models=(ModelSettings("m"),)))
    assert only.candidates("n", None, 0.0, 0.0) == ()
    assert (only.serves("m"), only.serves("n")) == (True, False)


def test_names_of_a_model_are_one_model() -> None:
    only = router(UpstreamSettings("a", models=(ModelSettings("m-4-5", aliases=("x",)),)))
    assert {only.model_id(name) for name in ("m-4-5", "m-4.5", "x")} == {"m-4-5"}
    assert only.model_id("n") == "n"


def test_weight_shares_the_requests_out() -> None:
    both = router(UpstreamSettings("a", weight=3), UpstreamSettings("b", weight=1))
    counts = Counter(order(both, pick=i / 1000) for i in range(1000))
    assert counts == {"ab": 750, "ba": 250}


def test_one_number_decides_the_whole_order() -> None:
    all_equal = router(*(UpstreamSettings(name) for name in "abc"))
    counts = Counter(order(all_equal, pick=(i + 0.5) / 6000) for i in range(6000))
    assert counts == dict.fromkeys(("abc", "acb", "bac", "bca", "cab", "cba"), 1000)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(Outcome), st.floats(0, 60)), max_size=25),
    st.floats(0, 1, exclude_max=True),
    st.none() | st.just("c"),
)
def test_no_upstream_ever_vanishes_and_the_well_come_first(
    ranks: list[tuple[int, int]],
    reports: list[tuple[int, Outcome, float]],
    pick: float,
    affinity: str | None,
) -> None:
    upstreams = [UpstreamSettings(f"u{i}", priority=p, weight=w) for i, (p, w) in enumerate(ranks)]
    routing, now = router(*upstreams), 0.0
    for place, outcome, seconds in reports:
        now += seconds
        reported = target(f"u{place % len(ranks)}")
        routing.report(reported, outcome, now, seconds)
        routing.pin("c", "m", reported.upstream, now)
        probing = {s.name for s in routing.states(now) if s.breaker is not BreakerState.CLOSED}
        chosen = [t.upstream for t in routing.candidates("m", affinity, now, pick)]
        assert sorted(chosen) == sorted(u.name for u in upstreams)
        well = [name not in probing for name in chosen[1:]]
        # Apart from targets that rest after a 429, all that are closed stand before all others.
        if not any(o in {Outcome.RATE_LIMITED, Outcome.OVERLOADED} for _, o, _ in reports):
            assert well == sorted(well, reverse=True)


def test_a_bad_host_goes_last_and_comes_back_through_one_probe() -> None:
    routing = three()
    break_host(routing, "a")
    assert order(routing, 29.0) == "bca"
    assert order(routing, 30.0) == "abc"
    # The probe is under way.
    assert order(routing, 30.0) == "bca"
    routing.report(target("a"), Outcome.OK, 31.0)
    assert order(routing, 31.0) == order(routing, 31.0) == "abc"


def test_a_probe_is_only_taken_from_the_first_place() -> None:
    routing = three()
    break_host(routing, "b")
    assert [order(routing, 31.0) for _ in range(3)] == ["acb"] * 3
    break_host(routing, "a", 40.0)
    assert order(routing, 41.0) == "bca"
    assert order(routing, 41.0) == "cab"


def test_when_none_is_well_the_least_bad_one_is_tried() -> None:
    routing = three()
    routing.report(target("a"), Outcome.BAD_KEY, 0.0)
    break_host(routing, "b", 2.0)
    break_host(routing, "c", 1.0)
    assert order(routing, 5.0) == "cba"


def test_a_rate_limited_target_rests_and_its_host_stays_well() -> None:
    routing = three()
    routing.report(target("a"), Outcome.RATE_LIMITED, 0.0, 20.0)
    assert order(routing, 19.9) == "bca"
    assert order(routing, 20.0) == "abc"
    assert routing.states(0.0)[1].breaker is BreakerState.CLOSED
    other = routing.candidates("n", None, 1.0, 0.0)
    assert other[0] == target("a", "n")


def test_a_429_that_says_no_time_rests_for_a_moment() -> None:
    routing = three()
    routing.report(target("a"), Outcome.RATE_LIMITED, 0.0)
    assert (order(routing, 0.9), order(routing, 1.0)) == ("bca", "abc")


def test_an_endless_retry_after_ends() -> None:
    routing = three()
    routing.report(target("a"), Outcome.RATE_LIMITED, 0.0, 1e12)
    assert (order(routing, 3599.0), order(routing, 3600.0)) == ("bca", "abc")


def test_an_overloaded_upstream_that_says_when_is_spared_until_then() -> None:
    routing = three()
    routing.report(target("a"), Outcome.OVERLOADED, 0.0, 7.0)
    routing.report(target("b"), Outcome.OVERLOADED, 0.0)
    assert (order(routing, 6.0), order(routing, 7.0)) == ("bca", "abc")


def test_resting_targets_do_not_pile_up() -> None:
    routing = three()
    for i in range(5000):
        routing.report(target("a", f"m{i}"), Outcome.RATE_LIMITED, 0.0, 10.0)
    assert len(routing._rests) <= 1024
    routing.report(target("a"), Outcome.RATE_LIMITED, 11.0, 10.0)
    assert order(routing, 12.0) == "bca"
    assert len(routing._rests) == 1


def test_a_single_upstream_is_tried_whatever_it_did() -> None:
    alone = router(UpstreamSettings("a"))
    alone.report(target("a"), Outcome.BAD_KEY, 0.0)
    break_host(alone, "a")
    assert order(alone, 1.0) == "a"
    assert not alone.chooses("m")


def test_a_conversation_goes_back_to_where_it_was() -> None:
    routing = router(UpstreamSettings("a"), UpstreamSettings("b"))
    routing.pin("c", "m", "b", 0.0)
    assert {order(routing, 1.0, i / 10, "c") for i in range(10)} == {"ba"}
    assert order(routing, 1.0, 0.0, "d") == "ab"
    assert order(routing, 3601.0, 0.0, "c") == "ab"
    routing.pin("c", "m", "b", 0.0)
    routing.unpin("c", "m")
    assert order(routing, 1.0, 0.0, "c") == "ab"


def test_a_conversation_moves_on_when_its_upstream_failed() -> None:
    routing = three()
    routing.pin("c", "m", "b", 0.0)
    break_host(routing, "b")
    assert order(routing, 1.0, affinity="c") == "acb"
    routing.pin("c", "m", "a", 1.0)
    routing.report(target("b"), Outcome.OK, 2.0)
    assert order(routing, 3.0, affinity="c") == "abc"


def test_affinity_can_be_switched_off() -> None:
    off = RoutingSettings(affinity=False)
    routing = router(UpstreamSettings("a"), UpstreamSettings("b"), settings=off)
    routing.pin("c", "m", "b", 0.0)
    assert order(routing, affinity="c") == "ab"
    assert not routing.chooses("m")


def test_a_new_router_keeps_the_conversations_of_the_one_before() -> None:
    upstreams = (UpstreamSettings("a"), UpstreamSettings("b"))
    before = Router(upstreams, SETTINGS)
    before.pin("c", "m", "b", 0.0)
    after = Router(upstreams, SETTINGS, affinity=before.affinity)
    assert order(after, 1.0, 0.0, "c") == "ba"


def test_a_pin_to_an_upstream_that_is_gone_is_no_harm() -> None:
    routing = router(UpstreamSettings("a"), UpstreamSettings("b"))
    routing.affinity.put("c", "m", "gone", 0.0)
    assert order(routing, 1.0, 0.0, "c") == "ab"


def test_all_names_of_a_model_share_a_conversation() -> None:
    models = (ModelSettings("m", aliases=("x",)),)
    routing = router(UpstreamSettings("a", models=models), UpstreamSettings("b", models=models))
    routing.pin("c", "x", "b", 0.0)
    assert order(routing, 1.0, 0.0, "c") == "ba"


def test_the_states_tell_a_bad_key_from_a_bad_host() -> None:
    routing = three()
    routing.report(target("a"), Outcome.BAD_KEY, 0.0)
    break_host(routing, "b")
    found = {s.name: (s.breaker, s.cause, s.usable) for s in routing.states(1.0)}
    assert found == {
        "a": (BreakerState.OPEN, Cause.BAD_KEY, False),
        "b": (BreakerState.OPEN, Cause.BAD_HOST, False),
        "c": (BreakerState.CLOSED, None, True),
    }


def test_names_that_callers_invent_do_not_pile_up() -> None:
    routing = three()
    for i in range(5000):
        assert len(routing.candidates(f"name-{i}", None, 0.0, 0.0)) == 3
    assert len(routing.groups) <= 2048
    assert order(routing) == "abc"


def test_every_gateway_sends_a_new_conversation_to_the_same_upstream() -> None:
    made = [
        router(UpstreamSettings("a", weight=3), UpstreamSettings("b"), UpstreamSettings("c"))
        for _ in range(2)
    ]
    sessions = [f"session-{number}" for number in range(500)]
    first, second = (
        [order(one, pick=pick, affinity=session) for session in sessions]
        for one, pick in zip(made, (0.0, 0.99), strict=True)
    )
    assert first == second
    # By their weights.
    counts = Counter(found[0] for found in first)
    assert 260 <= counts["a"] <= 340
    # One that is not well sends only its own elsewhere, and to the next in the order.
    break_host(made[0], "a")
    for before, session in zip(first, sessions, strict=True):
        after = order(made[0], affinity=session)
        assert after[0] == (before[1] if before[0] == "a" else before[0])


def test_a_conversation_with_an_upstream_stays_there_wherever_new_ones_go() -> None:
    both = router(UpstreamSettings("a"), UpstreamSettings("b"))
    away = next(f"s{n}" for n in range(99) if order(both, affinity=f"s{n}")[0] == "a")
    both.pin(away, "m", "b", 0.0)
    assert order(both, affinity=away)[0] == "b"


def test_without_affinity_chance_decides_for_conversations_too() -> None:
    plain = router(
        UpstreamSettings("a"), UpstreamSettings("b"), settings=RoutingSettings(affinity=False)
    )
    assert {order(plain, pick=pick, affinity="s") for pick in (0.0, 0.9)} == {"ab", "ba"}
