"""Signing in and out in Chromium: whose session a window has, and who else may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.kit.browsers import signed_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Page

    from tests.kit.browsers import Browsing
    from tests.kit.gateways import RunningGateway


ELSEWHERE = "http://elsewhere.example"


@pytest.fixture(scope="module")
def gateway(
    run_gateways: Callable[..., AbstractContextManager[RunningGateway]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningGateway]:
    with run_gateways(tmp_path_factory.mktemp("signing-in")) as running:
        yield running


@pytest.fixture(scope="module")
def second_key(gateway: RunningGateway) -> str:
    """Of another administrator."""
    return gateway.make_key(name="second", admin=True)[1].api_key


def cookie(page: Page) -> Any:
    (found,) = (one for one in page.context.cookies() if one.get("name") == "apertis")
    return found


def is_signed_in(page: Page) -> bool:
    page.goto("/console/")
    return "/console/sign-in" not in page.url


def test_the_cookie_is_not_for_scripts_and_not_for_other_sites(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    assert (cookie(page)["httpOnly"], cookie(page)["sameSite"]) == (True, "Lax")
    assert "apertis=" not in page.evaluate("document.cookie")


def test_whoever_planted_a_cookie_before_is_not_signed_in_by_it(
    browsing: Browsing, gateway: RunningGateway, second_key: str
) -> None:
    attacker = signed_in(browsing.window(gateway), gateway, second_key)
    planted = cookie(attacker)
    victim = browsing.window(gateway)
    victim.context.add_cookies([planted])
    signed_in(victim, gateway)
    assert cookie(victim)["value"] != planted["value"]
    # The session that was planted is worth nothing to anybody from then on.
    assert not is_signed_in(attacker)
    victim.goto("/console/")
    expect(victim.locator(".who")).not_to_contain_text("second")


def test_a_cookie_that_nobody_gave_out_is_no_session(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    changed = cookie(page)["value"][:-1] + "~"
    for value in ("invented", "invented." + "0" * 64, changed, ""):
        other = browsing.window(gateway)
        other.context.add_cookies([{"name": "apertis", "value": value, "url": gateway.base_url}])
        assert not is_signed_in(other)


def test_a_wrong_key_keeps_somebody_on_the_page_and_says_so(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    browsing.expected.append("status of 40[13]")
    page = browsing.window(gateway)
    page.goto("/console/sign-in")
    page.get_by_label("API key").fill("sk-wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("API key")).to_be_visible()


def test_somebody_comes_to_the_page_that_they_asked_for(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = browsing.window(gateway)
    page.goto("/console/audit")
    assert "/console/sign-in" in page.url
    page.get_by_label("API key").fill(gateway.admin_key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/console/audit")


@pytest.mark.parametrize(
    "to",
    ["https://elsewhere.example/", "//elsewhere.example/", "/\\elsewhere.example", "/v1/models"],
)
def test_signing_in_leads_nowhere_else(
    browsing: Browsing, gateway: RunningGateway, to: str
) -> None:
    page = browsing.window(gateway)
    page.goto(f"/console/sign-in?to={to}")
    page.get_by_label("API key").fill(gateway.admin_key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    assert page.url.startswith(f"{gateway.base_url}/console/")


def test_signing_out_ends_a_session_in_all_its_windows_and_behind_the_back_button(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    copied = browsing.window(gateway)
    copied.context.add_cookies([cookie(page)])
    other = signed_in(browsing.window(gateway), gateway)
    assert is_signed_in(copied)
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/console/sign-in")
    page.go_back()
    page.wait_for_url("**/console/sign-in**")
    assert not is_signed_in(copied)
    assert is_signed_in(other)


def test_a_form_of_another_site_changes_nothing(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(gateway), gateway)
    browsing.hosts.add("elsewhere.example")
    page.route(
        f"{ELSEWHERE}/**",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<form method=post action='{gateway.base_url}/console/sign-out'>"
            "<input name=everywhere value=yes><button>Win a prize</button></form>",
        ),
    )
    page.goto(f"{ELSEWHERE}/")
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    assert navigation.value.url.startswith(f"{gateway.base_url}/console/")
    assert is_signed_in(page)


def test_no_other_site_can_show_the_console_in_a_frame(
    browsing: Browsing, gateway: RunningGateway
) -> None:
    browsing.expected.append("frame-ancestors|frame_ancestors|Framing")
    page = signed_in(browsing.window(gateway), gateway)
    browsing.hosts.add("elsewhere.example")
    page.route(
        f"{ELSEWHERE}/**",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<iframe src='{gateway.base_url}/console/overview'></iframe>",
        ),
    )
    page.goto(f"{ELSEWHERE}/")
    page.wait_for_load_state("networkidle")
    assert "chrome-error" in page.frames[1].url
