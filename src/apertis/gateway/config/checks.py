"""What settings must fulfil together."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.config.given import Place
    from apertis.gateway.config.layers import Layer
    from apertis.gateway.config.reader import Reader
    from apertis.gateway.config.settings import ServerSettings, Settings, UpstreamSettings

__all__ = ["check"]

_PORTS = {"http": 80, "https": 443}
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on.


def check(
    settings: Settings,
    given: Layer,
    upstreams: tuple[tuple[UpstreamSettings, Place], ...],
    reader: Reader,
) -> None:
    """Keep a problem for each setting that does not go with another."""
    _check_tls(settings.server, given, reader)
    if settings.server.workers > 1:
        reader.problem(
            given[("server", "workers")].place,
            f"must be 1, not {settings.server.workers}: limits and quotas are counted inside the "
            "process, and several would let through as many times what they allow",
        )
    for upstream in settings.upstreams:
        if not _is_ourselves(upstream, settings.server):
            continue
        sentence = (
            f"is {upstream.base_url}, where this gateway itself listens: it would ask itself "
            "without end"
        )
        place = next((place for known, place in upstreams if known is upstream), None)
        if place is None:
            reader.complain(f"ANTHROPIC_BASE_URL {sentence}; unset it for the gateway")
        else:
            reader.problem(place / "base_url", sentence)


def _check_tls(server: ServerSettings, given: Layer, reader: Reader) -> None:
    pair = ("server", "tls_certificate"), ("server", "tls_key")
    for one, other in (pair, pair[::-1]):
        if one in given and other not in given:
            reader.problem(given[one].place, f"needs {'.'.join(other)} beside it")
    files: tuple[Path | None, ...] = (server.tls_certificate, server.tls_key)
    for name, file in zip(pair, files, strict=True):
        if file is not None and not file.is_file():
            reader.problem(given[name].place, f"names {file}, and there is no such file")


def _is_ourselves(upstream: UpstreamSettings, server: ServerSettings) -> bool:
    if upstream.base_url is None or server.port == 0:
        return False
    parts = urlsplit(upstream.base_url)
    host = parts.hostname or ""
    if (parts.port or _PORTS[parts.scheme]) != server.port:
        return False
    own = server.host in _EVERYWHERE or server.is_loopback
    return host == server.host or (own and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
