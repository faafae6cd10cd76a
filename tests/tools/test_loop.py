"""The loop of a run, as a table of steps; and that no order of events breaks a conversation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.errors import ParameterError
from apertis.models import decode_message
from apertis.tools import checkpoint, loop
from apertis.tools.loop import Allow, Ask, Decide, Deny, Execute, Limits, Run, Stop
from apertis.tools.settings import settings_of

if TYPE_CHECKING:
    from apertis.models import Message

HELLO = {"role": "user", "content": "Hello"}
NO_LIMITS = Limits()
TOOLS = {"look", "write"}


def message(stop_reason: str | None, *calls: str, text: str = "Well.") -> Message:
    """A response that calls the tools of these names."""
    blocks: list[Any] = [{"type": "text", "text": text}] if text else []
    blocks += [
        {"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": {"n": i}}
        for i, name in enumerate(calls)
    ]
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": blocks,
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 2},
    }
    return decode_message(msgspec.json.encode(body))


def begin() -> Run:
    return Run(messages=(HELLO,))


def after(response: Message, cost: Decimal | None = Decimal("0.5")) -> Run:
    return loop.answered(begin(), response, cost, TOOLS)


def next_step(run: Run, limits: Limits = NO_LIMITS, seconds: float = 0.0) -> tuple[Run, Any]:
    return loop.advance(run, limits, seconds)


def test_a_run_begins_by_asking_the_model() -> None:
    assert next_step(begin()) == (begin(), Ask())


@pytest.mark.parametrize(
    ("stop_reason", "calls", "text", "step", "reason"),
    [
        ("tool_use", ["look"], "Well.", Decide((0,)), None),
        ("tool_use", ["look", "write"], "", Decide((0, 1)), None),
        # It wants the service's tools alone, and there is nothing to run.
        ("tool_use", [], "Well.", Stop(), "tool_use"),
        ("pause_turn", [], "Well.", Ask(), None),
        ("compaction", [], "Well.", Ask(), None),
        # Sending it back as it is would ask the same for ever.
        ("pause_turn", [], "", Stop(), "pause_turn"),
        # The next request must answer each call.
        ("pause_turn", ["look"], "Well.", Decide((0,)), None),
        ("end_turn", [], "Well.", Stop(), "end_turn"),
        ("stop_sequence", [], "Well.", Stop(), "stop_sequence"),
        ("max_tokens", ["look"], "Well.", Stop(), "max_tokens"),
        ("refusal", ["look"], "Well.", Stop(), "refusal"),
        ("model_context_window_exceeded", ["look"], "", Stop(), "model_context_window_exceeded"),
        ("of_next_year", ["look"], "Well.", Stop(), "of_next_year"),
        (None, [], "Well.", Stop(), "unknown"),
    ],
)
def test_the_stop_reason_says_how_a_turn_goes_on(
    stop_reason: str | None, calls: list[str], text: str, step: Any, reason: str | None
) -> None:
    run, action = next_step(after(message(stop_reason, *calls, text=text)))
    assert action == step
    assert run.reason == reason


def test_the_results_follow_the_response_in_the_order_of_the_calls() -> None:
    response = message("tool_use", "look", "write")
    run = after(response)
    for place in (0, 1):
        run = loop.decided(run, place, Allow())
    run, action = next_step(run)
    assert action == Execute((0, 1))
    run = loop.begun(loop.begun(run, 0), 1)
    run = loop.finished(run, 1, "second", "ok", 0.25)
    run = loop.finished(run, 0, "first", "error", 0.5)
    run, action = next_step(run)
    assert action == Ask()
    assert run.messages == (
        HELLO,
        response.to_param(),
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_0",
                    "content": "first",
                    "is_error": True,
                },
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "second"},
            ],
        },
    )
    assert [(call.name, call.outcome, call.seconds, call.turn) for call in run.records] == [
        ("look", "error", 0.5, 1),
        ("write", "ok", 0.25, 1),
    ]


def results(run: Run) -> list[Any]:
    content: list[Any] = run.messages[-1]["content"]
    return content


@pytest.mark.parametrize("stop_reason", ["max_tokens", "refusal", "model_context_window_exceeded"])
def test_a_call_of_a_response_that_was_cut_off_is_answered_and_not_run(stop_reason: str) -> None:
    run, _ = next_step(after(message(stop_reason, "look")))
    [result] = results(run)
    assert result["is_error"] is True
    assert result["content"] == f"The call was not run: the response ended with {stop_reason}."
    assert run.records[0].outcome == "not_run"


def test_a_tool_that_is_not_there_gets_an_error_that_names_those_that_are() -> None:
    run, action = next_step(after(message("tool_use", "loook")))
    assert action == Ask()
    [result] = results(run)
    assert result["is_error"] is True
    assert result["content"] == "There is no tool named 'loook'. The tools are: look, write."


@pytest.mark.parametrize(
    ("decision", "content"),
    [
        (Deny("not on Sundays"), "The call was denied: not on Sundays"),
        (Deny(), "The call was denied."),
    ],
)
def test_a_call_that_was_denied_is_answered_with_the_reason(decision: Deny, content: str) -> None:
    run, action = next_step(loop.decided(after(message("tool_use", "write")), 0, decision))
    assert action == Ask()
    assert results(run)[0]["content"] == content


def test_an_approval_may_change_what_a_tool_is_given_and_not_what_the_model_said() -> None:
    response = message("tool_use", "write")
    run = loop.decided(after(response), 0, Allow({"n": 7}))
    assert run.calls[0].input == {"n": 7}
    run, _ = next_step(loop.finished(loop.begun(run, 0), 0, "done", "ok", 0.0))
    assert run.messages[1] == response.to_param()
    assert run.records[0].input == {"n": 7}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_turns=1), "max_turns"),
        (Limits(max_total_tokens=17), "max_total_tokens"),
        (Limits(max_total_tokens=18), None),
        (Limits(max_cost_usd=Decimal("0.5")), "max_cost_usd"),
        (Limits(max_cost_usd=Decimal("0.51")), None),
        (Limits(max_seconds=3.0), "max_seconds"),
        (Limits(max_seconds=3.5), None),
    ],
)
def test_a_limit_ends_the_run_before_another_request(limits: Limits, reason: str | None) -> None:
    run, action = next_step(after(message("pause_turn")), limits, 3.0)
    assert action == (Stop() if reason else Ask())
    assert run.reason == reason


def test_a_cost_that_is_not_known_ends_a_run_whose_cost_is_limited() -> None:
    run = after(message("pause_turn"), cost=None)
    assert next_step(run, Limits(max_cost_usd=Decimal(9)))[0].reason == "max_cost_usd"
    assert run.cost is None
    assert loop.answered(run, message("end_turn"), Decimal(1), TOOLS).cost is None


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(), None),
        (Limits(max_total_tokens=117), None),
        (Limits(max_total_tokens=116), "max_total_tokens"),
        (Limits(max_cost_usd=Decimal("0.75")), None),
        (Limits(max_cost_usd=Decimal("0.7499")), "max_cost_usd"),
    ],
)
def test_a_turn_that_could_exceed_a_limit_ends_the_run(limits: Limits, reason: str | None) -> None:
    # 17 tokens and half a dollar are spent.
    run = loop.reserved(after(message("pause_turn")), limits, 100, Decimal("0.25"))
    assert run.reason == reason


@pytest.mark.parametrize(("spent", "most"), [(None, Decimal(1)), (Decimal(1), None)])
def test_a_bound_that_is_not_known_ends_a_run_whose_cost_is_limited(
    spent: Decimal | None, most: Decimal | None
) -> None:
    run = after(message("pause_turn"), cost=spent)
    assert loop.reserved(run, Limits(max_cost_usd=Decimal(9)), 1, most).reason == "max_cost_usd"
    assert loop.reserved(run, Limits(max_total_tokens=99), 1, most).reason is None


def test_calls_run_to_their_end_when_a_limit_of_requests_is_reached() -> None:
    run = loop.decided(after(message("tool_use", "look")), 0, Allow())
    assert next_step(run, Limits(max_turns=1))[1] == Execute((0,))


def test_no_call_begins_when_the_time_of_the_run_is_up() -> None:
    run, action = next_step(after(message("tool_use", "look")), Limits(max_seconds=1.0), 1.0)
    assert action == Stop()
    assert run.reason == "max_seconds"
    assert results(run)[0]["content"] == "The call was not run: the time of the run was up."


def test_usage_and_cost_are_those_of_all_turns() -> None:
    run, _ = next_step(after(message("pause_turn")))
    run = loop.answered(run, message("end_turn"), Decimal("0.25"), TOOLS)
    assert (run.turns, run.cost) == (2, Decimal("0.75"))
    assert (run.usage.input_tokens, run.usage.output_tokens) == (20, 10)
    assert run.usage.cache_read_input_tokens == 4
    assert run.usage.cache_creation_input_tokens is None
    assert loop.total_tokens(run.usage) == 34


def test_a_call_that_had_begun_is_interrupted_unless_it_may_run_again() -> None:
    run = after(message("tool_use", "write", "look", "look"))
    for place in (0, 1, 2):
        run = loop.decided(run, place, Allow())
    run = loop.finished(loop.begun(loop.begun(loop.begun(run, 0), 1), 2), 2, "seen", "ok", 0.1)
    run, action = next_step(loop.recovered(run, {"look"}))
    assert action == Execute((1,))
    assert [call.outcome for call in run.calls if call.result] == ["interrupted", "ok"]
    assert "whether it was carried out is not known" in run.calls[0].result["content"]  # type: ignore[index]


def test_a_program_that_appends_messages_has_the_turn() -> None:
    response = message("tool_use", "look")
    mine = {"role": "user", "content": "Never mind."}
    run, action = next_step(loop.appended(after(response), [mine], owns=True))
    assert action == Ask()
    assert run.messages == (HELLO, mine)
    assert run.records == ()


@pytest.mark.parametrize("kind", ["any", "tool"])
def test_a_forced_choice_is_free_after_its_turn(kind: str) -> None:
    forced = {"type": kind, "name": "look", "disable_parallel_tool_use": True}
    assert loop.freed_choice(forced) == {"type": "auto", "disable_parallel_tool_use": True}


@pytest.mark.parametrize("choice", [None, {"type": "auto"}, {"type": "none"}])
def test_a_choice_that_is_free_stays_as_it_is(choice: Any) -> None:
    assert loop.freed_choice(choice) is choice


@pytest.mark.parametrize(
    ("value", "decision"),
    [
        (True, Allow()),
        (False, Deny()),
        (Allow({"n": 1}), Allow({"n": 1})),
        (Deny("no"), Deny("no")),
        ({"allow": True}, Allow()),
        ({"allow": True, "input": {"n": 1}}, Allow({"n": 1})),
        ({"allow": False, "reason": "no"}, Deny("no")),
    ],
)
def test_a_decision_can_be_said_in_python_and_in_json(value: Any, decision: Any) -> None:
    assert loop.decision_of(value, "x") == decision


@pytest.mark.parametrize(
    "value", [None, 1, "yes", {}, {"allow": 1}, {"allow": True, "reason": "x"}, {"allow": "no"}]
)
def test_what_is_no_decision_is_an_error_that_names_its_place(value: Any) -> None:
    with pytest.raises(ParameterError, match=r"decisions\['toolu_0'\]: expected True"):
        loop.decision_of(value, "decisions['toolu_0']")


@pytest.mark.parametrize(
    ("decisions", "error"),
    [
        ({"toolu_0": True}, "none for 'toolu_1', a call of 'write'"),
        ({"toolu_0": True, "toolu_1": True, "toolu_9": True}, "no call waits under the id"),
    ],
)
def test_there_is_one_decision_for_each_call_that_waits(decisions: Any, error: str) -> None:
    with pytest.raises(ParameterError, match=error):
        loop.decisions_for(after(message("tool_use", "look", "write")), decisions)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_turns", 0),
        ("max_turns", 1.5),
        ("max_turns", True),
        ("max_total_tokens", -1),
        ("max_cost_usd", Decimal(0)),
        ("max_seconds", float("nan")),
        ("max_seconds", "5"),
    ],
)
def test_a_limit_that_would_let_nothing_run_is_an_error(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=f"^{name}: expected a .*number above 0"):
        loop.check_limits(Limits(**{name: value}))


def assert_valid(messages: tuple[Any, ...]) -> None:
    """Each `tool_use` has exactly one `tool_result`, in order, in the message after it."""
    for index, turn in enumerate(messages):
        content = turn["content"]
        if turn["role"] != "assistant":
            continue
        wanted = [block.id for block in content if block.type == "tool_use"]
        if wanted:
            answers = messages[index + 1]
            assert answers["role"] == "user"
            assert [block["tool_use_id"] for block in answers["content"]] == wanted
    assert sum(turn["role"] == "user" for turn in messages) <= len(messages)


STOP_REASONS = [
    *("tool_use", "tool_use", "tool_use", "pause_turn", "end_turn", "max_tokens", "refusal"),
    *("compaction", "model_context_window_exceeded", "stop_sequence", None),
]
OUTCOMES: list[Any] = ["ok", "error", "timeout"]


@given(st.data())
def test_no_order_of_responses_outcomes_and_kills_breaks_the_conversation(
    data: st.DataObject,
) -> None:
    limits = Limits(max_turns=data.draw(st.integers(1, 6)))
    run = begin()
    ran: list[tuple[int, int]] = []
    completed: list[tuple[int, int]] = []
    settings = settings_of({"model": "m", "max_tokens": 5, "messages": [HELLO]}, pytest.fail)
    while True:
        if data.draw(st.integers(0, 3)) == 0:
            # Another process goes on: what had begun is told apart below.
            run = checkpoint.read(checkpoint.written(run, settings, 0.0)).run
        run, action = loop.advance(run, limits, 0.0)
        if isinstance(action, Stop):
            break
        if isinstance(action, Ask):
            names = data.draw(st.lists(st.sampled_from(["look", "write", "gone"]), max_size=4))
            text = data.draw(st.sampled_from(["", "Well."]))
            response = message(data.draw(st.sampled_from(STOP_REASONS)), *names, text=text)
            run = loop.answered(run, response, None, TOOLS)
        elif isinstance(action, Decide):
            for place in action.places:
                # A pause leaves some calls for later.
                if choice := data.draw(st.sampled_from([None, Allow(), Deny("no")])):
                    run = loop.decided(run, place, choice)
        elif isinstance(action, Execute):
            for place in data.draw(st.permutations(action.places)):
                run = loop.begun(run, place)
                ran.append((run.turns, place))
                if data.draw(st.integers(0, 9)) == 0:
                    # Killed here: the call has no result.
                    document = checkpoint.written(run, settings, 0.0)
                    run = loop.recovered(checkpoint.read(document).run, {"look"})
                    break
                run = loop.finished(run, place, "x", data.draw(st.sampled_from(OUTCOMES)), 0.0)
                assert (run.turns, place) not in completed
                completed.append((run.turns, place))
    assert_valid(run.messages)
    assert run.reason is not None
    assert len(set(completed)) == len(completed)
    assert len(run.records) == sum(
        block.type == "tool_use"
        for turn in run.messages
        if turn["role"] == "assistant"
        for block in turn["content"]
    )
