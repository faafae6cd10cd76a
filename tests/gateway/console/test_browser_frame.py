"""Chromium, and that it tells of all that goes wrong in a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.browsers import accessibility_problems, needs_axe, sideways, signed_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.browsers import Browsing
    from tests.kit.gateways import RunningGateway


def test_somebody_signs_in_with_a_key(browsing: Browsing, sandbox_gateway: RunningGateway) -> None:
    page = signed_in(browsing.window(sandbox_gateway), sandbox_gateway)
    assert page.get_by_role("heading", level=1).is_visible()


def test_somebody_signs_in_without_scripts(
    browsing: Browsing, sandbox_gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(sandbox_gateway, scripts=False), sandbox_gateway)
    assert page.get_by_role("heading", level=1).is_visible()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("console.error('broken')", "broken"),
        ("console.warn('old')", "old"),
        ("setTimeout(() => { throw new Error('thrown') })", "thrown"),
        ("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\">')", "style"),
        ("void fetch('http://127.0.0.1:9/').catch(() => 0)", "127.0.0.1:9"),
        ("setTimeout(() => alert('hello'))", "dialog: hello"),
    ],
)
def test_whatever_goes_wrong_in_a_page_is_a_problem(
    browsing: Browsing, sandbox_gateway: RunningGateway, script: str, said: str
) -> None:
    page = browsing.window(sandbox_gateway)
    page.goto("/console/sign-in")
    page.evaluate(f"() => {{ {script} }}")
    page.evaluate("() => new Promise((done) => setTimeout(() => setTimeout(done)))")
    assert any(said in problem for problem in browsing.problems), browsing.problems
    browsing.problems.clear()


@needs_axe
def test_axe_finds_a_field_without_a_label(
    browsing: Browsing, sandbox_gateway: RunningGateway
) -> None:
    page = browsing.window(sandbox_gateway)
    page.goto("/console/sign-in")
    assert accessibility_problems(page) == []
    page.evaluate("document.querySelector('label').remove()")
    assert [found.split(":")[0] for found in accessibility_problems(page)][-1:] == ["label"]


def test_what_is_wider_than_a_phone_is_found(
    browsing: Browsing, sandbox_gateway: RunningGateway
) -> None:
    page = browsing.window(sandbox_gateway, phone=True)
    page.goto("/console/sign-in")
    assert sideways(page) == []
    page.evaluate("document.querySelector('h1').style.width = '200vw'")
    assert sideways(page)


@pytest.mark.parametrize(
    ("page", "asked", "empty"),
    [
        ("requests", "?model=none", "No requests yet."),
        ("people", "?q=none", "There is nobody yet."),
        ("alerts", "?kind=budget", "No alerts yet."),
    ],
)
def test_a_list_without_anything_says_so_and_no_filter_is_blamed(
    browsing: Browsing,
    start_gateway: Callable[..., RunningGateway],
    page: str,
    asked: str,
    empty: str,
) -> None:
    running = start_gateway()
    window = signed_in(browsing.window(running), running)
    window.goto(f"/console/{page}")
    assert empty in window.locator(".empty").last.inner_text()
    window.goto(f"/console/{page}{asked}")
    assert "like that" in window.locator(".empty").last.inner_text()


def test_on_a_phone_the_menu_has_a_button_that_closes_it(
    browsing: Browsing, sandbox_gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(sandbox_gateway, phone=True), sandbox_gateway)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Keys").wait_for()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("link", name="Keys").wait_for(state="hidden")
