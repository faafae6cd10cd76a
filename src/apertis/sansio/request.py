"""The bytes of a request: where it goes, its head, its body."""

from __future__ import annotations

import re
from os import PathLike
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from apertis.errors import ConfigurationError, ParameterError
from apertis.models import URL, Model, RequestHeaders, RequestInfo, raw
from apertis.models.response import is_secret
from apertis.sansio.marks import is_absent, is_omit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from apertis.sansio.marks import Omit

    ReadFile = Callable[[Any, str], str]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_ENDPOINT = re.compile(r"/v1/(messages|models|chat/completions)(/|\Z)")
# They say where a request ends and what becomes of the connection, which is not a caller's to say.
_FRAMING_HEADERS = frozenset(
    {"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)


class Origin(msgspec.Struct, frozen=True, cache_hash=True):
    """The destination of requests: the scheme, host and port, and the path before `/v1`."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @property
    def tls(self) -> bool:
        """True if the connection is encrypted."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The value of the Host header: the port is there when it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.tls else 80
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The origin as text, without the path."""
        return f"{self.scheme}://{self.authority}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself."""
    import ipaddress  # Only a server, and what administers one, asks.

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_base_url(text: str, *, name: str = "base_url") -> Origin:
    """Return the origin that a base URL names, with or without `/v1` at its end."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        # What `urllib` says of it may be a part of a password.
        raise ConfigurationError(f"{name} is not a URL: {_shown(text)!r}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(
            f"{name} must look like https://host or http://host:port; it is {_shown(text)!r}"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must hold no credentials, query or fragment")
    try:
        host = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ConfigurationError(f"{name}: {host!r} is not a host name") from None
    prefix = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    if _ENDPOINT.search(prefix):
        raise ConfigurationError(f"{name} must end before the endpoint, at /v1; it is {text!r}")
    prefix = quote(prefix, safe="/%:@!$&'()*+,;=~-._")
    return Origin(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), prefix)


def _shown(url: str) -> str:
    # Credentials stand before an @; they must not reach an error message.
    before, at, after = url.rpartition("@")
    if not at:
        return url
    scheme, slashes, _ = before.partition("://")
    return f"{scheme}://***@{after}" if slashes else f"***@{after}"


def merge_headers(*layers: Mapping[str, str | Omit | None] | None) -> dict[str, str]:
    """Return headers by lower-case name; a later layer wins, None takes one out."""
    merged: dict[str, str] = {}
    for layer in layers:
        for name, value in checked_headers(layer).items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = value
    return merged


def checked_headers(headers: Mapping[str, str | Omit | None] | None) -> dict[str, str | None]:
    """Return headers by lower-case name, if they can be sent; None stands for one to leave out."""
    if headers is None:
        return {}
    if not hasattr(headers, "items"):
        raise ParameterError(
            f"expected a mapping of headers, got {type(headers).__name__}", param="extra_headers"
        )
    checked: dict[str, str | None] = {}
    for name, value in headers.items():
        key = checked_name(name).lower()
        if key in _FRAMING_HEADERS:
            raise ParameterError(
                f"header {key}: it is set by the connection and cannot be given",
                param="extra_headers",
            )
        if value is None or is_omit(value):
            checked[key] = None
        elif not is_absent(value):
            checked[key] = checked_value(key, cast("str", value))
    return checked


def checked_name(name: str) -> str:
    """Return the name, if a header may have it."""
    if not isinstance(name, str) or not _TOKEN.match(name):
        raise ParameterError(f"{name!r} is not a header name", param="extra_headers")
    return name


def checked_value(name: str, value: str) -> str:
    """Return the value, if it can stand in a header: text without line ends, in ISO-8859-1."""
    if not isinstance(value, str):
        raise ParameterError(
            f"header {name}: expected a string, got {type(value).__name__}", param="extra_headers"
        )
    stripped = value.strip(" \t")
    if any(c in stripped for c in "\r\n\0"):
        raise ParameterError(f"header {name}: it has a line end inside", param="extra_headers")
    try:
        stripped.encode("latin-1")
    except UnicodeEncodeError:
        raise ParameterError(
            f"header {name}: it has characters that HTTP headers cannot carry",
            param="extra_headers",
        ) from None
    return stripped


def shown_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers for a log line, without secrets."""
    return {name: "***" if is_secret(name) else value for name, value in headers}


def target(prefix: str, path: str, query: Mapping[str, Any] | None) -> str:
    """Return the request target: path and query, encoded."""
    given = {k: v for k, v in (query or {}).items() if v is not None and not is_absent(v)}
    pairs = [(k, _query_text(k, v)) for k, v in given.items()]
    try:
        path = quote(prefix + path, safe="/%:@!$&'()*+,;=~-._?")
        encoded = urlencode(pairs)
    except UnicodeEncodeError as error:
        raise ParameterError(f"the path or query cannot be sent as UTF-8: {error}") from error
    if not pairs:
        return path
    return f"{path}{'&' if '?' in path else '?'}{encoded}"


def _query_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return ",".join([_query_text(name, item) for item in cast("list[object]", value)])
    raise ParameterError(
        f"{name}: a query value must be text or a number, not {type(value).__name__}", param=name
    )


def render_head(method: str, target: str, headers: Mapping[str, str], length: int | None) -> bytes:
    """Return the head of a request; `length` is the body's, None for none."""
    lines = [f"{method} {target} HTTP/1.1\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    if length is not None:
        lines.append(f"content-length: {length}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")


def request_info(origin: Origin, method: str, head: bytes, content: bytes = b"") -> RequestInfo:
    """Return information on a request, read from its head as `render_head` wrote it."""
    start, *lines = head[:-4].split(b"\r\n")
    pairs = [cast("tuple[bytes, bytes]", tuple(line.split(b": ", 1))) for line in lines]
    url = URL(origin.url + start.split(b" ")[1].decode("latin-1"))
    return RequestInfo(method, url, RequestHeaders(pairs), content)


_encode = msgspec.json.Encoder().encode


def render_body(params: Mapping[str, Any], read: ReadFile | None = None) -> bytes:
    """Return the JSON of the parameters; answers of the API stand in it as the bytes that came.

    `read` gives the base64 text of a path or an open file that is the `data` of a source.
    """
    written: dict[str, Any] = {}
    try:
        if _is_plain(params):
            written = dict(params)
        else:
            for name, value in params.items():
                if not is_absent(value):
                    written[name] = wire_form(value, name, read)
        return _encode(written)
    except _UNWRITABLE as error:
        raise _unwritable(error, written, "") from error


def render_json(value: Any) -> bytes:
    """Return the JSON of any value; as `render_body`."""
    written: Any = None
    try:
        written = wire_form(value, "json")
        return _encode(written)
    except _UNWRITABLE as error:
        raise _unwritable(error, written, "json") from error


_UNWRITABLE = (TypeError, ValueError, OverflowError, UnicodeEncodeError, RecursionError)


def _unwritable(error: Exception, written: Any, path: str) -> ParameterError:
    if isinstance(error, ParameterError):
        return error
    if isinstance(error, UnicodeEncodeError) and (half := _half_pair(written, path)):
        place, text = half
        at = next(i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff")
        return ParameterError(
            f"{place}: half of a surrogate pair (U+{ord(text[at]):04X}) at character {at}, which "
            "no request can carry. A character was cut in two: cut between characters, or send "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')",
            param=place,
        )
    return ParameterError(f"the request cannot be written as JSON: {error}")


def _half_pair(value: Any, path: str) -> tuple[str, str] | None:
    """Return the place of a text that has half of a surrogate pair, and the text."""
    if isinstance(value, str):
        return None if value.isascii() or _encodes(value) else (path, value)
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        # A key has the place of its object.
        parts = [(key, path or "the request") for key, _ in items]
        parts += [(part, f"{path}.{key}" if path else str(key)) for key, part in items]
    elif isinstance(value, list):
        parts = [(part, f"{path}[{i}]") for i, part in enumerate(cast("list[object]", value))]
    else:
        return None
    return next((half for part in parts if (half := _half_pair(*part))), None)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_PLAIN = frozenset({str, int, bool, type(None)})


def _is_plain(value: Any) -> bool:
    """Return whether the encoder can have the value as it is, as nearly all are."""
    kind: type[object] = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is not dict and kind is not list:
        return False
    for part in value.values() if kind is dict else value:
        if type(part) not in _PLAIN and not _is_plain(part):
            return False
    return True


def wire_form(value: Any, path: str, read: ReadFile | None = None) -> Any:
    """Return the value as JSON can carry it. `path` names it in errors: `messages[0].content`."""
    kind = cast("type[object]", type(value))
    if kind in _PLAIN:
        return value
    if kind is dict:
        if read is not None and value.get("type") == "base64" and is_file(value.get("data")):
            value = {**value, "data": read(value["data"], f"{path}.data")}
        return {
            k: v if type(v) in _PLAIN else wire_form(v, f"{path}.{k}", read)
            for k, v in value.items()
            if type(v) in _PLAIN or not is_absent(v)
        }
    if kind is list or kind is tuple:
        if path.endswith("tools"):
            _check_names(value, path)
        return [wire_form(item, f"{path}[{i}]", read) for i, item in enumerate(value)]
    if isinstance(value, Model):
        written = raw(value)
        return wire_form(written, path, read) if isinstance(written, dict) else written
    return _unusual(value, path, read)


def _check_names(tools: Any, path: str) -> None:
    """Reject a tool (no plain definition, which the service checks) whose name is taken."""
    places: dict[str, tuple[int, bool]] = {}
    for index, tool in enumerate(tools):
        is_tool = callable(getattr(tool, "to_param", None))
        name = getattr(tool, "name", None) if is_tool else None
        if isinstance(tool, dict):
            name = cast("dict[str, Any]", tool).get("name")
        if not isinstance(name, str):
            continue
        first, was_tool = places.setdefault(name, (index, is_tool))
        if first != index and (is_tool or was_tool):
            where = f"{path}[{index}]"
            raise ParameterError(
                f"{where}: the name {name!r} is taken by {path}[{first}]; "
                "a name tells which tool is called, so give another one",
                param=where,
            )


def is_file(value: object) -> bool:
    """Return whether a value is a path or an open file."""
    return isinstance(value, PathLike) or callable(getattr(value, "read", None))


def _unusual(value: Any, path: str, read: ReadFile | None) -> Any:
    name: str = type(value).__name__
    if isinstance(value, float):
        if value != value or value in {float("inf"), float("-inf")}:
            raise ParameterError(f"{path}: {value} is not a JSON number", param=path)
        return float(value)
    if isinstance(value, str):
        # The members of an enumeration say something else to str().
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes | bytearray | memoryview | PathLike):
        raise ParameterError(
            f"{path}: {name} cannot be sent as JSON; "
            "apertis.image(...) and apertis.document(...) make a block of a file or of bytes",
            param=path,
        )
    if callable(define := getattr(value, "to_param", None)):
        # A tool.
        return wire_form(define(), path, read)
    if callable(dump := getattr(value, "model_dump", None)):
        # A pydantic model, which iterates as pairs.
        return wire_form(dump(mode="json", exclude_unset=True), path, read)
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return wire_form({key: value[key] for key in value.keys()}, path, read)  # noqa: SIM118 - a duck.
    if hasattr(value, "__iter__"):
        return wire_form(list(value), path, read)
    raise ParameterError(f"{path}: {name} cannot be sent as JSON", param=path)
