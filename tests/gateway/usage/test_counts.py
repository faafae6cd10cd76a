"""How the `usage` objects of one answer become what it used."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.gateway.usage.counts import UsageCounts
from apertis.gateway.usage.tokens import Tokens


def folded(*objects: object) -> Tokens:
    counts = UsageCounts()
    for usage in objects:
        counts.update(usage)
    return counts.tokens()


def test_the_last_value_that_is_there_wins_and_nothing_is_added_up() -> None:
    first = {"input_tokens": 900, "output_tokens": 1, "cache_read_input_tokens": 0}
    then = {"input_tokens": 100, "output_tokens": 7, "cache_read_input_tokens": 800}
    last = {"output_tokens": 9}
    assert folded(first, then, last) == Tokens(input=100, output=9, cache_read=800)


def test_a_smaller_last_value_wins_too() -> None:
    assert folded({"input_tokens": 1000}, {"input_tokens": 3}) == Tokens(input=3)
    assert folded({"cache_read_input_tokens": 5}, {"cache_read_input_tokens": 0}) == Tokens()


@pytest.mark.parametrize("nothing", [None, True, -1, 1.5, "12", [], {}, 10**30])
def test_what_is_no_count_changes_nothing(nothing: object) -> None:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens")
    first: dict[str, Any] = dict.fromkeys(names, 4)
    assert folded(first, dict.fromkeys(names, nothing)) == Tokens(input=4, output=4, cache_read=4)


@pytest.mark.parametrize("nothing", [None, [], "usage", 3])
def test_what_is_no_object_is_not_seen(nothing: object) -> None:
    counts = UsageCounts()
    counts.update(nothing)
    assert not counts.seen
    assert counts.tokens() == Tokens()


def write(total: int | None = None, m5: int | None = None, h1: int | None = None) -> object:
    usage: dict[str, Any] = {"cache_creation_input_tokens": total}
    if m5 is not None or h1 is not None:
        usage["cache_creation"] = {
            "ephemeral_5m_input_tokens": m5,
            "ephemeral_1h_input_tokens": h1,
        }
    return usage


@pytest.mark.parametrize(
    ("objects", "written"),
    [
        ([write(100)], (100, 0)),
        ([write(100, 60, 40)], (60, 40)),
        ([write(None, 60, 40)], (60, 40)),
        # The API repeats the total at the end of a stream, without the split.
        ([write(100, 0, 100), write(100)], (0, 100)),
        # The split comes at the end only.
        ([write(100), write(None, 30, 70)], (30, 70)),
        # A split of zeros beside a total is a placeholder.
        ([write(100, 0, 0)], (100, 0)),
        # Of two that contradict each other at once, nothing is given away.
        ([write(50, 60, 40)], (60, 40)),
        # A later total corrects the split: what nobody split is a 5-minute write.
        ([write(100, 60, 40), write(130)], (90, 40)),
        ([write(100, 60, 40), write(30)], (0, 30)),
        ([write(100, 60, 40), write(0)], (0, 0)),
        ([write(100, 60, 40), write(None)], (60, 40)),
    ],
)
def test_cache_writes_are_split_by_their_lifetime(
    objects: list[object], written: tuple[int, int]
) -> None:
    tokens = folded(*objects)
    assert (tokens.cache_write_5m, tokens.cache_write_1h) == written


def test_searches_fast_mode_and_the_place_of_inference_are_read() -> None:
    usage = {
        "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2},
        "speed": "fast",
        "inference_geo": "us",
    }
    assert folded(usage) == Tokens(web_search_requests=3, fast=True, us_only=True)
    later = {"server_tool_use": None, "speed": "standard", "inference_geo": "global"}
    assert folded(usage, later) == Tokens(web_search_requests=3)


def entry(type: str, input: int, output: int, **more: object) -> dict[str, object]:
    return {"type": type, "input_tokens": input, "output_tokens": output, **more}


def test_a_summary_by_the_api_is_billed_though_the_top_level_leaves_it_out() -> None:
    usage = {
        "input_tokens": 682,
        "output_tokens": 1320,
        "iterations": [entry("compaction", 60_385, 592), entry("message", 682, 1320)],
    }
    assert folded(usage) == Tokens(input=682 + 60_385, output=1320 + 592)
    # Cumulative as everything else: saying it twice is saying it once.
    assert folded(usage, usage) == folded(usage)


def test_an_advisor_is_told_apart_with_its_model() -> None:
    counts = UsageCounts()
    advisor = entry("advisor_message", 2728, 874, model="claude-opus-4-7")
    counts.update(
        {
            "input_tokens": 2414,
            "output_tokens": 90,
            "iterations": [entry("message", 1051, 35), advisor, entry("message", 1363, 55)],
        }
    )
    assert counts.tokens() == Tokens(input=2414, output=90)
    assert counts.advisors() == (("claude-opus-4-7", Tokens(input=2728, output=874)),)


@pytest.mark.parametrize("iterations", [None, {}, "x", [None, 3, "x", {}], [{"type": []}]])
def test_iterations_of_another_shape_are_harmless(iterations: object) -> None:
    counts = UsageCounts()
    counts.update({"input_tokens": 1, "iterations": iterations})
    assert counts.tokens() == Tokens(input=1)
    assert counts.advisors() == ()


def test_many_summaries_come_to_no_more_than_a_ledger_can_hold() -> None:
    entries = [entry("compaction", 10**12, 10**12)] * 1000
    used = folded({"input_tokens": 1, "output_tokens": 1, "iterations": entries})
    assert used == Tokens(input=10**12, output=10**12)
