"""Ids of requests: unique, and in the order of their time."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.request.context import RequestContext, new_request_id

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


def test_a_visit_begins_with_nothing_used() -> None:
    visit = RequestContext("POST", "/v1/messages", started=1.0)
    assert (visit.tokens.total, visit.cost_units, visit.status) == (0, 0, 0)
