"""Value syntax of settings: in TOML, and as an environment variable."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_SHOWN_LENGTH = 80
_WORDS: dict[str, bool] = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


class UnfitError(ValueError):
    """A value that a setting cannot take; the message, if any, says more than what is expected."""


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
class Kind:
    """The type of a setting's values."""

    expected: str
    """The accepted values, as a phrase that follows "must be"."""
    read: Callable[[Any, Path], Any]
    """The setting's value for what TOML or JSON gave; `UnfitError` if it cannot be.

    Paths are relative to the second argument.
    """
    write: Callable[[Any], str] = quoted
    """The value as TOML, without a secret that may be in it."""
    parse: Callable[[str], object] = str
    """A variable's text in TOML's terms."""
    show: Callable[[object], str] = shown
    """The given value for a message, without a secret that may be in it."""
    has_none: bool = False
    """True if None can be written, as zero is for a limit."""


def of_text(expected: str, read: Callable[[str], Any], **more: Any) -> Kind:
    """Make the kind of what is written as a string."""

    def read_text(given: object, _: Path) -> Any:
        if not isinstance(given, str):
            raise UnfitError
        return read(given)

    return Kind(expected, read_text, **more)


def text(expected: str = "a text", pattern: str = r"\S(.*\S)?") -> Kind:
    """Make the kind of a line of text, of a pattern if one is given."""

    def read(given: str) -> str:
        if not re.fullmatch(pattern, given) or not given.isprintable():
            raise UnfitError
        return given

    return of_text(expected, read)


def choice(*words: str) -> Kind:
    """Make the kind of one of a few words."""

    def read(given: str) -> str:
        if given not in words:
            raise UnfitError
        return given

    return of_text(" or ".join(map(quoted, words)), read)


def _flag(given: object, _: Path) -> bool:
    if not isinstance(given, bool):
        raise UnfitError
    return given


FLAG = Kind("true or false", _flag, shown, lambda text: _WORDS.get(text.lower(), text))


def names(item: Kind, noun: str = "texts") -> Kind:
    """Make the kind of a list of texts of one kind; in a variable a JSON array, or with commas."""

    def read(given: object, base: Path) -> tuple[str, ...]:
        if not isinstance(given, list):
            raise UnfitError
        found: list[str] = []
        for each in cast("list[object]", given):
            try:
                found.append(item.read(each, base))
            except UnfitError as error:
                reason = str(error) or f"is not {item.expected}"
                raise UnfitError(f"{shown(each)} {reason}") from None
        return tuple(found)

    def parse(text: str) -> object:
        if not text.lstrip().startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
        try:
            return json.loads(text)
        except ValueError:
            return text

    return Kind(
        f"a list of {noun}", read, lambda value: f"[{', '.join(map(item.write, value))}]", parse
    )


def location(expected: str = "a path") -> Kind:
    """Make the kind of a path of the file system, `~` included."""

    def read(given: object, base: Path) -> Path:
        if not isinstance(given, str) or not given.strip() or "\0" in given:
            raise UnfitError
        try:
            return base / Path(given).expanduser()
        except RuntimeError:
            raise UnfitError("names a home directory that cannot be found") from None

    return Kind(expected, read, lambda value: quoted(str(value.absolute())))


def _network(given: str) -> str:
    try:
        network = ipaddress.ip_network(given, strict=False)
    except ValueError:
        raise UnfitError from None
    if "/" in given and str(ipaddress.ip_interface(given).ip) != str(network.network_address):
        raise UnfitError(f"names an address inside its network; the network is {network}")
    return given


NETWORK = of_text("an IP address or a network such as 10.0.0.0/8", _network)


def without_password(url: str) -> str:
    """Return the URL with its password blanked, in the part before the host and in the query."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"([?&]password=)[^&#]*", r"\1***", url)


def _write_url(url: str) -> str:
    return quoted(without_password(url))


def _show_url(given: object) -> str:
    return shown(without_password(given) if isinstance(given, str) else given)


_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def _base_url(given: str) -> str:
    """Return the URL without a slash or the `/v1` of its paths at its end."""
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


BASE_URL = of_text(
    "an http:// or https:// URL such as https://api.anthropic.com", _base_url, show=_show_url
)

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def _web_origin(given: str) -> str:
    """Return the origin as browsers send it: lower case, no port that goes without saying."""
    if given == "*":
        return given
    if given == "null":
        raise UnfitError("is the origin of every sandboxed page; write * to let all of them")
    parts = _ORIGIN.fullmatch(given.lower().removesuffix("/"))
    if parts is None:
        raise UnfitError
    scheme, host, port = parts[1], parts[2], parts[3] or ""
    return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS.get(scheme) else port}"


WEB_ORIGIN = of_text(
    "an origin such as https://chat.example.com, without a path, or *", _web_origin
)


def _database_url(given: str) -> str:
    scheme, separator, rest = given.partition("://")
    if not separator or scheme not in {"postgresql", "postgres"} or not rest.strip("/"):
        raise UnfitError
    return f"postgresql://{rest}"


DATABASE_URL = of_text(
    "a URL such as postgresql://user@host/database; for SQLite leave it out, "
    "and name the file or its directory by store.data",
    _database_url,
    write=_write_url,
    show=_show_url,
)
