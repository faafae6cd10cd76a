"""Value syntax of settings: in TOML, and as an environment variable."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from apertis.limiting.rates import Rate, parse_rate
from apertis.sansio.request import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def mapping(item: Kind, noun: str) -> Kind:
    """Make the kind of a table whose names are chosen freely; in a variable a JSON object."""

    def read(given: object, base: Path) -> Mapping[str, Any]:
        if not isinstance(given, dict):
            raise UnfitError
        found: dict[str, Any] = {}
        for name, each in cast("dict[str, object]", given).items():
            try:
                found[name] = item.read(each, base)
            except UnfitError as error:
                reason = str(error) or f"is not {item.expected}"
                raise UnfitError(f"{shown(each)} {reason}") from None
        return MappingProxyType(found)

    def write(value: Mapping[str, Any]) -> str:
        pairs = ", ".join(f"{quoted(name)} = {item.write(each)}" for name, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"

    def parse(text: str) -> object:
        try:
            return json.loads(text)
        except ValueError:
            return text

    return Kind(f"a table of {noun}", read, write, parse)


def wholes(least: int, most: int, noun: str) -> Kind:
    """Make the kind of a list of whole numbers; in a variable a JSON array, or with commas."""
    parse = names(FLAG, noun).parse

    def numbers(text: str) -> object:
        parts = parse(text)
        if not isinstance(parts, list):
            return parts
        return [_numeric(str(part)) for part in cast("list[object]", parts)]

    return dataclasses.replace(names(whole(least, most), noun), parse=numbers)


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


_HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")


def _host_name(given: str) -> str:
    """Return the name in lower case; an address of IPv6 in brackets."""
    try:
        return f"[{ipaddress.IPv6Address(given)}]"
    except ValueError:
        pass
    parts = _HOST_AND_PORT.fullmatch(given)
    if parts is None or not 0 < int(parts[2] or 1) < 65536:
        raise UnfitError
    return given.lower()


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


HOST_NAME = of_text(
    "a host name such as console.example.com, with a port where it goes with that port alone",
    _host_name,
)


def _issuer(given: str) -> str:
    """Return the issuer as it is: whether it ends in a slash is a part of its name."""
    _base_url(given)
    parts = urlsplit(given)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise UnfitError("must be https://, where it is not on this machine")
    return given


ISSUER = of_text("an https:// URL such as https://login.example.com", _issuer, show=_show_url)

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


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmg]i?)?b?", re.IGNORECASE)
_SIZES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|d)")
_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# One unit of the money that keys have: 500,000 of them are a dollar.
MONEY_STEP = Decimal("0.000002")
_MAX_DOLLARS = Decimal(1_000_000)


def _numeric(text: str) -> object:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _is_number(given: object) -> bool:
    return isinstance(given, int | float | Decimal) and not isinstance(given, bool)


def whole(
    least: int = 0, most: int | None = None, noun: str = "a whole number", note: str = ""
) -> Kind:
    """Make the kind of a whole number between two bounds."""

    def read(given: object, _: Path) -> int:
        if not isinstance(given, int) or isinstance(given, bool) or given < least:
            raise UnfitError
        if most is not None and given > most:
            raise UnfitError
        return given

    bounds = f", {least} or more" if most is None else f" from {least} to {most}"
    return Kind(f"{noun}{bounds}{note}", read, str, _numeric)


def _digits(value: float | None) -> str:
    number = value or 0.0
    return str(int(number)) if number == int(number) else repr(number)


def _number(given: Any, _: Path) -> float | None:
    if not _is_number(given) or not 0 <= float(given) < math.inf:
        raise UnfitError
    return float(given) or None


# Zero stands for none.
NUMBER = Kind("a number, 0 or more (0: none)", _number, _digits, _numeric, has_none=True)


def duration(*, positive: bool = True) -> Kind:
    """Make the kind of seconds, as a number or with a unit."""

    def read(given: Any, _: Path) -> float:
        if isinstance(given, str) and (match := _DURATION.fullmatch(given)):
            seconds = float(match[1]) * _DURATIONS[match[2]]
        elif _is_number(given):
            seconds = float(given)
        else:
            raise UnfitError
        if not 0 <= seconds < math.inf or (positive and seconds == 0):
            raise UnfitError
        return seconds

    bound = "above 0" if positive else "0 or more"
    expected = f'a number of seconds {bound}, or a text such as "500ms", "90s", "5m" or "1h"'
    return Kind(expected, read, _digits, _numeric)


def size(least: int = 1) -> Kind:
    """Make the kind of bytes, as a number or with a unit."""

    def read(given: object, _: Path) -> int:
        if isinstance(given, str) and (match := _SIZE.fullmatch(given)):
            bytes_ = int(Decimal(match[1]) * _SIZES[(match[2] or "").lower()])
        elif isinstance(given, int) and not isinstance(given, bool):
            bytes_ = given
        else:
            raise UnfitError
        if bytes_ < least:
            raise UnfitError
        return bytes_

    expected = f'a number of bytes, {least} or more, or a text such as "32MB" or "64MiB"'
    return Kind(expected, read, _write_size)


def _write_size(value: int) -> str:
    """Return the bytes, in a unit where that is exact."""
    for unit in ("gi", "mi", "ki"):
        if value and value % _SIZES[unit] == 0:
            return quoted(f"{value // _SIZES[unit]}{unit.capitalize()}B")
    return str(value)


def _rate(given: object, _: Path) -> Rate | None:
    if given == 0 and not isinstance(given, bool):
        return None
    if not isinstance(given, str):
        raise UnfitError
    try:
        return parse_rate(given)
    except ValueError:
        raise UnfitError from None


# So many in so long; zero stands for no limit.
RATE_LIMIT = Kind(
    'a rate such as "1500/3m" (units s, m, h, d), or "0" for no limit',
    _rate,
    lambda value: quoted("0" if value is None else str(value)),
    has_none=True,
)


def _money(given: object, _: Path) -> Decimal:
    # A float has been rounded already; the readers keep the digits that were written.
    if isinstance(given, bool) or not isinstance(given, str | int | Decimal):
        raise UnfitError
    try:
        amount = Decimal(given)
    except InvalidOperation:
        raise UnfitError from None
    if not amount.is_finite() or not 0 <= amount <= _MAX_DOLLARS or amount % MONEY_STEP:
        raise UnfitError
    return abs(amount)


# An exact amount, written as a text so that nobody rounds it.
MONEY = Kind(
    f"an amount of dollars from 0 to {_MAX_DOLLARS:,}, a multiple of {MONEY_STEP:f}",
    _money,
    lambda value: quoted(f"{value:f}"),
)
