"""Value syntax of settings: in TOML, and as an environment variable."""

from __future__ import annotations

import abc
import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

_MAX_SHOWN_LENGTH = 80
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class UnfitError(ValueError):
    """A value that a setting cannot take; the message, if any, says more than what is expected."""


class Kind(abc.ABC):
    """The type of a setting's values."""

    # Whether None can be written, as zero is for a limit.
    has_none = False

    @property
    @abc.abstractmethod
    def expected(self) -> str:
        """The accepted values, as a phrase that follows "must be"."""

    @abc.abstractmethod
    def read(self, given: object, base: Path) -> Any:
        """Return the setting's value for what TOML or JSON gave; `UnfitError` if it cannot be.

        Paths are relative to `base`.
        """

    def parse(self, text: str) -> object:
        """Parse a variable's text into TOML's terms."""
        return text

    @abc.abstractmethod
    def write(self, value: Any) -> str:
        """Return the value as TOML, without a secret that may be in it."""

    def show(self, given: object) -> str:
        """Show the given value in a message."""
        return shown(given)


def quoted(text: str) -> str:
    """Return a string of TOML: JSON's form is one, save for the character 127."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def shown(given: object) -> str:
    """Return a value for a message: short, on one line."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, dict):
        return "a table"
    if isinstance(given, list):
        return "a list" if given else "an empty list"
    text = repr(given) if isinstance(given, str) else str(given)
    return (
        text if len(text) <= _MAX_SHOWN_LENGTH else f"{text[: _MAX_SHOWN_LENGTH - 4]}...{text[-1]}"
    )


@dataclass(frozen=True)
class Text(Kind):
    """A line of text, of a pattern if one is given."""

    description: str = "a text"
    pattern: str = r"\S(.*\S)?"

    @property
    def expected(self) -> str:
        """The accepted values."""
        return self.description

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """Return the text."""
        if not isinstance(given, str) or not re.fullmatch(self.pattern, given):
            raise UnfitError
        if not given.isprintable():
            raise UnfitError
        return given

    def write(self, value: str) -> str:
        """Return the text in quotes."""
        return quoted(value)


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The words."""
        return " or ".join(quoted(word) for word in self.words)

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """Return the word."""
        if not isinstance(given, str) or given not in self.words:
            raise UnfitError
        return given

    def write(self, value: str) -> str:
        """Return the word in quotes."""
        return quoted(value)


@dataclass(frozen=True)
class Flag(Kind):
    """Yes or no."""

    @property
    def expected(self) -> str:
        """The two words."""
        return "true or false"

    def read(self, given: object, base: Path) -> bool:  # noqa: ARG002
        """Return the response."""
        if not isinstance(given, bool):
            raise UnfitError
        return given

    def parse(self, text: str) -> object:
        """Return the response that a word stands for."""
        word = text.lower()
        return True if word in _YES else False if word in _NO else text

    def write(self, value: bool) -> str:
        """Return the word."""
        return "true" if value else "false"


@dataclass(frozen=True)
class Names(Kind):
    """A list of texts of one kind."""

    item: Kind
    noun: str = "texts"

    @property
    def expected(self) -> str:
        """The elements of the list."""
        return f"a list of {self.noun}"

    def read(self, given: object, base: Path) -> tuple[str, ...]:
        """Return the texts."""
        if not isinstance(given, list):
            raise UnfitError
        read: list[str] = []
        for item in cast("list[object]", given):
            try:
                read.append(self.item.read(item, base))
            except UnfitError as error:
                reason = str(error) or f"is not {self.item.expected}"
                raise UnfitError(f"{shown(item)} {reason}") from None
        return tuple(read)

    def parse(self, text: str) -> object:
        """Return a JSON array, or the texts between commas."""
        if not text.lstrip().startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
        try:
            return json.loads(text)
        except ValueError:
            return text

    def write(self, value: tuple[str, ...]) -> str:
        """Return the list."""
        return f"[{', '.join(self.item.write(item) for item in value)}]"


_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True)
class Location(Kind):
    """A path of the file system, `~` included."""

    description: str = "a path"

    @property
    def expected(self) -> str:
        """The accepted values."""
        return self.description

    def read(self, given: object, base: Path) -> Path:
        """Return the path, joined to `base` where it is relative."""
        if not isinstance(given, str) or not given.strip() or "\0" in given:
            raise UnfitError
        try:
            return base / Path(given).expanduser()
        except RuntimeError:
            raise UnfitError("names a home directory that cannot be found") from None

    def write(self, value: Path) -> str:
        """Return the absolute path in quotes."""
        return quoted(str(value.absolute()))


@dataclass(frozen=True)
class Network(Kind):
    """An address, or a network in CIDR form."""

    @property
    def expected(self) -> str:
        """The accepted syntax."""
        return "an IP address or a network such as 10.0.0.0/8"

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """Return the address or network as it was written."""
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
        """Return the network in quotes."""
        return quoted(value)


@dataclass(frozen=True)
class BaseUrl(Kind):
    """The URL of an upstream's API, without the `/v1` of its paths."""

    @property
    def expected(self) -> str:
        """The accepted syntax."""
        return "an http:// or https:// URL such as https://api.anthropic.com"

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """Return the URL without a slash or `/v1` at its end."""
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
        """Return the URL in quotes."""
        return quoted(value)

    def show(self, given: object) -> str:
        """Show the given value without a credential."""
        return shown(without_password(given) if isinstance(given, str) else given)


@dataclass(frozen=True)
class WebOrigin(Kind):
    """An origin of web pages as browsers send it, or `*`."""

    @property
    def expected(self) -> str:
        """The accepted syntax."""
        return "an origin such as https://chat.example.com, without a path, or *"

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """Return the origin, in lower case and without a port that goes without saying."""
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
        """Return the origin in quotes."""
        return quoted(value)


@dataclass(frozen=True)
class DatabaseUrl(Kind):
    """The URL of a PostgreSQL database."""

    @property
    def expected(self) -> str:
        """The accepted syntax."""
        return (
            "a URL such as postgresql://user@host/database; for SQLite leave it out, "
            "and name the file or its directory by store.data"
        )

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """Return the URL."""
        if not isinstance(given, str):
            raise UnfitError
        scheme, separator, rest = given.partition("://")
        if not separator or scheme not in {"postgresql", "postgres"} or not rest.strip("/"):
            raise UnfitError
        return f"postgresql://{rest}"

    def write(self, value: str) -> str:
        """Return the URL in quotes, without its password."""
        return quoted(without_password(value))

    def show(self, given: object) -> str:
        """Show the given value without its password."""
        return shown(without_password(given) if isinstance(given, str) else given)


def without_password(url: str) -> str:
    """Return the URL with its password blanked, in the part before the host and in the query."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"([?&]password=)[^&#]*", r"\1***", url)
