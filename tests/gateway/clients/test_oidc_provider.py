"""Signing in to the console by a certified provider, with a scripted browser on its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.signin.oidc import CALLBACK
from tests.kit.consoles import make, words_of
from tests.kit.gateways import running_gateway
from tests.kit.providers import CLIENT_SECRET, Browser, certified_provider, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Response

ACCOUNTS: dict[str, dict[str, Any]] = {
    "ann": {
        "name": "Ann Administrator",
        "email": "ann@example.com",
        "email_verified": True,
        "groups": ["engineering", "gateway-admins"],
    },
    "bob": {"name": "Bob", "email": "Bob@Example.com", "email_verified": True, "groups": []},
    "eve": {"name": "Eve", "email": "carol@example.com", "email_verified": False},
    "mallory": {"name": "Mallory", "email": "m@evil.example", "email_verified": True},
    "dora": {"name": "Dora", "email": "dora@example.com", "email_verified": True},
}
MORE = """
scopes = ["openid", "profile", "email", "groups"]
allowed_domains = ["example.com"]
unknown_people = "create"
[oidc.roles]
gateway-admins = "administrator"
[oidc.groups]
engineering = "Engineering"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with certified_provider() as provider:
        config = settings_for(provider.issuer, MORE)
        folder = tmp_path_factory.mktemp("certified")
        with running_gateway(folder, config, {"OIDC_SECRET": CLIENT_SECRET}) as running:
            make(running, "groups", name="Engineering")
            provider.serve(f"{running.base_url}{CALLBACK}", ACCOUNTS)
            yield running


def sign_in(gateway: RunningGateway, account: str, browser: Browser | None = None) -> Response:
    """Sign in as an account of the provider: the page of the console that one lands on."""
    start = f"{gateway.base_url}/console/sign-in/oidc?to=/console/account"
    _, page = (browser or Browser()).follow(start, account)
    assert page is not None
    return page


def people(gateway: RunningGateway) -> dict[str, dict[str, Any]]:
    found = gateway.client.call("GET", "/admin/v1/people?limit=100&status=all").json["data"]
    return {one["name"]: one for one in found}


def test_the_page_of_signing_in_leads_to_the_provider_and_back_to_what_was_wanted(
    gateway: RunningGateway,
) -> None:
    browser = Browser()
    page = browser.ask(f"{gateway.base_url}/console/sign-in?to=/console/account")
    assert 'href="/console/sign-in/oidc?to=/console/account"' in page.body.decode()
    assert "Ann Administrator, administrator" in words_of(sign_in(gateway, "ann", browser))
    ann = people(gateway)["Ann Administrator"]
    assert (ann["email"], ann["group"]) == ("ann@example.com", "Engineering")


def test_who_is_known_by_a_verified_address_is_the_same_person(gateway: RunningGateway) -> None:
    id_ = make(gateway, "people", name="Robert", email="bob@example.com")
    assert "Robert, member" in words_of(sign_in(gateway, "bob"))
    found = people(gateway)
    assert found["Robert"]["id"] == id_
    assert found["Robert"]["external_id"].endswith("#bob")
    assert "Bob" not in found
    # And by the provider's id from then on, whatever the address is.
    gateway.client.call("PATCH", f"/admin/v1/people/{id_}", b'{"email": "robert@example.com"}')
    assert "Robert, member" in words_of(sign_in(gateway, "bob"))


def test_an_address_that_is_not_verified_makes_nobody_somebody_else(
    gateway: RunningGateway,
) -> None:
    make(gateway, "people", name="Carol", email="carol@example.com", role="viewer")
    page = sign_in(gateway, "eve")
    assert page.status == 403
    assert "no verified email address" in words_of(page)
    assert people(gateway)["Carol"]["external_id"] is None


def test_another_domain_is_sent_away_and_nobody_is_made_of_it(gateway: RunningGateway) -> None:
    page = sign_in(gateway, "mallory")
    assert page.status == 403
    assert "Your account may not sign in here." in words_of(page)
    assert "Mallory" not in people(gateway)


def test_a_person_who_is_disabled_is_sent_away(gateway: RunningGateway) -> None:
    browser = Browser()
    assert sign_in(gateway, "dora", browser).status == 200
    id_ = people(gateway)["Dora"]["id"]
    gateway.client.call("POST", f"/admin/v1/people/{id_}/disable")
    assert browser.ask(f"{gateway.base_url}/console/account").status == 303
    assert sign_in(gateway, "dora").status == 403


def test_an_answer_is_worth_nothing_in_another_browser_nor_a_second_time(
    gateway: RunningGateway,
) -> None:
    own, other = Browser(), Browser()
    start = f"{gateway.base_url}/console/sign-in/oidc?to=/console/account"
    answer, _ = own.follow(start, "ann", until=f"{gateway.base_url}{CALLBACK}")
    assert other.ask(answer).status == 403
    kept = Browser({host: dict(cookies) for host, cookies in own.cookies.items()})
    assert own.ask(answer).status == 303
    assert own.ask(answer).status == 403
    # The provider itself takes a code once.
    assert kept.ask(answer).status == 403
