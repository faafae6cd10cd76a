"""A client's key and address, which come from one family of settings: Apertis's or Anthropic's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from apertis.errors import ConfigurationError
from apertis.sansio.request import parse_base_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.sansio.request import Origin

Family: TypeAlias = Literal["apertis", "anthropic"]

HOSTED_SERVICE = "https://api.apertis.ai"
ANTHROPIC_SERVICE = "https://api.anthropic.com"
NO_KEY = (
    "no API key, and there are three ways to have one. Offline: `apertis serve` runs a stand-in "
    "and prints a key for it. Anthropic: set ANTHROPIC_API_KEY, or pass api_key='sk-ant-api...'. "
    "Apertis: set APERTIS_API_KEY, or pass api_key=...; keys are made at https://apertis.ai/token"
)
_SERVICES: dict[Family, str] = {"apertis": HOSTED_SERVICE, "anthropic": ANTHROPIC_SERVICE}
_DOMAINS: dict[str, Family] = {"apertis.ai": "apertis", "anthropic.com": "anthropic"}
_TITLES: dict[Family, str] = {"apertis": "Apertis", "anthropic": "Anthropic"}


class Credentials(msgspec.Struct, frozen=True):
    """A key or a token, the address that it goes to, and the family of both."""

    api_key: str | None
    auth_token: str | None
    base_url: Any
    family: Family
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Credentials(family={self.family!r})"


def family_of_key(key: object) -> Family | None:
    """Return the family of a key by its beginning; None where that says nothing."""
    return "anthropic" if isinstance(key, str) and key.strip().startswith("sk-ant-") else None


def family_of_host(host: str) -> Family | None:
    """Return the family of a host; None for a gateway or any other server."""
    domain = ".".join(host.rstrip(".").lower().rsplit(".", 2)[-2:])
    return _DOMAINS.get(domain)


def credential_header(key: str, family: Family, *, is_token: bool) -> tuple[str, str]:
    """Return the header that carries a key or a token."""
    own = key.startswith("sk-ant-api") or family == "anthropic"
    if is_token or key.startswith("sk-ant-oat") or not own:
        return "authorization", f"Bearer {key}"
    return "x-api-key", key


def credentials_from(environ: Mapping[str, str], given: Mapping[str, Any]) -> Credentials:
    """Return the credentials that a constructor's arguments and the environment make together.

    An argument wins, and what is not given comes from the environment's variables of its family.
    """
    key, token, url = (given.get(name) for name in ("api_key", "auth_token", "base_url"))
    if key is not None and token is not None:
        raise ConfigurationError("api_key and auth_token: pass one of them")
    named = key if token is None else token
    asked = None if url is None or url == "" else family_of_host(_host(url))
    family: Family
    if named is not None and named != "":
        # Without a mark it is of the address that it is given with.
        family = family_of_key(named) or asked or "apertis"
    else:
        family = asked or _set_in(environ)
    said = _variables(environ, family)
    if named is None:
        key, token = said("API_KEY"), None
        if key is None and family == "anthropic":
            token = said("AUTH_TOKEN")
        named = key or token
    if url is None or url == "":
        # A key of Anthropic's means Anthropic, whatever variable it stands in.
        url = said("BASE_URL") or _SERVICES[family_of_key(named) or family]
    headers = custom_headers(said("CUSTOM_HEADERS") or "") if family == "anthropic" else {}
    return Credentials(key or None, token or None, url, family_of_key(named) or family, headers)


def check_host(family: Family, key: str | None, origin: Origin, *, moved: bool) -> None:
    """Reject what would send a key of one family to the other's host.

    A key that does not say whose it is goes where it is told to, together with its address; `moved`
    tells that the address alone was changed.
    """
    host = family_of_host(origin.host)
    whose = family if moved else family_of_key(key)
    if host is None or whose is None or whose == host:
        return
    raise ConfigurationError(
        f"a key of {_TITLES[whose]} must not be sent to {origin.host}: pass a key of "
        f"{_TITLES[host]}, or the base_url that the key is for"
    )


def custom_headers(text: str) -> dict[str, str]:
    """Return the headers of `ANTHROPIC_CUSTOM_HEADERS`: a line `Name: value` for each."""
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            # The line may hold a secret.
            raise ConfigurationError(
                f"ANTHROPIC_CUSTOM_HEADERS: line {number} is no header; write `Name: value`"
            )
        headers[name.strip()] = value.strip()
    return headers


def _set_in(environ: Mapping[str, str]) -> Family:
    apertis, anthropic = _variables(environ, "apertis"), _variables(environ, "anthropic")
    if apertis("API_KEY") or apertis("BASE_URL"):
        return "apertis"
    named = ("API_KEY", "AUTH_TOKEN", "BASE_URL")
    return "anthropic" if any(anthropic(name) for name in named) else "apertis"


def _variables(environ: Mapping[str, str], family: Family) -> Any:
    def said(name: str) -> str | None:
        return environ.get(f"{family.upper()}_{name}", "").strip() or None

    return said


def _host(url: object) -> str:
    # What is no URL is rejected where it is read.
    try:
        return parse_base_url(str(url)).host
    except ConfigurationError:
        return ""
