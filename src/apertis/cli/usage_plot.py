"""Usage as a picture to pass on: stacked bars in a PNG, an SVG or an HTML file."""

from __future__ import annotations

import html
import io
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from apertis.cli.terminal import cents
from apertis.cli.usage_screen import cache_share, sums_of, times_of, tokens_of
from apertis.errors import ConfigurationError, ParameterError
from apertis.gateway.units import UNITS_PER_DOLLAR, usd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from apertis.cli.usage_screen import Picture

FORMATS = (".png", ".svg", ".html")

# Okabe and Ito's, which people tell apart who see fewer colors; the yellow last, as it is pale.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_OTHERS_COLOR, _INK, _PALE = "#999999", "#222222", "#DDDDDD"
_MAX_BARS = 25
_MAX_NAME = 40
_MAX_TOTALS = 16
# All that fit below the bars.
_LABEL_LETTERS = 100
_DOTS_PER_INCH = 150
_WIDTH_INCHES, _HEIGHT_INCHES = 10.0, 5.5
_BAR_INCHES = 0.34

_STYLE: dict[Any, Any] = {
    # Names may have dollar signs, which would begin a formula.
    "text.parse_math": False,
    "text.usetex": False,
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.edgecolor": _PALE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _PALE,
    # Text stays text: small, searchable, and in a font that has the letters of every name.
    "svg.fonttype": "none",
    "svg.hashsalt": "apertis",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, and its money by the name of the part."""

    name: str
    parts: Mapping[str, int]
    budget_units: int | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """All that is drawn: over time from left to right, else from the largest down."""

    title: str
    figures: Sequence[tuple[str, str]]
    bars: Sequence[Bar]
    over_time: bool
    note: str = ""
    line: tuple[str, int] | None = None
    """A budget that every bar is held against, and what it is called."""
    columns: Sequence[str] = field(default=())
    """The titles of `rows`, which an HTML file has below the picture."""
    rows: Sequence[Sequence[str]] = field(default=())


def check(path: Path) -> None:
    """Reject early what could not be written in the end."""
    if path.suffix.lower() not in FORMATS:
        raise ParameterError(f"--plot takes a file that ends in {', '.join(FORMATS)}, not {path}")
    if not path.absolute().parent.is_dir():
        raise ParameterError(f"--plot {path}: there is no such directory")
    if find_spec("matplotlib") is None:
        from apertis.installation import install_command

        raise ConfigurationError(f"--plot needs matplotlib: {install_command('plot')}")


def plot_of(picture: Picture, time: str | None, line: tuple[str, int] | None = None) -> Plot:
    """Choose what is drawn of a report: bars of its first group, stacked by its others.

    `time` is the title of the group that is a time, and then the one from left to right. `line` is
    a budget for each of its bars. A budget of a row is drawn if the report begins with its period.
    """
    first = 0 if time is None else picture.groups.index(time)
    parts: dict[str, Counter[str]] = {}
    budgets: dict[str, int] = {}
    for row in picture.rows:
        name = row.names[first]
        part = " ".join((*row.names[:first], *row.names[first + 1 :]))
        bar = parts.setdefault(name, Counter())
        if row.sums["cost_units"]:
            bar[part] += row.sums["cost_units"]
        for budget in row.budgets:
            if budget.since == picture.since and len(picture.groups) == 1:
                budgets[name] = min(budget.amount_units, budgets.get(name, budget.amount_units))
    notes = [f"{title}: {value}." for title, value in times_of(picture)]
    if picture.days:
        notes.append(f"{picture.days[0][0]} to {picture.days[-1][0]}.")
    notes.append(f"Costs in US dollars, times of {picture.zone}.")
    return Plot(
        title=picture.title,
        figures=sums_of(picture),
        bars=[
            Bar(name if time is None else time_label(name), bar, budgets.get(name))
            for name, bar in parts.items()
        ],
        over_time=time is not None,
        note=" ".join(notes),
        line=line,
        columns=(*picture.groups, "Cost", "Requests", "Errors", "Tokens", "Read from cache"),
        rows=[
            (
                *row.names,
                f"${usd(row.sums['cost_units'])}",
                f"{row.sums['requests']:,}",
                f"{row.sums['errors']:,}",
                f"{tokens_of(row.sums):,}",
                cache_share(row.sums),
            )
            for row in picture.rows
        ],
    )


def time_label(text: str) -> str:
    """Shorten an hour, day or month: `Nov 3 14:00`, `Nov 3`, `Nov 2026`; others stay."""
    try:
        if len(text) == len("2026-11"):
            return f"{date.fromisoformat(f'{text}-01'):%b %Y}"
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    day = f"{moment:%b} {moment.day}"
    return f"{day} {moment:%H:%M}" if len(text) > len("2026-11-03") else day


def save(plot: Plot, path: Path) -> None:
    """Draw it, in the format that the file's name ends in."""
    path.write_bytes(draw(plot, path.suffix.lower()))


def draw(plot: Plot, suffix: str) -> bytes:
    """Draw it as the content of a file."""
    import logging
    import warnings

    mpl: Any = import_module("matplotlib")
    # What it says of fonts without a letter helps nobody who reads a report.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.simplefilter("ignore")
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = _figure(plot)
        output = io.BytesIO()
        kind = "png" if suffix == ".png" else "svg"
        figure.savefig(
            output,
            format=kind,
            dpi=_DOTS_PER_INCH,
            bbox_inches="tight",
            pad_inches=0.25,
            metadata={"Date": None, "Title": _shown(plot.title, 90)} if kind == "svg" else {},
        )
    return _page(plot, output.getvalue().decode()) if suffix == ".html" else output.getvalue()


def _figure(plot: Plot) -> Any:
    library: Any = import_module("matplotlib.figure")
    bars = plot.bars if plot.over_time else _largest(plot.bars)
    parts = _parts(plot.bars)
    height = _HEIGHT_INCHES
    if not plot.over_time:
        height = max(1.0, len(bars) * _BAR_INCHES) + 0.8
    figure = library.Figure(
        figsize=(_WIDTH_INCHES, height), facecolor="white", layout="constrained"
    )
    axes = figure.add_subplot()
    if plot.over_time:
        _draw_times(axes, bars, parts, plot.line)
    else:
        _draw_names(axes, bars, parts)
    if not bars:
        axes.text(0.5, 0.5, "Nothing was used.", ha="center", transform=axes.transAxes)
    _draw_head(figure, plot, height)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        # As they are stacked, from top to bottom.
        order = slice(None, None, -1 if plot.over_time else 1)
        axes.legend(
            handles[order], labels[order], frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1)
        )
    return figure


def _draw_head(figure: Any, plot: Plot, height: float) -> None:
    line = 0.24 / height
    figures = "   ".join(f"{title} {value}" for title, value in plot.figures)
    figure.text(0.01, 1 + 2.6 * line, _shown(plot.title, 90), fontsize=15, weight="bold")
    figure.text(0.01, 1 + 1.3 * line, figures, fontsize=10)
    if plot.note:
        figure.text(0.01, -1.3 * line, plot.note, fontsize=8.5, color="#666666")


def _draw_times(
    axes: Any, bars: Sequence[Bar], parts: Sequence[_Part], line: tuple[str, int] | None
) -> None:
    places = list(range(len(bars)))
    below = [0.0] * len(bars)
    for part in parts:
        dollars = [_dollars(part.of(bar)) for bar in bars]
        axes.bar(places, dollars, 0.86, below, **part.look)
        below = [low + more for low, more in zip(below, dollars, strict=True)]
    if len(bars) <= _MAX_TOTALS:
        for place, bar in zip(places, bars, strict=True):
            total = sum(bar.parts.values())
            if total:
                axes.annotate(
                    cents(total),
                    (place, below[place]),
                    (0, 3),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
    if line is not None:
        label = f"{_shown(line[0])}  {cents(line[1])}"
        axes.axhline(_dollars(line[1]), color=_INK, ls="--", lw=1.2, label=label)
    longest = max((len(_shown(bar.name)) for bar in bars), default=1)
    step = -(-len(bars) // max(_LABEL_LETTERS // (longest + 2), 1)) or 1
    axes.set_xticks(places[::step], [_shown(bar.name) for bar in bars[::step]])
    axes.set_xlim(-0.6, max(len(bars), 1) - 0.4)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(_money)
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def _draw_names(axes: Any, bars: Sequence[Bar], parts: Sequence[_Part]) -> None:
    places = list(range(len(bars)))
    left = [0.0] * len(bars)
    for part in parts:
        dollars = [_dollars(part.of(bar)) for bar in bars]
        axes.barh(places, dollars, 0.72, left, **part.look)
        left = [low + more for low, more in zip(left, dollars, strict=True)]
    budgets = [(place, bar.budget_units) for place, bar in zip(places, bars, strict=True)]
    marks = [(_dollars(units), place) for place, units in budgets if units is not None]
    if marks:
        at, rows = zip(*marks, strict=True)
        low, high = ([row + half for row in rows] for half in (-0.44, 0.44))
        axes.vlines(at, low, high, color=_INK, lw=2, label="Budget")
    for place, bar in zip(places, bars, strict=True):
        axes.annotate(
            cents(sum(bar.parts.values())),
            (left[place], place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    axes.set_yticks(places, [_shown(bar.name) for bar in bars])
    axes.set_ylim(max(len(bars), 1) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max((*left, *(at for at, _ in marks)), default=1) or 1)
    axes.xaxis.set_major_formatter(_money)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)


def _money(dollars: float, _: object = None) -> str:
    return f"${dollars:,.0f}" if dollars == int(dollars) else f"${dollars:,.2f}"


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of bars that has a color: of one name, or of all that have no color of their own."""

    label: str
    names: tuple[str, ...]
    color: str

    @property
    def look(self) -> dict[str, Any]:
        """Options of a call that draws it."""
        return {"color": self.color, "label": self.label, "edgecolor": "white", "lw": 0.4}

    def of(self, bar: Bar) -> int:
        return sum(bar.parts.get(name, 0) for name in self.names)


def _parts(bars: Sequence[Bar]) -> list[_Part]:
    """Give the most expensive names a color each, and the others one together."""
    sums: Counter[str] = Counter()
    for bar in bars:
        sums.update(bar.parts)
    names = [name for name, _ in sums.most_common()]
    own = len(_COLORS) if len(names) <= len(_COLORS) else len(_COLORS) - 1
    parts = [
        _Part(f"{_shown(name)}  {cents(sums[name])}" if len(names) > 1 else "_", (name,), color)
        for name, color in zip(names[:own], _COLORS, strict=False)
    ]
    if others := tuple(names[own:]):
        total = cents(sum(sums[name] for name in others))
        parts.append(_Part(f"{len(others)} others  {total}", others, _OTHERS_COLOR))
    return parts


def _largest(bars: Sequence[Bar]) -> list[Bar]:
    """Keep the largest bars, and put the others into one."""
    ordered = sorted(bars, key=lambda bar: -sum(bar.parts.values()))
    if len(ordered) <= _MAX_BARS:
        return ordered
    rest: Counter[str] = Counter()
    for bar in ordered[_MAX_BARS - 1 :]:
        rest.update(bar.parts)
    count = len(ordered) - _MAX_BARS + 1
    return [*ordered[: _MAX_BARS - 1], Bar(f"{count} others", rest)]


def _dollars(units: int) -> float:
    return units / UNITS_PER_DOLLAR


def _shown(name: str, most: int = _MAX_NAME) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in name)
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{
  font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 68rem; margin: 2rem auto;
  padding: 0 1rem;
}}
svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; margin-top: 1.5rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem 1.25rem .25rem 0; text-align: right; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; }}
</style>
</head>
<body>
<figure role="img" aria-label="{title}" style="margin: 0">
{svg}</figure>
<table>
{table}</table>
</body>
</html>
"""


def _page(plot: Plot, svg: str) -> bytes:
    lines = [_line("th", plot.columns), *(_line("td", row) for row in plot.rows)]
    page = _PAGE.format(
        title=html.escape(_shown(plot.title, 200)),
        svg=svg[svg.index("<svg") :],
        table="\n".join(lines) + "\n" if plot.columns else "",
    )
    return page.encode()


def _line(tag: str, cells: Sequence[str]) -> str:
    shown = "".join(f"<{tag}>{html.escape(_shown(cell, 200))}</{tag}>" for cell in cells)
    return f"<tr>{shown}</tr>"
