"""Choice of a request's proxy, and the messages that open a tunnel."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from apertis.errors import ConfigurationError
from apertis.sansio.outcome import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.sansio.http1 import Http1Connection
    from apertis.sansio.request import Origin

# What proxies answer that let nobody tunnel to a port other than 443, or tunnel at all.
_NO_TUNNELS = frozenset({400, 403, 405, 501})
# tinyproxy says 401 to wrong credentials, where 407 is meant.
_OTHER_CREDENTIALS = frozenset({401, 407})


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy: where it listens, and the credentials it wants."""

    host: str
    port: int
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"

    def connect_request(self, origin: Origin) -> bytes:
        """Return the request for a tunnel to the origin (RFC 9110, section 9.3.6)."""
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        place = f"{host}:{origin.port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"host: {place}"]
        if self.authorization is not None:
            lines.append(f"proxy-authorization: {self.authorization}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def forwarded(self, origin: Origin, request: bytes) -> bytes:
        """Write the request in absolute form for the proxy (RFC 9112, section 3.2.2)."""
        method, _, rest = request.partition(b" ")
        line, _, rest = rest.partition(b"\r\n")
        head = b"%s %s%s\r\n" % (method, origin.url.encode("ascii"), line)
        if self.authorization is not None:
            head += b"proxy-authorization: %s\r\n" % self.authorization.encode("ascii")
        return head + rest

    def refusal(self, origin: Origin, http: Http1Connection, why: str | None) -> Failure | None:
        """Return the reason that a CONNECT failed; None when the tunnel is open."""
        if why is None and 200 <= http.status < 300:
            return None
        where = f"{self.host}:{self.port}"
        why = why or f"it answered {http.status}"
        if http.status in _OTHER_CREDENTIALS:
            why += "; it wants other credentials, as in http://user:password@host:port"
        reason = f"the proxy {where} opened no tunnel to {origin.host}:{origin.port}: {why}"
        permanent = http.status in _NO_TUNNELS | _OTHER_CREDENTIALS
        return Failure(reason, where, permanent=permanent, unsent=True)


def may_forward(origin: Origin, http: Http1Connection) -> bool:
    """Return whether the request can use absolute form: it is not encrypted."""
    return not origin.tls and http.status in _NO_TUNNELS


def parse_proxy(url: str, *, name: str = "proxy") -> Proxy:
    """Return the proxy that a URL names: `http://[user:password@]host[:port]`."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        # What `urllib` says of it may be a part of a password.
        raise ConfigurationError(f"{name} is not a URL: its host or port is invalid") from None
    if parts.scheme != "http" or not host:
        raise ConfigurationError(
            f"{name} must look like http://[user:password@]host:port; for {parts.scheme}:// "
            "pass a client of your own as http_client"
        )
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + b64encode(pair.encode()).decode("ascii")
    return Proxy(host, port or 80, authorization)


def checked_options(proxy: object, max_connections: object) -> None:
    """Reject, where they are given, options of a transport that cannot be."""
    if proxy is not None and not isinstance(proxy, str):
        raise ConfigurationError(f"proxy must be text; it is {type(proxy).__name__}")
    if proxy:
        parse_proxy(proxy)
    valid = isinstance(max_connections, int) and not isinstance(max_connections, bool)
    if not valid or max_connections < 1:  # type: ignore[operator]
        raise ConfigurationError(
            f"max_connections must be a whole number, 1 or more; it is {max_connections!r}"
        )


def choose_proxy(origin: Origin, given: str | None, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for an origin: the given one, else the environment's, if any."""
    if given is not None:
        return parse_proxy(given) if given else None
    # A CGI server lets callers set HTTP_PROXY through a `Proxy:` header.
    names = [f"{origin.scheme}_proxy", "all_proxy"]
    upper = [] if "REQUEST_METHOD" in environ and not origin.tls else [names[0].upper()]
    for name in (names[0], *upper, names[1], names[1].upper()):
        if url := environ.get(name):
            exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
            return None if exempted(origin, exempt) else parse_proxy(url, name=name)
    return None


def exempted(origin: Origin, no_proxy: str) -> bool:
    """Return whether a NO_PROXY list names the origin: host, domain, address, network or `*`."""
    return any(_names(entry.strip().lower(), origin) for entry in no_proxy.split(","))


def _names(entry: str, origin: Origin) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    host, _, port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
    if port and port != str(origin.port):
        return False
    host = host.strip("[]").removeprefix("*").lstrip(".")
    name = origin.host.lower()
    return name == host or name.endswith(f".{host}") or _in_network(name, host)


def _in_network(address: str, network: str) -> bool:
    if "/" not in network:
        return False
    import ipaddress  # Only a network in NO_PROXY needs it.

    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
