"""A percentile of a histogram is near the real one, as it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.store.histogram import BOUNDS_MS, BUCKETS, bucket_of, percentile


def counts_of(durations: list[int]) -> list[int]:
    counts = [0] * BUCKETS
    for ms in durations:
        counts[bucket_of(ms)] += 1
    return counts


def test_bounds_reach_from_a_tenth_of_a_second_to_nineteen_minutes() -> None:
    assert (BOUNDS_MS[0], BOUNDS_MS[-1] // 60_000) == (100, 19)


@given(
    st.lists(st.integers(100, BOUNDS_MS[-1] - 1), min_size=1, max_size=50),
    st.sampled_from([1, 50, 95, 100]),
)
def test_a_percentile_is_off_by_less_than_a_fifth(durations: list[int], percent: int) -> None:
    exact = sorted(durations)[max(-(-len(durations) * percent // 100), 1) - 1]
    estimated = percentile(counts_of(durations), percent)
    assert estimated is not None
    assert 0.84 * exact <= estimated + 1
    assert estimated <= 1.19 * exact + 1


@pytest.mark.parametrize(("ms", "shown"), [(0, 100), (99, 100), (10**9, BOUNDS_MS[-1])])
def test_outside_of_the_bounds_the_nearest_bound_is_said(ms: int, shown: int) -> None:
    assert percentile(counts_of([ms]), 50) == shown


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile([0] * BUCKETS, 50) is None
