"""Pictures of usage: what is in them, and that no name of a key means anything in them."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from apertis.accounting.tokens import COLUMNS
from apertis.cli import usage_plot
from apertis.cli.usage_plot import Bar, Plot, check, draw, plot_of, save, time_label
from apertis.cli.usage_screen import Budget, Percentiles, Picture, Row
from apertis.errors import ConfigurationError, ParameterError

if TYPE_CHECKING:
    from pathlib import Path

needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="matplotlib is not installed (the extra `plot`)"
)

COUNTS = ("requests", "errors", *COLUMNS.values(), "cost_units")
MILLION = 1_000_000
HOSTILE = "</text><script>alert(1)</script>-->&amp;\"'$x^2$\x00\u202e"


def row(*names: str, cost: int, budgets: tuple[Budget, ...] = ()) -> Row:
    return Row(names, dict.fromkeys(COUNTS, 1) | {"cost_units": cost}, budgets)


def picture(groups: tuple[str, ...], *rows: Row, **others: Any) -> Picture:
    totals = dict.fromkeys(COUNTS, 7) | {"cost_units": sum(r.sums["cost_units"] for r in rows)}
    return Picture(title="Usage", groups=groups, rows=rows, totals=totals, **others)


BY_DAY = picture(
    ("Day", "Model"),
    row("2026-11-01", "opus", cost=MILLION),
    row("2026-11-01", "haiku", cost=500_000),
    # A day without usage.
    row("2026-11-02", "-", cost=0),
    row("2026-11-03", "opus", cost=2 * MILLION),
    first_byte=Percentiles(820, 2100),
    zone="Europe/Berlin",
)


def test_over_time_bars_are_stacked_by_the_other_groups() -> None:
    plot = plot_of(BY_DAY, "Day", ("Budget a day", MILLION))
    assert [(bar.name, dict(bar.parts)) for bar in plot.bars] == [
        ("Nov 1", {"opus": MILLION, "haiku": 500_000}),
        ("Nov 2", {}),
        ("Nov 3", {"opus": 2 * MILLION}),
    ]
    assert plot.over_time
    assert plot.line == ("Budget a day", MILLION)
    assert plot.figures[0] == ("Spent", "$7.00")
    assert plot.note == (
        "First byte p50, p95: 820 ms, 2.1 s. Costs in US dollars, times of Europe/Berlin."
    )


def test_else_the_first_group_has_the_bars() -> None:
    days = (("2026-11-01", 1), ("2026-11-28", 2))
    rows = (row("ada", "opus", cost=2), row("ada", "haiku", cost=1), row("bo", "opus", cost=1))
    plot = plot_of(picture(("Key", "Model"), *rows, days=days), None)
    assert [(bar.name, dict(bar.parts)) for bar in plot.bars] == [
        ("ada", {"opus": 2, "haiku": 1}),
        ("bo", {"opus": 1}),
    ]
    assert not plot.over_time
    assert plot.note.startswith("2026-11-01 to 2026-11-28. ")


def test_a_budget_is_drawn_where_the_report_begins_with_its_period() -> None:
    start = "2026-11-01T00:00:00Z"
    budgets = (Budget(1, 9, "month", start), Budget(1, 7), Budget(1, 8, "month", start))
    ada = row("ada", cost=1, budgets=budgets)
    assert plot_of(picture(("Key",), ada, since=start), None).bars[0].budget_units == 8
    assert plot_of(picture(("Key",), ada), None).bars[0].budget_units == 7
    other = picture(("Key",), ada, since="2026-11-02T00:00:00Z")
    assert plot_of(other, None).bars[0].budget_units is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("2026-11-03T14:00+01:00", "Nov 3 14:00"),
        ("2026-11-03", "Nov 3"),
        ("2026-11", "Nov 2026"),
        ("-", "-"),
    ],
)
def test_a_time_is_short_below_a_bar(text: str, label: str) -> None:
    assert time_label(text) == label


def plot(bars: list[Bar], **fields: Any) -> Plot:
    base = Plot("Usage by day", (("Spent", "$4.00"), ("Requests", "7")), bars, over_time=True)
    return replace(base, **fields)


TWO = [Bar("Nov 1", {"opus": MILLION}), Bar("Nov 2", {"opus": 500_000, "haiku": MILLION})]


def texts(svg: bytes) -> list[str]:
    root = ET.fromstring(svg)
    return ["".join(found.itertext()).strip() for found in root.iter() if "text" in found.tag[-5:]]


@needs_matplotlib
def test_a_picture_says_its_title_its_totals_and_what_each_color_costs() -> None:
    found = texts(
        draw(plot(TWO, line=("Budget a day", MILLION), note="Costs in US dollars."), ".svg")
    )
    assert {"Usage by day", "Spent $4.00   Requests 7", "Costs in US dollars."} <= {*found}
    assert {"opus  $3.00", "haiku  $2.00", "Budget a day  $2.00"} <= {*found}
    # What each bar is in all.
    assert {"Nov 1", "Nov 2", "$2.00", "$3.00"} <= {*found}


@needs_matplotlib
def test_more_names_than_colors_are_others_together() -> None:
    bars = [Bar("Nov 1", {f"model-{n}": MILLION * (n + 1) for n in range(9)})]
    found = texts(draw(plot(bars), ".svg"))
    # The three that cost least.
    assert "3 others  $12.00" in found
    assert "model-8  $18.00" in found
    assert not any(text.startswith("model-2 ") for text in found)


@needs_matplotlib
def test_more_rows_than_fit_are_others_together() -> None:
    bars = [Bar(f"key-{n}", {"": n * MILLION}) for n in range(1, 41)]
    found = texts(draw(plot(bars, over_time=False), ".svg"))
    assert "key-40" in found
    assert "16 others" in found
    assert "key-16" not in found


@needs_matplotlib
def test_nothing_and_no_money_can_be_drawn() -> None:
    for over_time in (True, False):
        assert "Nothing was used." in texts(draw(plot([], over_time=over_time), ".svg"))
        assert draw(plot([Bar("ada", {})], over_time=over_time), ".png")[:4] == b"\x89PNG"


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@needs_matplotlib
@pytest.mark.parametrize("over_time", [True, False])
def test_a_name_is_text_in_every_format(over_time: bool) -> None:
    bars = [Bar(HOSTILE, {HOSTILE: MILLION, "b": 1}, budget_units=MILLION)]
    hostile = plot(
        bars,
        title=HOSTILE,
        over_time=over_time,
        line=(HOSTILE, 5),
        columns=(HOSTILE, "Cost"),
        rows=[(HOSTILE, "$2")],
    )
    svg = draw(hostile, ".svg")
    assert b"<script" not in svg
    # Not a formula, and not cut.
    assert any("$x^2$??" in text for text in texts(svg))
    page = Page()
    page.feed(draw(hostile, ".html").decode())
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert sum("<script>alert(1)</script>" in words for words in page.words) >= 3


@needs_matplotlib
def test_a_page_needs_nothing_but_itself() -> None:
    page = draw(plot(TWO, columns=("Day", "Cost"), rows=[("2026-11-01", "$2")]), ".html").decode()
    assert re.search(r"<th>Day</th><th>Cost</th>", page)
    assert re.search(r"<td>2026-11-01</td><td>\$2</td>", page)
    assert "default-src 'none'" in page
    assert "<?xml" not in page
    parsed = Page()
    parsed.feed(page)
    links = [
        value
        for _, attributes in parsed.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href")
    ]
    assert all(link is not None and link.startswith("#") for link in links)


@needs_matplotlib
def test_the_same_report_is_the_same_file(tmp_path: Path) -> None:
    for suffix in (".svg", ".html", ".png", ".PNG"):
        path = tmp_path / f"usage{suffix}"
        save(plot(TWO), path)
        assert path.read_bytes() == draw(plot(TWO), suffix.lower())


@needs_matplotlib
def test_nobodys_settings_change_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    before = draw(plot(TWO), ".svg")
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    assert draw(plot(TWO), ".svg") == before
    assert mpl.rcParams["font.size"] == 30


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("usage.pdf", r"ends in \.png, \.svg, \.html, not usage\.pdf"),
        ("usage", r"ends in \.png"),
        ("nowhere/usage.png", "there is no such directory"),
    ],
)
def test_what_cannot_be_written_is_told_at_once(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path as FilePath

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=told):
        check(FilePath(name))


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_plot, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"--plot needs matplotlib: .*\[plot\]"):
        check(tmp_path / "usage.png")
