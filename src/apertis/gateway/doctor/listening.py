"""The gateway's own side: TLS, its address, the proxies before it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from apertis.gateway.finding import fail, ok, warn
from apertis.gateway.serving.certificate import CertificateError, read_certificate

if TYPE_CHECKING:
    from apertis.gateway.config import ServerSettings
    from apertis.gateway.finding import Finding

_DAY_SECONDS = 86400
_SOON_DAYS = 14


def tls_finding(server: ServerSettings, now: float) -> Finding:
    """Return whether the certificate can be used, and for how long; `now` is Unix time."""
    if server.tls_certificate is None or server.tls_key is None:
        return ok("tls", "not configured: plain HTTP is served")
    try:
        certificate = read_certificate(server.tls_certificate, server.tls_key)
    except CertificateError as error:
        return fail("tls", error.message, error.advice)
    names = ", ".join(certificate.names) or "no name"
    days = int((certificate.expires_at - now) // _DAY_SECONDS)
    message = f"{server.tls_certificate} is for {names}, valid for {days} more days"
    if days < _SOON_DAYS:
        return warn("tls", message, "renew it")
    return ok("tls", message)


def address_finding(server: ServerSettings) -> Finding:
    """Report who can reach the gateway, and whether the traffic is encrypted."""
    where = f"{server.host}:{server.port}"
    if server.is_loopback:
        return ok("address", f"{where} is reached from this machine only")
    if server.has_tls:
        return ok("address", f"others can reach {where}, with TLS")
    if server.trusted_proxies:
        return ok("address", f"others can reach {where}; TLS is left to the trusted proxies")
    return warn(
        "address",
        f"others can reach {where}, without TLS: keys and content travel in the clear",
        "set server.tls_certificate and server.tls_key, or listen on 127.0.0.1 behind a proxy "
        "that has TLS",
    )


def proxies_finding(server: ServerSettings) -> Finding:
    """Report the proxies that are trusted for the client's address."""
    networks = [ipaddress.ip_network(text, strict=False) for text in server.trusted_proxies]
    everybody = [str(network) for network in networks if network.prefixlen == 0]
    if everybody:
        return warn(
            "proxies",
            f"{everybody[0]} is everybody: each client can claim any address, which voids the "
            "limits per address and the address lists of keys",
            "name the addresses of your proxies alone in server.trusted_proxies",
        )
    if networks:
        return ok("proxies", f"X-Forwarded-For is believed from {', '.join(map(str, networks))}")
    return ok(
        "proxies",
        "none: the address of a client is that of its connection (behind a proxy, name that in "
        "server.trusted_proxies)",
    )
