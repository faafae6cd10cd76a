"""Claude Code's sign-in over HTTP: its endpoints, the page that approves, the list; replicas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.kit.consoles import furnish, sign_in, words_of
from tests.kit.gateways import running_gateway
from tests.kit.http import Client, question
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kit.consoles import Office, Visitor
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Response

FORM = {"content-type": "application/x-www-form-urlencoded"}
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


@dataclass
class ClaudeCode:
    """A client that signs in, as Claude Code does, at one of several gateways."""

    client: Client

    def post(self, path: str, **fields: str) -> Response:
        headers = {**FORM, "user-agent": "claude-code/2.1.332"}
        return self.client.call("POST", f"/oauth/{path}", urlencode(fields).encode(), headers)

    def begin(self) -> dict[str, Any]:
        response = self.post("device_authorization", surface="claude_code", of_later="x")
        assert response.status == 200, response.body
        begun: dict[str, Any] = response.json
        return begun

    def poll(self, begun: dict[str, Any]) -> Response:
        return self.post("token", grant_type=GRANT, device_code=begun["device_code"])

    def refresh(self, tokens: dict[str, Any]) -> Response:
        return self.post("token", grant_type="refresh_token", refresh_token=tokens["refresh_token"])


def page_of(visitor: Visitor, begun: dict[str, Any]) -> Response:
    """The page that the client opens in the browser of whoever is signed in."""
    url: str = begun["verification_uri_complete"]
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}"
    return visitor.client.call("GET", target, headers={"cookie": visitor.cookie})


def decide(visitor: Visitor, begun: dict[str, Any], decision: str = "approve") -> Response:
    found = TOKEN.search(page_of(visitor, begun).body.decode())
    assert found is not None
    return send(visitor, form_token=found[1], user_code=begun["user_code"], decision=decision)


def send(visitor: Visitor, **fields: str) -> Response:
    headers = {**FORM, "cookie": visitor.cookie}
    return visitor.client.call("POST", "/device", urlencode(fields).encode(), headers)


def signed_in(code: ClaudeCode, visitor: Visitor) -> dict[str, Any]:
    begun = code.begin()
    assert decide(visitor, begun).status == 303
    response = code.poll(begun)
    assert response.status == 200, response.body
    tokens: dict[str, Any] = response.json
    return tokens


def ask(code: ClaudeCode, tokens: dict[str, Any]) -> Response:
    """A message with the access token."""
    client = Client(code.client.port)
    headers = {
        "authorization": f"Bearer {tokens['access_token']}",
        "content-type": "application/json",
    }
    return client.call("POST", "/v1/messages", question(), headers)


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office('[sign_in]\nlogin_notice = "Ask #claude for help"\n')


@pytest.fixture(scope="module")
def code(office: Office) -> ClaudeCode:
    return ClaudeCode(Client(office.gateway.client.port))


def test_it_says_where_its_endpoints_are(office: Office, code: ClaudeCode) -> None:
    response = code.client.call(
        "GET", "/.well-known/oauth-authorization-server", headers={"host": "evil.example"}
    )
    assert response.status == 200
    own = office.gateway.base_url
    assert response.json["issuer"] == own
    for name, path in (
        ("device_authorization", "device_authorization"),
        ("token", "token"),
        ("revocation", "revoke"),
    ):
        assert response.json[f"{name}_endpoint"] == f"{own}/oauth/{path}"
    assert response.json["grant_types_supported"] == [GRANT, "refresh_token"]
    assert response.headers["cache-control"] == "no-store"


def test_a_sign_in_from_the_first_code_to_the_last_token(office: Office, code: ClaudeCode) -> None:
    begun = code.begin()
    assert begun["login_notice"] == "Ask #claude for help"
    assert (begun["expires_in"], begun["interval"]) == (600, 5)
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", begun["user_code"])
    assert begun["verification_uri"] == f"{office.gateway.base_url}/device"
    waiting = code.poll(begun)
    assert (waiting.status, waiting.json["error"]) == (400, "authorization_pending")
    assert waiting.headers["cache-control"] == "no-store"
    words = words_of(page_of(office.member, begun))
    for shown in (begun["user_code"], "claude-code/2.1.332", "127.0.0.1", "Signs in as Max"):
        assert shown in words
    assert "another address" not in words
    # Looking decides nothing.
    assert code.poll(begun).json["error"] == "slow_down"
    done = decide(office.member, begun)
    assert (done.status, done.headers["location"]) == (303, "/console/sign-ins")
    tokens = code.poll(begun).json
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert "email" not in tokens
    assert ask(code, tokens).status == 200
    renewed = code.refresh(tokens).json
    assert ask(code, renewed).status == 200
    assert ask(code, tokens).status == 200
    assert code.post("revoke", token=renewed["access_token"]).status == 200
    ended = ask(code, renewed)
    assert (ended.status, ended.headers["x-should-retry"]) == (401, "false")
    again = code.refresh(renewed)
    assert (again.status, again.json["error"]) == (401, "invalid_grant")


def test_a_code_needs_somebody_who_is_signed_in(code: ClaudeCode) -> None:
    begun = code.begin()
    response = code.client.call("GET", f"/device?user_code={begun['user_code']}")
    assert response.status == 303
    assert response.headers["location"].startswith("/console/sign-in?to=/device%3Fuser_code%3D")
    assert code.client.call("POST", "/device", b"decision=approve", FORM).status == 303
    assert code.poll(begun).json["error"] == "authorization_pending"


def test_a_decision_needs_the_form_of_this_session(office: Office, code: ClaudeCode) -> None:
    begun = code.begin()
    fields = {"user_code": begun["user_code"], "decision": "approve"}
    assert send(office.member, **fields).status == 403
    others = office.viewer.form_token()
    assert send(office.member, form_token=others, **fields).status == 403
    own = TOKEN.search(page_of(office.member, begun).body.decode())
    assert own is not None
    headers = {**FORM, "cookie": office.member.cookie, "sec-fetch-site": "cross-site"}
    body = urlencode({"form_token": own[1], **fields}).encode()
    assert office.member.client.call("POST", "/device", body, headers).status == 403
    assert send(office.member, form_token=own[1], user_code=begun["user_code"]).status == 400
    assert code.poll(begun).json["error"] == "authorization_pending"


def test_a_denied_sign_in_is_told_to_the_client(office: Office, code: ClaudeCode) -> None:
    begun = code.begin()
    assert decide(office.member, begun, "deny").status == 303
    assert code.poll(begun).json["error"] == "access_denied"


def test_whoever_approves_it_never_administers(office: Office, code: ClaudeCode) -> None:
    tokens = signed_in(code, office.administrator)
    admin = Client(office.gateway.client.port, tokens["access_token"])
    assert ask(code, tokens).status == 200
    assert admin.call("GET", "/admin/v1/keys").status == 403
    # Nor does it open the console.
    body = urlencode({"key": tokens["access_token"], "to": "/console/"}).encode()
    assert code.client.call("POST", "/console/sign-in", body, FORM).status == 403
    # Nor can an administrator make one of it, or learn its secret.
    (key,) = [
        key
        for key in office.gateway.client.call("GET", "/admin/v1/keys?limit=100").json["data"]
        if key["name"] == "Claude Code of admin"
    ]
    path = f"/admin/v1/keys/{key['id']}"
    changed = office.gateway.client.call("PATCH", path, b'{"admin":true}')
    assert changed.status == 409
    assert office.gateway.client.call("POST", f"{path}/rotate", b"{}").status == 409


def test_a_disabled_person_is_out_within_a_second(office: Office, code: ClaudeCode) -> None:
    tokens = signed_in(code, office.member)
    assert ask(code, tokens).status == 200
    path = f"/admin/v1/people/{office.ids['Max']}"
    assert office.gateway.client.call("POST", f"{path}/disable").status == 200
    until(lambda: ask(code, tokens).status == 401, seconds=1)
    assert code.refresh(tokens).json["error"] == "invalid_grant"
    assert office.gateway.client.call("POST", f"{path}/enable").status == 200
    assert ask(code, code.refresh(tokens).json).status == 200


def test_a_used_up_budget_has_the_shape_that_claude_code_reads(
    office: Office, code: ClaudeCode
) -> None:
    visitor = sign_in(office.gateway.client.port, office.keys["Sam"].api_key)
    tokens = signed_in(code, visitor)
    office.make("limits", person="Sam", amount_usd=0, period="month")
    refused = ask(code, tokens)
    assert refused.status == 429
    assert refused.headers["x-should-retry"] == "false"
    assert refused.error["type"] == "billing_error"
    # Others with their own keys have what the contract says.
    assert office.keys["Sam"].call("POST", "/v1/messages", question()).status == 402


@pytest.mark.parametrize(
    ("path", "fields", "error"),
    [
        ("token", {}, "unsupported_grant_type"),
        ("token", {"grant_type": "password"}, "unsupported_grant_type"),
        ("token", {"grant_type": GRANT}, "invalid_request"),
        ("token", {"grant_type": GRANT, "device_code": "x"}, "invalid_grant"),
        ("token", {"grant_type": "refresh_token"}, "invalid_request"),
        ("token", {"grant_type": "refresh_token", "refresh_token": "x" * 9000}, "invalid_grant"),
        ("revoke", {}, "invalid_request"),
    ],
)
def test_errors_are_oauths_own(
    code: ClaudeCode, path: str, fields: dict[str, str], error: str
) -> None:
    response = code.post(path, **fields)
    assert response.status == (401 if fields.get("refresh_token") else 400)
    assert response.json["error"] == error
    assert response.json["error_description"]


def test_only_forms_are_read_and_only_programs_ask(code: ClaudeCode) -> None:
    for path in ("device_authorization", "token", "revoke"):
        json = code.client.call("POST", f"/oauth/{path}", b"{}", {"content-type": "text/json"})
        assert (json.status, json.json["error"]) == (400, "invalid_request")
        long = code.client.call("POST", f"/oauth/{path}", b"a=" + b"x" * 2**17, FORM)
        assert long.status == 400
        for name, value in (("sec-fetch-site", "same-origin"), ("origin", "http://a.example")):
            other = code.client.call("POST", f"/oauth/{path}", b"", {**FORM, name: value})
            assert other.status == 403
        assert code.client.call("GET", f"/oauth/{path}").status == 405


def test_wrong_codes_are_limited(open_office: Callable[..., Office]) -> None:
    office = open_office()
    code = ClaudeCode(Client(office.gateway.client.port))
    begun = code.begin()
    wrong = {"verification_uri_complete": "/device?user_code=BBBB-BBBB"}
    for _ in range(10):
        assert page_of(office.member, wrong).status == 404
    assert page_of(office.member, begun).status == 429
    assert page_of(office.administrator, begun).status == 429


def test_what_a_client_says_of_itself_is_text(office: Office, code: ClaudeCode) -> None:
    evil = "<script>alert(1)</script>"
    body = urlencode({"surface": evil}).encode()
    begun = code.client.call(
        "POST", "/oauth/device_authorization", body, {**FORM, "user-agent": evil}
    ).json
    page = page_of(office.viewer, begun)
    assert evil.encode() not in page.body
    assert evil in words_of(page) or "alert(1)" in words_of(page)
    decide(office.viewer, begun)
    code.poll(begun)
    assert evil.encode() not in office.viewer.see("/sign-ins").body


def test_each_sees_their_own_sign_ins_and_ends_them(office: Office, code: ClaudeCode) -> None:
    tokens = signed_in(code, office.group_administrator)
    own = office.group_administrator.see("/sign-ins").body.decode()
    found = re.search(r'name="id" value="(sign_in_\w+)"', own)
    assert found is not None
    assert found[1] not in office.member.see("/sign-ins").body.decode()
    assert found[1] in office.administrator.see("/sign-ins").body.decode()
    assert office.member.send("/sign-ins", {"id": found[1]}).status == 404
    ended = office.administrator.send("/sign-ins", {"id": found[1]})
    assert (ended.status, ended.headers["location"]) == (303, "/console/sign-ins")
    assert ask(code, tokens).status == 401
    trail = office.gateway.client.call("GET", "/admin/v1/audit?subject=sign_in").json["data"]
    of_it = [entry["action"] for entry in trail if entry["subject_id"] == found[1]]
    assert of_it == ["end", "create", "approve"]


def test_without_it_there_is_nothing_to_ask(open_office: Callable[..., Office]) -> None:
    office = open_office("[sign_in]\nenabled = false\n")
    code = ClaudeCode(Client(office.gateway.client.port))
    metadata = code.client.call("GET", "/.well-known/oauth-authorization-server")
    assert metadata.status == 404
    assert code.post("device_authorization").status == 404
    assert code.post("token", grant_type=GRANT, device_code="x").status == 404


def test_it_is_named_by_its_public_url(open_office: Callable[..., Office]) -> None:
    office = open_office('[server]\npublic_url = "https://claude.example.com"\n')
    code = ClaudeCode(Client(office.gateway.client.port))
    metadata = code.client.call("GET", "/.well-known/oauth-authorization-server").json
    assert metadata["issuer"] == "https://claude.example.com"
    assert code.begin()["verification_uri"] == "https://claude.example.com/device"
    # In the clear it goes to this machine alone.
    office = open_office('[server]\npublic_url = "http://claude.example.com"\n')
    code = ClaudeCode(Client(office.gateway.client.port))
    assert code.client.call("GET", "/.well-known/oauth-authorization-server").status == 404


@pytest.fixture
def replicas(postgres_schema: str, tmp_path: Path) -> Iterator[list[RunningGateway]]:
    with running_gateway(tmp_path / "one", "", {"APERTIS_STORE_URL": postgres_schema}) as one:
        other = tmp_path / "other" / "data"
        other.mkdir(parents=True)
        (other / "secret").write_text(one.admin_key)
        with running_gateway(tmp_path / "other", "", {"APERTIS_STORE_URL": postgres_schema}) as two:
            yield [one, two]


def test_replicas_share_all_of_it(replicas: list[RunningGateway]) -> None:
    here, there = (ClaudeCode(Client(one.client.port)) for one in replicas)
    office = furnish(replicas[0])
    elsewhere = sign_in(replicas[1].client.port, office.keys["Max"].api_key)
    begun = here.begin()
    assert decide(elsewhere, begun).status == 303
    tokens = here.poll(begun).json
    # At once, on either.
    assert ask(there, tokens).status == ask(here, tokens).status == 200
    first, second = there.refresh(tokens).json, here.refresh(tokens).json
    assert first["access_token"] == second["access_token"]
    assert first["refresh_token"] == second["refresh_token"]
    assert ask(here, first).status == ask(there, first).status == 200
    path = f"/admin/v1/people/{office.ids['Max']}/disable"
    assert replicas[0].client.call("POST", path).status == 200
    until(lambda: ask(there, first).status == 401, seconds=1)
    assert there.refresh(first).status == 401
