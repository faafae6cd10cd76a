"""Every page of the console in Chromium, at a company where each name would be a script."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.kit.browsers import (
    NARROWEST,
    PHONE,
    WIDE,
    Browsing,
    accessibility_problems,
    needs_axe,
    sideways,
    signed_in,
    unreachable_by_keyboard,
)
from tests.kit.companies import HOSTILE, MALLORY, furnish, secret_of
from tests.kit.crawling import SEEN, crawl, sign_in
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser, Page

    from apertis.gateway.console.pages import Place
    from tests.kit.crawling import Crawled
    from tests.kit.gateways import RunningGateway

CONFIG = """
[[alerts.targets]]
name = "nowhere"
url_env = "NOWHERE"
secret_env = "SIGNING"

[limits]
per_address = "0"

[[upstreams]]
name = "sandbox"
kind = "sandbox"

[[upstreams]]
name = "__proto__"
kind = "sandbox"
priority = 1
"""
_SETTLED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
# What a page has for whoever has no scripts: tables by their names, and fields of forms.
_PARTS = """() => ({
  tables: [...document.querySelectorAll("table")].filter((t) => t.checkVisibility()).length,
  fields: [...document.querySelectorAll("main form [name]")]
    .filter((f) => f.type !== "hidden" && f.checkVisibility()).map((f) => f.name),
  headings: [...document.querySelectorAll("h1, h2, h3")].map((h) => h.textContent.trim()),
})"""
_LINKS = """() => [...document.querySelectorAll("[href], [action], [src]")].map(
  (e) => e.getAttribute("href") ?? e.getAttribute("action") ?? e.getAttribute("src"))"""
_HREFS = "all => all.map((link) => link.getAttribute('href'))"
every_page = pytest.mark.parametrize("place", SEEN, ids=lambda place: place.path)


@dataclass
class Desk:
    """Windows in which the administrator is signed in, each opened once."""

    browsing: Browsing
    gateway: RunningGateway
    cookie: str
    _windows: dict[str, Page] = field(default_factory=dict)

    def window(self, kind: str = "usual") -> Page:
        if kind not in self._windows:
            how = {"plain": {"scripts": False}, "no policy": {"policy": False}}.get(kind, {})
            page = signed_in_by(self.browsing, self.gateway, self.cookie, **how)
            self._windows[kind] = page
        self._windows[kind].set_viewport_size(WIDE)
        self._windows[kind].emulate_media(color_scheme="light")
        return self._windows[kind]


def signed_in_by(browsing: Browsing, gateway: RunningGateway, cookie: str, **how: Any) -> Page:
    """A window in which somebody is signed in."""
    page = browsing.window(gateway, **how)
    name, _, value = cookie.partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": gateway.base_url}])
    return page


@pytest.fixture(scope="module")
def mallory(
    run_gateways: Callable[..., AbstractContextManager[RunningGateway]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("mallory")
    (folder / "data").mkdir()
    furnish(folder / "data", MALLORY, int(time.time()), requests_a_day=12)
    secrets = {"NOWHERE": "https://127.0.0.1:9/hook", "SIGNING": f"whsec_{'A' * 32}"}
    with run_gateways(folder, CONFIG, secrets) as gateway:
        until(lambda: gateway.client.call("GET", "/admin/v1/alerts").json["data"])
        yield gateway


@pytest.fixture(scope="module")
def cookie(mallory: RunningGateway) -> str:
    return sign_in(mallory)


@pytest.fixture(scope="module")
def crawled(mallory: RunningGateway, cookie: str) -> Crawled:
    return crawl(mallory, cookie)


@pytest.fixture(scope="module")
def desk(chromium: Browser, mallory: RunningGateway, cookie: str) -> Iterator[Desk]:
    windows = Browsing(chromium)
    yield Desk(windows, mallory, cookie)
    windows.close()


@pytest.fixture
def on(desk: Desk) -> Iterator[Desk]:
    """The administrator's windows; a test fails if anything goes wrong in one."""
    yield desk
    problems, desk.browsing.problems = desk.browsing.problems, []
    assert problems == []


def test_every_link_leads_somewhere(crawled: Crawled) -> None:
    pages = [found for each in crawled.places.values() for found in each] + crawled.elsewhere
    assert [(one.path, one.status) for one in pages if one.status >= 400] == []
    assert [place.path for place in SEEN if place.path not in crawled.places] == []


@every_page
@needs_axe
def test_a_page_is_in_order_in_light_and_dark_on_a_screen_and_a_phone(
    on: Desk, crawled: Crawled, place: Place
) -> None:
    found = crawled.last_of(place)
    if not found.is_page:
        return
    page = on.window()
    response = page.goto(found.path)
    assert response is not None
    assert response.status == 200
    assert accessibility_problems(page) == []
    assert sideways(page) == []
    page.set_viewport_size(PHONE)
    assert sideways(page) == []
    page.emulate_media(color_scheme="dark")
    assert accessibility_problems(page) == []
    page.set_viewport_size(NARROWEST)
    assert sideways(page) == []


@every_page
def test_a_page_has_its_tables_and_forms_without_scripts(
    on: Desk, crawled: Crawled, place: Place
) -> None:
    found = crawled.last_of(place)
    if place.page == "chat" or not found.is_page:
        return
    page = on.window()
    page.goto(found.path)
    with_scripts = page.evaluate(_PARTS)
    page = on.window("plain")
    page.goto(found.path)
    assert page.evaluate(_PARTS) == with_scripts
    page.set_viewport_size(PHONE)
    assert sideways(page) == []


@every_page
def test_every_link_and_field_is_reached_by_tab_and_shows_it(
    on: Desk, crawled: Crawled, place: Place
) -> None:
    found = crawled.last_of(place)
    if not found.is_page:
        return
    page = on.window()
    page.goto(found.path)
    assert unreachable_by_keyboard(page) == []


@every_page
def test_no_name_becomes_a_script_even_where_the_policy_would_not_stop_it(
    on: Desk, crawled: Crawled, place: Place
) -> None:
    page = on.window("no policy")
    for found in crawled.places.get(place.path, []):
        if found.is_page:
            page.goto(found.path)
            page.evaluate(_SETTLED)
            links = page.evaluate(_LINKS)
            assert [one for one in links if one.strip().lower().startswith("javascript:")] == []
            assert "49$49" not in page.content()


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/console/keys", [f"{name} "[:127] + "1" for name in HOSTILE]),
        ("/console/people", MALLORY.people),
        ("/console/budgets", MALLORY.groups),
    ],
    ids=["keys", "people", "budgets"],
)
def test_a_name_is_shown_as_it_is(on: Desk, path: str, names: list[str]) -> None:
    page = on.window()
    page.goto(path)
    text = page.evaluate("document.querySelector('main').textContent")
    assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("number", [1, 2, 5], ids=["group administrator", "viewer", "member"])
@needs_axe
def test_pages_of_other_roles_are_in_order(
    browsing: Browsing, mallory: RunningGateway, number: int
) -> None:
    page = signed_in(browsing.window(mallory), mallory, secret_of(number))
    links = page.locator("header nav a").evaluate_all(_HREFS)
    assert links
    for link in links:
        page.set_viewport_size(WIDE)
        page.goto(link)
        assert accessibility_problems(page) == [], link
        page.set_viewport_size(PHONE)
        assert sideways(page) == [], link


@every_page
def test_a_live_page_refreshes_itself_until_its_session_ends(
    browsing: Browsing, mallory: RunningGateway, crawled: Crawled, place: Place
) -> None:
    found = crawled.last_of(place)
    if 'hx-trigger="every' not in found.body:
        return
    page = signed_in_by(browsing, mallory, sign_in(mallory))
    page.clock.install()
    page.goto(found.path)
    with page.expect_response(lambda response: "hx-request" in response.request.headers) as live:
        page.clock.fast_forward(16_000)
    assert live.value.status == 200
    page.evaluate("() => new Promise(requestAnimationFrame)")
    assert len(page.query_selector_all("h1")) == 1
    browsing.expected.append("status of 401")
    other = page.context.new_page()
    other.goto("/console/")
    other.get_by_role("button", name="Sign out", exact=True).click()
    other.wait_for_url("**/sign-in")
    # One refresh, however many are due: each would lead there, and end the one before.
    page.clock.fast_forward(16_000)
    expect(page).to_have_url(re.compile(r"/console/sign-in\?to="))
