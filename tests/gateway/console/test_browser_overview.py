"""The overview in Chromium: plots that are looked into and filtered, and stay so when refreshed."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.store.database import Store
from tests.kit.browsers import signed_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from apertis.accounting.record import UsageRecord
    from tests.kit.browsers import Browsing
    from tests.kit.gateways import RunningGateway

UNITS = 500_000
ALL = "All: $3.00"
_COLORED = """(selector) => {
  const canvas = document.querySelector(selector);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue, alpha] = data.slice(at, at + 4);
    if (alpha > 100 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) found += 1;
  }
  return found;
}"""


@pytest.fixture
def gateway(
    start_gateway: Callable[..., RunningGateway], make_usage: Callable[..., UsageRecord]
) -> RunningGateway:
    running = start_gateway()
    now = int(time.time() * 1000)
    records = [
        make_usage(at_ms=now, cost_units=dollars * UNITS, model=model)
        for dollars, model in ((1, "first"), (2, "<b>second</b>"))
    ]

    async def book() -> None:
        async with await Store.open(running.data) as store:
            await store.usage.add(records)

    # The browser has a loop in this thread.
    thread = threading.Thread(target=asyncio.run, args=(book(),))
    thread.start()
    thread.join()
    return running


def told_at_the_end(page: Page) -> str:
    """What is told of the newest bar of the first plot."""
    plot = page.locator("#plot-spend .u-over")
    box = plot.bounding_box()
    assert box is not None
    # From elsewhere, so that it is a move.
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] / 2)
    return page.locator("#plot-spend .tip").inner_text()


def test_a_plot_tells_of_the_bar_below_the_pointer_and_its_legend_filters(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    page.goto("/console/overview")
    page.locator("#plot-spend canvas").wait_for()
    assert page.locator("#plot-spend svg").count() == 0
    assert told_at_the_end(page).splitlines()[1:] == [ALL, "<b>second</b>: $2.00", "first: $1.00"]
    button = page.get_by_role("button", name="<b>second</b>")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert told_at_the_end(page).splitlines()[1:] == ["first: $1.00"]
    button.click()
    assert ALL in told_at_the_end(page)


def test_the_first_day_with_usage_is_a_dot_in_plots_of_lines(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    page.goto("/console/overview?span=30d")
    page.locator("#plot-times canvas").wait_for()
    # Ink beside the colors of texts and rules, which are nearly gray.
    colored = page.evaluate(_COLORED, "#plot-times canvas")
    assert colored > 5


def test_before_the_first_request_the_way_to_send_one_is_shown(
    browsing: Browsing, start_gateway: Callable[..., RunningGateway]
) -> None:
    running = start_gateway()
    page = signed_in(browsing.window(running), running)
    assert page.locator("[data-plot]").count() == 0
    page.get_by_role("link", name="Set up a program").click()
    assert page.locator("#page h2", has_text="Use it").count() == 1


def test_a_refresh_keeps_the_filter_the_open_table_and_the_focus(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    page.clock.install()
    page.goto("/console/overview")
    page.locator("#plot-spend canvas").wait_for()
    page.locator("section[aria-labelledby=h-spend] summary").click()
    page.get_by_role("button", name="first", exact=True).click()
    with page.expect_response(lambda response: "hx-request" in response.request.headers) as part:
        page.clock.run_for(16_000)
    assert part.value.status == 200
    page.wait_for_function("document.querySelector('.plot-legend li button') !== null")
    assert page.locator("#plot-spend canvas").count() == 1
    assert page.locator("section[aria-labelledby=h-spend] details").get_attribute("open") == ""
    button = page.get_by_role("button", name="first", exact=True)
    assert button.get_attribute("aria-pressed") == "false"
    assert told_at_the_end(page).splitlines()[1:] == ["<b>second</b>: $2.00"]


def test_without_scripts_plots_are_drawn_with_their_tables_beside(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(gateway, scripts=False), gateway)
    page.goto("/console/overview")
    assert page.locator("#plot-spend svg rect").count() == 2
    table = page.locator("section[aria-labelledby=h-spend] table")
    page.locator("section[aria-labelledby=h-spend] summary").click()
    assert table.locator("tbody tr").last.inner_text().split()[1:] == ["$2.00", "$1.00", "$3.00"]
