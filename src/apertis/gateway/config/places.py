"""Settings that name a place: a path, a network, a URL."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from apertis.gateway.config.kinds import Kind, UnfitError, quoted, shown

__all__ = ["BaseUrl", "DatabaseUrl", "Location", "Network", "WebOrigin", "without_password"]

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True)
class Location(Kind):
    """A path of the file system, `~` included."""

    description: str = "a path"

    @property
    def expected(self) -> str:
        """What it takes."""
        return self.description

    def read(self, given: object, base: Path) -> Path:
        """The path, joined to `base` where it is relative."""
        if not isinstance(given, str) or not given.strip() or "\0" in given:
            raise UnfitError
        try:
            return base / Path(given).expanduser()
        except RuntimeError:
            raise UnfitError("names a home directory that cannot be found") from None

    def write(self, value: Path) -> str:
        """The absolute path in quotes."""
        return quoted(str(value.absolute()))


@dataclass(frozen=True)
class Network(Kind):
    """An address, or a network in CIDR form."""

    @property
    def expected(self) -> str:
        """How it is written."""
        return "an IP address or a network such as 10.0.0.0/8"

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """The address or network as it was written."""
        if not isinstance(given, str):
            raise UnfitError
        try:
            network = ipaddress.ip_network(given, strict=False)
        except ValueError:
            raise UnfitError from None
        if "/" in given and str(ipaddress.ip_interface(given).ip) != str(network.network_address):
            raise UnfitError(f"names an address inside its network; the network is {network}")
        return given

    def write(self, value: str) -> str:
        """The network in quotes."""
        return quoted(value)


@dataclass(frozen=True)
class BaseUrl(Kind):
    """Where an upstream's API is, without the `/v1` of its paths."""

    @property
    def expected(self) -> str:
        """How it is written."""
        return "an http:// or https:// URL such as https://api.anthropic.com"

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """The URL without a slash or `/v1` at its end."""
        if not isinstance(given, str):
            raise UnfitError
        try:
            parts = urlsplit(given)
            port = parts.port
        except ValueError:
            raise UnfitError from None
        if parts.username is not None or parts.password is not None:
            raise UnfitError("must not have a credential in it; name it by api_key_env")
        if "?" in given or "#" in given:
            raise UnfitError("must not have a query or a fragment")
        if parts.scheme not in {"http", "https"} or re.search(r"[^!-~]", given):
            raise UnfitError
        host = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
        if not _HOST.fullmatch(host.removesuffix(":")) or port == 0:
            raise UnfitError
        path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{path}"

    def write(self, value: str) -> str:
        """The URL in quotes."""
        return quoted(value)

    def show(self, given: object) -> str:
        """What was given, without a credential."""
        return shown(without_password(given) if isinstance(given, str) else given)


@dataclass(frozen=True)
class WebOrigin(Kind):
    """An origin of web pages as browsers send it, or `*`."""

    @property
    def expected(self) -> str:
        """How it is written."""
        return "an origin such as https://chat.example.com, without a path, or *"

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """The origin, in lower case and without a port that goes without saying."""
        if not isinstance(given, str):
            raise UnfitError
        if given == "*":
            return given
        if given == "null":
            raise UnfitError("is the origin of every sandboxed page; write * to let all of them")
        parts = _ORIGIN.fullmatch(given.lower().removesuffix("/"))
        if parts is None:
            raise UnfitError
        scheme, host, port = parts[1], parts[2], parts[3] or ""
        return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS.get(scheme) else port}"

    def write(self, value: str) -> str:
        """The origin in quotes."""
        return quoted(value)


@dataclass(frozen=True)
class DatabaseUrl(Kind):
    """Where a PostgreSQL database is."""

    @property
    def expected(self) -> str:
        """How it is written."""
        return (
            "a URL such as postgresql://user@host/database; for SQLite leave it out, "
            "and name the file or its directory by store.data"
        )

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """The URL."""
        if not isinstance(given, str):
            raise UnfitError
        scheme, separator, rest = given.partition("://")
        if not separator or scheme not in {"postgresql", "postgres"} or not rest.strip("/"):
            raise UnfitError
        return f"postgresql://{rest}"

    def write(self, value: str) -> str:
        """The URL in quotes, without its password."""
        return quoted(without_password(value))

    def show(self, given: object) -> str:
        """What was given, without its password."""
        return shown(without_password(given) if isinstance(given, str) else given)


def without_password(url: str) -> str:
    """The URL with its password blanked, in the part before the host and in the query."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"([?&]password=)[^&#]*", r"\1***", url)
