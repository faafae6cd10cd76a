"""Renderings that many share, static files, forms of numbers, and colors that can be read."""

from __future__ import annotations

import asyncio
import re
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.console.rendering import (
    Renderings,
    Static,
    count,
    exact_money,
    milliseconds,
    moment,
    money,
    percent,
    percentile,
)
from apertis.gateway.store.histogram import BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


class Work:
    """Something to render that ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return number


class Seconds:
    """A clock that is put on by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def renderings(check: Callable[[Renderings, Work, Seconds], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = Seconds()
        await check(Renderings(clock), Work(), clock)

    asyncio.run(run())


def _started(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(work)


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_all_who_come_while_it_is_made_get_one_rendering() -> None:
    async def check(known: Renderings, work: Work, _: Seconds) -> None:
        asking = [_started(known.get("page", work)) for _ in range(200)]
        await _turns()
        work.may_end.set()
        assert await asyncio.gather(*asking) == [1] * 200

    renderings(check)


def test_a_rendering_serves_for_five_seconds_after_it_was_asked_for() -> None:
    async def check(known: Renderings, work: Work, clock: Seconds) -> None:
        work.may_end.set()
        assert await known.get("page", work) == 1
        clock.now += 4.9
        assert await known.get("page", work) == 1
        assert await known.get("another page", work) == 2
        clock.now += 0.2
        assert await known.get("page", work) == 3

    renderings(check)


def test_a_viewer_who_leaves_does_not_take_it_from_those_who_wait() -> None:
    async def check(known: Renderings, work: Work, _: Seconds) -> None:
        leaving = _started(known.get("page", work))
        staying = _started(known.get("page", work))
        await _turns()
        leaving.cancel()
        await _turns()
        work.may_end.set()
        assert await staying == 1
        assert leaving.cancelled()

    renderings(check)


def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    async def check(known: Renderings, work: Work, _: Seconds) -> None:
        work.error = OSError("the store is gone")
        asking = [_started(known.get("page", work)) for _ in range(2)]
        await _turns()
        work.may_end.set()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(result) for result in results] == [OSError, OSError]
        work.error = None
        assert await known.get("page", work) == 2

    renderings(check)


def test_what_was_begun_before_a_change_serves_nobody_who_comes_after_it() -> None:
    async def check(known: Renderings, work: Work, _: Seconds) -> None:
        before = _started(known.get("page", work))
        await _turns()
        known.clear()
        after = _started(known.get("page", work))
        await _turns()
        work.may_end.set()
        assert (await before, await after) == (1, 2)
        assert await known.get("page", work) == 2

    renderings(check)


def test_a_failure_of_before_a_change_does_not_drop_what_came_after_it() -> None:
    async def check(known: Renderings, work: Work, _: Seconds) -> None:
        work.error = OSError("the store is gone")
        before = _started(known.get("page", work))
        await _turns()
        known.clear()
        other = Work()
        after = _started(known.get("page", other))
        await _turns()
        work.may_end.set()
        with pytest.raises(OSError, match="gone"):
            await before
        other.may_end.set()
        assert await after == 1
        assert await known.get("page", other) == 1

    renderings(check)


def test_renderings_of_many_filters_do_not_add_up() -> None:
    async def check(known: Renderings, work: Work, _: Seconds) -> None:
        work.may_end.set()
        for page in range(2000):
            await known.get(page, work)
        assert len(known) <= 500

    renderings(check)


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        (0, "$0"),
        (1, "$0.000002"),
        (2_100, "$0.0042"),
        (617_250_000, "$1,234.50"),
        (-250_000, "-$0.50"),
    ],
)
def test_money_is_written_as_people_read_it(units: int, shown: str) -> None:
    assert money(units) == shown


@pytest.mark.parametrize(
    ("units", "shown"),
    [(0, "$0"), (1, "$0.000002"), (617_250_001, "$1234.500002"), (-1, "-$0.000002")],
)
def test_the_exact_sum_has_its_unit_and_all_digits(units: int, shown: str) -> None:
    assert exact_money(units) == shown


def test_numbers_shares_and_times_are_written_short() -> None:
    assert [count(n) for n in (0, 999_999, 1_230_000, 4_560_000_000)] == [
        "0",
        "999,999",
        "1.23 M",
        "4.56 G",
    ]
    assert [percent(share) for share in (None, 0.0, 0.1234)] == ["\N{EN DASH}", "0.0 %", "12.3 %"]
    assert [milliseconds(ms) for ms in (None, 350, 1234)] == ["\N{EN DASH}", "350 ms", "1.2 s"]


def test_a_percentile_below_or_above_its_histogram_is_said_to_be_so() -> None:
    assert percentile(100) == "< 100 ms"
    assert percentile(119) == "119 ms"
    assert percentile(BOUNDS_MS[-1]) == "> 1,158.5 s"
    assert percentile(None) == "\N{EN DASH}"


def test_moments_are_those_of_the_viewers_zone() -> None:
    assert moment("Asia/Kathmandu")(0) == "1970-01-01 05:30:00"
    assert moment("UTC")(None) == "\N{EN DASH}"


@pytest.mark.parametrize("name", ["../rendering.py", "vendor/../console.css", ".x.css", "x", ""])
def test_nothing_but_static_files_is_given(name: str) -> None:
    assert Static().find(name) is None


def test_the_url_of_a_file_has_a_hash_of_its_content() -> None:
    assert re.fullmatch(
        r"/console/static/console\.css\?v=[0-9a-f]{12}", Static().url("console.css")
    )
    with pytest.raises(LookupError, match="no static file"):
        Static().url("none.css")


_GROUNDS = ("paper", "card", "side", "hover")
_TEXTS = ("ink", "soft", "accent", "good", "warn", "bad")
_SERIES = ("one", "two", "three", "four", "five", "six", "seven", "eight")
_READABLE, _VISIBLE = 4.5, 3.0


def _colors(scheme: int) -> dict[str, str]:
    found = Static().find("console.css")
    assert found is not None
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", found[0].decode())
    return {name: pair[scheme] for name, *pair in pairs}


def _luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_controls_and_plots_stand_out_from_their_grounds(scheme: int) -> None:
    colors = _colors(scheme)
    wanted = [
        *((text, ground, _READABLE) for text, ground in product(_TEXTS, _GROUNDS)),
        ("on-accent", "accent", _READABLE),
        ("ink", "track", _READABLE),
        *(("edge", ground, _VISIBLE) for ground in ("paper", "card")),
        *((one, "card", _VISIBLE) for one in _SERIES),
    ]
    low = {
        f"{text} on {ground}": round(_contrast(colors[text], colors[ground]), 2)
        for text, ground, least in wanted
        if _contrast(colors[text], colors[ground]) < least
    }
    assert low == {}
