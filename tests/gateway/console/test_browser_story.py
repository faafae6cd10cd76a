"""The first afternoon with a gateway, in Chromium: from its start to a limit that was raised."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.kit.browsers import CHROMIUM, NO_CHROMIUM, signed_in
from tests.kit.companies import ACME, ADMIN_SECRET, furnish
from tests.kit.http import Client
from tests.kit.processes import apertis_serve
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.kit.browsers import Browsing
    from tests.kit.gateways import RunningGateway

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
# A response of the sandbox costs a tenth of a cent.
BUDGET, RAISED = "0.005", "5"
_MAX_REQUESTS = 20
# The next request would cost more than what is left.
NEARLY_ALL = 60


def button(page: Page, words: str) -> Locator:
    return page.locator("main").get_by_role("button", name=re.compile(words))


def link(page: Page, words: str) -> Locator:
    return page.locator("main").get_by_role("link", name=re.compile(words)).first


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_team_spends_hits_its_limit_and_goes_on_once_it_is_raised(
    browsing: Browsing, tmp_path: Path, scripts: bool
) -> None:
    with apertis_serve(tmp_path) as served:
        page = browsing.window(served.base_url, scripts=scripts)
        sign_in_with_what_was_printed(page, served.told_key)
        make_group(page, "Engineering")
        make_budget(page, "Engineering", BUDGET)
        make_person(page, "Ada Lovelace", "Engineering")
        secret = make_key(page, "ada", "Ada Lovelace")

        program = Client(int(served.base_url.rpartition(":")[2]), secret)
        assert program.ask().status == 200
        until(lambda: "Engineering" in text_of(page, "/console/overview?of=group"))

        statuses = {program.ask().status for _ in range(_MAX_REQUESTS)}
        assert statuses == {200, 402}
        until(lambda: percent_used(page) >= NEARLY_ALL)
        raise_budget(page, "Engineering", RAISED)
        assert program.ask().status == 200


def sign_in_with_what_was_printed(page: Page, key: str | None) -> None:
    page.goto("/console/")
    page.get_by_label("API key").fill(key or "")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def make_group(page: Page, name: str) -> None:
    page.goto("/console/groups")
    link(page, "New group").click()
    page.locator("main").get_by_label("Name", exact=True).fill(name)
    button(page, "Make the group").click()
    expect(page.locator("main")).to_contain_text(name)


def make_budget(page: Page, group: str, dollars: str) -> None:
    page.goto("/console/budgets")
    link(page, f"New limit\\s*of {group}").click()
    page.get_by_label(re.compile("amount", re.IGNORECASE)).fill(dollars)
    button(page, "Show what it would do").click()
    expect(page.locator("main")).to_contain_text("Not done yet")
    button(page, "Save").click()
    expect(page.get_by_role("status")).to_be_visible()


def make_person(page: Page, name: str, group: str) -> None:
    page.goto("/console/people")
    link(page, "New person").click()
    page.locator("main").get_by_label("Name", exact=True).fill(name)
    page.locator("main [name=group]").select_option(label=group)
    button(page, "Make the person").click()
    expect(page.locator("main")).to_contain_text(name)


def make_key(page: Page, name: str, person: str) -> str:
    page.goto("/console/keys")
    link(page, "New key").click()
    page.locator("main").get_by_label("Name", exact=True).fill(name)
    page.locator("main [name=person]").fill(person)
    button(page, "Make the key").click()
    secret = page.locator("#secret").text_content() or ""
    assert secret.startswith("sk-")
    main = page.locator("main")
    for program in ("Claude Code", "Python", "TypeScript", "curl", "Cursor", "LangChain"):
        expect(main).to_contain_text(program)
    return secret


def raise_budget(page: Page, group: str, dollars: str) -> None:
    page.goto("/console/budgets")
    link(page, f"Change\\s*the limit of {group}").click()
    page.get_by_label(re.compile("amount", re.IGNORECASE)).fill(dollars)
    button(page, "Show what would change").click()
    expect(page.locator("main")).to_contain_text("Not done yet")
    button(page, "Save").click()
    expect(page.get_by_role("status")).to_be_visible()


def percent_used(page: Page) -> float:
    return max(map(float, re.findall(r"([\d.]+) %", text_of(page, "/console/budgets"))))


def text_of(page: Page, path: str) -> str:
    page.goto(path)
    return page.locator("main").text_content() or ""


def test_the_second_of_two_administrators_is_told_what_the_first_one_changed(
    browsing: Browsing,
    run_gateways: Callable[..., AbstractContextManager[RunningGateway]],
    tmp_path: Path,
) -> None:
    (tmp_path / "data").mkdir()
    made = furnish(tmp_path / "data", ACME, int(time.time()), days=1)
    limit = made.limits[1]
    with run_gateways(tmp_path) as gateway:
        first, second = (
            signed_in(browsing.window(gateway), gateway, ADMIN_SECRET) for _ in range(2)
        )
        for page in (first, second):
            page.goto(f"/console/budgets/limits/{limit.id}")
        enter_amount(first, "3100")
        button(first, "Save").click()
        expect(first.get_by_role("status")).to_be_visible()

        browsing.expected.append("status of 409")
        enter_amount(second, "3200")
        expect(second.get_by_role("alert").first).to_be_visible()
        expect(second.locator("main")).to_contain_text("3100")
        amount = second.get_by_label(re.compile("amount", re.IGNORECASE))
        expect(amount).to_have_value("3200")
        view = gateway.client.call("GET", f"/admin/v1/limits/{limit.id}").json
        assert view["amount_usd"] == "3100"

        button(second, "Show what would change").click()
        button(second, "Save").click()
        expect(second.get_by_role("status")).to_be_visible()
        view = gateway.client.call("GET", f"/admin/v1/limits/{limit.id}").json
        assert view["amount_usd"] == "3200"


def enter_amount(page: Page, dollars: str) -> None:
    page.get_by_label(re.compile("amount", re.IGNORECASE)).fill(dollars)
    button(page, "Show what would change").click()
