"""Keys and addresses: one family for both, and never a key at the other's host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.errors import ConfigurationError, MissingAPIKeyError
from apertis.sansio.call import Call
from apertis.sansio.credentials import (
    Credentials,
    custom_headers,
    family_of_host,
)
from apertis.sansio.settings import ClientSettings, settings_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

APERTIS = {"APERTIS_API_KEY": "apertis-env"}
ANTHROPIC = {"ANTHROPIC_API_KEY": "sk-ant-api-env"}
ANTHROPIC_URL = "https://api.anthropic.com"
HOSTED_URL = "https://api.apertis.ai"
GATEWAY = "http://127.0.0.1:8080"


def made(environ: Mapping[str, str], **given: Any) -> ClientSettings:
    return settings_from(environ, given, "1")


def sent(settings: ClientSettings) -> tuple[str, str]:
    """The host, and the header that carries the key."""
    headers = settings.headers()
    names = ("authorization", "x-api-key")
    return settings.origin.host, ", ".join(f"{n}: {headers[n]}" for n in names if n in headers)


@pytest.mark.parametrize(
    ("environ", "given", "host", "header"),
    [
        (ANTHROPIC, {}, "api.anthropic.com", "x-api-key: sk-ant-api-env"),
        ({"ANTHROPIC_API_KEY": "k"}, {}, "api.anthropic.com", "x-api-key: k"),
        ({"ANTHROPIC_API_KEY": " sk-ant-oat-1\n"}, {}, "api.anthropic.com", "Bearer sk-ant-oat-1"),
        ({"ANTHROPIC_AUTH_TOKEN": "t"}, {}, "api.anthropic.com", "authorization: Bearer t"),
        (ANTHROPIC | {"ANTHROPIC_AUTH_TOKEN": "t"}, {}, "api.anthropic.com", "x-api-key: sk-ant"),
        (ANTHROPIC | {"ANTHROPIC_BASE_URL": GATEWAY}, {}, "127.0.0.1", "x-api-key: sk-ant-api-env"),
        (APERTIS, {}, "api.apertis.ai", "authorization: Bearer apertis-env"),
        (APERTIS | ANTHROPIC, {}, "api.apertis.ai", "authorization: Bearer apertis-env"),
        ({"APERTIS_API_KEY": ""} | ANTHROPIC, {}, "api.anthropic.com", "x-api-key"),
        ({"APERTIS_BASE_URL": GATEWAY} | ANTHROPIC, {}, "127.0.0.1", ""),
        (APERTIS, {"api_key": "sk-ant-api-1"}, "api.anthropic.com", "x-api-key: sk-ant-api-1"),
        (APERTIS, {"api_key": "sk-ant-oat-1"}, "api.anthropic.com", "Bearer sk-ant-oat-1"),
        (APERTIS, {"auth_token": "sk-ant-oat-1"}, "api.anthropic.com", "Bearer sk-ant-oat-1"),
        (
            {"APERTIS_BASE_URL": GATEWAY},
            {"api_key": "sk-ant-api-1"},
            "api.anthropic.com",
            "x-api-key: sk-ant-api-1",
        ),
        (
            {"ANTHROPIC_BASE_URL": "http://proxy:1"},
            {"api_key": "sk-ant-api-1"},
            "proxy",
            "x-api-key: sk-ant-api-1",
        ),
        ({"ANTHROPIC_BASE_URL": "http://proxy:1"}, {"api_key": "k"}, "api.apertis.ai", "Bearer k"),
        (ANTHROPIC, {"auth_token": "t"}, "api.apertis.ai", "Bearer t"),
        (APERTIS | ANTHROPIC, {"base_url": ANTHROPIC_URL}, "api.anthropic.com", "sk-ant-api-env"),
        (APERTIS | ANTHROPIC, {"base_url": GATEWAY}, "127.0.0.1", "Bearer apertis-env"),
        (APERTIS, {"base_url": ANTHROPIC_URL}, "api.anthropic.com", ""),
        (ANTHROPIC, {"base_url": HOSTED_URL}, "api.apertis.ai", ""),
        ({}, {"api_key": "k", "base_url": ANTHROPIC_URL}, "api.anthropic.com", "x-api-key: k"),
        # What the hosted service tells programs for `anthropic` to set.
        (
            {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": HOSTED_URL},
            {},
            "api.apertis.ai",
            "authorization: Bearer k",
        ),
        ({"APERTIS_API_KEY": "sk-ant-api-1"}, {}, "api.anthropic.com", "x-api-key: sk-ant-api-1"),
        ({}, {}, "api.apertis.ai", ""),
    ],
)
def test_key_and_address_are_of_one_family(
    environ: dict[str, str], given: dict[str, str], host: str, header: str
) -> None:
    found, said = sent(made(environ, **given))
    assert found == host
    assert header in said
    assert bool(header) == bool(said)


def optional(*values: str) -> st.SearchStrategy[str | None]:
    return st.sampled_from([None, "", *values])


SERVERS = (GATEWAY, "https://other.example/v1")
ENVIRONMENTS = st.fixed_dictionaries(
    {
        "APERTIS_API_KEY": optional("apertis-env"),
        "APERTIS_BASE_URL": optional(HOSTED_URL, *SERVERS),
        "ANTHROPIC_API_KEY": optional("sk-ant-api-env", "anthropic-env"),
        "ANTHROPIC_AUTH_TOKEN": optional("sk-ant-oat-env", "anthropic-token"),
        "ANTHROPIC_BASE_URL": optional(ANTHROPIC_URL, *SERVERS),
    }
)
ARGUMENTS = st.fixed_dictionaries(
    {
        "api_key": optional("apertis-arg", "sk-ant-api-arg", "sk-ant-oat-arg"),
        "auth_token": optional("apertis-token", "sk-ant-oat-token"),
        "base_url": optional(HOSTED_URL, ANTHROPIC_URL, *SERVERS),
    }
)


@given(ENVIRONMENTS, ARGUMENTS, ARGUMENTS)
def test_no_key_goes_to_the_other_familys_host(
    environ: dict[str, str | None], given: dict[str, str | None], then: dict[str, str | None]
) -> None:
    """A key that an argument names with an address goes there, unless its looks forbid it."""
    variables = {name: value for name, value in environ.items() if value is not None}
    try:
        settings = made(variables, **given)
    except ConfigurationError as error:
        both = given["api_key"] is not None and given["auth_token"] is not None
        if not both and "must not be sent" not in str(error):
            raise
        return
    own = {value for value in (given["api_key"], given["auth_token"]) if value}
    check(settings, own if given["base_url"] else set())
    changes = {name: value for name, value in then.items() if value}
    try:
        changed = settings.changed(**changes)
    except ConfigurationError as error:
        if "must not be sent" not in str(error):
            raise
        return
    keys = {changes[name] for name in ("api_key", "auth_token") if name in changes}
    check(changed, keys | own if given["base_url"] or "base_url" in changes else keys)


def check(settings: ClientSettings, told: set[str]) -> None:
    host, header = sent(settings)
    family = family_of_host(host)
    key = header.rpartition(" ")[2]
    if "sk-ant-" in key or key.startswith("anthropic"):
        assert family != "apertis"
    elif key.startswith("apertis") and key not in told:
        assert family != "anthropic"
    if "sk-ant-api" in key:
        assert header.startswith("x-api-key")
    if "sk-ant-oat" in key:
        assert header.startswith("authorization: Bearer")


def test_a_key_of_anthropic_is_not_sent_to_apertis_even_if_told_to() -> None:
    makers: list[Callable[[], ClientSettings]] = [
        lambda: made({}, api_key="sk-ant-api-1", base_url=HOSTED_URL),
        lambda: made(ANTHROPIC | {"ANTHROPIC_BASE_URL": HOSTED_URL}),
        lambda: made(ANTHROPIC).changed(base_url=HOSTED_URL),
        lambda: made(APERTIS).changed(api_key="sk-ant-api-1"),
    ]
    for make in makers:
        with pytest.raises(ConfigurationError, match=r"must not be sent to api\.apertis\.ai"):
            make()
    with pytest.raises(ConfigurationError, match=r"must not be sent to api\.anthropic\.com"):
        made(APERTIS).changed(base_url=ANTHROPIC_URL)
    changed = made(APERTIS).changed(api_key="sk-ant-api-1", base_url=ANTHROPIC_URL)
    assert sent(changed) == ("api.anthropic.com", "x-api-key: sk-ant-api-1")


def test_a_missing_key_names_three_doors() -> None:
    with pytest.raises(MissingAPIKeyError) as caught:
        made({}).head(Call("GET", "/v1/models", lambda response: response))
    for door in ("apertis serve", "ANTHROPIC_API_KEY", "APERTIS_API_KEY"):
        assert door in str(caught.value)


def test_custom_headers_are_sent_to_anthropic_alone() -> None:
    said = {"ANTHROPIC_CUSTOM_HEADERS": "X-Team: blue\n\nX-Empty:\n"}
    headers = made(ANTHROPIC | said).headers()
    assert (headers["x-team"], headers["x-empty"]) == ("blue", "")
    assert "x-team" not in made(APERTIS | said).headers()
    assert made(ANTHROPIC | said, default_headers={"x-team": "red"}).headers()["x-team"] == "red"
    with pytest.raises(ConfigurationError, match="line 2 is no header") as caught:
        custom_headers("a: b\nsecret")
    assert "secret" not in str(caught.value)


def test_a_host_is_of_a_family_by_its_domain() -> None:
    assert family_of_host("API.Anthropic.com.") == "anthropic"
    assert family_of_host("notanthropic.com") is None
    assert family_of_host("anthropic.com.example") is None


def test_no_repr_shows_a_key() -> None:
    assert "sk-" not in repr(Credentials("sk-ant-api-1", None, "", "anthropic"))
