"""Which address a request came from, when proxies that are trusted stand in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.keys.networks import compile_networks, is_address, normal_address

if TYPE_CHECKING:
    from apertis.gateway.keys.networks import Networks

__all__ = ["client_address", "trusted_networks"]

# A client may write a long chain itself; nobody stands behind so many proxies.
_MOST_HOPS = 32
# An IPv6 address with brackets and a port has 47 characters at most.
_LONGEST_HOP = 64


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
    client = normal_address(peer)
    if trusted is None or not x_forwarded_for or client not in trusted:
        return client
    for hop in reversed(x_forwarded_for.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]):
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
    if len(text) > _LONGEST_HOP:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return normal_address(text) if is_address(text) else None
