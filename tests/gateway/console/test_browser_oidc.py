"""Signing in with a certified identity provider in Chromium: out of the console and back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from apertis.gateway.signin.oidc import CALLBACK
from tests.kit.browsers import accessibility_problems, needs_axe, sideways, unreachable_by_keyboard
from tests.kit.gateways import running_gateway
from tests.kit.providers import (
    CLIENT_SECRET,
    CertifiedProvider,
    certified_provider,
    settings_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.browsers import Browsing
    from tests.kit.gateways import RunningGateway

ANN = {"name": "Ann", "email": "ann@example.com", "email_verified": True}
MORE = 'unknown_people = "create"\nname = "Example Login"\ndefault_role = "viewer"'


@pytest.fixture(scope="module")
def provider() -> Iterator[CertifiedProvider]:
    with certified_provider() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    provider: CertifiedProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    config = settings_for(provider.issuer, MORE)
    folder = tmp_path_factory.mktemp("oidc")
    with running_gateway(folder, config, {"OIDC_SECRET": CLIENT_SECRET}) as running:
        provider.serve(f"{running.base_url}{CALLBACK}", {"ann": ANN})
        yield running


@pytest.mark.parametrize("scripts", [True, False])
def test_a_colleague_signs_in_at_the_provider_and_is_back_where_they_wanted_to_go(
    browsing: Browsing, gateway: RunningGateway, provider: CertifiedProvider, *, scripts: bool
) -> None:
    browsing.others.add(urlsplit(provider.issuer).netloc)
    page = browsing.window(gateway, scripts=scripts)
    page.goto("/console/account?zone=Europe/Berlin")
    page.get_by_role("link", name="Sign in with Example Login").click()
    page.locator('[name="login"]').fill("ann")
    page.locator('[name="password"]').fill("any")
    page.locator('button[type="submit"], [type="submit"]').first.click()
    page.locator('button[type="submit"], [type="submit"]').first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your sign-ins")
    assert page.url == f"{gateway.base_url}/console/account?zone=Europe/Berlin"
    expect(page.locator("main")).to_contain_text("Ann, viewer")
    page.get_by_role("button", name="Sign out", exact=True).last.click()
    expect(page.get_by_role("link", name="Sign in with Example Login")).to_be_visible()


@needs_axe
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_of_signing_in_is_in_order_with_both_ways(
    browsing: Browsing, gateway: RunningGateway, *, dark: bool
) -> None:
    page = browsing.window(gateway, dark=dark, phone=dark)
    page.goto("/console/sign-in")
    expect(page.get_by_label("API key")).to_be_visible()
    assert accessibility_problems(page) == []
    assert sideways(page) == []
    assert unreachable_by_keyboard(page) == []
