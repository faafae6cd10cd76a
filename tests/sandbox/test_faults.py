from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox.faults import Fault, parse_fault
from apertis.sandbox.reply import Refusal


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("status=529", Fault("status", 529)),
        ("status=529; retry-after=1", Fault("status", 529, headers=(("retry-after", "1"),))),
        ("delay=0.2", Fault(delay_seconds=0.2)),
        (
            "error-event after=3 type=overloaded_error",
            Fault("error-event", type="overloaded_error", after=3),
        ),
        ("cut after=5", Fault("cut", after=5)),
        ("garbage after=2", Fault("garbage", after=2)),
        ("stall after=4", Fault("stall", after=4)),
        ("stall=1.5", Fault("stall", stall_seconds=1.5)),
        ("status=529 times=2 id=abc", Fault("status", 529, times=2, id="abc")),
        ("  empty ;; delay=1; ", Fault("empty", delay_seconds=1.0)),
        (
            "status=503;should-retry=false",
            Fault("status", 503, headers=(("x-should-retry", "false"),)),
        ),
    ],
)
def test_a_fault_is_read(header: str, fault: Fault) -> None:
    assert parse_fault(header) == fault


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("explode", "'explode' is not known"),
        ("status", "'status' cannot be ''"),
        ("status=200", "'status' cannot be '200'"),
        ("status=5290", "'status' cannot be '5290'"),
        ("delay=nan", "'delay' cannot be 'nan'"),
        ("delay=-1", "'delay' cannot be '-1'"),
        ("delay=1e9", "'delay' cannot be '1e9'"),
        ("cut after=x", "'after' cannot be 'x'"),
        ("cut cut", "'cut' stands twice"),
        ("cut garbage", "exclude each other"),
        ("after=3", "no fault is named"),
        ("status=500 times=2", "'times' and 'id' need each other"),
        ("cut retry-after=1", "'retry-after' needs 'status'"),
        ("cut type=api_error", "'type' needs"),
    ],
)
def test_a_bad_fault_is_refused_with_the_grammar(client: Any, header: str, problem: str) -> None:
    answer = client.ask(headers={"x-sandbox-fault": header})
    assert answer.status == 400
    assert problem in answer.error
    assert "x-sandbox-fault" in answer.error
    assert "error-event, cut, truncated, garbage, empty, stall[=SECONDS]" in answer.error


@given(st.text(max_size=40))
def test_any_header_is_a_fault_or_refused(header: str) -> None:
    assert isinstance(parse_fault(header), (Fault, Refusal))
