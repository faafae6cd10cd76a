"""The first afternoon with a gateway, in Chromium: from its start to a limit that was raised."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.kit.browsers import CHROMIUM, NO_CHROMIUM
from tests.kit.http import Client
from tests.kit.processes import apertis_serve

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.kit.browsers import Browsing

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
# An answer of the sandbox costs a tenth of a cent.
BUDGET, RAISED = "0.004", "5"
_MAX_REQUESTS = 20
_MINUTE_MS = 60_000


def button(page: Page, words: str) -> Locator:
    return page.locator("main").get_by_role("button", name=re.compile(words))


def test_a_first_afternoon(browsing: Browsing, tmp_path: Path) -> None:
    with apertis_serve(tmp_path) as served:
        page = browsing.window(served.base_url)
        page.goto("/")
        page.get_by_label("API key").fill(served.told_key or "")
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")

        page.get_by_role("link", name="People").click()
        make_group(page, "Engineering")
        make_budget(page, "Engineering", BUDGET)
        make_person(page, "Ada Lovelace", "Engineering")
        ada = Client(int(served.base_url.rpartition(":")[2]), make_key(page, "ada", "Ada Lovelace"))

        assert ada.ask().status == 200
        page.goto("/console/overview")
        wait_for(page, "Engineering|claude-sonnet")

        statuses = [ada.ask().status for _ in range(_MAX_REQUESTS)]
        assert set(statuses) == {200, 402}
        page.goto("/console/budgets")
        raise_budget(page, "Engineering", RAISED)
        assert ada.ask().status == 200


def wait_for(page: Page, words: str) -> None:
    """Reload a page until it says something."""


def make_group(page: Page, name: str) -> None: ...


def make_budget(page: Page, group: str, dollars: str) -> None:
    page.goto("/console/budgets")
    page.get_by_role("link", name=f"New limit of {group}").click()
    page.get_by_label("amount", exact=False).first.fill(dollars)
    button(page, "Show what it would do").click()
    button(page, "Save").click()


def make_person(page: Page, name: str, group: str) -> None: ...


def make_key(page: Page, name: str, person: str) -> str:
    page.goto("/console/keys")
    page.get_by_role("link", name="New key").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Person", exact=True).fill(person)
    button(page, "Make the key").click()
    secret = page.locator("#secret").text_content()
    assert secret
    assert secret.startswith("sk-")
    return secret


def raise_budget(page: Page, group: str, dollars: str) -> None: ...
