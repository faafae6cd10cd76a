"""The console over HTTP as an attacker meets it: names, origins, forms, cookies, roles."""

from __future__ import annotations

import http.client
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.config import read_settings
from apertis.gateway.console.application import PLACES, base_url, is_own_host, within
from tests.kit.consoles import Office, sign_in, words_of
from tests.kit.http import Client, Response
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.gateway.config import Settings
    from tests.kit.consoles import Visitor
    from tests.kit.gateways import RunningGateway

FORM = {"content-type": "application/x-www-form-urlencoded"}
ROLES = ("administrator", "group_administrator", "viewer", "member")
# Who sees each page: the first letters of the roles above.
SEEN_BY = {
    "overview": "agv",
    "budgets": "agv",
    "keys": "agv",
    "people": "agv",
    "requests": "agv",
    "sessions": "agv",
    "upstreams": "av",
    "alerts": "av",
    "audit": "av",
    "settings": "av",
    "doctor": "av",
    "managed": "a",
    "chat": "agvm",
    "me": "agvm",
}


# Pages that lead to a change are for those alone who may make it.
FORMS = {
    "/budgets/new": "ag",
    "/keys/new": "ag",
    "/people/new": "ag",
    "/people/import": "a",
    "/groups/new": "ag",
}


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office('[limits]\nper_address = "0"\n')


def path_of(place: str) -> str:
    return re.sub(r"\{[^}]*\}", "none_that_is_there", place)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "place", [place for place in PLACES if place.see], ids=lambda place: place.path
)
def test_each_page_is_seen_by_its_roles_alone(office: Office, place: Any, role: str) -> None:
    page = office.visitors[role].see(path_of(place.path))
    assert page.status < 500
    if role[0] not in FORMS.get(place.path, SEEN_BY[place.page]):
        assert page.status == 403
    if role[0] not in SEEN_BY[place.page]:
        assert b"Your role does not include this." in page.body
    if role[0] in FORMS.get(place.path, SEEN_BY[place.page]) and "{" not in place.path:
        assert page.status in (200, 303), page.body


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "place", [place for place in PLACES if place.change], ids=lambda place: place.path
)
def test_each_change_needs_a_role_that_sees_its_page(office: Office, place: Any, role: str) -> None:
    if role[0] in SEEN_BY[place.page]:
        return
    assert office.visitors[role].send(path_of(place.path)).status == 403


@pytest.mark.parametrize(
    "place", [place for place in PLACES if place.change], ids=lambda place: place.path
)
def test_no_change_is_made_without_the_token_of_the_session(office: Office, place: Any) -> None:
    path = f"/console{path_of(place.path)}"
    own, other = office.administrator, office.viewer
    for token in ({}, {"form_token": ""}, {"form_token": other.form_token()}):
        body = urlencode(token).encode()
        answer = own.client.call("POST", path, body, {"cookie": own.cookie, **FORM})
        assert answer.status == 403, (path, token)
        assert b"The form is not from this session" in answer.body


def test_without_a_session_each_page_leads_to_signing_in(office: Office) -> None:
    client = office.administrator.client
    for place in PLACES:
        path = f"/console{path_of(place.path)}"
        method = "GET" if place.see else "POST"
        answer = client.call(method, f"{path}?model=a%26b", b"", {})
        assert answer.status == 303
        to = path + "?model=a%26b" if method == "GET" else "/console/"
        assert answer.headers["location"] == "/console/sign-in?to=" + (
            to.replace("?", "%3F").replace("=", "%3D").replace("%26b", "%2526b")
        )


def test_a_page_that_is_not_there_is_said_to_be_so_among_the_others(office: Office) -> None:
    page = office.administrator.see("/nowhere/<b>")
    assert page.status == 404
    words = words_of(page)
    assert "Not found There is no page /console/nowhere/<b>" in words
    assert "Go to the first page" in words
    assert office.administrator.client.call("GET", "/console/nowhere", b"", {}).status == 404


def test_a_part_of_a_page_without_a_session_sends_the_whole_page_to_signing_in(
    office: Office,
) -> None:
    answer = office.administrator.client.call(
        "GET", "/console/overview", b"", {"hx-request": "true"}
    )
    assert answer.status == 401
    assert answer.headers["hx-redirect"] == "/console/sign-in?to=/console/overview"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "none"}, 303),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://127.0.0.1:{port}"}, 303),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "http://localhost:{port}"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, 403),
    ],
    ids=str,
)
def test_what_another_site_sends_is_rejected_even_with_the_token(
    office: Office, headers: dict[str, str], status: int
) -> None:
    port = office.gateway.client.port
    visitor = sign_in(port, office.gateway.admin_key)
    told = {name: value.format(port=port) for name, value in headers.items()}
    visitor.send("/sign-out", None, **told)
    assert visitor.see("/account").status == (200 if status == 403 else 303)
    body = urlencode({"key": office.gateway.admin_key}).encode()
    assert visitor.client.call("POST", "/console/sign-in", body, {**FORM, **told}).status == status


def test_forms_of_other_kinds_are_none(office: Office) -> None:
    visitor = office.administrator
    body = urlencode({"form_token": visitor.form_token()}).encode()
    for kind in ("text/plain", "multipart/form-data; boundary=a", "application/json", ""):
        headers = {"cookie": visitor.cookie, "content-type": kind}
        assert visitor.client.call("POST", "/console/sign-out", body, headers).status == 403
    assert visitor.see("/overview").status == 200


def test_a_page_of_another_name_that_leads_here_gets_nothing(office: Office) -> None:
    visitor, port = office.administrator, office.gateway.client.port
    for path in ("/overview", "/sign-in", "/static/console.css", "/", "/nothing"):
        for name in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::2]"):
            answer = visitor.see(path, host=name)
            assert answer.status == 421, (path, name)
            assert "console.allowed_hosts" in answer.body.decode()


def test_two_names_are_none(office: Office) -> None:
    port = office.gateway.client.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("GET", "/console/sign-in", skip_host=True)
    connection.putheader("host", f"127.0.0.1:{port}")
    connection.putheader("host", "evil.example")
    connection.endheaders()
    assert connection.getresponse().status in (400, 421)
    connection.close()


PUBLIC = """
[server]
host = "0.0.0.0"
public_url = "https://Claude.Example.com:8443/x"
[console]
keys = true
"""
NAMED = """
[server]
host = "::"
public_url = "https://claude.example.com"
[console]
keys = true
allowed_hosts = ["Console.example:8443", "2001:DB8::1"]
"""


def settings_of(tmp_path: Path, config: str) -> Settings:
    file = tmp_path / "apertis.toml"
    file.write_text(config)
    return read_settings({}, config=file, data=tmp_path)


@pytest.mark.parametrize(
    ("config", "own", "others"),
    [
        (
            "",
            ("localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:8000", "localhost."),
            (
                *("", "evil.example", "127.0.0.2", "localhost.evil.example", "evil@localhost"),
                *("localhost:80/x", "localhost:", "localhost:x", "[::1", "::1", "localhost,evil"),
                *(" localhost", "[localhost]", "localhost\t", "[::g]"),
            ),
        ),
        (
            PUBLIC,
            ("claude.example.com", "CLAUDE.example.com:8443", "10.0.0.7:8000", "[2001:db8::1]"),
            ("localhost", "example.com", "xclaude.example.com", "claude.example.com.evil"),
        ),
        (
            NAMED,
            (
                *("console.example:8443", "CONSOLE.EXAMPLE:8443", "[2001:db8:0::1]:9"),
                "claude.example.com",
            ),
            ("console.example", "console.example:8444", "10.0.0.7", "[2001:db8::2]", "localhost"),
        ),
    ],
    ids=["loopback", "public_url", "allowed_hosts"],
)
def test_names_are_compared_without_case_and_with_their_port_where_one_is_set(
    tmp_path: Path, config: str, own: tuple[str, ...], others: tuple[str, ...]
) -> None:
    settings = settings_of(tmp_path, config)
    assert {host: is_own_host(settings, host) for host in own} == dict.fromkeys(own, True)
    assert {host: is_own_host(settings, host) for host in others} == dict.fromkeys(others, False)


@given(st.text(max_size=40))
def test_no_host_header_breaks_the_comparison(host: str) -> None:
    settings = read_settings({})
    assert is_own_host(settings, host) in (True, False)


def test_addresses_that_are_not_allowed_get_nothing_at_all(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway('[console]\nallowed_addresses = ["192.0.2.0/24"]\n')
    for path in ("/console/", "/console/sign-in", "/console/static/console.css"):
        answer = Client(gateway.client.port).call("GET", path, b"", {})
        assert answer.status == 403
        assert answer.body == b"Your address may not use the console."
    assert gateway.client.call("GET", "/admin/v1/keys").status == 200


STARTS = ("", "/", "//", "/console", "/console/", "/device", "https:", "javascript:", "\\", "/\\")
PIECES = st.sampled_from(
    [
        *("console", "device", "evil.example", "//", "/", "\\", "..", "%2e%2e", ".%2E", "%2f"),
        *("%5c", ":", "@", "?", "#", "a", " ", "\t", "\n", "\r", "\0", "\N{FULLWIDTH SOLIDUS}"),
    ]
)


def resolved(target: str) -> str:
    """Where a browser goes: it drops tabs and line ends, and takes a backslash for a slash."""
    plain = re.sub(r"[\t\r\n]", "", target.strip(" \0")).replace("\\", "/")
    place, mark, rest = plain.partition("?")
    place = re.sub(r"%2e", ".", place, flags=re.IGNORECASE)
    return urljoin("https://console.example/console/sign-in", place + mark + rest)


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds(
            lambda start, pieces: start + "".join(pieces),
            st.sampled_from(STARTS),
            st.lists(PIECES, max_size=8),
        ),
    )
)
def test_no_target_of_a_sign_in_leads_out_of_the_console(to: str) -> None:
    found = urlsplit(resolved(within(to)))
    assert (found.scheme, found.netloc) == ("https", "console.example")
    assert found.path == "/device" or found.path.startswith("/console/")


@pytest.mark.parametrize(
    "to",
    [
        "/console/",
        "/console/keys/key_a?period=month&model=a%2Fb#x",
        "/device?user_code=ABCD-EFGH",
        "/console/sessions/a%2Fb",
    ],
)
def test_a_target_within_the_console_is_kept_as_it_is(to: str) -> None:
    assert within(to) == to


def test_no_link_and_no_redirect_is_made_of_the_host_of_a_request(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway(
        '[server]\npublic_url = "https://claude.example.com"\n'
        '[console]\nallowed_hosts = ["other.example"]\n'
    )
    client = Client(gateway.client.port)
    for path in ("/", "/console/", "/console/sign-in", "/console"):
        headers = {"host": "other.example", "accept": "text/html"}
        answer = client.call("GET", path, b"", headers)
        assert answer.status in (200, 303)
        assert "other.example" not in f"{answer.headers} {answer.body.decode()}"


def test_the_base_url_is_the_public_one_or_where_the_gateway_listens(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "")
    scope = {"server": ("127.0.0.1", 8123), "headers": [(b"host", b"evil.example")]}
    assert base_url(settings, scope) == "http://127.0.0.1:8123"
    assert base_url(settings, {"server": ("::1", 8123)}) == "http://[::1]:8123"
    public = replace(settings.server, public_url="https://claude.example.com")
    assert base_url(replace(settings, server=public), scope) == "https://claude.example.com"


def test_a_form_has_a_bound_whatever_its_length_says(office: Office) -> None:
    client = office.administrator.client
    large = b"key=" + b"a" * (4 * 2**20)
    assert client.call("POST", "/console/sign-in", large, FORM).status == 413
    with_chunks = {**FORM, "transfer-encoding": "chunked"}
    connection = client.connect()
    connection.request(
        "POST", "/console/sign-in", iter([large[: 2**20]] * 5), with_chunks, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_a_form_of_too_many_fields_is_none(office: Office) -> None:
    body = b"&".join([b"a=1"] * 10_001)
    assert office.administrator.client.call("POST", "/console/sign-in", body, FORM).status == 403


def test_nobody_makes_others_wait_with_a_large_form_before_they_are_known(office: Office) -> None:
    client = Client(office.gateway.client.port)
    form = urlencode({"key": office.gateway.admin_key}).encode()
    for filling, status in ((b"", 303), (b"&filling=" + b"%41" * 22_000, 403)):
        assert client.call("POST", "/console/sign-in", form + filling, FORM).status == status


def cookies_of(answer: Response) -> dict[str, str]:
    pairs = [value for name, value in answer.raw_headers if name == "set-cookie"]
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}


def enter(client: Client, key: str, to: str = "/console/", **headers: str) -> Response:
    body = urlencode({"key": key, "to": to}).encode()
    return client.call("POST", "/console/sign-in", body, {**FORM, **headers})


def test_over_https_a_cookie_is_this_hosts_alone_and_never_sent_in_the_clear(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway('[server]\npublic_url = "https://claude.example.com"\n')
    client = Client(gateway.client.port)
    set_ = cookies_of(enter(client, gateway.admin_key))
    value = set_["__Host-apertis"]
    assert value.partition("; ")[2] == "HttpOnly; Max-Age=43200; Path=/; SameSite=lax; Secure"
    cookie = value.partition(";")[0]
    plain = client.call("GET", "/console/overview", b"", {"cookie": f"apertis={cookie}"})
    assert plain.status == 303
    own = client.call("GET", "/console/overview", b"", {"cookie": f"__Host-apertis={cookie}"})
    assert own.status == 200


def test_a_new_sign_in_ends_the_one_before_and_takes_no_id_from_the_browser(
    office: Office,
) -> None:
    client, key = office.administrator.client, office.gateway.admin_key
    first = sign_in(client.port, key)
    again = enter(client, key, cookie=first.cookie)
    second = "apertis=" + cookies_of(again)["apertis"].partition(";")[0]
    assert second != first.cookie
    assert first.see("/overview").status == 303
    planted = "apertis=" + "A" * 43 + "." + "0" * 64
    third = cookies_of(enter(client, key, cookie=planted))["apertis"]
    assert not third.startswith("A" * 43)


def test_what_somebody_else_left_in_the_browser_is_cleared_at_sign_in_and_out(
    office: Office,
) -> None:
    client, key = office.administrator.client, office.gateway.admin_key
    first = enter(client, key)
    assert first.headers["clear-site-data"] == '"storage"'
    last = "apertis_last=" + cookies_of(first)["apertis_last"].partition(";")[0]
    assert "clear-site-data" not in enter(client, key, cookie=last).headers
    other = enter(client, office.keys["Max"].api_key, cookie=last)
    assert other.headers["clear-site-data"] == '"storage"'
    left = sign_in(client.port, key).send("/sign-out")
    assert left.headers["clear-site-data"] == '"storage"'
    assert cookies_of(left)["apertis"].startswith('""; expires=')


def test_a_cookie_is_worth_nothing_after_signing_out(office: Office) -> None:
    visitor = sign_in(office.gateway.client.port, office.gateway.admin_key)
    assert visitor.send("/sign-out").headers["location"] == "/console/sign-in"
    assert visitor.see("/overview").status == 303


@pytest.mark.parametrize("path", ["/overview", "/sign-in", "/static/console.css", "/none"])
def test_every_answer_has_the_headers_that_browsers_keep_to(office: Office, path: str) -> None:
    headers = office.administrator.see(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    # With "no-referrer" browsers call the origin of the console's own forms "null".
    assert headers["referrer-policy"] == "same-origin"
    if "static" not in path:
        assert headers["cache-control"] == "no-store"


def test_a_head_request_changes_nothing_and_is_answered_like_a_get(office: Office) -> None:
    client = office.administrator.client
    answer = client.call("HEAD", "/console/sign-in", b"", {})
    assert (answer.status, answer.body) == (200, b"")
    assert client.call("GET", "/console/sign-out", b"", {}).status == 405


def test_a_person_who_is_disabled_is_out_within_a_second(office: Office) -> None:
    paul: Visitor = sign_in(office.gateway.client.port, office.keys["Paul"].api_key)
    assert paul.see("/account").status == 200
    path = f"/admin/v1/people/{office.ids['Paul']}/disable"
    assert office.gateway.client.call("POST", path).status == 200
    assert paul.see("/account").status == 303
    office.gateway.client.call("POST", path.replace("disable", "enable"))


def test_a_store_that_is_away_is_told_in_words(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway()
    visitor = sign_in(gateway.client.port, gateway.admin_key)
    assert visitor.see("/account").status == 200
    file = gateway.data / "apertis.sqlite3"
    away = file.rename(gateway.data / "away")
    until(lambda: visitor.see("/account").status == 503)
    answer = visitor.see("/account")
    away.rename(file)
    assert b"The store does not answer right now." in answer.body
    until(lambda: visitor.see("/account").status == 200)


@pytest.fixture
def replicas(
    postgres_schema: str, tmp_path: Path, start_gateway: Callable[..., RunningGateway]
) -> tuple[RunningGateway, RunningGateway]:
    config = f'[store]\nurl = "{postgres_schema}"\n[server]\nreplica = "{{}}"\n'
    one = start_gateway(config.format("one"), folder="one")
    data = tmp_path / "two" / "data"
    data.mkdir(parents=True)
    (data / "secret").write_text(one.admin_key)
    return one, start_gateway(config.format("two"), folder="two")


def elsewhere(visitor: Visitor, gateway: RunningGateway) -> Visitor:
    return replace(visitor, client=Client(gateway.client.port))


def test_signing_in_on_one_gateway_and_out_everywhere_on_another_holds_on_both(
    replicas: tuple[RunningGateway, RunningGateway],
) -> None:
    one, two = replicas
    here = sign_in(one.client.port, one.admin_key)
    other = sign_in(two.client.port, one.admin_key)
    there = elsewhere(here, two)
    assert there.see("/overview").status == 200
    assert there.send("/sign-out", {"everywhere": "1"}).status == 303
    assert there.see("/overview").status == 303
    until(lambda: here.see("/overview").status == other.see("/overview").status == 303)


def test_another_key_for_cookies_signs_out_everybody_on_every_gateway(
    replicas: tuple[RunningGateway, RunningGateway],
) -> None:
    one, two = replicas
    here, there = sign_in(one.client.port, one.admin_key), sign_in(two.client.port, one.admin_key)
    assert here.send("/account/end-everybodys").status == 303
    assert here.see("/overview").status == 303
    until(lambda: there.see("/overview").status == 303)
    assert sign_in(two.client.port, one.admin_key).see("/overview").status == 200
