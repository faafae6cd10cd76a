"""Chromium for tests of pages: whatever goes wrong in a page fails the test that opened it.

Playwright's blocking interface keeps an event loop running in the thread that uses it, so a browser
lives no longer than the tests of its module: they run none of their own.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.clients.installing import AXE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Dialog,
        Page,
        Request,
        ViewportSize,
    )

    from tests.kit.gateways import RunningGateway

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
NO_CHROMIUM = "Chromium is not there (in Debian: apt install chromium)"
needs_axe = pytest.mark.skipif(AXE.missing is not None, reason=str(AXE.missing))
PHONE: ViewportSize = {"width": 390, "height": 844}
NARROWEST: ViewportSize = {"width": 320, "height": 640}
WIDE: ViewportSize = {"width": 1280, "height": 800}
_PATIENCE_MS = 20_000
ARGUMENTS = (
    # Root has no sandbox.
    *(["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []),
    "--disable-dev-shm-usage",
    # It has no reason to look for anything but the gateway.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE [::1]",
)
# In every page before its own scripts; a policy does not concern it.
_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
  `policy: ${event.effectiveDirective} does not allow ${event.blockedURI} ${event.sample}`));
"""
_SIDEWAYS = """() => {
  const root = document.documentElement;
  const width = root.clientWidth;
  if (root.scrollWidth <= width) return [];
  const scrolls = (e) => e !== null && e !== document.body && e !== root &&
    (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
  const found = [...document.body.querySelectorAll("*")]
    .filter((e) => e.getBoundingClientRect().right > width || e.scrollWidth > width)
    .filter((e) => !scrolls(e));
  return [`${root.scrollWidth} of ${width} px`, ...found.slice(-6).map(
    (e) => `${e.tagName} ${e.getAttribute("class") ?? ""} ${e.textContent.trim().slice(0, 40)}`)];
}"""
# In the order of the page, which is that of Tab. Of radio buttons, Tab leads to one.
_CLICKABLE = """() => {
  const all = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  const one = (e) => e.type !== "radio" || e.checked;
  window.clickable = [...document.querySelectorAll(all)].filter(
    (e) => e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.type !== "hidden"
      && e.tabIndex >= 0 && one(e));
  document.activeElement?.blur();
  window.scrollTo(0, 0);
  // Tab stops at each part of a date.
  const dates = window.clickable.filter((e) => /date|time|month|week/.test(e.type ?? ""));
  return window.clickable.length + 6 * dates.length;
}"""
_MARK_FOCUSED = """() => {
  const e = document.activeElement;
  const style = getComputedStyle(e);
  const isOutlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  if (isOutlined || style.boxShadow !== "none") e.wasFocused = "seen";
  e.wasFocused ??= "not shown";
}"""
_NOT_FOCUSED = """(most) => window.clickable.slice(0, most - 20)
  .filter((e) => e.wasFocused !== "seen")
  .map((e) => `${e.wasFocused ?? "not reached"}: ${e.outerHTML.slice(0, 120)}`)"""
_MAX_TABS = 140
_AXE = """async () => (await axe.run({resultTypes: ["violations"]})).violations.map(
  (found) => `${found.id}: ${found.nodes.map((n) => n.html.slice(0, 150) + " " +
    n.any.map((a) => a.message).join("; ")).slice(0, 5).join(" | ")}`)"""


class Browsing:
    """The windows of one test, each a browser of its own: no cookies are shared.

    `problems` are what pages wrote to their consoles, errors of scripts, violations of the policy
    and requests to hosts other than `hosts`; a test with one fails. `expected` matches messages
    that belong to the test. Pages of `others`, an identity provider's, may do what they like.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.problems: list[str] = []
        self.hosts: set[str] = set()
        self.others: set[str] = set()
        self.expected: list[str] = []

    def window(
        self,
        gateway: RunningGateway | str,
        *,
        dark: bool = False,
        phone: bool = False,
        scripts: bool = True,
        zone: str = "UTC",
        policy: bool = True,
        **more: Any,
    ) -> Page:
        """Open a window, in which nobody is signed in; without `policy`, pages have none."""
        base_url = gateway if isinstance(gateway, str) else gateway.base_url
        self.hosts.add(urlsplit(base_url).netloc)
        context = self._browser.new_context(
            base_url=base_url,
            color_scheme="dark" if dark else "light",
            viewport=PHONE if phone else WIDE,
            java_script_enabled=scripts,
            timezone_id=zone,
            locale="en-US",
            reduced_motion="reduce",
            bypass_csp=not policy,
            **more,
        )
        self._contexts.append(context)
        context.set_default_timeout(_PATIENCE_MS)
        context.add_init_script(_REPORT_VIOLATIONS)
        context.on("console", self._heard)
        context.on("weberror", lambda error: self._found(f"error of a script: {error.error}"))
        context.on("request", self._asked)
        context.on("dialog", self._interrupted)
        return context.new_page()

    def close(self) -> None:
        """Close all windows."""
        for context in self._contexts:
            context.close()

    def _found(self, problem: str) -> None:
        if not any(re.search(one, problem) for one in self.expected):
            self.problems.append(problem)

    def _heard(self, message: ConsoleMessage) -> None:
        page = message.page
        is_ours = page is None or urlsplit(page.url).netloc not in self.others
        if is_ours and message.type in ("error", "warning"):
            self._found(f"{message.type} at {message.location.get('url')}: {message.text}")

    def _interrupted(self, dialog: Dialog) -> None:
        self._found(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("http", "https", "ws", "wss"):
            return
        if request.is_navigation_request():
            is_ours = parts.netloc in self.hosts | self.others
        else:
            is_ours = (
                parts.netloc in self.hosts or urlsplit(request.frame.url).netloc in self.others
            )
        if not is_ours:
            self._found(f"request to another host: {request.url}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a module."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    # It takes a third of a second, which other tests need not wait for.
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browsing(chromium: Browser) -> Iterator[Browsing]:
    """Windows for one test, which fails if anything went wrong in one."""
    windows = Browsing(chromium)
    yield windows
    windows.close()
    assert windows.problems == []


def signed_in(page: Page, gateway: RunningGateway, key: str | None = None) -> Page:
    """Sign in with a key, the administrator's if none is given, as somebody does it."""
    page.goto(f"{gateway.base_url}/console/sign-in")
    page.get_by_label("API key").fill(key or gateway.admin_key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    return page


def sideways(page: Page) -> list[str]:
    """What makes a page wider than its window; empty if nobody has to scroll sideways."""
    found: list[str] = page.evaluate(_SIDEWAYS)
    return found


def unreachable_by_keyboard(page: Page) -> list[str]:
    """What one can click and Tab does not lead to, or leads to without showing it."""
    stops: int = page.evaluate(_CLICKABLE)
    for _ in range(min(stops, _MAX_TABS)):
        page.keyboard.press("Tab")
        page.evaluate(_MARK_FOCUSED)
    found: list[str] = page.evaluate(_NOT_FOCUSED, _MAX_TABS)
    return found


def accessibility_problems(page: Page) -> list[str]:
    """What axe finds on a page as it is now."""
    if not page.evaluate("'axe' in window"):
        file = AXE.folder / "node_modules" / "axe-core" / "axe.min.js"
        page.evaluate(file.read_text("utf-8"))
    found: list[str] = page.evaluate(_AXE)
    return found
