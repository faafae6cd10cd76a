"""Ids of requests: unique, and in the order of their time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.request.context import Progress, RequestContext, new_request_id

SECONDS = st.floats(1_600_000_000, 4_000_000_000)


@given(st.lists(SECONDS, min_size=2, max_size=50))
def test_ids_are_unique_and_sort_as_their_times_do(times: list[float]) -> None:
    ids = [new_request_id(time) for time in times]
    assert len(set(ids)) == len(ids)
    for one, other, first, second in zip(ids, ids[1:], times, times[1:], strict=False):
        if int(first * 1000) != int(second * 1000):
            assert (one < other) == (first < second)


def test_an_id_can_stand_in_a_header_and_in_a_table() -> None:
    assert re.fullmatch(r"req_[0-9a-f]{28}", new_request_id(1_800_000_000.0))


CONTEXT = RequestContext("req_1", 1_800_000_000.0, 1.0, "POST", "/v1/messages")


def test_a_request_begins_with_nothing_used() -> None:
    progress = Progress(CONTEXT)
    assert (progress.used.tokens.total, progress.used.cost_units, progress.status) == (0, 0, 0)


def test_what_arrived_stays_as_it_came() -> None:
    with pytest.raises(AttributeError):
        CONTEXT.path = "/v1/models"  # type: ignore[misc]


def test_attempts_are_counted_and_the_first_one_says_when_the_request_was_sent() -> None:
    progress = Progress(CONTEXT)
    progress.tries("one", 2.0)
    progress.tries("two", 3.0)
    assert (progress.attempts, progress.upstream, progress.sent) == (2, "two", 2.0)


def test_an_answer_that_is_cut_keeps_the_status_that_its_head_had() -> None:
    progress = Progress(CONTEXT)
    progress.answers(200, 2.0)
    progress.ends(code="upstream_error")
    assert (progress.status, progress.code, progress.interrupted) == (200, "upstream_error", True)
    assert progress.first_byte == 2.0
