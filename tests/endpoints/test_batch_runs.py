"""Results of a batch: in the order of its requests, whatever order they come in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis import APIConnectionError, APITimeoutError
from apertis.endpoints.batch_runs import MAX_FAILURES, in_order, is_passing, names_of
from apertis.models import MessageBatch, MessageBatchIndividualResponse, decode

BATCH = decode(
    MessageBatch,
    msgspec.json.encode(
        {
            "id": "msgbatch_1",
            "type": "message_batch",
            "processing_status": "ended",
            "request_counts": dict.fromkeys(
                ("processing", "succeeded", "errored", "canceled", "expired"), 0
            ),
            "created_at": "2026-01-01T00:00:00Z",
        }
    ),
)
NAMES = st.lists(st.text("abcdef", min_size=1, max_size=2), unique=True, max_size=6)


def expired(name: str) -> MessageBatchIndividualResponse:
    line = {"custom_id": name, "result": {"type": "expired"}}
    return decode(MessageBatchIndividualResponse, msgspec.json.encode(line))


@given(NAMES, NAMES)
def test_each_result_stands_once_and_in_the_order_of_the_requests(
    asked: list[str], came: list[str]
) -> None:
    run = in_order(BATCH, asked, {name: expired(name) for name in came})
    told = [entry.custom_id for entry in run.failed]
    assert sorted(told) == sorted(came)
    assert [name for name in told if name in asked] == [name for name in asked if name in came]
    assert list(run.missing) == [name for name in asked if name not in came]
    assert run.succeeded == ()


def test_a_batch_that_exists_needs_no_requests() -> None:
    assert names_of(None, "msgbatch_1") == []
    assert names_of([{"custom_id": "a"}], "msgbatch_1") == ["a"]


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (APIConnectionError("gone"), True),
        (APITimeoutError("late"), True),
        (ValueError("no"), False),
    ],
)
def test_only_what_may_pass_is_asked_again(error: Any, passing: bool) -> None:
    assert is_passing(error, 1) is passing
    assert is_passing(error, MAX_FAILURES) is False
