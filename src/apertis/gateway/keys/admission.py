"""Authentication: the key of a request, and the address that the request came from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from apertis.gateway.errors import (
    Refusal,
    expired_api_key,
    invalid_api_key,
    invalid_request,
    ip_not_allowed,
    missing_api_key,
)
from apertis.gateway.keys.matching import compile_networks, is_address, normal_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.keys.directory import Directory, Key
    from apertis.gateway.keys.matching import Networks
    from apertis.gateway.upstreams.contract import RawHeaders

_MISSING = missing_api_key()
UNKNOWN_KEY = invalid_api_key()
_DISABLED = invalid_api_key("This API key is disabled; its administrator can enable it again")
_BARRED = invalid_api_key(
    "This API key belongs to a person who is disabled; an administrator can enable them again"
)


def admit(
    directory: Directory, credential: str | Key | None, address: str, now: float
) -> Key | Refusal:
    """Find the key that a request presents, or say why the request stays outside.

    `credential` is what `credential_of` read, or the key itself where somebody is signed in;
    `address` is what `client_address` gave, `now` Unix seconds. A deleted key is rejected like one
    that never was. A disabled or expired one is told so: whoever has its secret knows already that
    it exists. A key is expired from the second `expires_at` on.
    """
    if credential is None:
        return _MISSING
    key = directory.find(credential, now) if isinstance(credential, str) else credential
    if key is None:
        return UNKNOWN_KEY
    record = key.record
    if record.status != "enabled":
        return _DISABLED if record.status == "disabled" else UNKNOWN_KEY
    if key.is_barred:
        return _BARRED
    if record.expires_at is not None and now >= record.expires_at:
        return expired_api_key(_utc(record.expires_at))
    if record.addresses is not None and not key.allows_address(address):
        return ip_not_allowed(address)
    return key


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_NAMES: Final = (b"authorization", b"x-api-key")


def credential_of(headers: Mapping[str, str]) -> str | None:
    """Read the key that a request presents; `Authorization: Bearer` wins over `x-api-key`.

    Header names are lower-case. None: the request presents no key at all.
    """
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() == "bearer" and (token := token.strip()):
            return token
    return headers.get("x-api-key", "").strip() or None


def refuse_repeated(headers: RawHeaders) -> Refusal | None:
    """Reject a header with a key that is there twice: two readers could take another one each."""
    names = [name for name, _ in headers]
    for name in _NAMES:
        if names.count(name) > 1:
            return invalid_request(f"The header '{name.decode()}' is there more than once")
    return None


# A client may write a long chain itself; nobody stands behind so many proxies.
_MAX_HOPS = 32
# An IPv6 address with brackets and a port has 47 characters at most.
_MAX_HOP = 64


def trusted_networks(proxies: tuple[str, ...]) -> Networks | None:
    """Compile the setting `trusted_proxies`; None when nobody is trusted, the default."""
    return compile_networks(proxies) if proxies else None


def client_address(peer: str, x_forwarded_for: str | None, trusted: Networks | None) -> str:
    """Give the address of the client: the rightmost hop that is no trusted proxy.

    Each proxy appends the address that it was called from, so the header is read from its right
    end: what stands left of the first untrusted address was written by the client and proves
    nothing. If all hops are trusted, the leftmost of them is the client. An entry that is no
    address ends the walk; the proxy that passed it on is the client then.
    """
    client = normal_address(peer) if ":" in peer else peer
    if trusted is None or not x_forwarded_for or client not in trusted:
        return client
    for hop in reversed(x_forwarded_for.rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]):
        address = _address_of_hop(hop)
        if address is None:
            return client
        client = address
        if client not in trusted:
            return client
    return client


def _address_of_hop(hop: str) -> str | None:
    # Some proxies write a port: 203.0.113.9:4711 and [2001:db8::1]:4711.
    text = hop.strip()
    if len(text) > _MAX_HOP:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return normal_address(text) if is_address(text) else None
