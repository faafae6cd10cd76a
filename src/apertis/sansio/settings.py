"""A client's settings, and the head of each request that follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from apertis.errors import ConfigurationError, MissingAPIKeyError, ParameterError
from apertis.models.response import is_secret
from apertis.sansio.credentials import (
    HOSTED_SERVICE,
    NO_KEY,
    Family,
    check_host,
    credential_header,
    credentials_from,
    family_of_host,
    family_of_key,
)
from apertis.sansio.marks import NOT_GIVEN, NotGiven, without_absent
from apertis.sansio.request import (
    Origin,
    checked_headers,
    merge_headers,
    parse_base_url,
    render_head,
    target,
)
from apertis.sansio.retry import RetryPolicy
from apertis.sansio.timeouts import Timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.sansio.call import Call

# The last version that takes temperature, top_p and top_k, which the documentation promises.
ANTHROPIC_VERSION = "2023-06-01"
MAX_CONNECTIONS = 1000
# Paths with ids in them are without number.
MAX_KEPT_HEADS = 32


class ClientSettings(msgspec.Struct, frozen=True):
    """A client's settings: complete, checked, and without a word about sockets."""

    api_key: str | None
    origin: Origin
    auth_token: str | None = None
    timeout: float | Timeout | None = msgspec.field(default_factory=Timeout)
    retry: RetryPolicy = msgspec.field(default_factory=RetryPolicy)
    default_headers: dict[str, str] = {}
    default_query: dict[str, Any] = {}
    user_agent: str = "Apertis/Python"
    anthropic_version: str = ANTHROPIC_VERSION
    family: Family = "apertis"
    prices: Any = None
    """A table of the caller's prices."""
    heads: dict[tuple[str, str, bool, bool], bytes] = {}
    """Rendered heads by method, path, and whether streamed and without a body."""

    def __repr__(self) -> str:
        return f"Settings(origin={self.origin.url + self.origin.prefix!r})"

    def changed(self, **changes: Any) -> ClientSettings:
        """Return a copy with some of the settings replaced, as `with_options` takes them."""
        fields = _checked(changes, self)
        new = msgspec.structs.replace(self, **fields, heads={})
        named = new.api_key or new.auth_token
        if named is None:
            return new
        given = "api_key" in fields
        if given:
            whose = family_of_key(named) or family_of_host(new.origin.host) or new.family
            new = msgspec.structs.replace(new, family=whose)
        check_host(new.family, named, new.origin, moved=not given)
        return new

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a client cannot be pickled, nor what belongs to it: it holds an API key. "
            "Make one in each process"
        )

    def secrets_of(self, call: Call[Any]) -> tuple[str, ...]:
        """Return the secrets of the call's request that no error and no repr may show."""
        headers = merge_headers({}, self.default_headers, call.headers)
        values = [value for name, value in headers.items() if is_secret(name)]
        # A scheme such as `Bearer` is none.
        own = (self.api_key or "", self.auth_token or "")
        words = [value.rpartition(" ")[2] for value in (*own, *values)]
        return tuple(dict.fromkeys(word for word in (*values, *words) if word))

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        own = {
            "host": self.origin.authority,
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "user-agent": self.user_agent,
            "anthropic-version": self.anthropic_version,
        }
        return merge_headers(own | self.auth_headers(), self.default_headers)

    def auth_headers(self) -> dict[str, str]:
        """Return the header that carries the key or the token; nothing without one."""
        key = self.api_key or self.auth_token
        if key is None:
            return {}
        name, value = credential_header(key, self.family, is_token=self.api_key is None)
        return {name: value}

    def head(self, call: Call[Any]) -> bytes:
        """Return the head of the call's request, up to the blank line."""
        if call.headers or call.query:
            return self._render(call)
        key = (call.method, call.path, call.streamed, call.body is None)
        start = self.heads.get(key)
        if start is None:
            # The length is all that differs from one request to the next.
            start = self._render(call, with_length=False)[:-2]
            if len(self.heads) < MAX_KEPT_HEADS:
                self.heads[key] = start
        if call.body is None:
            return start + b"\r\n"
        return b"%scontent-length: %d\r\n\r\n" % (start, len(call.body))

    def request_headers(self, call: Call[Any]) -> dict[str, str]:
        """Return the headers of the call's request, without its length."""
        headers = self.headers()
        if call.streamed:
            # Compression makes proxies hold events back.
            headers["accept-encoding"] = "identity"
        if call.body is not None:
            headers["content-type"] = "application/json"
        headers = merge_headers(headers, call.headers) if call.headers else headers
        if "authorization" not in headers and "x-api-key" not in headers:
            raise MissingAPIKeyError(NO_KEY)
        return headers

    def request_target(self, call: Call[Any]) -> str:
        """Return the path and query of the call's request."""
        query = {**self.default_query, **(call.query or {})} if self.default_query else call.query
        return target(self.origin.prefix, call.path, query)

    def timeout_of(self, call: Call[Any]) -> Timeout:
        """Return the deadlines of the call."""
        given = self.timeout if isinstance(call.timeout, NotGiven) else call.timeout
        if isinstance(given, Timeout):
            return given
        return Timeout.of(given, streamed=call.streamed)

    def retry_of(self, call: Call[Any]) -> RetryPolicy:
        """Return the retry policy of the call."""
        if call.max_retries is None:
            return self.retry
        return RetryPolicy(checked_retries(call.max_retries), self.retry.max_retry_after)

    def _render(self, call: Call[Any], *, with_length: bool = True) -> bytes:
        length = len(call.body) if with_length and call.body is not None else None
        headers = self.request_headers(call)
        return render_head(call.method, self.request_target(call), headers, length)


def settings_from(
    environ: Mapping[str, str], given: Mapping[str, Any], version: str
) -> ClientSettings:
    """Return the settings that a constructor's arguments and the environment make together."""
    given = without_absent(given)
    found = credentials_from(environ, given)
    plain = ClientSettings(
        api_key=None,
        origin=parse_base_url(HOSTED_SERVICE),
        user_agent=f"Apertis/Python {version}",
        family=found.family,
    )
    changes = {k: v for k, v in given.items() if k not in {"api_key", "auth_token", "base_url"}}
    changes["api_key"] = found.api_key or NOT_GIVEN
    changes["auth_token"] = found.auth_token or NOT_GIVEN
    if found.headers:
        plain = plain.changed(default_headers=found.headers)
    return plain.changed(base_url=found.base_url, **changes)


def _checked(changes: Mapping[str, Any], now: ClientSettings) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    changes = without_absent(changes)
    for name, value in changes.items():
        match name:
            case "api_key" | "auth_token":
                # One stands in place of the other.
                fields |= {"api_key": None, "auth_token": None, name: _checked_key(name, value)}
            case "base_url":
                # httpx has a class of its own for URLs.
                is_url = type(value).__name__ == "URL"
                fields["origin"] = parse_base_url(_text(name, str(value) if is_url else value))
            case "timeout":
                Timeout.of(value)
                fields["timeout"] = value
            case "default_headers":
                fields["default_headers"] = now.default_headers | _headers(name, value)
            case "set_default_headers":
                fields["default_headers"] = _headers(name, value)
            case "default_query":
                fields["default_query"] = now.default_query | _query(name, value)
            case "set_default_query":
                fields["default_query"] = _query(name, value)
            case "anthropic_version":
                fields["anthropic_version"] = _text(name, value)
            case "prices":
                fields["prices"] = value
            case "max_retries" | "max_retry_after":
                pass
            case _:
                raise ConfigurationError(f"there is no setting {name!r}")
    fields["retry"] = _retry(changes, now.retry)
    return fields


def _retry(changes: Mapping[str, Any], now: RetryPolicy) -> RetryPolicy:
    retries = changes.get("max_retries", NOT_GIVEN)
    longest = changes.get("max_retry_after", NOT_GIVEN)
    if not isinstance(longest, NotGiven) and not (
        isinstance(longest, int | float) and not isinstance(longest, bool) and longest >= 0
    ):
        raise ConfigurationError(
            f"max_retry_after must be a number of seconds, 0 or more; it is {longest!r}"
        )
    return RetryPolicy(
        now.max_retries if isinstance(retries, NotGiven) else checked_retries(retries),
        now.max_retry_after if isinstance(longest, NotGiven) else longest,
    )


def checked_retries(value: object) -> int:
    """Return the number of retries, if it is one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigurationError(f"max_retries must be a whole number, 0 or more; it is {value!r}")
    return value


def _checked_key(name: str, value: object) -> str:
    # Keys that were read from a file end in a line feed.
    key = value.strip() if isinstance(value, str) else ""
    if not key or not key.isascii() or any(c.isspace() or not c.isprintable() for c in key):
        raise ConfigurationError(f"{name} must be text without spaces, in ASCII")
    return key


def _headers(name: str, value: Mapping[str, str | None]) -> dict[str, str | None]:
    try:
        return checked_headers(value)
    except ParameterError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _query(name: str, value: Any) -> dict[str, Any]:
    if value is not None and not hasattr(value, "keys"):
        raise ConfigurationError(f"{name} must be a mapping; it is {type(value).__name__}")
    return dict(value or {})


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name} must be text; it is {type(value).__name__}")
    return value
