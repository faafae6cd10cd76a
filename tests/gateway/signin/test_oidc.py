"""Signing in with an identity provider: one that lies, and what of it is believed."""

from __future__ import annotations

import contextlib
import hmac
import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from apertis.gateway.signin.oidc import CALLBACK, Begun
from tests.kit.consoles import make, words_of
from tests.kit.gateways import running_gateway
from tests.kit.providers import CLIENT_SECRET, Browser, Issuer, issuer, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Response


_numbers = itertools.count()


class Scene:
    """A gateway, and a provider that says what it is told."""

    def __init__(self, gateway: RunningGateway, provider: Issuer) -> None:
        self.gateway = gateway
        self.provider = provider

    def begin(self, browser: Browser, to: str = "/console/account") -> str:
        """Go to the provider: the URL that the browser is led to."""
        start = f"{self.gateway.base_url}/console/sign-in/oidc?{urlencode({'to': to})}"
        response = browser.ask(start)
        assert response.status == 303, words_of(response)
        return response.headers["location"]

    def come_back(self, browser: Browser, **query: str) -> Response:
        # Each from an address of its own: of one there may be few failures.
        address = f"10.1.{next(_numbers) // 250}.{next(_numbers) % 250}"
        url = f"{self.gateway.base_url}{CALLBACK}?{urlencode(query)}"
        return browser.ask(url, None, **{"x-forwarded-for": address})

    def sign_in(self, browser: Browser | None = None) -> Response:
        """The whole way, with a provider that signs everybody in."""
        browser = browser or Browser()
        code, state = self.provider.code_for(self.begin(browser))
        return self.come_back(browser, code=code, state=state)


@contextlib.contextmanager
def scene(folder: Path, more: str = 'unknown_people = "create"') -> Iterator[Scene]:
    with issuer() as provider:
        config = f'[server]\ntrusted_proxies = ["127.0.0.1"]\n{settings_for(provider.url, more)}'
        environment = {"OIDC_SECRET": CLIENT_SECRET}
        with running_gateway(folder, config, environment) as gateway:
            yield Scene(gateway, provider)


@pytest.fixture
def open_scene(tmp_path: Path) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        yield lambda *more: stack.enter_context(scene(tmp_path, *more))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("oidc")) as made:
        yield made


@pytest.fixture
def scene_of_all(shared: Scene) -> Iterator[Scene]:
    """The gateway of all tests, with a provider that is honest again."""
    provider = shared.provider
    yield shared
    provider.claims, provider.header, provider.told = {}, {}, {}
    provider.sub, provider.signed_with = "ann-1", provider.key


def is_signed_in(scene: Scene, browser: Browser) -> bool:
    return browser.ask(f"{scene.gateway.base_url}/console/account").status == 200


def test_somebody_whom_the_provider_signed_in_is_signed_in_and_goes_where_they_wanted(
    scene_of_all: Scene,
) -> None:
    browser = Browser()
    back = scene_of_all.sign_in(browser)
    assert (back.status, back.headers["location"]) == (303, "/console/account")
    words = words_of(browser.ask(f"{scene_of_all.gateway.base_url}/console/account"))
    assert "Ann, member" in words
    assert "the identity provider" in words


def test_each_attempt_has_a_state_a_nonce_and_a_verifier_of_its_own(scene_of_all: Scene) -> None:
    asked = [parse_qs(urlsplit(scene_of_all.begin(Browser())).query) for _ in range(2)]
    for name in ("state", "nonce", "code_challenge"):
        assert len({query[name][0] for query in asked}) == 2
        assert all(len(query[name][0]) >= 43 for query in asked)
    for query in asked:
        assert query["code_challenge_method"] == ["S256"]
        assert query["response_type"] == ["code"]
        assert query["scope"] == ["openid profile email"]
        assert query["redirect_uri"] == [f"{scene_of_all.gateway.base_url}{CALLBACK}"]


def test_an_attempt_is_in_no_representation() -> None:
    assert repr(Begun("https://login.example.com?state=hush", "hush")) == "Begun()"


def test_the_verifier_goes_to_the_provider_with_the_code(scene_of_all: Scene) -> None:
    scene_of_all.provider.asked.clear()
    scene_of_all.sign_in()
    (form,) = (form for path, form in scene_of_all.provider.asked if path == "/token")
    assert form["grant_type"] == "authorization_code"
    assert len(form["code_verifier"]) >= 43
    assert form["redirect_uri"] == f"{scene_of_all.gateway.base_url}{CALLBACK}"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": ["another"]},
        {"azp": "another"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "never"},
        {"iat": None},
        {"nbf": 99_999_999_999},
        {"sub": None},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=str,
)
def test_a_token_that_says_something_else_is_rejected(
    scene_of_all: Scene, claims: dict[str, Any]
) -> None:
    scene_of_all.provider.claims = claims
    browser = Browser()
    back = scene_of_all.sign_in(browser)
    assert back.status == 403
    assert "its answer was rejected" in words_of(back)
    assert not is_signed_in(scene_of_all, browser)


def test_a_token_of_another_key_or_another_algorithm_is_rejected(scene_of_all: Scene) -> None:
    from joserfc.jwk import RSAKey

    provider = scene_of_all.provider
    # Whoever knows the client's secret, or the public key, could make these.
    shared = (CLIENT_SECRET.encode(), provider.key.as_pem(private=False))
    ways: list[tuple[dict[str, str], Any]] = [
        ({}, RSAKey.generate_key(2048)),
        ({"alg": "none"}, lambda _: b""),
        *(
            ({"alg": "HS256"}, lambda body, secret=secret: hmac.digest(secret, body, "sha256"))
            for secret in shared
        ),
    ]
    for header, signed_with in ways:
        provider.header, provider.signed_with = header, signed_with
        browser = Browser()
        assert scene_of_all.sign_in(browser).status == 403, header
        assert not is_signed_in(scene_of_all, browser)


def test_user_info_of_somebody_else_is_not_believed(scene_of_all: Scene) -> None:
    scene_of_all.provider.told = {"sub": "bob-2"}
    assert scene_of_all.sign_in().status == 502


def test_what_is_signed_wins_over_the_user_info(scene_of_all: Scene) -> None:
    scene_of_all.provider.sub = "eve-3"
    scene_of_all.provider.claims = {"email": "eve@example.com", "name": "Eve"}
    scene_of_all.provider.told = {"email": "boss@example.com", "name": "Boss"}
    assert scene_of_all.sign_in().status == 303
    people = scene_of_all.gateway.client.call("GET", "/admin/v1/people").json["data"]
    assert [one["name"] for one in people if one["email"] == "eve@example.com"] == ["Eve"]


def test_an_address_is_verified_where_the_same_source_says_so_alone(scene_of_all: Scene) -> None:
    scene_of_all.provider.sub = "mal-4"
    scene_of_all.provider.claims = {
        "email": "boss@example.com",
        "email_verified": None,
        "name": "Mal",
    }
    scene_of_all.provider.told = {"email": "mal@example.com", "email_verified": True}
    assert scene_of_all.sign_in().status == 303
    people = scene_of_all.gateway.client.call("GET", "/admin/v1/people").json["data"]
    assert [one["email"] for one in people if one["name"] == "Mal"] == [None]


def test_an_attempt_ends_in_the_browser_that_began_it_and_nowhere_else(scene_of_all: Scene) -> None:
    victim, attacker = Browser(), Browser()
    code, state = scene_of_all.provider.code_for(scene_of_all.begin(attacker))
    for own in (False, True):
        if own:
            scene_of_all.begin(victim)
        back = scene_of_all.come_back(victim, code=code, state=state)
        assert back.status == 403
        assert "begun in another browser" in words_of(back)
    assert not is_signed_in(scene_of_all, victim)
    assert scene_of_all.come_back(attacker, code=code, state=state).status == 303


def test_pages_of_others_that_send_a_browser_here_lock_nobody_out(scene_of_all: Scene) -> None:
    def come(browser: Browser, **query: str) -> Response:
        url = f"{scene_of_all.gateway.base_url}{CALLBACK}?{urlencode(query)}"
        return browser.ask(url, None, **{"x-forwarded-for": "10.9.9.9"})

    browser = Browser()
    code, state = scene_of_all.provider.code_for(scene_of_all.begin(browser))
    for _ in range(21):
        assert come(Browser(), code="x", state="x").status == 403
    for _ in range(21):
        # Its cookie goes along with a link of theirs.
        forged = Browser()
        scene_of_all.begin(forged)
        assert come(forged, code=code, state="x").status == 403
    assert come(browser, code=code, state=state).status == 303


def test_an_answer_is_taken_once(scene_of_all: Scene) -> None:
    browser = Browser()
    code, state = scene_of_all.provider.code_for(scene_of_all.begin(browser))
    host = urlsplit(scene_of_all.gateway.base_url).netloc
    before = dict(browser.cookies[host])
    assert scene_of_all.come_back(browser, code=code, state=state).status == 303
    assert scene_of_all.come_back(browser, code=code, state=state).status == 403
    # A thief of the cookie, too, has a code that the provider takes once.
    thief = Browser({host: before})
    assert scene_of_all.come_back(thief, code=code, state=state).status == 403
    assert not is_signed_in(scene_of_all, thief)


@pytest.mark.parametrize("end", ["", "x", ".0", "." + "0" * 64])
def test_a_cookie_of_an_attempt_that_was_changed_is_none(scene_of_all: Scene, end: str) -> None:
    browser = Browser()
    code, state = scene_of_all.provider.code_for(scene_of_all.begin(browser))
    own = browser.cookies[urlsplit(scene_of_all.gateway.base_url).netloc]
    payload = own["apertis-oidc"].partition(".")[0]
    own["apertis-oidc"] = payload + end
    assert scene_of_all.come_back(browser, code=code, state=state).status == 403


def test_the_providers_error_is_told_by_its_code_and_not_in_its_words(scene_of_all: Scene) -> None:
    browser = Browser()
    _, state = scene_of_all.provider.code_for(scene_of_all.begin(browser))
    told = {"error": "access_denied", "error_description": "Call +1 900 to sign in"}
    back = scene_of_all.come_back(browser, state=state, **told)
    words = words_of(back)
    assert back.status == 403
    assert "The identity provider did not sign you in: access_denied." in words
    assert "900" not in words
    assert "begun in another" in words_of(scene_of_all.come_back(Browser(), state=state, **told))


def test_an_answer_of_another_issuer_is_rejected(scene_of_all: Scene) -> None:
    browser = Browser()
    code, state = scene_of_all.provider.code_for(scene_of_all.begin(browser))
    back = scene_of_all.come_back(browser, code=code, state=state, iss="https://evil.example")
    assert back.status == 502


def test_no_target_of_an_attempt_leads_out_of_the_console(scene_of_all: Scene) -> None:
    browser = Browser()
    url = scene_of_all.begin(browser, "https://evil.example/")
    code, state = scene_of_all.provider.code_for(url)
    back = scene_of_all.come_back(browser, code=code, state=state)
    assert back.headers["location"] == "/console/"


def test_a_provider_that_calls_itself_something_else_is_not_believed(open_scene: Any) -> None:
    scene = open_scene()
    scene.provider.metadata = {"issuer": "https://evil.example"}
    back = Browser().ask(f"{scene.gateway.base_url}/console/sign-in/oidc")
    assert back.status == 502
    assert "does not answer as it should" in words_of(back)
    asked = len(scene.provider.asked)
    assert Browser().ask(f"{scene.gateway.base_url}/console/sign-in/oidc").status == 502
    assert len(scene.provider.asked) == asked


def test_the_name_by_which_the_browser_came_does_not_decide_where_it_is_sent_back(
    scene_of_all: Scene,
) -> None:
    port = urlsplit(scene_of_all.gateway.base_url).port
    first = Browser().ask(
        f"{scene_of_all.gateway.base_url}/console/sign-in/oidc", host=f"localhost:{port}"
    )
    assert first.headers["location"].startswith(f"{scene_of_all.gateway.base_url}/console/sign-in")
    again = Browser().ask(first.headers["location"], host=f"localhost:{port}")
    asked = parse_qs(urlsplit(again.headers["location"]).query)
    assert asked["redirect_uri"] == [f"{scene_of_all.gateway.base_url}{CALLBACK}"]


def test_a_person_who_is_disabled_gets_in_neither_again_nor_any_longer(open_scene: Any) -> None:
    scene = open_scene('unknown_people = "create"')
    browser = Browser()
    scene.sign_in(browser)
    (person,) = scene.gateway.client.call("GET", "/admin/v1/people").json["data"]
    assert is_signed_in(scene, browser)
    scene.gateway.client.call("POST", f"/admin/v1/people/{person['id']}/disable")
    assert not is_signed_in(scene, browser)
    back = scene.sign_in()
    assert back.status == 403
    assert "You may not sign in here." in words_of(back)


def test_roles_and_groups_follow_the_provider_and_are_audited(open_scene: Any) -> None:
    scene = open_scene(
        'unknown_people = "create"\n[oidc.roles]\nadmins = "administrator"\nleads = "viewer"\n'
        '[oidc.groups]\neng = "Engineering"'
    )
    group = make(scene.gateway, "groups", name="Engineering")
    scene.provider.claims = {"groups": ["leads", "admins", "eng"]}
    browser = Browser()
    scene.sign_in(browser)
    (person,) = scene.gateway.client.call("GET", "/admin/v1/people").json["data"]
    assert (person["role"], person["group_id"]) == ("administrator", group)
    overview = f"{scene.gateway.base_url}/console/settings"
    assert browser.ask(overview).status in (200, 404)
    scene.provider.claims = {"groups": []}
    scene.sign_in()
    (person,) = scene.gateway.client.call("GET", "/admin/v1/people").json["data"]
    assert (person["role"], person["group_id"]) == ("member", None)
    # Who was signed in as an administrator is none any more.
    assert browser.ask(f"{scene.gateway.base_url}/console/audit").status == 403
    audit = scene.gateway.client.call("GET", "/admin/v1/audit?actor=oidc").json["data"]
    assert [entry["action"] for entry in audit] == ["change", "create"]
    assert audit[0]["after"] == {"role": "member", "group_id": None}


def test_a_gateway_without_the_libraries_does_not_start_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from apertis.errors import ConfigurationError
    from apertis.gateway.signin import oidc

    def missing(name: str) -> None:
        assert name in ("authlib", "httpx2", "joserfc")

    monkeypatch.setattr("apertis.gateway.signin.oidc.find_spec", missing)
    with pytest.raises(ConfigurationError, match=r"oidc\.issuer needs authlib and httpx2 and jos"):
        oidc.require_libraries()
