"""Keys and budgets in Chromium with ten thousand keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.kit.browsers import PHONE, sideways, signed_in
from tests.kit.companies import ACME, add_keys, furnish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Page

    from tests.kit.browsers import Browsing
    from tests.kit.gateways import RunningGateway

# More would be slow to draw, and nobody reads it.
MAX_ELEMENTS = 6000
_ELEMENTS = "document.querySelectorAll('*').length"


@pytest.fixture(scope="module")
def gateway(
    run_gateways: Callable[..., AbstractContextManager[RunningGateway]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("many")
    (folder / "data").mkdir()
    now = int(time.time())
    furnish(folder / "data", ACME, now, days=2)
    add_keys(folder / "data", 10_000, now)
    with run_gateways(folder) as running:
        yield running


def search(page: Page, words: str) -> None:
    """Enter words, and send them as one does without scripts."""
    field = page.locator("main [name=q]")
    field.fill(words)
    field.press("Enter")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("path", ["/console/keys", "/console/budgets"])
def test_one_of_ten_thousand_keys_is_found(
    browsing: Browsing, gateway: RunningGateway, path: str, scripts: bool
) -> None:
    page = signed_in(browsing.window(gateway, scripts=scripts), gateway)
    page.goto(path)
    main = page.locator("main")
    assert page.evaluate(_ELEMENTS) < MAX_ELEMENTS
    search(page, "robot 09876")
    expect(main).to_contain_text("robot 09876")
    expect(main).not_to_contain_text("robot 09875")
    search(page, "nobody is called like this")
    expect(main).not_to_contain_text("robot 09876")
    page.set_viewport_size(PHONE)
    assert sideways(page) == []


def test_keys_are_found_while_somebody_types(browsing: Browsing, gateway: RunningGateway) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    page.goto("/console/keys")
    page.locator("main [name=q]").press_sequentially("robot 00042")
    expect(page.locator("main")).to_contain_text("robot 00042")
    expect(page.locator("main")).not_to_contain_text("robot 00041")
    expect(page.locator("main [name=q]")).to_be_focused()


def test_all_keys_can_be_paged_through(browsing: Browsing, gateway: RunningGateway) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    page.goto("/console/keys")
    expect(page.locator("main")).to_contain_text("10,017")
    first = page.locator("tbody tr").first.text_content()
    page.get_by_role("link", name="Next").first.click()
    expect(page.locator("tbody tr").first).not_to_have_text(first or "")
