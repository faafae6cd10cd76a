"""What is drawn of a report, at every width and in every alphabet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from apertis.accounting.tokens import COLUMNS
from apertis.cli.usage_screen import (
    ASCII,
    BLOCKS,
    MAX_TIME_MS,
    MIN_TIME_MS,
    Budget,
    Characters,
    Percentiles,
    Picture,
    Row,
    bar,
    cache_share,
    characters_for,
    duration,
    estimate,
    fit,
    percent,
    render,
    short,
    sparkline,
)
from apertis.gateway.store.histogram import BOUNDS_MS, BUCKETS, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTS = ("requests", "errors", *COLUMNS.values(), "cost_units")
CHARACTERS = st.sampled_from([BLOCKS, ASCII])


def sums(count: int, **others: int) -> dict[str, int]:
    return dict.fromkeys(COUNTS, count) | others


def picture(rows: Sequence[Row], **others: object) -> Picture:
    totals = sums(sum(row.sums["requests"] for row in rows))
    return Picture(
        **{"title": "Usage by key", "groups": ("Key",), "rows": tuple(rows), "totals": totals}
        | others  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    )


def shown(of: Picture, width: int, characters: Characters = BLOCKS, encoding: str = "utf-8") -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    for part in render(of, width, characters, encoding):
        console.print(part)
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


ROWS = (
    Row(("ada",), sums(1, cost_units=41_000_000), (Budget(41_000_000, 50_000_000, "month"),)),
    Row(("grace",), sums(1, cost_units=20_500_000)),
    Row(("linus",), sums(1, cost_units=0), (Budget(0, 500_000),)),
)
DAYS = (("2026-11-01", 500_000), ("2026-11-02", 0), ("2026-11-03", 1_500_000))


READ = """\
Usage by key

Spent     Requests   Errors     Tokens   Read from cache
$123.00   1,234      12 (<1%)   4.00M    75%

First byte p50, p95   Response p50, p95
820 ms, 2.1 s         5.6 s, 22 s

Spent by day
▃▃▃▁▁▁███
2026-11-01 to 2026-11-03, $1.33 a day, most $3.00 on 2026-11-03

Key      Cost  Requests  Input  Output  Cache  Budget or share
ada    $82.00         1      1       1    25%  ██████████▋░░ 82% of $100 a month
grace  $41.00         1      1       1    25%  ██████▌
linus   $0.00         1      1       1    25%  ░░░░░░░░░░░░░ 0% of $1
""".splitlines()


def test_a_report_reads_from_the_totals_to_the_rows() -> None:
    totals = sums(
        0,
        requests=1234,
        errors=12,
        cost_units=61_500_000,
        input_tokens=1_000_000,
        cache_read_tokens=3_000_000,
    )
    times = {"first_byte": Percentiles(820, 2100), "response": Percentiles(5600, 22_000)}
    text = shown(picture(ROWS, totals=totals, days=DAYS, **times), 80)
    assert [line.rstrip() for line in text.splitlines()] == READ
    wide = shown(picture(ROWS, totals=totals, days=DAYS, **times), 120)
    assert "Read from cache   First byte p50, p95   Response p50, p95\n" in wide


@given(
    st.lists(st.integers(0, 10**15), min_size=1, max_size=8),
    st.lists(st.text("abcdefghij-\u4e2d", min_size=1, max_size=30), min_size=1, max_size=8),
    st.lists(st.none() | st.builds(Budget, st.integers(0, 10**15), st.integers(0, 10**15))),
    st.integers(20, 200),
)
@example([1], ["a"], [], 80)
def test_what_is_chosen_fits_and_the_cost_stays(
    counts: list[int], names: list[str], budgets: list[Budget | None], width: int
) -> None:
    budgets += [None] * len(counts)
    rows = [
        Row((name,), sums(count), () if budget is None else (budget,))
        for name, count, budget in zip(names, counts, budgets, strict=False)
    ]
    layout = fit(picture(rows), width)
    assert [column.title for column in layout.columns[:2]] == ["Key", "Cost"]
    assert layout.columns_taken <= width or len(layout.columns) == 2
    taken = sum(column.width + 2 for column in layout.columns)
    if layout.bar_columns:
        beside = max(map(len, layout.notes)) + 1
        taken += max(layout.bar_columns + beside, len(layout.bar_title))
        assert layout.bar_columns >= 8
        assert taken <= width
    else:
        assert taken - 2 == layout.columns_taken


@given(st.integers(30, 200), CHARACTERS)
def test_no_line_is_wider_than_the_terminal(width: int, characters: Characters) -> None:
    encoding = "utf-8" if characters is BLOCKS else "ascii"
    text = shown(picture(ROWS, days=DAYS * 100, title="\u4e2d" * 9), width, characters, encoding)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert characters is BLOCKS or text.isascii()


@given(st.floats(0, 2), st.integers(2, 60), CHARACTERS)
def test_a_bar_is_as_long_as_its_share(share: float, columns: int, characters: Characters) -> None:
    drawn = bar(share, columns, characters)
    assert len(drawn) == columns
    full = drawn.count(characters.full)
    assert full <= share * columns + 1
    assert full >= min(share, 1) * columns - 1
    # Nothing looks like nothing, and only what is full looks full.
    assert (drawn == characters.rest * columns) == (share == 0)
    assert (full == columns) == (share >= 1)


@given(st.lists(st.integers(0, 10**12), max_size=50), CHARACTERS)
def test_marks_are_as_high_as_their_values(values: list[int], characters: Characters) -> None:
    drawn = sparkline(values, characters)
    heights = [characters.heights.index(mark) for mark in drawn]
    assert len(drawn) == len(values)
    for value, height in zip(values, heights, strict=True):
        assert (height == 0) == (value == 0)
        assert (height == len(characters.heights) - 1) or value < max(values) or not value
    by_value = sorted(zip(values, heights, strict=True))
    assert [height for _, height in by_value] == sorted(heights)


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [
        *((0, 0, "0%"), (0, 5, "0%"), (1, 1000, "<1%"), (1, 100, "1%"), (999, 1000, "99%")),
        *((5, 5, "100%"), (3, 2, "150%"), (1, 0, "100%"), (10_000, 10, ">999%")),
    ],
)
def test_a_share_is_never_rounded_up(part: int, whole: int, written: str) -> None:
    assert percent(part, whole) == written


def test_the_share_from_the_cache_is_one_of_the_prompts_tokens() -> None:
    tokens = {"input_tokens": 10, "cache_write_5m_tokens": 20, "cache_write_1h_tokens": 30}
    assert cache_share(sums(0, **tokens, cache_read_tokens=40, output_tokens=999)) == "40%"
    assert cache_share(sums(0, output_tokens=5)) == "-"


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        *((0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (9_949, "9.9 s"), (9_960, "10 s")),
        *((99_400, "99 s"), (99_600, "1.7 min"), (1_200_000, "20.0 min")),
    ],
)
def test_a_duration_has_two_or_three_digits(ms: int, written: str) -> None:
    assert duration(ms) == written


@pytest.mark.parametrize(
    ("encoding", "characters"),
    [("utf-8", BLOCKS), ("ascii", ASCII), ("iso-8859-1", ASCII), (None, ASCII), ("none", ASCII)],
)
def test_bars_are_blocks_where_these_can_be_written(
    encoding: str | None, characters: Characters
) -> None:
    assert characters_for(encoding) is characters


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (9_994, "9.99k"),
        (9_995, "10.0k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (12_345_678, "12.3M"),
        (10**13, "10000G"),
    ],
)
def test_a_large_count_is_shortened_to_three_digits(count: int, written: str) -> None:
    assert short(count) == written


def test_a_bar_is_of_the_budget_that_is_nearest_to_its_end() -> None:
    month, day = Budget(500_000, 5_000_000, "month"), Budget(400_000, 500_000, "day")
    text = shown(picture([Row(("ada",), sums(1), (month, day))]), 80)
    assert " 80% of $1 a day" in text
    assert "month" not in text


def test_more_days_than_columns_share_a_mark() -> None:
    days = tuple((f"{at}", 500_000) for at in range(150))
    lines = shown(picture(ROWS, days=days, day="hour"), 80).splitlines()
    at = lines.index("Spent by 2 hours")
    assert lines[at + 1] == "\u2588" * 75
    assert lines[at + 2] == "0 to 149, $1.00 an hour, most $1.00 on 0"


def test_times_beyond_the_histogram_are_only_bounded() -> None:
    assert (BOUNDS_MS[0], BOUNDS_MS[-1]) == (MIN_TIME_MS, MAX_TIME_MS)
    assert estimate(percentile([5, *[0] * (BUCKETS - 1)], 50) or 0) == "<100 ms"
    assert estimate(percentile([*[0] * (BUCKETS - 1), 5], 50) or 0) == ">19.3 min"
    assert estimate(119) == "119 ms"
