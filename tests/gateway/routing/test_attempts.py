"""The attempts of one request, driven by any sequence of outcomes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.routing import (
    FallbackPlan,
    Outcome,
    RouteAttempts,
    Stop,
    Target,
    Try,
    may_change_model,
    may_move,
)

MOVING = [outcome for outcome in Outcome if may_move(outcome)]
REPLACEABLE = [outcome for outcome in Outcome if may_change_model(outcome)]


def target(name: str, model: str = "m") -> Target:
    return Target(name, model, model)


A, B, C = (target(name) for name in "abc")
X, Y = target("a", "x"), target("a", "y")
SERVED = {"m": (A, B), "one": (target("a", "one"),), "x": (X,), "y": (Y,)}


def attempts(
    model: str = "m",
    *fallbacks: str,
    bound: bool = False,
    moves_bound: bool = False,
    timeout: float = 30.0,
) -> RouteAttempts:
    plan = FallbackPlan(fallbacks, timeout, 30.0, moves_bound)
    return RouteAttempts(model, plan, lambda name: SERVED.get(name, ()), lambda: bound)


def headers(run: RouteAttempts) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in run.headers}


def refusal(step: Try | Stop) -> tuple[int, str] | None:
    assert isinstance(step, Stop), step
    return (step.refusal.status, step.refusal.code) if step.refusal else None


def test_an_answer_ends_it() -> None:
    run = attempts()
    assert run.start(0.0) == Try(A, "m")
    assert run.after(Outcome.OK, 1.0) == Stop(None)


@pytest.mark.parametrize("outcome", MOVING)
def test_a_failure_moves_to_the_next_upstream_of_the_model(outcome: Outcome) -> None:
    run = attempts()
    run.start(0.0)
    assert run.after(outcome, 1.0) == Try(B, "m")
    assert headers(run) == {
        "x-fallback-used": "false",
        "x-fallback-from": "m",
        "x-actual-model": "m",
    }


@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in MOVING])
def test_a_fault_of_the_request_moves_nowhere(outcome: Outcome) -> None:
    run = attempts("m", "x")
    run.start(0.0)
    assert run.after(outcome, 1.0) == Stop(None)


@pytest.mark.parametrize("outcome", [o for o in REPLACEABLE if o is not Outcome.UNREACHABLE])
def test_another_model_stands_in_when_no_upstream_is_left(outcome: Outcome) -> None:
    run = attempts("one", "x", "y")
    run.start(0.0)
    assert run.after(outcome, 1.0) == Try(X, "x")
    assert run.after(Outcome.OVERLOADED, 2.0) == Try(Y, "y")
    assert headers(run)["x-fallback-used"] == "true"
    assert headers(run)["x-fallback-from"] == "one"
    assert headers(run)["x-actual-model"] == "y"
    # The reason is why the model that was asked for was left.
    assert headers(run)["x-fallback-reason"].startswith("primary_model_")
    assert run.reason is not None
    assert (run.reason.value == "primary_model_overloaded") == (
        outcome in {Outcome.OVERLOADED, Outcome.BUSY}
    )


def test_a_connection_that_was_never_made_is_tried_once_more() -> None:
    run = attempts("one", "x")
    first = run.start(0.0)
    again = run.after(Outcome.UNREACHABLE, 0.0)
    assert isinstance(first, Try)
    assert isinstance(again, Try)
    assert again.target == first.target
    assert again.delay_seconds > 0
    assert run.after(Outcome.UNREACHABLE, 0.2) == Try(X, "x")
    assert refusal(run.after(Outcome.UNREACHABLE, 0.3)) == (502, "upstream_error")


def test_what_left_is_not_sent_to_the_same_place_again() -> None:
    for outcome in MOVING:
        if outcome is not Outcome.UNREACHABLE:
            run = attempts("one")
            run.start(0.0)
            assert isinstance(run.after(outcome, 0.0), Stop)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.BAD_KEY, (502, "upstream_error")),
        (Outcome.MALFORMED, (502, "upstream_error")),
        (Outcome.TIMEOUT, (504, "upstream_timeout")),
        (Outcome.LATE, (504, "upstream_timeout")),
        (Outcome.UNPAID, None),
        (Outcome.FORBIDDEN, None),
        (Outcome.RATE_LIMITED, None),
        (Outcome.OVERLOADED, None),
        (Outcome.SERVER_ERROR, None),
        (Outcome.CONFLICT, None),
        (Outcome.MODEL_MISSING, None),
    ],
)
def test_the_last_failure_is_answered(outcome: Outcome, expected: tuple[int, str] | None) -> None:
    run = attempts("one")
    run.start(0.0)
    assert refusal(run.after(outcome, 1.0)) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.BAD_KEY, (502, "upstream_error")),
        (Outcome.UNPAID, None),
        (Outcome.FORBIDDEN, None),
    ],
)
def test_a_refused_credential_tries_the_models_other_upstreams_and_no_other_model(
    outcome: Outcome, expected: tuple[int, str] | None
) -> None:
    run = attempts("m", "x")
    run.start(0.0)
    assert run.after(outcome, 0.0) == Try(B, "m")
    assert refusal(run.after(outcome, 0.0)) == expected
    assert headers(run)["x-fallback-used"] == "false"


def test_a_refused_credential_is_not_what_the_other_upstream_came_to() -> None:
    run = attempts("m", "x")
    run.start(0.0)
    assert run.after(Outcome.FORBIDDEN, 0.0) == Try(B, "m")
    assert run.after(Outcome.OVERLOADED, 0.0) == Try(X, "x")
    assert headers(run)["x-fallback-reason"] == "primary_model_overloaded"


def test_an_unknown_model_is_not_found() -> None:
    assert refusal(attempts("nobody").start(0.0)) == (404, "model_not_found")
    assert refusal(attempts("nobody", "nobody-either").start(0.0)) == (404, "model_not_found")


def test_an_unknown_model_falls_back() -> None:
    run = attempts("nobody", "x")
    assert run.start(0.0) == Try(X, "x")
    assert headers(run)["x-fallback-reason"] == "primary_model_not_found"


def test_a_bound_conversation_moves_between_upstreams_but_not_between_models() -> None:
    run = attempts("m", "x", bound=True)
    run.start(0.0)
    assert run.deadline is None
    assert run.after(Outcome.OVERLOADED, 1.0) == Try(B, "m")
    assert run.after(Outcome.OVERLOADED, 2.0) == Stop(None)


def test_the_caller_may_insist() -> None:
    run = attempts("one", "x", bound=True, moves_bound=True)
    run.start(0.0)
    assert run.after(Outcome.OVERLOADED, 1.0) == Try(X, "x")


def test_whether_a_conversation_is_bound_is_only_asked_when_it_matters() -> None:
    def never() -> bool:
        raise AssertionError

    RouteAttempts("m", FallbackPlan(), lambda name: SERVED[name], never)
    RouteAttempts("m", FallbackPlan(("x",), moves_bound=True), lambda name: SERVED[name], never)


def test_the_deadline_is_a_models_and_only_while_another_is_left() -> None:
    assert attempts("m").deadline is None
    run = attempts("m", "x", timeout=5.0)
    run.start(100.0)
    assert run.deadline == 105.0
    run.after(Outcome.OVERLOADED, 102.0)
    # The second upstream of the model has what the first left over.
    assert run.deadline == 105.0
    assert run.after(Outcome.LATE, 105.0) == Try(X, "x")
    assert run.deadline is None


def test_a_model_whose_time_is_over_gets_no_other_upstream() -> None:
    run = attempts("m", "x", timeout=5.0)
    run.start(0.0)
    assert run.after(Outcome.LATE, 5.0) == Try(X, "x")
    assert headers(run)["x-fallback-reason"] == "primary_model_timeout"


def test_impatience_is_no_fault_of_the_upstream() -> None:
    run = attempts("m", "x", timeout=60.0)
    run.start(0.0)
    assert run.late(29.0) is Outcome.LATE
    assert run.late(30.0) is Outcome.TIMEOUT
    run.after(Outcome.OVERLOADED, 20.0)
    assert run.late(49.0) is Outcome.LATE


def test_nothing_moves_after_the_first_content() -> None:
    run = attempts("m", "x")
    run.start(0.0)
    run.commit()
    for outcome in Outcome:
        assert run.after(outcome, 1.0) == Stop(None)


names = st.sampled_from(["x", "y", "z", "nobody"])
served = st.dictionaries(
    st.sampled_from(["m", "x", "y", "z"]),
    # Two names of one model have the same targets.
    st.lists(
        st.builds(target, st.sampled_from("abc"), st.sampled_from("mx")), max_size=3, unique=True
    ),
)


@settings(max_examples=200)
@given(
    served,
    st.lists(names, max_size=5, unique=True),
    st.lists(
        st.tuples(st.sampled_from(Outcome), st.floats(0, 20), st.booleans()),
        min_size=12,
        max_size=12,
    ),
    st.booleans(),
)
def test_every_run_ends_and_keeps_the_rules(
    served: dict[str, list[Target]],
    fallbacks: list[str],
    happenings: list[tuple[Outcome, float, bool]],
    bound: bool,
) -> None:
    plan = FallbackPlan(tuple(fallbacks), 30.0, 30.0)
    run = RouteAttempts("m", plan, lambda name: tuple(served.get(name, ())), lambda: bound)
    now, committed, sent, models = 0.0, False, list[Target](), list[str]()
    step = run.start(now)
    for outcome, seconds, commits in happenings:
        if isinstance(step, Stop):
            break
        assert not committed
        assert step.target in served[step.model]
        assert step.target == run.target
        sent.append(step.target)
        models.append(step.model)
        if commits:
            run.commit()
            committed = True
        now += seconds
        deadline = run.deadline
        step = run.after(outcome, now)
        if isinstance(step, Try):
            assert may_move(outcome)
            late = deadline is not None and now >= deadline
            assert not (late and step.model == models[-1])
            assert may_change_model(outcome) or step.model == models[-1]
    assert isinstance(step, Stop), "it did not end"
    repeated = Counter(sent).most_common()
    # At most one target is sent to a second time, and none a third time.
    assert [count for _, count in repeated if count > 1] in ([], [2])
    # Models take turns in their order, and none comes back.
    turns = [name for i, name in enumerate(models) if i == 0 or models[i - 1] != name]
    assert turns == [name for name in ["m", *fallbacks] if name in turns]
    assert (run.reason is not None) == any(name != "m" for name in turns)
    if bound:
        assert set(turns) <= {"m"}
