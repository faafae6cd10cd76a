"""The cache key: everything two requests must have in common for one response to serve both."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

from apertis.gateway.errors import Refusal, invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# They change how a response is handed out, or who is told of it, and not what the model says.
_LEFT_OUT = frozenset(
    {
        "stream",
        "metadata",
        "user",
        "fallback_models",
        "fallback_timeout",
        "fallback_enabled",
        "compression",
    }
)
_HEADERS = ("anthropic-version", "anthropic-beta")


class TopLevel(Protocol):
    """A request's body, whose top-level fields are known as the bytes of their JSON."""

    @property
    def names(self) -> Collection[str]:
        """The names of the fields."""
        ...

    def raw(self, name: str) -> bytes | None:
        """Return the JSON of a field."""
        ...


def cache_key(key_id: str, target: str, body: TopLevel, headers: Mapping[str, str]) -> bytes:
    """Return the name of a response in the cache: a hash that is the same only for equal requests.

    `key_id` is part of it, so nobody is served, or learns of, what another key was answered.
    `target` is path and query; names of headers are lower-case. The order of the fields does not
    matter, every byte of their values does.
    """
    digest = hashlib.sha256()
    pieces = [key_id.encode(), target.encode()]
    pieces += [headers.get(name, "").encode() for name in _HEADERS]
    for name in sorted(body.names):
        if name not in _LEFT_OUT:
            pieces += [name.encode(), body.raw(name) or b""]
    for piece in pieces:
        # The length first: no two requests give the same bytes by a shifted border.
        digest.update(b"%d:" % len(piece))
        digest.update(piece)
    return digest.digest()


CACHE_HEADER: Final = "x-response-cache"

MISS: Final = ((b"x-response-cache", b"miss"),)


def wants_cache(headers: Mapping[str, str], key_setting: bool) -> bool | Refusal:
    """Return whether a request is to be answered from the cache, and its response kept there.

    Its header `x-response-cache: on` or `off` wins over the key's setting.
    """
    said = headers.get(CACHE_HEADER)
    if said is None:
        return key_setting
    word = said.strip().lower()
    if word not in {"on", "off"}:
        return invalid_parameter(
            CACHE_HEADER, f"Invalid value for header '{CACHE_HEADER}': 'on' or 'off'"
        )
    return word == "on"


def hit_headers(age_seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header pairs of a response from the cache."""
    return (b"x-response-cache", b"hit"), (b"age", b"%d" % age_seconds)
