"""Information on an HTTP response: status, headers, and the values read from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec

from apertis.errors import LONG_SECRET, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SECRET = frozenset({"authorization", "x-api-key", "cookie", "set-cookie", "proxy-authorization"})

_SECRET_HEADER = re.compile("auth|cookie|key|token(?!s)|secret|password|credential", re.IGNORECASE)

_Pair = tuple[str, str] | tuple[bytes, bytes]


class Headers(Mapping[str, str]):
    """The headers of a response: a mapping by name in any case.

    A name that came several times gives its values joined with a comma; `get_list` gives them one
    by one.
    """

    __slots__ = ("_index", "_pairs", "_secrets")

    def __init__(
        self,
        headers: Iterable[_Pair] | Mapping[str, str] = (),
        secrets: Callable[[], tuple[str, ...]] | None = None,
    ) -> None:
        self._pairs: Iterable[_Pair]
        if type(headers) is not list and isinstance(headers, Mapping):
            self._pairs = cast("Mapping[str, str]", headers).items()
        else:
            self._pairs = headers  # pyright: ignore[reportAttributeAccessIssue]
        self._index: dict[str, list[str]] | None = None
        # What the request had to keep secret is shown to nobody, should the answer echo it.
        self._secrets = secrets

    def _values(self) -> dict[str, list[str]]:
        # Made at first use: most answers are read without a look at their headers.
        if self._index is None:
            self._index = {}
            # A short stand-in for a key is also a part of words and numbers that have a meaning.
            long = [s for s in self._secrets() if len(s) >= LONG_SECRET] if self._secrets else []
            for name, value in self._pairs:
                text = _text(value)
                for secret in long:
                    text = text.replace(secret, "***")
                self._index.setdefault(_text(name).lower(), []).append(text)
        return self._index

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values()[name.lower()])

    def get_list(self, name: str) -> list[str]:
        """Return all values of a name, in the order in which they came."""
        return list(self._values().get(name.lower(), ()))

    def multi_items(self) -> list[tuple[str, str]]:
        """Return every name, in lower case, with each of its values."""
        return [(name, value) for name, values in self._values().items() for value in values]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self._values() == other._values()
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # As any mapping.

    def __repr__(self) -> str:
        secrets = self._secrets() if self._secrets else ()
        shown = {name: "***" if name in _SECRET else redact(self[name], *secrets) for name in self}
        return f"Headers({shown!r})"

    def __reduce__(self) -> tuple[type[Headers], tuple[list[tuple[str, str]]]]:
        return Headers, (self.multi_items(),)


class RequestHeaders(Headers):
    """The headers of a request: a mapping; no repr and no pickle has the secrets among them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"RequestHeaders({dict(self._shown())!r})"

    def __reduce__(self) -> tuple[type[Headers], tuple[list[tuple[str, str]]]]:
        return RequestHeaders, (self._shown(),)

    def _shown(self) -> list[tuple[str, str]]:
        return [(name, "***" if is_secret(name) else value) for name, value in self.multi_items()]


def is_secret(name: str) -> bool:
    """Return whether a header has a value that nobody may see."""
    return _SECRET_HEADER.search(name) is not None


class URL(str):
    """A URL as text, whose parts are attributes."""

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return urlsplit(self).scheme

    @property
    def host(self) -> str:
        """The host name, without a port."""
        return urlsplit(self).hostname or ""

    @property
    def port(self) -> int | None:
        """The port, if it is not the scheme's own."""
        return urlsplit(self).port

    @property
    def path(self) -> str:
        """The path, without the query."""
        return urlsplit(self).path or "/"

    @property
    def query(self) -> bytes:
        """The query, without its question mark."""
        return urlsplit(self).query.encode()

    @property
    def params(self) -> dict[str, str]:
        """The query's parameters, decoded."""
        return dict(parse_qsl(urlsplit(self).query, keep_blank_values=True))


class RequestInfo(msgspec.Struct, frozen=True):
    """Information on an HTTP request. `content` is its body; errors do not keep it."""

    method: str
    url: URL
    headers: Headers
    content: bytes = b""

    def __repr__(self) -> str:
        return f"RequestInfo({self.method} {self.url})"

    def read(self) -> bytes:
        """Return `content`, as a request of httpx does."""
        return self.content


NO_REQUEST = RequestInfo("", URL(""), Headers())


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class RateLimit(msgspec.Struct, frozen=True):
    """A limit: what it allows, what is left of it, and when it is whole again (aware, UTC)."""

    limit: int | None = None
    remaining: int | None = None
    reset: datetime | None = None


class Fallback(msgspec.Struct, frozen=True):
    """The outcome of `fallback_models`: whether one answered, which, for which, and why."""

    used: bool
    model: str | None = None
    requested: str | None = None
    reason: str | None = None


class ResponseInfo(msgspec.Struct, frozen=True):
    """Information on an HTTP response.

    `retries` counts the tries before this one; `elapsed` is in seconds, from the call's beginning
    to the response's head, retries included.
    """

    status: int
    headers: Headers
    retries: int = 0
    elapsed: float = 0.0
    http_version: str = "HTTP/1.1"
    prices: Any = None
    """The prices of the client, where it was given some."""

    @property
    def status_code(self) -> int:
        """The HTTP status, by the name that other SDKs use."""
        return self.status

    @property
    def request_id(self) -> str | None:
        """The service's name for the request; None when it gave none."""
        return self.headers.get("request-id") or self.headers.get("x-request-id")

    @property
    def rate_limits(self) -> dict[str, RateLimit]:
        """The limits that the response tells of, by name.

        `service` is the service's own (`X-RateLimit-*`). `requests`, `tokens`, `input-tokens`,
        `output-tokens` are those of the upstream (`anthropic-ratelimit-*`).
        """
        found: dict[str, dict[str, str]] = {}
        for header, value in self.headers.items():
            stem, _, part = header.rpartition("-")
            if part not in {"limit", "remaining", "reset"}:
                continue
            if stem == "x-ratelimit":
                found.setdefault("service", {})[part] = value
            elif stem.startswith("anthropic-ratelimit-"):
                found.setdefault(stem.removeprefix("anthropic-ratelimit-"), {})[part] = value
        return {name: _rate_limit(parts) for name, parts in found.items()}

    @property
    def fallback(self) -> Fallback | None:
        """The outcome of `fallback_models`; None when the service does not report one."""
        used = self.headers.get("x-fallback-used")
        if used is None:
            return None
        return Fallback(
            used=used.strip().lower() == "true",
            model=self.headers.get("x-actual-model"),
            requested=self.headers.get("x-fallback-from"),
            reason=self.headers.get("x-fallback-reason"),
        )


class WholeResponse(ResponseInfo, frozen=True):
    """A whole HTTP response: what `ResponseInfo` tells, its body, and the request it answers."""

    content: bytes = b""
    request: RequestInfo = NO_REQUEST

    def __repr__(self) -> str:
        return f"WholeResponse({self.status}, {len(self.content)} bytes)"

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    @property
    def url(self) -> URL:
        """The URL that was requested."""
        return self.request.url

    @property
    def reason_phrase(self) -> str:
        """The usual words for the status, such as `Not Found`; empty for one that has none."""
        from http import HTTPStatus  # Slow to import, rarely used.

        known = {status.value: status.phrase for status in HTTPStatus}
        return known.get(self.status, "")

    @property
    def is_success(self) -> bool:
        """True for a status of 2xx."""
        return 200 <= self.status < 300

    @property
    def is_error(self) -> bool:
        """True for a status of 4xx or 5xx."""
        return self.status >= 400

    def json(self) -> Any:
        """Return the body, decoded.

        Raises:
            ValueError: It is not JSON.
        """
        return msgspec.json.decode(self.content)

    def read(self) -> bytes:
        """Return `content`, as a response of httpx does."""
        return self.content


class ResponseFacts:
    """The facts of a response that may still be read: its head, and its body as far as read."""

    def __init__(self, request: RequestInfo, info: ResponseInfo, body: bytes | None) -> None:
        self.http_request = request
        self._info = info
        self._body: bytes | None = body
        self._parsed: dict[Any, Any] = {}
        self._closed = False

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self._info.status

    @property
    def headers(self) -> Headers:
        """The response's headers: a mapping by name in any case."""
        return self._info.headers

    @property
    def request_id(self) -> str | None:
        """The service's name for the request."""
        return self._info.request_id

    @property
    def workspace_id(self) -> str | None:
        """The workspace that the request was counted to, where the service tells it."""
        return self.headers.get("anthropic-workspace-id")

    @property
    def retries_taken(self) -> int:
        """The number of tries before this one."""
        return self._info.retries

    @property
    def elapsed(self) -> timedelta:
        """The time from the call's beginning to the response's head, retries included."""
        return timedelta(seconds=self._info.elapsed)

    @property
    def http_version(self) -> str:
        """`HTTP/1.1`, or what a client of your own speaks."""
        return self._info.http_version

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.http_request.method

    @property
    def url(self) -> str:
        """The URL of the request."""
        return self.http_request.url

    @property
    def is_closed(self) -> bool:
        """True once the body was read whole, or the response was closed."""
        return self._closed or self._body is not None

    @property
    def value(self) -> Any:
        """The value that `parse()` gave; None before."""
        return self._parsed.get(None)

    @property
    def http_response(self) -> WholeResponse:
        """The response by the names that httpx has; its body as far as it was read."""
        info = self._info
        return WholeResponse(
            info.status,
            info.headers,
            info.retries,
            info.elapsed,
            info.http_version,
            content=self.content,
            request=self.http_request,
        )

    @property
    def content(self) -> bytes:
        """The body as far as it was read."""
        return self._body or b""


def _rate_limit(parts: Mapping[str, str]) -> RateLimit:
    return RateLimit(
        limit=_integer(parts.get("limit")),
        remaining=_integer(parts.get("remaining")),
        reset=_moment(parts.get("reset")),
    )


def _integer(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


def _moment(text: str | None) -> datetime | None:
    """Return a moment that is said in Unix seconds or as RFC 3339; None when it is neither."""
    try:
        seconds = _integer(text)
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC)
        moment = datetime.fromisoformat((text or "").strip())
    except (ValueError, OverflowError, OSError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None
