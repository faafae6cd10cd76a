"""Which proxy a request goes through."""

from __future__ import annotations

import pytest

from apertis.errors import ConfigurationError
from apertis.sansio.proxy import choose_proxy, exempted, parse_proxy
from apertis.sansio.request import parse_base_url

HTTPS = parse_base_url("https://api.apertis.ai")
HTTP = parse_base_url("http://gateway.corp:8080")


def chosen(origin: object, environ: dict[str, str], given: str | None = None) -> str | None:
    proxy = choose_proxy(origin, given, environ)  # type: ignore[arg-type]
    return None if proxy is None else f"{proxy.host}:{proxy.port}"


def test_each_scheme_has_its_variable() -> None:
    environ = {"HTTPS_PROXY": "http://a:1", "HTTP_PROXY": "http://b:2"}
    assert chosen(HTTPS, environ) == "a:1"
    assert chosen(HTTP, environ) == "b:2"
    assert chosen(HTTPS, {"ALL_PROXY": "c:3"}) == "c:3"
    assert chosen(HTTPS, {}) is None


def test_the_argument_wins_and_an_empty_one_means_none() -> None:
    environ = {"HTTPS_PROXY": "http://a:1"}
    assert chosen(HTTPS, environ, "http://d:4") == "d:4"
    assert chosen(HTTPS, environ, "") is None


def test_a_cgi_server_cannot_be_given_a_proxy_by_its_callers() -> None:
    assert chosen(HTTP, {"HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET"}) is None


@pytest.mark.parametrize(
    ("no_proxy", "free"),
    [
        ("*", True),
        ("gateway.corp", True),
        (".corp", True),
        ("corp", True),
        ("*.corp", True),
        ("other.corp, GATEWAY.CORP", True),
        ("gateway.corp:8080", True),
        ("gateway.corp:9", False),
        ("way.corp", False),
        ("", False),
    ],
)
def test_no_proxy_names_hosts_and_domains(no_proxy: str, free: bool) -> None:
    assert exempted(HTTP, no_proxy) is free


def test_no_proxy_names_networks() -> None:
    origin = parse_base_url("http://10.1.2.3")
    assert exempted(origin, "10.0.0.0/8")
    assert not exempted(origin, "192.168.0.0/16, nonsense/x")


def test_credentials_are_sent_and_never_shown() -> None:
    proxy = parse_proxy("http://user:p%40ss@proxy:3128")
    assert b"proxy-authorization: Basic dXNlcjpwQHNz\r\n" in proxy.connect_request(HTTPS)
    assert "p@ss" not in repr(proxy)
    assert "dXNl" not in repr(proxy)


def test_a_tunnel_is_asked_for_by_host_and_port() -> None:
    origin = parse_base_url("https://[::1]:8443")
    assert (
        parse_proxy("p:1")
        .connect_request(origin)
        .startswith(b"CONNECT [::1]:8443 HTTP/1.1\r\nhost: [::1]:8443\r\n")
    )


@pytest.mark.parametrize("url", ["socks5://p:1", "https://p:1", "http://", "http://p:x"])
def test_what_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy"):
        parse_proxy(url)
