"""How the `usage` objects of one answer become what it used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.accounting.counts import UsageCounts, completed
from apertis.accounting.prices import PriceTable
from apertis.accounting.tokens import Tokens, Use

if TYPE_CHECKING:
    from apertis.accounting.prices import Price


def folded(*objects: object) -> Tokens:
    counts = UsageCounts()
    for usage in objects:
        counts.update(usage)
    return counts.use().tokens


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
    assert counts.use().tokens == Tokens()


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
    assert counts.use().tokens == Tokens(input=2414, output=90)
    assert counts.others() == (Use(Tokens(input=2728, output=874), "claude-opus-4-7"),)


@pytest.mark.parametrize("iterations", [None, {}, "x", [None, 3, "x", {}], [{"type": []}]])
def test_iterations_of_another_shape_are_harmless(iterations: object) -> None:
    counts = UsageCounts()
    counts.update({"input_tokens": 1, "iterations": iterations})
    assert counts.use().tokens == Tokens(input=1)
    assert counts.others() == ()


def test_many_summaries_come_to_no_more_than_a_ledger_can_hold() -> None:
    entries = [entry("compaction", 10**12, 10**12)] * 1000
    used = folded({"input_tokens": 1, "output_tokens": 1, "iterations": entries})
    assert used == Tokens(input=10**12, output=10**12)


def chain(*entries: dict[str, object], **top: object) -> UsageCounts:
    counts = UsageCounts()
    counts.update({**top, "iterations": list(entries)})
    return counts


DECLINED = entry("message", 408, 7, model="claude-fable-5")
SERVED = entry("fallback_message", 412, 264, model="claude-opus-4-8")


def test_each_attempt_of_a_chain_is_told_with_its_own_model() -> None:
    counts = chain(DECLINED, SERVED, input_tokens=412, output_tokens=264)
    assert counts.use() == Use(Tokens(input=412, output=264), "claude-opus-4-8")
    assert counts.others() == (Use(Tokens(input=408, output=7), "claude-fable-5"),)


def test_a_top_level_that_sums_up_a_chain_counts_nothing_twice() -> None:
    counts = chain(DECLINED, SERVED, input_tokens=820, output_tokens=271)
    assert counts.use() == Use(Tokens(input=412, output=264), "claude-opus-4-8")
    assert counts.others() == (Use(Tokens(input=408, output=7), "claude-fable-5"),)


def test_a_declined_attempt_without_a_name_is_that_of_the_model_that_was_asked() -> None:
    nameless = entry("message", 408, 7)
    counts = chain(nameless, SERVED, input_tokens=412, output_tokens=264)
    assert counts.others() == (Use(Tokens(input=408, output=7)),)


def test_a_later_turn_that_goes_straight_to_the_fallback_has_one_attempt() -> None:
    counts = chain(SERVED, input_tokens=412, output_tokens=264)
    assert counts.use() == Use(Tokens(input=412, output=264), "claude-opus-4-8")
    assert counts.others() == ()


def test_where_all_of_a_chain_decline_the_last_one_answers() -> None:
    last = entry("message", 412, 3, model="claude-opus-4-8")
    counts = chain(DECLINED, last, input_tokens=412, output_tokens=3)
    assert counts.use() == Use(Tokens(input=412, output=3), "claude-opus-4-8")
    assert counts.others() == (Use(Tokens(input=408, output=7), "claude-fable-5"),)


def test_the_rounds_of_one_model_are_no_chain() -> None:
    rounds = [entry("message", 10, 1, model="claude-opus-4-5-20251101")] * 3
    counts = chain(*rounds, input_tokens=30, output_tokens=3)
    assert counts.use() == Use(Tokens(input=30, output=3), iterations=3)
    assert counts.others() == ()


def test_a_fallback_that_is_run_in_rounds_has_all_of_them() -> None:
    counts = chain(DECLINED, SERVED, SERVED, input_tokens=824, output_tokens=528)
    assert counts.use() == Use(Tokens(input=824, output=528), "claude-opus-4-8", iterations=2)


@pytest.mark.parametrize("said", [b"1000", b"1000.0", b"1e3", b"1.0E+3", b"100e1"])
def test_a_count_may_be_written_as_any_number_of_json(said: bytes) -> None:
    counts = UsageCounts()
    text = b'{"input_tokens": %b, "output_tokens": %b}' % (said, said)
    counts.update(msgspec.json.decode(text))
    assert counts.use() == Use(Tokens(input=1000, output=1000))
    assert type(counts.use().tokens.input) is int


@pytest.mark.parametrize("wrong", [-1, "12", 1.5, True, [], 10**13, float("inf")])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("input_tokens", "input"),
        ("output_tokens", "output"),
        ("cache_read_input_tokens", "cache_read"),
        ("cache_creation_input_tokens", "cache_write_5m"),
    ],
)
def test_what_is_no_count_is_unknown_by_itself(name: str, field: str, wrong: object) -> None:
    counts = UsageCounts()
    counts.update({"input_tokens": 4, "output_tokens": 5, name: wrong})
    assert counts.use().unknown == {field}
    counts.update({name: 7})
    assert counts.use().unknown == frozenset(), "a later count stands"


def test_input_and_output_that_nobody_said_are_unknown() -> None:
    counts = UsageCounts()
    counts.update({"cache_read_input_tokens": 3, "input_tokens": None})
    assert counts.use() == Use(Tokens(cache_read=3), unknown=frozenset({"input", "output"}))


LIMITED = PriceTable().find("claude-haiku-4-5")


def whole(use: Use, seen: int = 30, price: Price | None = LIMITED) -> tuple[Tokens, set[str]]:
    tokens, names = completed(
        use, price, max_tokens=500, likely_input=lambda: 1000, output_seen=seen
    )
    return tokens, set(names)


def test_what_can_be_is_as_it_was_counted() -> None:
    used = Tokens(input=200_000, output=64_000)
    assert whole(Use(used)) == (used, set())
    twice = Tokens(input=300_000, output=100_000)
    assert whole(Use(twice, iterations=2)) == (twice, set())


@pytest.mark.parametrize("price", [LIMITED, None])
def test_an_output_that_cannot_be_is_estimated_alone(price: Price | None) -> None:
    used = Tokens(input=9, output=10**12, cache_read=8)
    assert whole(Use(used), price=price) == (Tokens(input=9, output=30, cache_read=8), {"output"})


def test_a_window_is_counted_for_each_time_that_the_model_was_run() -> None:
    used = Tokens(input=600_001, output=10)
    assert whole(Use(used, iterations=3)) == (Tokens(input=1000, output=10), {"input"})


def test_what_is_missing_of_a_prompt_is_what_the_other_classes_leave_of_it() -> None:
    missing = Use(Tokens(output=10, cache_read=900), unknown=frozenset({"input"}))
    assert whole(missing) == (Tokens(input=100, output=10, cache_read=900), {"input"})
    impossible = Use(Tokens(input=700, output=10, cache_write_1h=10**9))
    assert whole(impossible) == (
        Tokens(input=700, output=10, cache_write_1h=300),
        {"cache_write_1h"},
    )


def test_an_unknown_output_is_the_larger_one_of_the_last_count_and_what_was_seen() -> None:
    unknown = frozenset({"output"})
    assert whole(Use(Tokens(input=9, output=77), unknown=unknown))[0].output == 77
    assert whole(Use(Tokens(input=9, output=7), unknown=unknown))[0].output == 30


def test_searches_that_cannot_be_are_as_many_as_the_api_makes() -> None:
    tokens, names = whole(Use(Tokens(input=9, output=7, web_search_requests=10**12)))
    assert tokens.web_search_requests == 10
    assert names == {"web_search_requests"}
