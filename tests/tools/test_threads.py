"""Tools in threads: what becomes of what they return, raise and hang on."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.tools.context import ToolContext, tool_context
from apertis.tools.threads import MAX_ERROR_CHARACTERS, RunningCalls, content_of_error, run_in_place
from apertis.tools.tool import Tool

WAIT = 10.0
COLOR: ContextVar[str] = ContextVar("color")


def tool(function: Any, **settings: Any) -> Tool:
    return Tool(name="look", input_schema={"type": "object"}, function=function, **settings)


def context(timeout: float | None = None) -> ToolContext:
    return ToolContext("toolu_1", "look", timeout)


def test_a_thread_has_the_context_variables_of_its_caller_and_its_own_call() -> None:
    COLOR.set("blue")
    calls = RunningCalls()
    calls.start(3, tool(lambda: f"{COLOR.get()} {tool_context().id}"), {}, context())
    done = calls.next()
    assert (done.place, done.content, done.outcome) == (3, "blue toolu_1", "ok")
    assert tool_context().id == ""
    assert len(calls) == 0


def test_a_thread_keeps_no_program_from_its_end() -> None:
    calls = RunningCalls()
    calls.start(0, tool(lambda: str(threading.current_thread().daemon)), {}, context())
    assert calls.next().content == "True"


def test_a_result_that_comes_after_the_deadline_is_dropped() -> None:
    calls = RunningCalls()
    late, on_time = threading.Event(), threading.Event()
    calls.start(0, tool(lambda: late.wait(WAIT)), {}, context(0.01))
    assert (calls.next().place, len(calls)) == (0, 0)
    late.set()
    calls.start(1, tool(lambda: on_time.wait(WAIT)), {}, context(WAIT))
    on_time.set()
    assert calls.next().place == 1


def test_calls_that_are_abandoned_are_told() -> None:
    told = threading.Event()
    calls = RunningCalls()

    def wait() -> None:
        if tool_context().wait(WAIT):
            told.set()

    calls.start(0, tool(wait), {}, context())
    calls.abandon()
    assert told.wait(WAIT)
    assert len(calls) == 0


def test_a_call_alone_runs_where_it_is_called() -> None:
    calls = RunningCalls()
    calls.start_alone(0, tool(threading.get_ident), {}, context())
    assert calls.next().content == str(threading.get_ident())


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=30))
def test_the_text_of_any_exception_can_be_sent(text: str) -> None:
    content, outcome = content_of_error("look", ValueError(text))
    assert outcome == "error"
    assert content.encode()
    assert content.startswith("The tool failed with ValueError: ")


def test_a_long_text_of_an_exception_is_cut() -> None:
    content, _ = content_of_error("look", ValueError("x" * 2 * MAX_ERROR_CHARACTERS))
    assert content.endswith("x ... (cut)")
    assert len(content) < MAX_ERROR_CHARACTERS + 100


def test_an_interrupt_in_the_callers_thread_goes_through() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_place(tool(interrupt), {})


def test_the_log_names_the_tool_and_not_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    content_of_error("look", ValueError("a secret"))
    assert caplog.messages == ["tool look raised ValueError"]
