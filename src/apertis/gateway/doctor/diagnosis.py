"""All findings, in the order in which a gateway starts."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from apertis.errors import ConfigurationError
from apertis.gateway.doctor.stored import store_findings
from apertis.gateway.finding import fail, ok, warn
from apertis.gateway.serving.certificate import CertificateError, fingerprint, read_certificate
from apertis.gateway.signin.oidc import provider_trouble, require_libraries
from apertis.gateway.upstreams.registry import build
from apertis.sansio.request import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.config import ServerSettings, Settings, UpstreamSettings
    from apertis.gateway.config.origin import SettingsError
    from apertis.gateway.finding import Finding


async def upstream_findings(
    settings: Settings, clock: Callable[[], float] = time.perf_counter
) -> tuple[Finding, ...]:
    """Return a finding for each upstream, in their order; they are asked at the same time.

    `clock` tells seconds, to measure how long a response takes.
    """
    found = await asyncio.gather(
        *(upstream_finding(each, settings, clock) for each in settings.upstreams)
    )
    exposed = [_exposed_key(each) for each in settings.upstreams]
    return (*found, *(finding for finding in exposed if finding))


async def upstream_finding(
    own: UpstreamSettings, settings: Settings, clock: Callable[[], float] = time.perf_counter
) -> Finding:
    """Try one upstream, over a connection of its own."""
    upstream = build(replace(own, max_connections=1), settings)
    try:
        return await upstream.check(own, settings.routing.connect_timeout_seconds, clock)
    finally:
        await upstream.close()


def _exposed_key(upstream: UpstreamSettings) -> Finding | None:
    key = upstream.api_key
    if key is None or key.setting != "api_key_file" or os.name != "posix":
        return None
    path = Path(key.source)
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & 0o077:
        return None
    message = f"{path} can be read by other users of this machine"
    return warn(f"upstream {upstream.name}", message, f"chmod 600 {path}")


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


def console_finding(settings: Settings) -> Finding:
    """Report how people reach the console and sign in to it, and whether that is safe."""
    server, console, oidc = settings.server, settings.console, settings.oidc
    if not settings.has_console:
        return ok(
            "console",
            "not served; it is on this machine, or with server.public_url and a way to sign in",
        )
    url = server.public_url
    ways = (("API keys", settings.has_key_sign_in), (f"{oidc.issuer}", settings.has_oidc))
    where = url or f"http{'s' if server.has_tls else ''}://{server.host}:{server.port}"
    by = " and ".join(way for way, is_on in ways if is_on)
    if not by:
        return warn(
            "console",
            f"{where}: nobody can sign in",
            "set oidc.issuer and oidc.client_id, or console.keys = true",
        )
    message = f"{where}, signing in with {by}"
    host = urlsplit(where).hostname or ""
    if where.startswith("http:") and not is_loopback(host):
        return warn(
            "console",
            f"{message}: without TLS, keys and cookies of the console travel in the clear",
            "let server.public_url begin with https://",
        )
    if url is None and not server.is_loopback:
        return warn(
            "console",
            f"{message}: links of alerts and set-up lines have no address to begin with",
            "set server.public_url",
        )
    is_bounded = oidc.allowed_domains or oidc.allowed_groups
    if settings.has_oidc and oidc.unknown_people == "create" and not is_bounded:
        return warn(
            "console",
            f"{message}: everybody whom {oidc.issuer} signs in becomes a person here",
            "set oidc.allowed_domains or oidc.allowed_groups, unless only colleagues have "
            "accounts there",
        )
    if settings.has_key_sign_in and not server.is_loopback and not console.allowed_addresses:
        return warn(
            "console",
            f"{message}: whoever finds an administrator's key administers from anywhere",
            "restrict the addresses of these keys, or set console.allowed_addresses",
        )
    return ok("console", message)


def sign_in_finding(settings: Settings) -> Finding:
    """Report how Claude Code signs in here, and which certificate it holds on to."""
    server, name = settings.server, "/login"
    if not settings.sign_in.enabled or not settings.has_console:
        what = "sign_in.enabled is false" if settings.has_console else "it needs the console"
        return ok(name, f"Claude Code cannot sign in here: {what}")
    if not settings.has_device_sign_in:
        return warn(
            name,
            "Claude Code cannot sign in here: it takes plain HTTP from its own machine only",
            "let server.public_url begin with https://, or set sign_in.enabled = false",
        )
    pins = (
        "Claude Code pins the certificate of the server that it signs in to: after a change of it "
        "everybody signs in again, and all gateways behind one name need the same"
    )
    if server.tls_certificate is None:
        url = server.public_url
        if url is None or url.startswith("http:"):
            return ok(name, "Claude Code on this machine can sign in, without a certificate")
        return ok(name, f"{pins}; that of {url} is your proxy's")
    try:
        pinned = fingerprint(server.tls_certificate)
    except (OSError, ValueError) as error:
        return fail(name, f"{server.tls_certificate} has no certificate: {error}", "correct it")
    return ok(name, f"{pins}; SHA-256 {pinned}")


async def provider_findings(settings: Settings) -> tuple[Finding, ...]:
    """Ask the identity provider what it says of itself."""
    if not settings.has_oidc:
        return ()
    try:
        require_libraries()
    except ConfigurationError as error:
        return (fail("identity provider", str(error), "install it, and start the gateway again"),)
    trouble = await provider_trouble(settings.oidc)
    if trouble is not None:
        advice = "see that oidc.issuer is what the provider calls itself, and can be reached"
        return (fail("identity provider", f"{settings.oidc.issuer}: {trouble}", advice),)
    return (ok("identity provider", f"{settings.oidc.issuer} tells of itself and its keys"),)


def configuration_findings(error: SettingsError) -> tuple[Finding, ...]:
    """Return the findings for unreadable settings: nothing else can be checked then."""
    advice = "correct it; `apertis config check` says whether that is done"
    return tuple(fail("configuration", problem, advice) for problem in error.problems)


async def diagnose(settings: Settings) -> tuple[Finding, ...]:
    """Try out everything that the settings name.

    Reads the store without locking or changing it, and sends each upstream one real request, for
    its list of models.
    """
    where = str(settings.file) if settings.file else "no file; environment and defaults"
    stored, asked, provider = await asyncio.gather(
        store_findings(settings.store), upstream_findings(settings), provider_findings(settings)
    )
    return (
        ok("configuration", where),
        *stored,
        *asked,
        tls_finding(settings.server, time.time()),
        address_finding(settings.server),
        proxies_finding(settings.server),
        console_finding(settings),
        sign_in_finding(settings),
        *provider,
    )
