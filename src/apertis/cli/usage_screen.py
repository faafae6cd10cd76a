"""Usage as people look at it: figures first, spending over the days, and a bar for each row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from itertools import chain
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from apertis.accounting.tokens import CLASSES, COLUMNS, COUNTED, PROMPT_CLASSES
from apertis.cli.terminal import cents, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import RenderableType
    from rich.text import Text

_TITLES = {
    "cost_units": "Cost",
    "requests": "Requests",
    "errors": "Errors",
    **{COLUMNS[name]: counted.title for name, counted in COUNTED.items()},
    "from_cache": "Cache",
}
# Columns that are left out when they would only show zeros.
_RARE = frozenset({"errors", *(COLUMNS[name] for name, counted in COUNTED.items() if counted.rare)})
# What gives way on a narrow terminal, in this order: first columns, then digits, then columns that
# a report is read for, among them the amounts beside the bars.
_DIGITS, _AMOUNTS, _BARS = "digits", "amounts", "bars"
_LAST_TO_GO = ("input_tokens", "output_tokens", _AMOUNTS, "from_cache", _BARS, "requests")
_FIRST_TO_GO = (
    *(COLUMNS[name] for name in reversed(CLASSES) if COLUMNS[name] not in _LAST_TO_GO),
    "web_search_requests",
    "errors",
    _DIGITS,
)
# Between two columns of the table, and between two figures.
_GAP_COLUMNS = 2
_FIGURE_GAP_COLUMNS = 3
_MIN_BAR_COLUMNS, _MAX_BAR_COLUMNS = 8, 40
_MAX_MARK_COLUMNS = 3
# Between these percentiles are estimated.
MIN_TIME_MS, MAX_TIME_MS = 100, 1_158_524
_WARNING_PERCENT, _FULL_PERCENT, _MAX_PERCENT = 75, 95, 999


@dataclass(frozen=True, slots=True)
class Budget:
    """Money that a row may spend: of the period that runs, not of the report's."""

    spent_units: int
    amount_units: int
    period: str = "total"
    since: str | None = None
    """The beginning of the period; a total has none."""

    @property
    def percent(self) -> float:
        """Percent of it that is spent; a budget of nothing is used up."""
        return 100 * self.spent_units / self.amount_units if self.amount_units > 0 else 100.0


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a report: its names, its sums, and the budgets that it has."""

    names: tuple[str, ...]
    sums: Mapping[str, int]
    budgets: tuple[Budget, ...] = ()

    @property
    def budget(self) -> Budget | None:
        """The budget that is nearest to its end."""
        return max(self.budgets, key=lambda budget: budget.percent, default=None)


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget with whose it is, what is left of it, and when it renews."""

    name: str
    budget: Budget
    left_units: int
    resets_at: str | None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Durations in milliseconds that half and 95 % of the responses did not exceed."""

    p50_ms: int
    p95_ms: int


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is shown of a report."""

    title: str
    groups: tuple[str, ...]
    """The titles of the names."""
    rows: tuple[Row, ...]
    totals: Mapping[str, int]
    days: tuple[tuple[str, int], ...] = ()
    """The money spent on each day, or in each period of another kind, without gaps."""
    day: str = "day"
    """The kind of period that `days` are."""
    since: str | None = None
    """The beginning of the report, as budgets say theirs."""
    zone: str = "UTC"
    limits: tuple[Limit, ...] = ()
    """The budgets that all of it is paid from."""
    first_byte: Percentiles | None = None
    response: Percentiles | None = None


@dataclass(frozen=True, slots=True)
class Characters:
    """Characters for bars and sparklines."""

    full: str
    parts: str
    """From the smallest part of a cell to the largest."""
    rest: str
    heights: str
    """Nothing first, then from the lowest to the highest."""


BLOCKS = Characters(
    full="\u2588",
    parts="\u258f\u258e\u258d\u258c\u258b\u258a\u2589",
    rest="\u2591",
    heights="\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588",
)
ASCII = Characters(full="#", parts="", rest=".", heights="_.:-=+*#")


def characters_for(encoding: str | None) -> Characters:
    """Choose what a stream of that encoding can write."""
    try:
        f"{BLOCKS.full}{BLOCKS.parts}{BLOCKS.rest}{BLOCKS.heights}".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def show(picture: Picture) -> None:
    """Print it, as wide as the terminal is."""
    import sys

    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    encoding = sys.stdout.encoding
    for part in render(picture, console.width, characters_for(encoding), encoding):
        console.print(part)


def render(
    picture: Picture, width: int, characters: Characters = BLOCKS, encoding: str = "utf-8"
) -> list[RenderableType]:
    """Build what is printed, one below the other."""
    from rich.text import Text

    parts: list[RenderableType] = [Text(_encodable(picture.title, encoding), "bold"), Text()]
    parts += _figure_lines(picture, width)
    if len(picture.days) > 1:
        parts += [*_days(picture, width, characters), Text()]
    if picture.limits:
        parts += [_limits(picture.limits, width, characters, encoding), Text()]
    if picture.rows:
        parts.append(_table(picture, width, characters, encoding))
    return parts


def _limits(
    limits: Sequence[Limit], width: int, characters: Characters, encoding: str
) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP_COLUMNS, 0, 0))
    rows = [(limit.name, cents(limit.left_units), limit.resets_at or "never") for limit in limits]
    columns = (
        Column("Budget", tuple(row[0] for row in rows), "left"),
        Column("Left", tuple(row[1] for row in rows)),
        Column("Renews", tuple(row[2] for row in rows), "left"),
    )
    notes = [budget_note(limit.budget) for limit in limits]
    room = width - sum(column.width + _GAP_COLUMNS for column in columns) - 1 - max(map(len, notes))
    bar_columns = min(room, _MAX_BAR_COLUMNS)
    for column in columns:
        table.add_column(Text(column.title), justify=column.justify, overflow="fold")
    table.add_column(Text("Spent"), no_wrap=bar_columns >= _MIN_BAR_COLUMNS, overflow="fold")
    for limit, row, note in zip(limits, rows, notes, strict=True):
        drawn = Text(note)
        if bar_columns >= _MIN_BAR_COLUMNS:
            drawn = _budget_bar(limit.budget, bar_columns, characters, note)
        table.add_row(*(Text(_encodable(cell, encoding)) for cell in row), drawn)
    return table


def _encodable(text: str, encoding: str) -> str:
    """Keep a name from ending the report on a terminal that cannot write it."""
    return text.encode(encoding or "ascii", "replace").decode(encoding or "ascii")


def _figure_lines(picture: Picture, width: int) -> list[Text]:
    from rich.text import Text

    lines: list[Text] = []
    sums, times = sums_of(picture), times_of(picture)
    # Times stand below the sums where not all of it has room.
    groups = [[*sums, *times]] if _columns_of([*sums, *times]) <= width else [sums, times]
    for figures in chain.from_iterable(_wrapped(group, width) for group in groups):
        titles, values = Text(style="dim"), Text(style="bold")
        for title, value in figures:
            columns = max(len(title), len(value)) + _FIGURE_GAP_COLUMNS
            titles.append(title.ljust(columns))
            values.append(value.ljust(columns))
        for line in (titles, values):
            line.rstrip()
        lines += [titles, values, Text()]
    return lines


_Figure = tuple[str, str]


def sums_of(picture: Picture) -> list[_Figure]:
    """Write the totals, each with its title."""
    sums = picture.totals
    requests, errors = sums["requests"], sums["errors"]
    return [
        ("Spent", cents(sums["cost_units"])),
        ("Requests", f"{requests:,}"),
        ("Errors", f"{errors:,} ({percent(errors, requests)})" if errors else "0"),
        ("Tokens", short(tokens_of(sums))),
        ("Read from cache", cache_share(sums)),
    ]


def tokens_of(sums: Mapping[str, int]) -> int:
    """Add up the tokens of all classes."""
    return sum(sums[COLUMNS[name]] for name in CLASSES)


def times_of(picture: Picture) -> list[_Figure]:
    """Write the percentiles that there are, each with its title."""
    return [
        (f"{title} p50, p95", f"{estimate(times.p50_ms)}, {estimate(times.p95_ms)}")
        for title, times in (("First byte", picture.first_byte), ("Response", picture.response))
        if times is not None
    ]


def _columns_of(figures: Sequence[_Figure]) -> int:
    return sum(max(map(len, figure)) + _FIGURE_GAP_COLUMNS for figure in figures)


def _wrapped(figures: Sequence[_Figure], width: int) -> list[list[_Figure]]:
    lines: list[list[_Figure]] = []
    for figure in figures:
        if lines and _columns_of([*lines[-1], figure]) - _FIGURE_GAP_COLUMNS <= width:
            lines[-1].append(figure)
        else:
            lines.append([figure])
    return lines


def _days(picture: Picture, width: int, characters: Characters) -> list[Text]:
    from rich.text import Text

    days, day = picture.days, picture.day
    a_mark = -(-len(days) // width)
    units = [units for _, units in days]
    sums = [sum(units[at : at + a_mark]) for at in range(0, len(days), a_mark)]
    columns = max(1, min(_MAX_MARK_COLUMNS, width // len(sums)))
    line = "".join(mark * columns for mark in sparkline(sums, characters))
    top = max(range(len(days)), key=lambda at: units[at])
    title = f"Spent by {day}" if a_mark == 1 else f"Spent by {a_mark} {day}s"
    caption = (
        f"{days[0][0]} to {days[-1][0]}, {cents(sum(units) // len(days))} {a_or_an(day)}, "
        f"most {cents(units[top])} on {days[top][0]}"
    )
    return [Text(title, "dim"), Text(line, "cyan"), Text(caption, "dim")]


def a_or_an(period: str) -> str:
    """Write `a day`, `an hour`."""
    return f"an {period}" if period == "hour" else f"a {period}"


def sparkline(values: Sequence[int], characters: Characters = BLOCKS) -> str:
    """Draw a mark for each value, against the largest; only nothing looks like nothing."""
    heights = characters.heights
    most = max(values, default=0)
    if most <= 0:
        return heights[0] * len(values)
    steps = len(heights) - 1
    return "".join(
        heights[0] if value <= 0 else heights[max(1, round(value * steps / most))]
        for value in values
    )


def bar(share: float, columns: int, characters: Characters = BLOCKS, *, rest: bool = True) -> str:
    """Draw a share of 1 as a bar; with `rest` what is missing is drawn, too.

    Nothing looks like nothing, and what is not full does not look full.
    """
    share = min(max(share, 0.0), 1.0)
    eighths = len(characters.parts) + 1
    filled = round(share * columns * eighths)
    if share > 0:
        filled = max(filled, 1)
    if share < 1:
        filled = min(filled, columns * eighths - 1)
    whole, part = divmod(filled, eighths)
    drawn = characters.full * whole + (characters.parts[part - 1] if part else "")
    return drawn + (characters.rest * (columns - len(drawn)) if rest else "")


@dataclass(frozen=True, slots=True)
class Column:
    """One column as it is shown: its title, and a cell for each row."""

    title: str
    cells: tuple[str, ...]
    justify: Literal["left", "right"] = "right"

    @property
    def width(self) -> int:
        """The cells of the terminal that it takes."""
        from rich.cells import cell_len

        return max(map(cell_len, (self.title, *self.cells)))


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that fit, and the columns of the terminal for bars; 0 for none."""

    columns: tuple[Column, ...]
    bar_title: str
    bar_columns: int
    notes: tuple[str, ...]
    """Beside each bar."""
    columns_taken: int


def fit(picture: Picture, width: int) -> Layout:
    """Choose what fits with whole names and numbers: see `Layout`.

    Columns give way one after the other, then the digits behind the third of counts. Only names
    that are wider than all the rest allows are folded in the end.
    """
    gone: set[str] = set()
    layout = _layout(picture, gone, width)
    for name in (*_FIRST_TO_GO, *_LAST_TO_GO):
        if layout.columns_taken <= width:
            break
        gone.add(name)
        layout = _layout(picture, gone, width)
    return layout


def _layout(picture: Picture, gone: set[str], width: int) -> Layout:
    columns = _columns(picture, gone)
    taken = sum(column.width + _GAP_COLUMNS for column in columns)
    if _BARS in gone:
        return Layout(columns, "", 0, (), taken - _GAP_COLUMNS)
    title = _bar_title(picture)
    notes = tuple(_note(row, gone) for row in picture.rows)
    beside = max(map(len, notes), default=0) + 1
    bar_columns = max(min(width - taken - beside, _MAX_BAR_COLUMNS), _MIN_BAR_COLUMNS)
    return Layout(columns, title, bar_columns, notes, taken + max(bar_columns + beside, len(title)))


def _columns(picture: Picture, gone: set[str]) -> tuple[Column, ...]:
    rows = picture.rows
    names = [
        Column(title, tuple(row.names[at] for row in rows), "left")
        for at, title in enumerate(picture.groups)
    ]
    count: Callable[[int], str] = short if _DIGITS in gone else "{:,}".format
    numbers: list[Column] = []
    for name, title in _TITLES.items():
        if name in gone or (name in _RARE and not picture.totals[name]):
            continue
        if name == "from_cache":
            cells = tuple(cache_share(row.sums) for row in rows)
        else:
            shown = cents if name == "cost_units" else count
            cells = tuple(shown(row.sums[name]) for row in rows)
        numbers.append(Column(title, cells))
    return (*names, *numbers)


def _note(row: Row, gone: set[str]) -> str:
    budget = row.budget
    if budget is None:
        return ""
    if _AMOUNTS in gone:
        return percent(budget.spent_units, budget.amount_units)
    return budget_note(budget)


def budget_note(budget: Budget) -> str:
    """Write how much of a budget is spent: `82% of $50 a month`."""
    period = "" if budget.period == "total" else f" {a_or_an(budget.period)}"
    amount = cents(budget.amount_units).removesuffix(".00")
    return f"{percent(budget.spent_units, budget.amount_units)} of {amount}{period}"


def _table(picture: Picture, width: int, characters: Characters, encoding: str) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    layout = fit(picture, width)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP_COLUMNS, 0, 0))
    for column in layout.columns:
        # A name may be folded; a number that is cut would be another number.
        is_name = column.justify == "left"
        table.add_column(
            Text(column.title), justify=column.justify, no_wrap=not is_name, overflow="fold"
        )
    if layout.bar_columns:
        table.add_column(Text(layout.bar_title), no_wrap=True)
    most = max((row.sums["cost_units"] for row in picture.rows), default=0)
    for at, row in enumerate(picture.rows):
        cells = [Text(_encodable(column.cells[at], encoding)) for column in layout.columns]
        if layout.bar_columns:
            cells.append(_bar_of(row, most, layout, characters, layout.notes[at]))
        table.add_row(*cells)
    return table


def _bar_title(picture: Picture) -> str:
    budgets = sum(row.budget is not None for row in picture.rows)
    if budgets == len(picture.rows):
        return "Of budget"
    return "Budget or share" if budgets else "Share"


def _bar_of(row: Row, most: int, layout: Layout, characters: Characters, note: str) -> Text:
    from rich.text import Text

    budget = row.budget
    if budget is None:
        share = row.sums["cost_units"] / most if most > 0 else 0.0
        return Text(bar(share, layout.bar_columns, characters, rest=False), "cyan")
    return _budget_bar(budget, layout.bar_columns, characters, note)


def _budget_bar(budget: Budget, columns: int, characters: Characters, note: str) -> Text:
    from rich.text import Text

    used = budget.percent
    style = "green" if used < _WARNING_PERCENT else "yellow" if used < _FULL_PERCENT else "red"
    drawn = Text().append(bar(used / 100, columns, characters), style)
    return drawn.append(f" {note}", "bold" if used >= _FULL_PERCENT else "")


def cache_share(sums: Mapping[str, int]) -> str:
    """Write the share of the prompts' tokens that was read from the cache."""
    prompt = sum(sums[COLUMNS[name]] for name in PROMPT_CLASSES)
    return percent(sums[COLUMNS["cache_read"]], prompt) if prompt else "-"


def percent(part: int, whole: int) -> str:
    """Write a share in percent: `0%` is nothing, `100%` is all of it, or more is said."""
    if whole <= 0:
        return "100%" if part > 0 else "0%"
    if 0 < part * 100 < whole:
        return "<1%"
    share = part * 100 // whole
    return f"{share}%" if share <= _MAX_PERCENT else f">{_MAX_PERCENT}%"


def estimate(ms: int) -> str:
    """Write a duration of a histogram, whose ends only say that it is shorter or longer."""
    bound = "<" if ms <= MIN_TIME_MS else ">" if ms >= MAX_TIME_MS else ""
    return f"{bound}{duration(ms)}"


def duration(ms: int) -> str:
    """Write a duration with two or three digits: `850 ms`, `2.1 s`, `43 s`, `3.5 min`."""
    if ms < 1000:
        return f"{ms} ms"
    seconds = ms / 1000
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min"


def short(count: int) -> str:
    """Write a large count with three digits: `12.3M`."""
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        # 999,500 is 1.00M, not 1000k.
        if count >= factor * 0.9995 and count >= 1000:
            value = count / factor
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f}{unit}"
    return str(count)


def name_of(value: object) -> str:
    """Write a name of a row; `-` where there is none."""
    return "-" if value is None else printable(str(value))


def moment_in(text: str, zone: str) -> str:
    """Write a moment in a zone; a midnight as its day."""
    moment = datetime.fromisoformat(text).astimezone(ZoneInfo(zone))
    return f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%d %H:%M}"


def counts_of(row: Mapping[str, object]) -> dict[str, int]:
    """Pick the sums of a row."""
    return {name: value for name, value in row.items() if isinstance(value, int)}
